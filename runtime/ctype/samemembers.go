package ctype

import (
	"fmt"
	"slices"
)

// SameMembers tells whether two types have the same members at the same places.
func SameMembers(a, b *Shape) bool {
	return slices.Equal(leaves(a), leaves(b))
}

// leaves lists the members of a type, and theirs, by place and name.
func leaves(s *Shape) (list []string) {
	s.WalkTypes(func(p *Part) Next {
		switch p.Shape.Kind {
		case KindStruct, KindUnion:
			return Enter
		case KindArray:
			list = append(list, fmt.Sprintf("%d%s[%d]", p.Offset, p.Path(), p.Shape.Len))
			return Enter
		}
		if p.Member == nil || p.Member.Name != "" {
			list = append(list, fmt.Sprintf("%d%s", p.Offset, p.Path()))
		}
		return Enter
	})
	return list
}
