package ctype

import "slices"

// Kind says what a [Shape] is, after BTF's kinds.
type Kind uint8

// The kinds of shapes. BTF's const, volatile and restrict carry no layout and
// have no kind of their own.
const (
	KindVoid    Kind = iota // void, and types whose BTF says nothing else
	KindInt                 // an integer; see Shape.Signed
	KindBool                // _Bool
	KindChar                // a C char, the element of strings; one byte
	KindFloat               // float, double
	KindEnum                // enum and enum64; see Shape.Values
	KindPointer             // Elem is the pointee
	KindArray               // Len elements of Elem
	KindStruct              // Members at increasing offsets
	KindUnion               // Members over the same bytes
	KindSection             // a DATASEC: the globals of .bss, .data, .rodata, ...
	KindTypedef             // Name for Elem
	KindFunc                // a function or function prototype; only ever pointed at
	KindFwd                 // struct or union declared and not defined; see Shape.Name
)

// Shape is the layout of one C type: what BTF says of it, resolved, without
// the BTF. Shapes refer to one another by pointer and form cycles through
// Pointer shapes. A Shape is immutable once its table is built.
type Shape struct {
	Kind   Kind
	Name   string // C name without "struct", "union" or "enum"; empty if anonymous
	Size   int    // bytes; 0 for Void, Func, Fwd
	Signed bool   // Int, Enum: two's complement

	Elem    *Shape      // Pointer, Array, Typedef: never nil there
	Len     int         // Array: number of elements; 0 is a flexible array
	Members []Member    // Struct, Union, Section
	Values  []EnumValue // Enum, in declaration order
	Cut     bool        // Section: variables behind its last member are left out

	// Tags are the BTF type tags of a Pointer, outermost first, as the C
	// source spells them: "kptr", "percpu_kptr", "user", "rcu", "arena", ...
	Tags []string

	// Declared is the type that the program declares a Pointer with, such as u64 or
	// void *, if a cast says what the pointer leads to. Space is where that is. Both
	// are empty for pointers that BTF declares.
	Declared string
	Space    Space
}

// Member is a member of a Struct, Union or Section.
type Member struct {
	Name   string // empty for an anonymous struct or union
	Offset int    // bytes from the start of the enclosing shape; for a bitfield, of the byte that holds its lowest-numbered bit in BTF's bit order
	Type   *Shape

	// Bits is the width of a bitfield and 0 for anything else. BitOffset is
	// its distance in bits from Offset, 0 to 7, counted as BTF counts bits:
	// from the least significant bit on little-endian targets, from the most
	// significant on big-endian ones.
	Bits, BitOffset uint8

	// Size is how many bytes a variable of a Section takes, where that is not what
	// its type has: more if it ends in a flexible array that is initialised. It is 0
	// otherwise.
	Size int

	// End is where the room of a member ends that has no size of its own, from the
	// start of the struct whose Fields it is among; 0 for others. See tail.go.
	End int

	Static bool     // Section: a variable with internal linkage
	Tags   []string // BTF decl tags of the member or variable
}

// EnumValue is one enumerator. Value holds the two's complement bits of a
// signed enum.
type EnumValue struct {
	Name  string
	Value uint64
}

// Underlying follows typedefs to the shape they name.
func (s *Shape) Underlying() *Shape {
	for range maxTypedefs {
		if s == nil || s.Kind != KindTypedef {
			return s
		}
		s = s.Elem
	}
	return nil
}

// Stripped returns the shape behind typedefs, and s itself where they go around in a
// circle: see Underlying.
func (s *Shape) Stripped() *Shape {
	if u := s.Underlying(); u != nil {
		return u
	}
	return s
}

// maxTypedefs bounds a typedef chain; clang nests a handful.
const maxTypedefs = 64

// PayloadTag is the tag of the member of an allocation that its header is in
// front of; see [Shape.Payload].
const PayloadTag = "ktgen:payload"

// Payload returns the last member of the struct that an allocation is, behind the
// header that a program declares, if what the program takes it for was found or
// said; see ktsnap.Cast.Behind.
func (s *Shape) Payload() (m Member, ok bool) {
	if s.Kind != KindStruct || len(s.Members) == 0 {
		return Member{}, false
	}
	m = s.Members[len(s.Members)-1]
	return m, slices.Contains(m.Tags, PayloadTag)
}

// HoldsPointers tells whether there can be pointers in values of s, other than in
// unions: pointers, and heads of lists and trees that say what is in them.
func (s *Shape) HoldsPointers() bool {
	holds := false
	s.WalkTypes(func(p *Part) Next {
		switch {
		case p.Shape.Kind == KindUnion:
			return Skip
		case p.Shape.Kind == KindPointer, p.isHead():
			holds = true
			return Stop
		}
		return Enter
	})
	return holds
}

// MayHoldPointers tells whether there can be pointers in a part, as [Shape.HoldsPointers]
// does: what has none is not worth entering. What is in a union need not be one.
func (p *Part) MayHoldPointers() bool {
	switch {
	case p.IsBitfield(), p.Shape.Kind == KindUnion:
		return false
	case p.Shape.Kind == KindArray:
		return p.isHead() || p.Shape.Elem.HoldsPointers()
	}
	return true
}

// isHead tells whether a part is the head of a list or tree that says what is in it.
func (p *Part) isHead() bool {
	if p.Member == nil {
		return false
	}
	_, _, ok := p.Member.Contains()
	return ok
}
