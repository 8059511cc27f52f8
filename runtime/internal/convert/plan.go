package convert

import (
	"fmt"

	"github.com/ktgen/ktgen/runtime/ctype"
)

// Plan rearranges the bytes of a value of the guest as the generated code
// expects them: its layout, little-endian. A nil plan changes nothing.
type Plan struct {
	size  int // bytes that apply writes
	need  int // bytes of the guest that it reads
	ops   []op
	tails []tail
}

// tail rearranges a flexible array, for as long as there are bytes.
type tail struct {
	op                 // repeat
	dstEnd, srcEnd int // where its room ends in both layouts
}

// SizeFor is how many bytes apply writes for a value of n bytes.
func (p *Plan) SizeFor(n int) int {
	size := p.size
	for i := range p.tails {
		t := &p.tails[i]
		size = max(size, t.dst+t.elements(n)*t.dstStride)
	}
	return size
}

// elements is how many elements the array has in a value of n bytes.
func (t *tail) elements(n int) int {
	return min(max(0, min(n, t.srcEnd)-t.src)/t.srcStride, max(0, t.dstEnd-t.dst)/t.dstStride)
}

// op moves one member, or the elements of an array.
type op struct {
	kind     opKind
	dst, src int // bytes from the start
	n        int // copyBytes: bytes; repeat: elements

	// convert
	from, to ctype.IntPlace
	field    string // for errors: struct ctx.weight
	want     string // C type it is generated as

	// repeat
	dstStride, srcStride int // bytes
	body                 []op
}

type opKind uint8

const (
	copyBytes opKind = iota // as they are
	convert                 // an integer of another size, sign or place
	repeat                  // body, for each element of an array
)

// Apply writes the rearranged src to dst, which it clears first. It returns
// an [*ctype.OverflowError] if a value does not fit.
func (p *Plan) Apply(dst, src []byte) error {
	clear(dst)
	if err := applyOps(p.ops, dst, src); err != nil {
		return err
	}
	for _, t := range p.tails {
		t.n = t.elements(len(src))
		if err := applyOps([]op{t.op}, dst, src); err != nil {
			return err
		}
	}
	return nil
}

func applyOps(ops []op, dst, src []byte) error {
	for i := range ops {
		o := &ops[i]
		switch o.kind {
		case copyBytes:
			copy(dst[o.dst:o.dst+o.n], src[o.src:o.src+o.n])
		case convert:
			if err := o.convert(dst[o.dst:], src[o.src:]); err != nil {
				return err
			}
		case repeat:
			for j := range o.n {
				if err := applyOps(o.body, dst[o.dst+j*o.dstStride:], src[o.src+j*o.srcStride:]); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (o *op) convert(dst, src []byte) error {
	v := o.from.Load(src)
	if !o.to.Fits(v, o.from.Signed) {
		text := fmt.Sprint(v)
		if o.from.Signed {
			text = fmt.Sprint(int64(v))
		}
		return &ctype.OverflowError{Field: o.field, Value: text, Want: o.want}
	}
	o.to.Store(dst, v)
	return nil
}
