package gen

import (
	"fmt"
	"strings"

	"github.com/ktgen/ktgen/gen/internal/gofile"
	"github.com/ktgen/ktgen/runtime/ctype"
)

// This file decides which Go type a shape becomes, and how bytes become it.

var byteType = gofile.GoType{Kind: gofile.Basic, Name: "uint8"}

// value returns the Go type of s and how it is loaded. Pointers that share
// their bytes with something else are not followed: they need not be pointers.
func (b *builder) value(s *ctype.Shape, shared bool) (gofile.GoType, gofile.LoadStep) {
	u := s.Underlying()
	switch u.Kind {
	case ctype.KindInt, ctype.KindChar:
		return integer(u)
	case ctype.KindBool:
		if u.Size == 1 {
			return gofile.GoType{Name: "bool"}, gofile.LoadStep{Op: gofile.LoadBool, Size: 1}
		}
	case ctype.KindFloat:
		if u.Size == 4 || u.Size == 8 {
			t := gofile.GoType{Name: fmt.Sprintf("float%d", 8*u.Size)}
			return t, gofile.LoadStep{Op: gofile.LoadFloat, Size: u.Size, Type: t}
		}
	case ctype.KindEnum:
		t := gofile.GoType{Kind: gofile.Local, Name: b.declOf(u).name}
		return t, gofile.LoadStep{Op: gofile.LoadInt, Size: u.Size, Signed: u.Signed, Type: t}
	case ctype.KindPointer:
		return b.pointer(u, shared)
	case ctype.KindArray:
		return b.array(u, shared)
	case ctype.KindStruct, ctype.KindUnion:
		return b.structure(u, shared)
	}
	return rawBytes(u.Size)
}

// rawBytes is what becomes of values that Go has no type for.
func rawBytes(size int) (gofile.GoType, gofile.LoadStep) {
	return gofile.GoType{Kind: gofile.Array, Elem: &byteType, Len: size}, gofile.LoadStep{Op: gofile.LoadBytes, Size: size}
}

func integer(s *ctype.Shape) (gofile.GoType, gofile.LoadStep) {
	switch s.Size {
	case 1, 2, 4, 8:
		t := gofile.GoType{Name: intName(s)}
		return t, gofile.LoadStep{Op: gofile.LoadInt, Size: s.Size, Signed: s.Signed, Type: t}
	case 16:
		name := "Uint128"
		if s.Signed {
			name = "Int128"
		}
		t := gofile.GoType{Kind: gofile.Runtime, Name: name}
		return t, gofile.LoadStep{Op: gofile.LoadRuntime, Size: 16, Type: t}
	}
	return rawBytes(s.Size)
}

// intName is the Go type of an integer or enum of 1, 2, 4 or 8 bytes.
func intName(s *ctype.Shape) string {
	if s.Signed {
		return fmt.Sprintf("int%d", 8*s.Size)
	}
	return fmt.Sprintf("uint%d", 8*s.Size)
}

func (b *builder) structure(s *ctype.Shape, shared bool) (gofile.GoType, gofile.LoadStep) {
	if name := kernelStruct(s); name != "" {
		t := gofile.GoType{Kind: gofile.Runtime, Name: name}
		return t, gofile.LoadStep{Op: gofile.LoadRuntime, Size: s.Size, Type: t}
	}
	t := gofile.GoType{Kind: gofile.Local, Name: b.declOf(s).name}
	if s.Size == 0 {
		return t, gofile.LoadStep{}
	}
	return t, gofile.LoadStep{Op: gofile.LoadStruct, Size: s.Size, Codec: "decode" + t.Name, NoFollow: shared}
}

func (b *builder) array(s *ctype.Shape, shared bool) (gofile.GoType, gofile.LoadStep) {
	elem := s.Elem.Underlying()
	if elem.Kind == ctype.KindChar && s.Len > 0 {
		return gofile.GoType{Name: "string"}, gofile.LoadStep{Op: gofile.LoadString, Size: s.Size}
	}
	elemType, elemLoad := b.value(s.Elem, shared)
	t := gofile.GoType{Kind: gofile.Array, Elem: &elemType, Len: s.Len}
	switch {
	case s.Size == 0:
		return t, gofile.LoadStep{}
	case elemType == byteType:
		return t, gofile.LoadStep{Op: gofile.LoadBytes, Size: s.Size}
	}
	return t, gofile.LoadStep{Op: gofile.LoadArray, Size: s.Size, Elem: &elemLoad, Len: s.Len}
}

func (b *builder) pointer(s *ctype.Shape, shared bool) (gofile.GoType, gofile.LoadStep) {
	target := s.Elem.Underlying()
	switch {
	case s.Size != 8:
		return rawBytes(s.Size)
	case target != nil && target.Kind == ctype.KindFunc:
		t := gofile.GoType{Kind: gofile.Runtime, Name: "FuncPtr"}
		return t, gofile.LoadStep{Op: gofile.LoadRuntime, Size: 8, Type: t}
	case target != nil && target.Kind == ctype.KindFwd:
		elem := gofile.GoType{Kind: gofile.Local, Name: b.declOf(target).name}
		t := gofile.GoType{Kind: gofile.Runtime, Name: "Ptr", Elem: &elem}
		load := gofile.LoadStep{Op: gofile.LoadPtr, Size: 8, Type: t}
		if shape := b.kernel[target.Name]; shape != nil && !shared {
			load.Codec, load.ID = "decode"+elem.Name, b.kernelID(shape, elem.Name)
		}
		return t, load
	case !isFollowed(s) || target.Kind == ctype.KindChar || pointsThrough(s, maxPointers):
		t := gofile.GoType{Kind: gofile.Runtime, Name: "Address"}
		return t, gofile.LoadStep{Op: gofile.LoadInt, Size: 8, Type: t}
	}
	elem, _ := b.value(s.Elem, false)
	if shared {
		t := gofile.GoType{Kind: gofile.Runtime, Name: "Ptr", Elem: &elem}
		return t, gofile.LoadStep{Op: gofile.LoadPtr, Size: 8, Type: t}
	}
	codec := b.codec(s.Elem)
	if s.IsPerCPU() {
		t := gofile.GoType{Kind: gofile.Runtime, Name: "PerCPU", Elem: &elem}
		return t, gofile.LoadStep{Op: gofile.LoadPtr, Size: 8, Type: t, Codec: codec.Name, ID: b.valueID(s.Elem)}
	}
	return gofile.GoType{Kind: gofile.Pointer, Elem: &elem}, gofile.LoadStep{Op: gofile.LoadFollow, Size: 8, Codec: codec.Name, ID: b.valueID(s.Elem)}
}

// kernelID returns the constant that numbers a type of the kernel's.
func (b *builder) kernelID(s *ctype.Shape, goName string) string {
	ref := b.writer.Add(s)
	if id := b.ids[ref]; id != "" {
		return id
	}
	id := b.idNames.number("type"+goName, ref)
	b.ids[ref] = id
	b.model.ValueRefs = append(b.model.ValueRefs, ref)
	b.model.ValueIDs = append(b.model.ValueIDs, id)
	b.model.Values = append(b.model.Values, gofile.GoType{})
	b.model.KernelRefs = append(b.model.KernelRefs, ref)
	return id
}

// maxPointers bounds how many pointers to pointers Go types follow. Damaged
// BTF can have pointers that lead to themselves.
const maxPointers = 4

// pointsThrough tells whether more than n pointers follow one another.
func pointsThrough(s *ctype.Shape, n int) bool {
	for range n {
		if s = s.Elem.Underlying(); s == nil || s.Kind != ctype.KindPointer {
			return false
		}
	}
	return true
}

// field returns a member of a struct as a Go field, without its name.
func (b *builder) field(m ctype.Member, shared bool) gofile.Field {
	f := gofile.Field{Offset: m.Offset, Comment: memberDecl(m.Type, m.Name) + tagText(m.Tags)}
	if m.Bits > 0 {
		f.Comment = fmt.Sprintf("%s : %d", ctype.Declare(m.Type, m.Name), m.Bits) + tagText(m.Tags)
		f.Type, f.Load = b.bits(m)
		return f
	}
	if objects, node := b.objectsOf(m); objects != nil && !shared {
		f.Type, f.Load = b.graph(m.Type, objects, node)
		return f
	}
	f.Type, f.Load = b.value(m.Type, shared)
	f.Load.End, f.Load.Tail = m.Tail()
	return f
}

// flexible returns a flexible array as a field, without its name.
func (b *builder) flexible(m ctype.Member) gofile.Field {
	f := gofile.Field{Offset: m.Offset, Comment: ctype.Declare(m.Type, m.Name) + " (as many as there is room for)"}
	f.Type, f.Load = b.elements(m.Type.Underlying().Elem)
	f.Load.End, f.Load.Tail = m.Tail()
	return f
}

// elements returns the Go type of as many elements as there are bytes for.
func (b *builder) elements(elem *ctype.Shape) (gofile.GoType, gofile.LoadStep) {
	if elem.Underlying().Kind == ctype.KindChar {
		t := gofile.GoType{Name: "string"}
		return t, gofile.LoadStep{Op: gofile.LoadFlexible, Size: 1, Type: t}
	}
	codec := b.codec(elem)
	t := gofile.GoType{Kind: gofile.Slice, Elem: &codec.Type}
	return t, gofile.LoadStep{Op: gofile.LoadFlexible, Size: elem.Size, Type: t, Codec: codec.Name}
}

// memberDecl writes a member as the program declares it, and what it is if
// that says something else.
func memberDecl(s *ctype.Shape, name string) string {
	pointer, suffix := s.Underlying(), ""
	for range maxPointers {
		if pointer == nil || pointer.Kind != ctype.KindArray {
			break
		}
		suffix += fmt.Sprintf("[%d]", pointer.Len)
		pointer = pointer.Elem.Underlying()
	}
	if pointer == nil || pointer.Kind != ctype.KindPointer {
		return ctype.Declare(s, name)
	}
	if what := payloadText(pointer); what != "" && !pointer.IsCast() {
		return fmt.Sprintf("%s (%s)", ctype.Declare(s, name), what)
	}
	if !pointer.IsCast() {
		return ctype.Declare(s, name)
	}
	return fmt.Sprintf("%s %s%s (cast: %s)", pointer.Declared, name, suffix, ctype.Spell(pointer))
}

// payloadText says what is behind the header that a pointer leads to.
func payloadText(pointer *ctype.Shape) string {
	target := pointer.Elem.Underlying()
	if target == nil {
		return ""
	}
	payload, ok := target.Payload()
	if !ok {
		return ""
	}
	return "payload: " + ctype.Spell(payload.Type)
}

func (b *builder) bits(m ctype.Member) (gofile.GoType, gofile.LoadStep) {
	u := m.Type.Underlying()
	load := gofile.LoadStep{Op: gofile.LoadBits, Size: (int(m.BitOffset) + int(m.Bits) + 7) / 8, Signed: u.Signed, First: int(m.BitOffset), Bits: int(m.Bits)}
	switch u.Kind {
	case ctype.KindEnum:
		load.Type = gofile.GoType{Kind: gofile.Local, Name: b.declOf(u).name}
	case ctype.KindBool:
		load.Type = gofile.GoType{Name: "bool"}
	default:
		load.Type = gofile.GoType{Name: intName(u)}
	}
	return load.Type, load
}

// codec returns the decoder of values of type s.
func (b *builder) codec(s *ctype.Shape) *gofile.Codec {
	t, load := b.value(s, false)
	name := "decode" + wordOf(t, load)
	if c := b.codecs[name]; c != nil {
		return c
	}
	c := &gofile.Codec{Name: name, Type: t, Size: s.Size, Load: load, Local: load.Op != gofile.LoadStruct}
	b.codecs[name] = c
	// Values that pointers in s lead to may have s as their codec, so it is
	// known before they are looked for.
	if c.Local {
		b.model.Codecs = append(b.model.Codecs, c)
	}
	return c
}

// wordOf is a Go type as a part of an identifier.
func wordOf(t gofile.GoType, load gofile.LoadStep) string {
	switch t.Kind {
	case gofile.Pointer:
		return "Ref" + wordOf(*t.Elem, gofile.LoadStep{})
	case gofile.Slice:
		return wordOf(*t.Elem, gofile.LoadStep{}) + "List"
	case gofile.Array:
		elem := gofile.LoadStep{}
		if load.Elem != nil {
			elem = *load.Elem
		}
		return fmt.Sprintf("%sX%d", wordOf(*t.Elem, elem), t.Len)
	case gofile.Runtime:
		if t.Elem != nil {
			return t.Name + wordOf(*t.Elem, gofile.LoadStep{})
		}
		return t.Name
	case gofile.Local:
		return t.Name
	}
	word := strings.ToUpper(t.Name[:1]) + t.Name[1:]
	if load.Op == gofile.LoadString {
		word += fmt.Sprint(load.Size)
	}
	return word
}

// valueID returns the constant that numbers the type s in the layout.
func (b *builder) valueID(s *ctype.Shape) string {
	u := s.Underlying()
	ref := b.writer.Add(u)
	if id := b.ids[ref]; id != "" {
		return id
	}
	t, load := b.value(u, false)
	id := b.idNames.number("type"+wordOf(t, load), ref)
	b.ids[ref] = id
	b.model.ValueRefs = append(b.model.ValueRefs, ref)
	b.model.ValueIDs = append(b.model.ValueIDs, id)
	b.model.Values = append(b.model.Values, t)
	return id
}
