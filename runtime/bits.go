package runtime

import (
	"encoding/binary"

	"github.com/ktgen/ktgen/runtime/ctype"
)

// Bits returns the unsigned bitfield of n bits that begins at bit first of b,
// which ends with the byte that holds the last of them.
func Bits(b []byte, first, n int) uint64 {
	switch len(b) {
	case 1:
		return uint64(b[0]) >> first & ctype.Mask(n)
	case 2:
		return uint64(binary.LittleEndian.Uint16(b)) >> first & ctype.Mask(n)
	case 4:
		return uint64(binary.LittleEndian.Uint32(b)) >> first & ctype.Mask(n)
	}
	return ctype.LoadBits(b, first, n)
}

// SignedBits is Bits for a two's complement bitfield.
func SignedBits(b []byte, first, n int) int64 {
	return int64(ctype.Extend(Bits(b, first, n), n, true))
}
