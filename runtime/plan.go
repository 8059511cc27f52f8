package runtime

import (
	"encoding/binary"
	"fmt"
	"math/bits"
)

// plan rearranges the bytes of a value of the guest as the generated code
// expects them: its layout, little-endian. A nil plan changes nothing.
type plan struct {
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

// sizeFor is how many bytes apply writes for a value of n bytes.
func (p *plan) sizeFor(n int) int {
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
	n        int // copyBytes, reverseBytes: bytes; repeat: elements

	// convert
	from, to intPlace
	field    string // for errors: struct ctx.weight
	want     string // C type it is generated as

	// repeat
	dstStride, srcStride int // bytes
	body                 []op
}

type opKind uint8

const (
	copyBytes    opKind = iota // as they are
	reverseBytes               // in the other byte order
	convert                    // an integer of another size, sign or place
	repeat                     // body, for each element of an array
)

// intPlace is where the bits of an integer are in a few bytes.
type intPlace struct {
	first, bits int // counted as the byte order counts: see Member.BitOffset
	signed      bool
	bigEndian   bool
}

// maxIntBytes is the most bytes that an integer of up to 64 bits touches: a
// bitfield may begin inside a byte.
const maxIntBytes = 9

// bytes is how many bytes p touches.
func (p intPlace) bytes() int { return (p.first + p.bits + 7) / 8 }

// apply writes the rearranged src to dst, which it clears first. It returns
// an [*Overflow] if a value does not fit.
func (p *plan) apply(dst, src []byte) error {
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
		case reverseBytes:
			for j := range o.n {
				dst[o.dst+j] = src[o.src+o.n-1-j]
			}
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
	v := o.from.load(src)
	if !o.to.fits(v, o.from.signed) {
		text := fmt.Sprint(v)
		if o.from.signed {
			text = fmt.Sprint(int64(v))
		}
		return &Overflow{Field: o.field, Value: text, Want: o.want}
	}
	o.to.store(dst, v)
	return nil
}

// load returns the integer at p, sign extended to 64 bits if p is signed.
func (p intPlace) load(b []byte) uint64 {
	if p.bigEndian {
		return extend(loadBitsBE(b, p.first, p.bits), p.bits, p.signed)
	}
	return extend(loadBits(b[:p.bytes()], p.first, p.bits), p.bits, p.signed)
}

// fits tells whether v, which is a two's complement number if signed is set,
// can be stored at p.
func (p intPlace) fits(v uint64, signed bool) bool {
	negative := signed && int64(v) < 0
	switch {
	case p.signed && negative:
		return bits.Len64(^v)+1 <= p.bits
	case p.signed:
		return bits.Len64(v)+1 <= p.bits
	}
	return !negative && bits.Len64(v) <= p.bits
}

// store writes the low bits of v into p, and keeps the bits around it.
func (p intPlace) store(b []byte, v uint64) {
	for i := range p.bits {
		at := p.first + i
		bit := byte(1) << (at % 8)
		if p.bigEndian {
			at = p.first + p.bits - 1 - i
			bit = 0x80 >> (at % 8)
		}
		if b[at/8] &^= bit; v>>i&1 != 0 {
			b[at/8] |= bit
		}
	}
}

// loadBits returns n bits, from bit first of b on, counted from the least
// significant bit of the first byte.
func loadBits(b []byte, first, n int) uint64 {
	var low uint64
	for i, c := range b[:min(len(b), 8)] {
		low |= uint64(c) << (8 * i)
	}
	low >>= first
	if len(b) == maxIntBytes {
		low |= uint64(b[8]) << (64 - first)
	}
	return low & mask(n)
}

// loadBitsBE returns n bits, from bit first of b on, counted from the most
// significant bit of the first byte.
func loadBitsBE(b []byte, first, n int) uint64 {
	end := (first + n + 7) / 8
	var v uint64
	for _, c := range b[:min(end, 8)] {
		v = v<<8 | uint64(c)
	}
	if end == maxIntBytes {
		spare := 8*end - first - n // bits behind the field in the last byte
		return (v<<(8-spare) | uint64(b[8])>>spare) & mask(n)
	}
	return v >> (8*end - first - n) & mask(n)
}

func mask(n int) uint64 {
	if n >= 64 {
		return ^uint64(0)
	}
	return 1<<n - 1
}

// extend makes a 64-bit number of the low n bits of v.
func extend(v uint64, n int, signed bool) uint64 {
	if !signed || n >= 64 {
		return v
	}
	return uint64(int64(v<<(64-n)) >> (64 - n))
}

// Bits returns the unsigned bitfield of n bits that begins at bit first of b,
// which ends with the byte that holds the last of them.
func Bits(b []byte, first, n int) uint64 {
	switch len(b) {
	case 1:
		return uint64(b[0]) >> first & mask(n)
	case 2:
		return uint64(binary.LittleEndian.Uint16(b)) >> first & mask(n)
	case 4:
		return uint64(binary.LittleEndian.Uint32(b)) >> first & mask(n)
	}
	return loadBits(b, first, n)
}

// SignedBits is Bits for a two's complement bitfield.
func SignedBits(b []byte, first, n int) int64 {
	return int64(extend(Bits(b, first, n), n, true))
}
