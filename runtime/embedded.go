package runtime

import "reflect"

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

// embedding tells which Go types of a layout lie in others.
type embedding struct {
	in    map[reflect.Type]map[reflect.Type]bool // by the type that they lie in
	types []bool                                 // by number: it lies in another
}

// isEmbedded tells whether values of a type lie in those of others.
func (l *Layout) isEmbedded(typ int) bool {
	return typ >= 0 && typ < len(l.embedded().types) && l.embedding.types[typ]
}

// embedsOf returns the types that lie in a type.
func (l *Layout) embedsOf(t reflect.Type) map[reflect.Type]bool { return l.embedded().in[t] }

func (l *Layout) embedded() *embedding {
	l.embed.Do(func() {
		e := &l.embedding
		e.in = make(map[reflect.Type]map[reflect.Type]bool)
		for typ := -len(l.Globals); typ < len(l.Values); typ++ {
			if t := l.goType(typ); t != nil {
				e.collect(t)
			}
		}
		e.types = make([]bool, len(l.Values))
		for typ := range l.Values {
			t := l.goType(typ)
			for _, in := range e.in {
				e.types[typ] = e.types[typ] || t != nil && in[t]
			}
		}
	})
	return &l.embedding
}

// collect returns the types that lie in a type. Go types have no circles but
// through pointers, maps and slices.
func (e *embedding) collect(t reflect.Type) map[reflect.Type]bool {
	if known, ok := e.in[t]; ok {
		return known
	}
	in := make(map[reflect.Type]bool)
	add := func(t reflect.Type) {
		in[t] = true
		for inner := range e.collect(t) {
			in[inner] = true
		}
	}
	switch t.Kind() {
	case reflect.Array:
		add(t.Elem())
	case reflect.Struct:
		for i := range t.NumField() {
			if t.Field(i).IsExported() {
				add(t.Field(i).Type)
			}
		}
	}
	e.in[t] = in
	return in
}
