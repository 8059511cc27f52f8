package dump

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"

	"github.com/ktgen/ktgen/runtime/ctype"
)

// This file writes the document of types that SCHEMA.md describes.

// TypesFormat and TypesVersion begin every JSON document of types. As for
// [Version], readers ignore members that they do not know.
const (
	TypesFormat  = "ktgen types"
	TypesVersion = 1
)

// JSONTypes writes types, with all they refer to, as one JSON document;
// SCHEMA.md describes it.
func JSONTypes(w io.Writer, shapes []*ctype.Shape) error {
	l := layouts{}
	for _, s := range shapes {
		l.ref(s)
	}
	head := struct {
		Format  string `json:"format"`
		Version int    `json:"version"`
		Layouts string `json:"layouts,omitempty"`
	}{Format: TypesFormat, Version: TypesVersion}
	if l.consistent() {
		head.Layouts = l.writer.String()
	}
	begin, err := json.Marshal(head)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(w, "%s,\"types\":[", begin[:len(begin)-1]); err != nil {
		return err
	}
	for i, s := range shapes {
		line, err := json.Marshal(l.describe(s))
		if err != nil {
			return err
		}
		separator := ",\n"
		if i == 0 {
			separator = "\n"
		}
		if _, err := fmt.Fprintf(w, "%s%s", separator, line); err != nil {
			return err
		}
	}
	_, err = fmt.Fprint(w, "\n]}\n")
	return err
}

// layouts are types as text.
type layouts struct{ writer ctype.Writer }

// consistent tells whether the types can be read back. Those of a damaged
// snapshot may contradict one another.
func (l *layouts) consistent() bool {
	_, err := ctype.Parse(l.writer.String())
	return err == nil
}

// ref returns the text that refers to a type, which it adds if it is new.
func (l *layouts) ref(s *ctype.Shape) string {
	if s == nil {
		return ""
	}
	return l.writer.Add(s)
}

// typeDocument is an element of types.
type typeDocument struct {
	Kind    string           `json:"kind"`
	Name    string           `json:"name,omitempty"`
	Type    string           `json:"type,omitempty"` // typedefs: C type
	Layout  string           `json:"layout"`
	Size    int              `json:"size"` // bytes
	Signed  bool             `json:"signed,omitempty"`
	Members []memberDocument `json:"members,omitempty"`
	Values  []valueDocument  `json:"values,omitempty"`
}

// memberDocument is a member. Offsets are from the start of the type that is in
// the list, also those of members of anonymous members.
type memberDocument struct {
	Name      string           `json:"name,omitempty"`
	Offset    int              `json:"offset"` // bytes
	Bits      int              `json:"bits,omitempty"`
	BitOffset int              `json:"bit_offset,omitempty"`
	Type      string           `json:"type,omitempty"`
	Layout    string           `json:"layout,omitempty"`
	Size      int              `json:"size"` // bytes
	Static    bool             `json:"static,omitempty"`
	Tags      []string         `json:"tags,omitempty"`
	Kind      string           `json:"kind,omitempty"`
	Members   []memberDocument `json:"members,omitempty"`
	Values    []valueDocument  `json:"values,omitempty"`
	Omitted   bool             `json:"$omitted,omitempty"`
}

type valueDocument struct {
	Name  string `json:"name"`
	Value any    `json:"value"`
}

// kindNames are the kinds that types have in a document.
var kindNames = [...]string{
	ctype.KindInt: "int", ctype.KindBool: "bool", ctype.KindChar: "char", ctype.KindFloat: "float",
	ctype.KindEnum: "enum", ctype.KindStruct: "struct", ctype.KindUnion: "union", ctype.KindSection: "section",
	ctype.KindTypedef: "typedef", ctype.KindFunc: "func", ctype.KindFwd: "fwd",
	ctype.KindVoid: "void", ctype.KindPointer: "pointer", ctype.KindArray: "array",
}

func (l *layouts) describe(s *ctype.Shape) typeDocument {
	t := typeDocument{Kind: kindNames[s.Kind], Name: s.Name, Layout: l.ref(s), Size: s.Size, Signed: s.Signed}
	if s.Kind == ctype.KindTypedef {
		t.Type = ctype.Spell(s.Elem)
	}
	if s.Kind == ctype.KindTypedef {
		t.Values, t.Members = l.inside(s.Elem, 1, 0, new(int))
		return t
	}
	t.Values, t.Members = values(s), l.members(s, 1, 0, new(int))
	return t
}

func values(s *ctype.Shape) (list []valueDocument) {
	for _, v := range s.Values {
		list = append(list, valueDocument{v.Name, enumerator(v.Value, s.Signed)})
	}
	return list
}

// inside describes what is in the type without a name that a type is made of.
func (l *layouts) inside(s *ctype.Shape, depth, base int, n *int) ([]valueDocument, []memberDocument) {
	inner := nameless(s)
	if inner == nil {
		return nil, nil
	}
	return values(inner), l.members(inner, depth, within(s, base), n)
}

// members describes members, those of anonymous structs and unions below these.
// n counts them.
func (l *layouts) members(s *ctype.Shape, depth, base int, n *int) (list []memberDocument) {
	for _, m := range s.Members {
		if *n++; *n > maxPrinted || depth > maxDepth {
			return append(list, memberDocument{Omitted: true})
		}
		d := memberDocument{
			Name: m.Name, Offset: base + m.Offset, Bits: int(m.Bits), BitOffset: int(m.BitOffset),
			Size: max(m.Type.Size, m.Size), Static: m.Static, Tags: m.Tags,
		}
		if u := anonymous(m); u != nil {
			d.Kind, d.Members = kindNames[u.Kind], l.members(u, depth+1, d.Offset, n)
		} else {
			d.Type, d.Layout = ctype.Spell(m.Type), l.ref(m.Type)
			d.Values, d.Members = l.inside(m.Type, depth+1, d.Offset, n)
		}
		list = append(list, d)
	}
	return list
}

// anonymous returns the struct or union that a member without a name is, nil for
// other members.
func anonymous(m ctype.Member) *ctype.Shape {
	u := m.Type.Underlying()
	if m.Name == "" && u != nil && (u.Kind == ctype.KindStruct || u.Kind == ctype.KindUnion) {
		return u
	}
	return nil
}

// enumerator is the number of an enumerator as documents have integers.
func enumerator(bits uint64, signed bool) any {
	switch n := int64(bits); {
	case n >= -maxExact && n <= maxExact && (signed || n >= 0):
		return n
	case signed:
		return map[string]string{"$int": strconv.FormatInt(n, 10)}
	}
	return map[string]string{"$int": strconv.FormatUint(bits, 10)}
}
