package ktsnap

import (
	"cmp"
	"slices"
	"strings"

	"github.com/ktgen/ktgen/runtime/ctype"
)

// CastsOf lists the pointers that are declared as something else, in types and in the
// values of maps that are neither structs nor unions, by the name of the map.
func CastsOf(types []*ctype.Shape, maps map[string]*ctype.Shape) []Cast {
	var casts []Cast
	for _, s := range types {
		if container(s) != "" {
			casts = appendCasts(casts, container(s), s)
		}
	}
	for name, value := range maps {
		if value.Kind != ctype.KindStruct && value.Kind != ctype.KindUnion {
			casts = appendCasts(casts, "map "+name, value)
		}
	}
	slices.SortFunc(casts, compareCasts)
	return slices.Compact(casts)
}

func compareCasts(a, b Cast) int {
	return cmp.Or(cmp.Compare(a.In, b.In), cmp.Compare(a.Path, b.Path), cmp.Compare(a.To, b.To), cmp.Compare(a.Space, b.Space), cmp.Compare(a.Behind, b.Behind))
}

// container is how casts name the type that a place is in, empty if s is none.
func container(s *ctype.Shape) string {
	switch {
	case s.Name == "":
		return ""
	case s.Kind == ctype.KindStruct, s.Kind == ctype.KindUnion:
		return ctype.Spell(s)
	case s.Kind == ctype.KindSection:
		return "section " + s.Name
	}
	return ""
}

// appendCasts adds the casts in a type, as far as nothing with a name of its own is in
// between.
func appendCasts(casts []Cast, in string, s *ctype.Shape) []Cast {
	s.WalkTypes(func(p *ctype.Part) ctype.Next {
		switch p.Shape.Kind {
		case ctype.KindPointer:
			if c, ok := castTo(p.Shape); ok {
				c.In, c.Path = in, strings.TrimPrefix(p.Path(), ".")
				casts = append(casts, c)
			}
		case ctype.KindStruct, ctype.KindUnion, ctype.KindSection:
			isAnonymous := p.Member != nil && p.Member.Name == ""
			if p.Up != nil && p.Shape.Name != "" && !isAnonymous {
				return ctype.Skip
			}
		}
		return ctype.Enter
	})
	return casts
}

// castTo says what a pointer is cast to; ok is false if it is one in C, too.
func castTo(pointer *ctype.Shape) (c Cast, ok bool) {
	target := pointer.Elem.Stripped()
	if payload, isAllocation := target.Payload(); isAllocation {
		return Cast{To: ctype.Spell(payload.Type), Space: pointer.Space, Behind: payload.Offset}, true
	}
	return Cast{To: ctype.Spell(target), Space: pointer.Space}, pointer.IsCast()
}
