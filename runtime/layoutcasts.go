package runtime

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// Casts lists the pointers of the layout that the program declares as
// something else.
func (l *Layout) Casts() ([]ktsnap.Cast, error) {
	table, err := ctype.Parse(l.Shapes)
	if err != nil {
		return nil, fmt.Errorf("the generated code of package %s is damaged: %w", l.Package, err)
	}
	var casts []ktsnap.Cast
	for _, s := range table.All() {
		if container(s) != "" {
			casts = appendCasts(casts, container(s), "", s, ctype.MaxNesting)
		}
	}
	for _, m := range l.Maps {
		if value, err := table.Optional(m.Value); err == nil && value != nil && value.Kind != ctype.KindStruct && value.Kind != ctype.KindUnion {
			casts = appendCasts(casts, "map "+m.Name, "", value, ctype.MaxNesting)
		}
	}
	slices.SortFunc(casts, compareCasts)
	return slices.Compact(casts), nil
}

func compareCasts(a, b ktsnap.Cast) int {
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
func appendCasts(casts []ktsnap.Cast, in, path string, s *ctype.Shape, depth int) []ktsnap.Cast {
	u := s.Underlying()
	if u == nil || depth == 0 {
		return casts
	}
	switch u.Kind {
	case ctype.KindPointer:
		target := u.Elem.Stripped()
		if payload, ok := target.Payload(); ok {
			casts = append(casts, ktsnap.Cast{In: in, Path: path, To: ctype.Spell(payload.Type), Space: u.Space, Behind: payload.Offset})
		} else if u.IsCast() {
			casts = append(casts, ktsnap.Cast{In: in, Path: path, To: ctype.Spell(target), Space: u.Space})
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
