package runtime

import (
	"bytes"
	"encoding/binary"
)

// String returns the C string in a char array: up to its NUL, or all of it.
func String(b []byte) string {
	if end := bytes.IndexByte(b, 0); end >= 0 {
		b = b[:end]
	}
	return string(b)
}

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
