package ktsnap

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/ktgen/ktgen/runtime/ctype"
)

// Rendered is a value with all that is in it, for people: structs and arrays
// with what they hold, scalars as text. Pointers are addresses.
type Rendered struct {
	Kind    string          // "Uint", "Int", "Bool", "Char", "Float", "Enum", "Ptr", "Array", "Struct", "Union", "Bytes"
	Type    string          // C type; empty if the guest has no BTF for the value
	Text    string          // scalars, strings and bytes
	Fields  []RenderedField // Struct, Union
	Elems   []Rendered      // Array
	Omitted int             // fields or elements that are left out

	Annotation string // Ptr: how it is known to be one, see [Value.Annotation]
}

// RenderedField is a member of a struct or union.
type RenderedField struct {
	Name  string
	Value Rendered
}

// maxRendered bounds the scalars that one value is rendered with.
const maxRendered = 1 << 16

// Rendered returns the value with all that is in it, up to 65,536 scalars. It
// takes everything that was found.
func (v Value) Rendered() (Rendered, error) {
	if v.err != nil {
		return Rendered{}, v.err
	}
	return v.render(maxRendered), nil
}

// render renders v with at most limit scalars.
func (v *Value) render(limit int) Rendered {
	left := limit
	return v.renderWithin(&left, ctype.MaxNesting)
}

func (v *Value) renderWithin(left *int, depth int) Rendered {
	u := v.underlying()
	r := Rendered{Kind: kindName(u)}
	if u == nil {
		*left--
		r.Text = fmt.Sprintf("%#x", v.data)
		return r
	}
	r.Type = ctype.Spell(v.shape)
	switch u.Kind {
	case ctype.KindStruct, ctype.KindUnion, ctype.KindSection:
		v.renderFields(&r, u, left, depth)
		return r
	case ctype.KindArray:
		if !isString(u) {
			v.renderElems(&r, u, left, depth)
			return r
		}
	}
	*left--
	r.Text, r.Annotation = v.scalarText(u), v.Annotation()
	return r
}

func (v *Value) renderFields(r *Rendered, u *ctype.Shape, left *int, depth int) {
	fields, _ := u.FieldsUpTo(ctype.MaxIndexed)
	for i := range fields {
		m := &fields[i]
		if *left <= 0 || depth == 0 {
			r.Omitted = len(fields) - i
			return
		}
		field := *v
		field.enter(m)
		r.Fields = append(r.Fields, RenderedField{m.Name, field.renderWithin(left, depth-1)})
	}
	*left-- // so that empty structs count
}

func (v *Value) renderElems(r *Rendered, u *ctype.Shape, left *int, depth int) {
	n := v.elements(u)
	for i := range n {
		if *left <= 0 || depth == 0 {
			r.Omitted = n - i
			return
		}
		elem := *v
		if elem.enterElement(u, i); elem.err != nil {
			r.Elems = append(r.Elems, Rendered{Kind: "Bytes", Text: "!! " + elem.err.Error()})
			continue
		}
		r.Elems = append(r.Elems, elem.renderWithin(left, depth-1))
	}
	*left--
}

// scalarText writes a scalar or a string.
func (v *Value) scalarText(u *ctype.Shape) string {
	switch u.Kind {
	case ctype.KindInt:
		return v.integer(u).String()
	case ctype.KindBool:
		return strconv.FormatBool(v.unsigned(u) != 0)
	case ctype.KindChar:
		return charText(byte(v.unsigned(u)))
	case ctype.KindEnum:
		if name, ok := v.enumerator(u); ok {
			return name
		}
		return v.integer(u).String()
	case ctype.KindPointer:
		return Address(v.load(u)).String()
	case ctype.KindArray:
		return strconv.Quote(ctype.Text(v.data))
	}
	if f, ok := v.float(u); ok {
		return strconv.FormatFloat(f, 'g', -1, 64)
	}
	return fmt.Sprintf("%#x", v.data)
}

// charText writes a char as C does if it is printable ASCII, and else its
// number.
func charText(c byte) string {
	if c < ' ' || c > '~' {
		return strconv.Itoa(int(c))
	}
	return strconv.QuoteRune(rune(c))
}

// String returns the value in one line: {weight: 100, policy: POLICY_NORMAL}.
func (r Rendered) String() string {
	var b strings.Builder
	r.write(&b)
	return b.String()
}

func (r *Rendered) write(b *strings.Builder) {
	switch r.Kind {
	case "Struct", "Union":
		b.WriteByte('{')
		for i := range r.Fields {
			separate(b, i)
			b.WriteString(r.Fields[i].Name + ": ")
			r.Fields[i].Value.write(b)
		}
		r.writeOmitted(b, len(r.Fields))
		b.WriteByte('}')
	case "Array":
		if r.Text != "" {
			b.WriteString(r.Text)
			return
		}
		b.WriteByte('[')
		for i := range r.Elems {
			separate(b, i)
			r.Elems[i].write(b)
		}
		r.writeOmitted(b, len(r.Elems))
		b.WriteByte(']')
	default:
		b.WriteString(r.Text)
	}
}

func (r *Rendered) writeOmitted(b *strings.Builder, before int) {
	if r.Omitted > 0 {
		separate(b, before)
		fmt.Fprintf(b, "... %d more", r.Omitted)
	}
}

func separate(b *strings.Builder, i int) {
	if i > 0 {
		b.WriteString(", ")
	}
}
