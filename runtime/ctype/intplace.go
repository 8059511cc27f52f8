package ctype

import (
	"math/bits"
)

// IntPlace is where the bits of an integer are in a few bytes.
type IntPlace struct {
	First, Bits int // see Member.BitOffset
	Signed      bool
}

// maxIntBytes is the most bytes that an integer of up to 64 bits touches: a
// bitfield may begin inside a byte.
const maxIntBytes = 9

// Bytes is how many bytes p touches.
func (p IntPlace) Bytes() int { return (p.First + p.Bits + 7) / 8 }

// Load returns the integer at p, sign extended to 64 bits if p is signed.
func (p IntPlace) Load(b []byte) uint64 {
	return Extend(LoadBits(b[:p.Bytes()], p.First, p.Bits), p.Bits, p.Signed)
}

// Fits tells whether v, which is a two's complement number if signed is set,
// can be stored at p.
func (p IntPlace) Fits(v uint64, signed bool) bool {
	negative := signed && int64(v) < 0
	switch {
	case p.Signed && negative:
		return bits.Len64(^v)+1 <= p.Bits
	case p.Signed:
		return bits.Len64(v)+1 <= p.Bits
	}
	return !negative && bits.Len64(v) <= p.Bits
}

// Store writes the low bits of v into p, and keeps the bits around it.
func (p IntPlace) Store(b []byte, v uint64) {
	for i := range p.Bits {
		at := p.First + i
		bit := byte(1) << (at % 8)
		if b[at/8] &^= bit; v>>i&1 != 0 {
			b[at/8] |= bit
		}
	}
}

// LoadBits returns n bits, from bit first of b on, counted from the least
// significant bit of the first byte.
func LoadBits(b []byte, first, n int) uint64 {
	var low uint64
	for i, c := range b[:min(len(b), 8)] {
		low |= uint64(c) << (8 * i)
	}
	low >>= first
	if len(b) == maxIntBytes {
		low |= uint64(b[8]) << (64 - first)
	}
	return low & Mask(n)
}

// Mask has the low n bits set.
func Mask(n int) uint64 {
	if n >= 64 {
		return ^uint64(0)
	}
	return 1<<n - 1
}

// Extend makes a 64-bit number of the low n bits of v.
func Extend(v uint64, n int, signed bool) uint64 {
	if !signed || n >= 64 {
		return v
	}
	return uint64(int64(v<<(64-n)) >> (64 - n))
}
