package runtime

import (
	"errors"
	"fmt"
	"math"
	"reflect"

	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/internal/errtext"
)

// This file makes bytes of the values of generated code, as a little-endian
// guest would hold them: the inverse of decoding. It goes by shapes, of which
// the fields of generated structs are the members in their order.

// encoder makes the bytes of values that refer to one another.
type encoder struct {
	generated generatedTypes

	placed map[placeKey]uint64 // guest addresses of Go values that pointers can lead to
	heap   []byte              // objects that only pointers lead to, from heapAddr on
	queue  []pending           // objects that have a place in the heap, and no bytes yet
	root   string              // the entry or section that is encoded, or that leads to it

	types []*ctype.Shape    // in which the objects of lists and trees are found
	links map[uint64][]byte // nodes of those, by their address
	base  uint64            // address of what is encoded
	plain bool              // no value holds a pointer
	room  int               // capacity of its bytes
}

// generatedTypes tells the types of package runtime apart that are not encoded by
// their fields.
type generatedTypes struct {
	words func(any) (words []uint64, ok bool) // of structs of the kernel's
	nodes func(any) []reflect.Value           // of lists and trees
}

func newEncoder(types generatedTypes) *encoder {
	return &encoder{generated: types, placed: make(map[placeKey]uint64)}
}

// placeKey names a Go value: a struct and its first field share an address.
type placeKey struct {
	p uintptr
	t reflect.Type
}

// pending is an object that is still to be encoded.
type pending struct {
	value  reflect.Value
	shape  *ctype.Shape
	offset int    // in the heap
	root   string // what leads to it
}

// heapAddr is the guest address of the heap: a user address of an arena, whose
// low half is zero.
const heapAddr = 0x7f00_0000_0000

// maxHeap bounds the heap, in bytes. An arena has 4 GiB.
const maxHeap = 1 << 30

// within adds to the path of an error where that begins.
func within(path string, err error) error {
	if e, ok := err.(*FixtureError); ok {
		e.Path = path + e.Path
	}
	return err
}

// value writes v, which has the shape s, into b. The bytes of b that belong to
// it are zero before.
func (e *encoder) value(v reflect.Value, s *ctype.Shape, b []byte) error {
	u := s.Underlying()
	if v.IsZero() {
		return nil
	}
	switch v.Kind() {
	case reflect.Bool:
		b[0] = 1
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Int:
		return e.integer(uint64(v.Int()), true, ctype.IntPlace{Bits: 8 * u.Size, Signed: u.Signed}, b)
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uint:
		return e.integer(v.Uint(), false, ctype.IntPlace{Bits: 8 * u.Size, Signed: u.Signed}, b)
	case reflect.Float32:
		ctype.IntPlace{Bits: 32}.Store(b, uint64(math.Float32bits(float32(v.Float()))))
	case reflect.Float64:
		ctype.IntPlace{Bits: 64}.Store(b, math.Float64bits(v.Float()))
	case reflect.String:
		return e.text(v.String(), u, b)
	case reflect.Array:
		return e.array(v, u, b)
	case reflect.Pointer:
		addr, err := e.place(v, u.Elem)
		ctype.IntPlace{Bits: 64}.Store(b, addr)
		return err
	case reflect.Struct:
		return e.structure(v, u, b)
	default:
		return &FixtureError{Err: fmt.Errorf("values of type %s are not encoded", v.Type())}
	}
	return nil
}

// integer writes an integer or bitfield.
func (e *encoder) integer(value uint64, signed bool, at ctype.IntPlace, b []byte) error {
	if !at.Fits(value, signed) {
		text := fmt.Sprint(value)
		if signed {
			text = fmt.Sprint(int64(value))
		}
		kind := "unsigned"
		if at.Signed {
			kind = "signed"
		}
		return &FixtureError{Err: fmt.Errorf("%s does not fit its %d bits, which are %s", text, at.Bits, kind)}
	}
	at.Store(b, value)
	return nil
}

// text writes a string into a char array, which need not end with a NUL.
func (e *encoder) text(text string, s *ctype.Shape, b []byte) error {
	if len(text) > s.Size {
		return &FixtureError{Err: fmt.Errorf("%q has %d bytes, and the array %d", text, len(text), s.Size)}
	}
	for i := range len(text) {
		if text[i] == 0 {
			return &FixtureError{Err: fmt.Errorf("%q has a NUL in it, where a C string ends", text)}
		}
	}
	copy(b, text)
	return nil
}

// array writes an array, or the bytes of a value that Go has no type for.
func (e *encoder) array(v reflect.Value, s *ctype.Shape, b []byte) error {
	if s.Kind != ctype.KindArray {
		for i := range v.Len() {
			b[i] = byte(v.Index(i).Uint())
		}
		return nil
	}
	size := s.Elem.Size
	for i := range v.Len() {
		if err := e.value(v.Index(i), s.Elem, b[i*size:(i+1)*size]); err != nil {
			return within(fmt.Sprintf("[%d]", i), err)
		}
	}
	return nil
}

// structure writes a generated struct, or one of this package's types.
func (e *encoder) structure(v reflect.Value, s *ctype.Shape, b []byte) error {
	if words, ok := e.generated.words(v.Interface()); ok {
		for i, word := range words {
			ctype.IntPlace{Bits: 64}.Store(b[8*i:], word)
		}
		return nil
	}
	switch s.Kind {
	case ctype.KindPointer: // Ptr, FuncPtr
		ctype.IntPlace{Bits: 64}.Store(b, v.Field(0).Uint())
		return nil
	case ctype.KindInt: // Uint128, Int128
		ctype.IntPlace{Bits: 64}.Store(b, v.Field(0).Uint())
		high := v.Field(1)
		if high.CanInt() {
			ctype.IntPlace{Bits: 64}.Store(b[8:], uint64(high.Int()))
			return nil
		}
		ctype.IntPlace{Bits: 64}.Store(b[8:], high.Uint())
		return nil
	case ctype.KindStruct, ctype.KindUnion, ctype.KindSection:
		fields := s.Fields()
		if err := e.members(v, fields, b); err != nil {
			return err
		}
		for i := range fields {
			if err := e.flexible(v.Field(i), &fields[i], b); err != nil {
				return within("."+fields[i].Name, err)
			}
		}
		return nil
	}
	return &FixtureError{Err: fmt.Errorf("it is read element by element (%s), and cannot be given", v.Type())}
}

// flexible writes a flexible array, or the one of a section that can have any length,
// into the room that there is for it. Of a union other members share that.
func (e *encoder) flexible(v reflect.Value, m *ctype.Member, b []byte) error {
	if v.Kind() != reflect.Slice && (v.Kind() != reflect.String || !m.Type.IsFlexible()) || v.Len() == 0 {
		return nil // not given, or of a key
	}
	elem, room := m.Type.Underlying().Elem, m.Bytes(b)
	if v.Len() > len(room)/elem.Size {
		return &FixtureError{Err: fmt.Errorf("it has %s, and the value room for %d", errtext.Count(v.Len(), "element", "elements"), len(room)/elem.Size)}
	}
	scratch := make([]byte, v.Len()*elem.Size)
	if err := e.elements(v, elem, scratch); err != nil {
		return err
	}
	for i, given := range room[:len(scratch)] {
		if given != 0 && given != scratch[i] {
			return &FixtureError{Err: fmt.Errorf("it shares bytes with a member that is given another value: give one of them")}
		}
	}
	copy(room, scratch)
	return nil
}

// elements writes the elements of a slice, or the bytes of a string.
func (e *encoder) elements(v reflect.Value, elem *ctype.Shape, b []byte) error {
	if v.Kind() == reflect.String {
		copy(b, v.String())
		return nil
	}
	for i := range v.Len() {
		if err := e.value(v.Index(i), elem, b[i*elem.Size:][:elem.Size]); err != nil {
			return within(fmt.Sprintf("[%d]", i), err)
		}
	}
	return nil
}

// members writes the fields of a struct. Those of a union share bytes: zero
// fields are taken as not given, and the others must agree.
func (e *encoder) members(v reflect.Value, fields []ctype.Member, b []byte) error {
	var given []int
	for i := range fields {
		if kind := v.Field(i).Kind(); v.Field(i).IsZero() || kind == reflect.Slice || kind == reflect.String && fields[i].Type.Size == 0 {
			continue // not given, or flexible
		}
		scratch := b
		other := sharing(fields, given, i)
		if other >= 0 {
			scratch = make([]byte, len(b))
		}
		if err := e.member(v.Field(i), fields[i], scratch); err != nil {
			return within("."+fields[i].Name, err)
		}
		if other >= 0 {
			if !agree(fields, given, i, scratch, b) {
				return &FixtureError{Path: "." + fields[i].Name, Err: fmt.Errorf("it shares bytes with %s, which is given another value: give one of them", fields[other].Name)}
			}
			for at := range b {
				b[at] |= scratch[at]
			}
		}
		given = append(given, i)
	}
	return nil
}

func (e *encoder) member(v reflect.Value, m ctype.Member, b []byte) error {
	if typ, node, ok := m.Contains(); ok {
		return e.graph(v, m.Type.Underlying(), typ, node, b[m.Offset:m.Offset+m.Type.Size])
	}
	if m.Bits == 0 {
		return e.value(v, m.Type, m.Bytes(b))
	}
	at := m.IntPlace()
	switch {
	case v.Kind() == reflect.Bool:
		return e.integer(1, false, at, b[m.Offset:])
	case v.CanInt():
		return e.integer(uint64(v.Int()), true, at, b[m.Offset:])
	}
	return e.integer(v.Uint(), false, at, b[m.Offset:])
}

// sharing returns which of the given members shares bits with member i, or -1.
func sharing(fields []ctype.Member, given []int, i int) int {
	first, end := fields[i].BitExtent()
	for _, g := range given {
		if f, e := fields[g].BitExtent(); f < end && first < e {
			return g
		}
	}
	return -1
}

// agree tells whether member i, encoded in scratch, has the same bits as the
// given members in b where they share them.
func agree(fields []ctype.Member, given []int, i int, scratch, b []byte) bool {
	first, end := fields[i].BitExtent()
	for _, g := range given {
		f, e := fields[g].BitExtent()
		for bit := max(first, f); bit < min(end, e); bit++ {
			if (scratch[bit/8]^b[bit/8])>>(bit%8)&1 != 0 {
				return false
			}
		}
	}
	return true
}

// place returns the guest address of what a Go pointer leads to. What has none
// gets one in the heap, and is encoded by finish: lists can be long.
func (e *encoder) place(p reflect.Value, s *ctype.Shape) (uint64, error) {
	if e.plain {
		return 0, &FixtureError{Err: errors.New("a pointer leads to what is in the guest, and there is none yet")}
	}
	key := placeKey{p.Pointer(), p.Type().Elem()}
	if addr, known := e.placed[key]; known {
		return addr, nil
	}
	offset := (len(e.heap) + 15) &^ 15
	end := offset + max(s.Size, 1)
	if end > maxHeap {
		return 0, &FixtureError{Err: fmt.Errorf("the objects that pointers lead to take more than %d bytes", maxHeap)}
	}
	if offset == 0 {
		offset, end = 16, 16+max(s.Size, 1) // so that none is at an address with a low half of zero
	}
	e.heap = append(e.heap, make([]byte, end-len(e.heap))...)
	e.placed[key] = heapAddr + uint64(offset)
	e.queue = append(e.queue, pending{p.Elem(), s, offset, e.root})
	return heapAddr + uint64(offset), nil
}

// finish encodes what pointers lead to, until they lead to nothing new.
func (e *encoder) finish() error {
	for len(e.queue) > 0 {
		next := e.queue[0]
		e.queue = e.queue[1:]
		// The heap can move while the object is encoded.
		b := make([]byte, next.shape.Size)
		e.root = next.root
		e.at(heapAddr+uint64(next.offset), b)
		if err := e.value(next.value, next.shape, b); err != nil {
			return within(next.root+" -> "+ctype.Spell(next.shape), err)
		}
		copy(e.heap[next.offset:], b)
	}
	for addr, link := range e.links {
		copy(e.heap[addr-heapAddr:], link)
	}
	return nil
}
