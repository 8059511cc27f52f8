package runtime

import "encoding/binary"

// This file has what generated decoders read the members of a struct with, each from
// the front of the bytes that are left. The compiler puts these functions into the
// decoders and makes constants of the offsets.

// Next8 reads a number of one byte, and returns the bytes after it.
func Next8[T ~int8 | ~uint8](v *T, b []byte) []byte {
	*v = T(b[0])
	return b[1:]
}

// Next16 reads a number of 2 bytes, and returns the bytes after it.
func Next16[T ~int16 | ~uint16](v *T, b []byte) []byte {
	*v = T(binary.LittleEndian.Uint16(b))
	return b[2:]
}

// Next32 reads a number of 4 bytes, and returns the bytes after it.
func Next32[T ~int32 | ~uint32](v *T, b []byte) []byte {
	*v = T(binary.LittleEndian.Uint32(b))
	return b[4:]
}

// Next64 reads a number of 8 bytes, and returns the bytes after it.
func Next64[T ~int64 | ~uint64](v *T, b []byte) []byte {
	*v = T(binary.LittleEndian.Uint64(b))
	return b[8:]
}

// NextBool reads a _Bool, and returns the bytes after it.
func NextBool(v *bool, b []byte) []byte {
	*v = b[0] != 0
	return b[1:]
}

// NextString reads the C string in a char array of n bytes, and returns what is
// behind the array.
func NextString(v *string, b []byte, n int) []byte {
	*v = String(b[:n])
	return b[n:]
}

// NextFuncPtr reads a function pointer, and returns the bytes after it.
func NextFuncPtr(v *FuncPtr, b []byte) []byte {
	*v = LoadFuncPtr(b)
	return b[8:]
}
