package runtime

import (
	"reflect"
	"slices"

	"github.com/ktgen/ktgen/runtime/internal/within"
)

// goType returns the Go type of a type of the layout, or of a section if the
// number is negative. It is nil for types of the kernel, and in code that was
// generated before there was a list of them.
func (l *Layout) goType(typ int) reflect.Type {
	list := l.Values
	if typ < 0 {
		list, typ = l.Globals, -1-typ
	}
	if typ >= len(list) || list[typ] == nil {
		return nil
	}
	if t := reflect.TypeOf(list[typ]); t.Kind() == reflect.Pointer {
		return t.Elem()
	}
	return nil
}

// embedding tells which Go types of the layout lie in others.
func (l *Layout) embedding() *within.Types {
	l.embed.Do(func() {
		var all []reflect.Type
		for typ := -len(l.Globals); typ < len(l.Values); typ++ {
			all = append(all, l.goType(typ))
		}
		l.lies = within.NewTypes(slices.Concat(all, l.lastArrays())...)
		for _, t := range all[len(l.Globals):] {
			l.isIn = append(l.isIn, t != nil && l.lies.LiesInAny(t))
		}
	})
	return l.lies
}

// lastArrays are arrays of what is in those at the ends of sections, which generated
// code has as slices.
func (l *Layout) lastArrays() (all []reflect.Type) {
	for i := range l.Globals {
		t := l.goType(-1 - i)
		for f := 0; t != nil && f < t.NumField(); f++ {
			if field := t.Field(f).Type; field.Kind() == reflect.Slice {
				all = append(all, reflect.ArrayOf(1, field.Elem()))
			}
		}
	}
	return all
}

// isEmbedded tells whether values of a type lie in those of others.
func (l *Layout) isEmbedded(typ int) bool {
	l.embedding()
	return typ >= 0 && typ < len(l.isIn) && l.isIn[typ]
}
