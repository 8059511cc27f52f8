// Package shapetest makes random shapes for tests, and compares them.
package shapetest

import (
	"fmt"
	"math/rand/v2"
	"reflect"

	"github.com/ktgen/ktgen/runtime/ctype"
)

// Maker makes random shapes that a compiler could have made.
type Maker struct {
	*rand.Rand
	names   int
	structs []*ctype.Shape // that pointers can lead to
}

// New makes the same shapes for a seed.
func New(seed uint64) *Maker {
	return &Maker{Rand: rand.New(rand.NewPCG(seed, 1))}
}

// Name returns a name that is new.
func (r *Maker) Name(prefix string) string {
	r.names++
	return fmt.Sprintf("%s%d", prefix, r.names)
}

// Scalar returns an integer, bool, float or enum.
func (r *Maker) Scalar() *ctype.Shape {
	size := 1 << r.IntN(4)
	switch r.IntN(6) {
	case 0:
		return &ctype.Shape{Kind: ctype.KindBool, Name: "_Bool", Size: 1}
	case 1:
		return &ctype.Shape{Kind: ctype.KindFloat, Name: r.Name("float"), Size: 4 << r.IntN(2)}
	case 2:
		return r.enum(size)
	case 3:
		return &ctype.Shape{Kind: ctype.KindTypedef, Name: r.Name("t"), Size: size, Elem: r.integer(size)}
	}
	return r.integer(size)
}

func (r *Maker) integer(size int) *ctype.Shape {
	return &ctype.Shape{Kind: ctype.KindInt, Name: r.Name("int "), Size: size, Signed: r.IntN(2) == 0}
}

func (r *Maker) enum(size int) *ctype.Shape {
	e := &ctype.Shape{Kind: ctype.KindEnum, Name: r.Name("e"), Size: size, Signed: r.IntN(2) == 0}
	for i := range r.IntN(5) {
		e.Values = append(e.Values, ctype.EnumValue{Name: r.Name("V"), Value: uint64(i)})
	}
	return e
}

func (r *Maker) pointer() *ctype.Shape {
	p := &ctype.Shape{Kind: ctype.KindPointer, Size: 8, Elem: &ctype.Shape{Kind: ctype.KindVoid, Name: "void"}}
	if len(r.structs) > 0 {
		p.Elem = r.structs[r.IntN(len(r.structs))]
	}
	if r.IntN(3) == 0 {
		p.Tags = []string{"kptr", "odd tag\t`"}
	}
	return p
}

func (r *Maker) array(elem *ctype.Shape) *ctype.Shape {
	n := 1 + r.IntN(5)
	return &ctype.Shape{Kind: ctype.KindArray, Elem: elem, Len: n, Size: n * elem.Size}
}

// value returns any type that can be a member.
func (r *Maker) value(depth int) *ctype.Shape {
	switch n := r.IntN(10); {
	case depth > 0 && n < 2:
		return r.Structure(depth-1, r.Name("s"))
	case depth > 0 && n < 4:
		return r.array(r.value(depth - 1))
	case n == 4:
		return r.pointer()
	case n == 5:
		return r.array(&ctype.Shape{Kind: ctype.KindChar, Name: "char", Size: 1, Signed: true})
	}
	return r.Scalar()
}

// Structure returns a struct whose members follow one another with random
// holes, bitfields and anonymous members among them.
func (r *Maker) Structure(depth int, name string) *ctype.Shape {
	s := &ctype.Shape{Kind: ctype.KindStruct, Name: name}
	if name != "" {
		r.structs = append(r.structs, s)
	}
	for range 1 + r.IntN(6) {
		s.Size += r.IntN(3)
		switch {
		case r.IntN(6) == 0:
			r.bitfields(s)
		case depth > 0 && r.IntN(8) == 0:
			r.Add(s, "", r.Structure(depth-1, ""))
		default:
			r.Add(s, r.Name("m"), r.value(depth))
		}
	}
	return s
}

// Add adds a member behind the others.
func (r *Maker) Add(s *ctype.Shape, name string, t *ctype.Shape) {
	s.Members = append(s.Members, ctype.Member{Name: name, Offset: s.Size, Type: t})
	s.Size += t.Size
}

// bitfields adds bitfields that share one storage unit.
func (r *Maker) bitfields(s *ctype.Shape) {
	unit := r.integer(4 << r.IntN(2))
	for bit := 0; bit < 8*unit.Size-1; {
		width := 1 + r.IntN(min(40, 8*unit.Size-bit))
		s.Members = append(s.Members, ctype.Member{
			Name: r.Name("b"), Type: unit, Offset: s.Size + bit/8, BitOffset: uint8(bit % 8), Bits: uint8(width),
		})
		bit += width + r.IntN(3)
	}
	s.Size += unit.Size
}

// Bytes returns random bytes in which every bool is 0 or 1.
func (r *Maker) Bytes(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// Difference says how two graphs of shapes differ, and is empty if they do not.
func Difference(want, got *ctype.Shape) string {
	type pair struct{ want, got *ctype.Shape }
	seen := make(map[pair]bool)
	queue := []pair{{want, got}}
	for len(queue) > 0 {
		p := queue[0]
		queue = queue[1:]
		if seen[p] || p.want == nil && p.got == nil {
			continue
		}
		seen[p] = true
		if p.want == nil || p.got == nil {
			return fmt.Sprintf("%v is %v", p.want, p.got)
		}
		w, g := *p.want, *p.got
		queue = append(queue, pair{w.Elem, g.Elem})
		if len(w.Members) != len(g.Members) {
			return fmt.Sprintf("%s has %d members, not %d", w.Name, len(g.Members), len(w.Members))
		}
		for i := range w.Members {
			wm, gm := w.Members[i], g.Members[i]
			queue = append(queue, pair{wm.Type, gm.Type})
			wm.Type, gm.Type = nil, nil
			if !reflect.DeepEqual(wm, gm) {
				return fmt.Sprintf("%s.%s is %+v, not %+v", w.Name, wm.Name, gm, wm)
			}
		}
		w.Elem, g.Elem, w.Members, g.Members = nil, nil, nil, nil
		if !reflect.DeepEqual(w, g) {
			return fmt.Sprintf("%s is %+v, not %+v", w.Name, g, w)
		}
	}
	return ""
}
