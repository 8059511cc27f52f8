package runtime

import (
	"fmt"
	"math/rand/v2"
)

// shapeMaker makes random shapes that a compiler could have made.
type shapeMaker struct {
	*rand.Rand
	names   int
	structs []*Shape // that pointers can lead to
}

func newShapeMaker(seed uint64) *shapeMaker {
	return &shapeMaker{Rand: rand.New(rand.NewPCG(seed, 1))}
}

func (r *shapeMaker) name(prefix string) string {
	r.names++
	return fmt.Sprintf("%s%d", prefix, r.names)
}

// scalar returns an integer, bool, float or enum.
func (r *shapeMaker) scalar() *Shape {
	size := 1 << r.IntN(4)
	switch r.IntN(6) {
	case 0:
		return &Shape{Kind: KindBool, Name: "_Bool", Size: 1}
	case 1:
		return &Shape{Kind: KindFloat, Name: r.name("float"), Size: 4 << r.IntN(2)}
	case 2:
		return r.enum(size)
	case 3:
		return &Shape{Kind: KindTypedef, Name: r.name("t"), Size: size, Elem: r.integer(size)}
	}
	return r.integer(size)
}

func (r *shapeMaker) integer(size int) *Shape {
	return &Shape{Kind: KindInt, Name: r.name("int "), Size: size, Signed: r.IntN(2) == 0}
}

func (r *shapeMaker) enum(size int) *Shape {
	e := &Shape{Kind: KindEnum, Name: r.name("e"), Size: size, Signed: r.IntN(2) == 0}
	for i := range r.IntN(5) {
		e.Values = append(e.Values, EnumValue{Name: r.name("V"), Value: uint64(i)})
	}
	return e
}

func (r *shapeMaker) pointer() *Shape {
	p := &Shape{Kind: KindPointer, Size: 8, Elem: &Shape{Kind: KindVoid, Name: "void"}}
	if len(r.structs) > 0 {
		p.Elem = r.structs[r.IntN(len(r.structs))]
	}
	if r.IntN(3) == 0 {
		p.Tags = []string{"kptr", "odd tag\t`"}
	}
	return p
}

func (r *shapeMaker) array(elem *Shape) *Shape {
	n := 1 + r.IntN(5)
	return &Shape{Kind: KindArray, Elem: elem, Len: n, Size: n * elem.Size}
}

// value returns any type that can be a member.
func (r *shapeMaker) value(depth int) *Shape {
	switch n := r.IntN(10); {
	case depth > 0 && n < 2:
		return r.structure(depth-1, r.name("s"))
	case depth > 0 && n < 4:
		return r.array(r.value(depth - 1))
	case n == 4:
		return r.pointer()
	case n == 5:
		return r.array(&Shape{Kind: KindChar, Name: "char", Size: 1, Signed: true})
	}
	return r.scalar()
}

// structure returns a struct whose members follow one another with random
// holes, bitfields and anonymous members among them.
func (r *shapeMaker) structure(depth int, name string) *Shape {
	s := &Shape{Kind: KindStruct, Name: name}
	if name != "" {
		r.structs = append(r.structs, s)
	}
	for range 1 + r.IntN(6) {
		s.Size += r.IntN(3)
		switch {
		case r.IntN(6) == 0:
			r.bitfields(s)
		case depth > 0 && r.IntN(8) == 0:
			r.add(s, "", r.structure(depth-1, ""))
		default:
			r.add(s, r.name("m"), r.value(depth))
		}
	}
	return s
}

func (r *shapeMaker) add(s *Shape, name string, t *Shape) {
	s.Members = append(s.Members, Member{Name: name, Offset: s.Size, Type: t})
	s.Size += t.Size
}

// bitfields adds bitfields that share one storage unit.
func (r *shapeMaker) bitfields(s *Shape) {
	unit := r.integer(4 << r.IntN(2))
	for bit := 0; bit < 8*unit.Size-1; {
		width := 1 + r.IntN(min(40, 8*unit.Size-bit))
		s.Members = append(s.Members, Member{
			Name: r.name("b"), Type: unit, Offset: s.Size + bit/8, BitOffset: uint8(bit % 8), Bits: uint8(width),
		})
		bit += width + r.IntN(3)
	}
	s.Size += unit.Size
}

// bytes returns random bytes in which every bool is 0 or 1.
func (r *shapeMaker) bytes(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}
