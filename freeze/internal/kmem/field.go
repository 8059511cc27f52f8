package kmem

import (
	"encoding/binary"
	"fmt"
)

// Field is where a struct keeps an integer or a pointer: Size bytes, 1, 2, 4
// or 8, at Offset bytes from its start.
type Field struct{ Offset, Size int }

// Uint returns the field of a record that is long enough to hold it.
func (f Field) Uint(record []byte) uint64 {
	b := record[f.Offset : f.Offset+f.Size]
	switch f.Size {
	case 8:
		return binary.LittleEndian.Uint64(b)
	case 4:
		return uint64(binary.LittleEndian.Uint32(b))
	case 2:
		return uint64(binary.LittleEndian.Uint16(b))
	case 1:
		return uint64(b[0])
	}
	panic(fmt.Sprintf("kmem: a field of %d bytes", f.Size))
}

// Int returns the field, sign-extended.
func (f Field) Int(record []byte) int64 {
	unused := 64 - 8*f.Size
	return int64(f.Uint(record)<<unused) >> unused
}

// Addr returns the field as a pointer.
func (f Field) Addr(record []byte) Addr { return Addr(f.Uint(record)) }

// Fetch reads the field of the struct at a.
func (s *Space) Fetch(a Addr, f Field) (uint64, error) {
	var word [8]byte
	at, ok := a.Add(uint64(f.Offset))
	if !ok {
		return 0, &WrapError{Addr: a, Len: uint64(f.Offset)}
	}
	if err := s.Read(at, word[:f.Size]); err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint64(word[:]), nil
}

// AppendUint32 appends an integer as the guest would store it.
func AppendUint32(b []byte, v uint32) []byte { return binary.LittleEndian.AppendUint32(b, v) }
