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
			casts = appendCasts(casts, container(s), "", s, ctype.MaxNesting)
		}
	}
	for name, value := range maps {
		if value.Kind != ctype.KindStruct && value.Kind != ctype.KindUnion {
			casts = appendCasts(casts, "map "+name, "", value, ctype.MaxNesting)
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

// appendCasts adds the casts at path and below it, as far as nothing with a
// name of its own is in between.
func appendCasts(casts []Cast, in, path string, s *ctype.Shape, depth int) []Cast {
	u := s.Underlying()
	if u == nil || depth == 0 {
		return casts
	}
	switch u.Kind {
	case ctype.KindPointer:
		target := u.Elem.Stripped()
		if payload, ok := target.Payload(); ok {
			casts = append(casts, Cast{In: in, Path: path, To: ctype.Spell(payload.Type), Space: u.Space, Behind: payload.Offset})
		} else if u.IsCast() {
			casts = append(casts, Cast{In: in, Path: path, To: ctype.Spell(target), Space: u.Space})
		}
	case ctype.KindArray:
		return appendCasts(casts, in, path+"[]", u.Elem, depth-1)
	case ctype.KindStruct, ctype.KindUnion, ctype.KindSection:
		if path != "" && u.Name != "" {
			return casts
		}
		for _, m := range u.Fields() {
			casts = appendCasts(casts, in, strings.TrimPrefix(path+"."+m.Name, "."), m.Type, depth-1)
		}
	}
	return casts
}
