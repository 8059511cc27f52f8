package runtime

import (
	"encoding/binary"

	"github.com/ktgen/ktgen/runtime/ctype"
)

// FuncPtr is a function pointer of the guest.
type FuncPtr struct{ Address }

// Uint128 is an unsigned __int128.
type Uint128 struct{ Lo, Hi uint64 }

// Int128 is a signed __int128.
type Int128 struct {
	Lo uint64
	Hi int64
}

// String returns the C string in a char array: up to its NUL, or all of it.
func String(b []byte) string { return ctype.Text(b) }

// LoadUint128 returns an unsigned __int128.
func LoadUint128(b []byte) Uint128 {
	return Uint128{Lo: binary.LittleEndian.Uint64(b), Hi: binary.LittleEndian.Uint64(b[8:])}
}

// LoadInt128 returns a signed __int128.
func LoadInt128(b []byte) Int128 {
	return Int128{Lo: binary.LittleEndian.Uint64(b), Hi: int64(binary.LittleEndian.Uint64(b[8:]))}
}

// LoadFuncPtr returns a function pointer.
func LoadFuncPtr(b []byte) FuncPtr {
	return FuncPtr{Address(binary.LittleEndian.Uint64(b))}
}
