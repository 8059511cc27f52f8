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
func leaves(s *Shape) []string {
	var list []string
	var walk func(s *Shape, path string, offset, depth int)
	walk = func(s *Shape, path string, offset, depth int) {
		u := s.Underlying()
		switch {
		case u == nil || depth == 0 || len(list) > MaxFields:
		case u.Kind == KindStruct || u.Kind == KindUnion:
			for _, m := range u.Fields() {
				walk(m.Type, path+"."+m.Name, offset+m.Offset, depth-1)
			}
			return
		case u.Kind == KindArray:
			walk(u.Elem, fmt.Sprintf("%s[%d]", path, u.Len), offset, depth-1)
			return
		}
		list = append(list, fmt.Sprintf("%d%s", offset, path))
	}
	walk(s, "", 0, MaxNesting)
	return list
}
