package btf

// This file walks raw BTF records: enough of the format to know that every
// record lies in its section and refers to types that exist. Decoding them is
// cilium/ebpf's job.

import (
	"encoding/binary"
	"fmt"

	"github.com/cilium/ebpf/btf"
)

// BTF_KIND_* (include/uapi/linux/btf.h).
const (
	kindInt       = 1
	kindPtr       = 2
	kindArray     = 3
	kindStruct    = 4
	kindUnion     = 5
	kindEnum      = 6
	kindFwd       = 7
	kindTypedef   = 8
	kindVolatile  = 9
	kindConst     = 10
	kindRestrict  = 11
	kindFunc      = 12
	kindFuncProto = 13
	kindVar       = 14
	kindDatasec   = 15
	kindFloat     = 16
	kindDeclTag   = 17
	kindTypeTag   = 18
	kindEnum64    = 19
)

const (
	headerSize = 24 // struct btf_header up to str_len
	recordSize = 12 // struct btf_type
	magic      = 0xeb9f
)

// raw is the BTF of one object, its header read and its bounds checked.
type raw struct {
	order   binary.ByteOrder
	types   []byte // struct btf_type, each followed by the data of its kind
	base    int    // bytes from the start of the BTF to types
	strings []byte
}

// record is one struct btf_type and the data that follows it.
type record struct {
	offset   int // bytes from the start of the BTF
	name     uint32
	kind     uint8
	vlen     int
	sizeType uint32
	data     []byte
}

func openRaw(b []byte) (*raw, error) {
	if len(b) < headerSize {
		return nil, headerError(0, "shorter than its header: %d bytes", len(b))
	}
	var order binary.ByteOrder = binary.LittleEndian
	if order.Uint16(b) != magic {
		order = binary.BigEndian
	}
	if order.Uint16(b) != magic {
		return nil, headerError(0, "magic is %#04x, want 0xeb9f in either byte order", binary.LittleEndian.Uint16(b))
	}
	header := uint64(order.Uint32(b[4:]))
	types, err := subsection(b, header, order.Uint32(b[8:]), order.Uint32(b[12:]), 8)
	if err != nil {
		return nil, err
	}
	strings, err := subsection(b, header, order.Uint32(b[16:]), order.Uint32(b[20:]), 16)
	if err != nil {
		return nil, err
	}
	typesAt, stringsAt := uint64(order.Uint32(b[8:])), uint64(order.Uint32(b[16:]))
	if typesAt < stringsAt+uint64(len(strings)) && stringsAt < typesAt+uint64(len(types)) {
		return nil, headerError(16, "%d bytes of strings at %d behind the header and %d bytes of types at %d overlap", len(strings), stringsAt, len(types), typesAt)
	}
	if len(strings) == 0 || strings[0] != 0 || strings[len(strings)-1] != 0 {
		return nil, headerError(20, "string section does not start and end with a NUL")
	}
	return &raw{order, types, int(header) + int(order.Uint32(b[8:])), strings}, nil
}

// subsection returns length bytes at offset behind the header; field is where
// the header says so.
func subsection(b []byte, header uint64, offset, length uint32, field int) ([]byte, error) {
	start := header + uint64(offset)
	end := start + uint64(length)
	if header < headerSize || end > uint64(len(b)) {
		return nil, headerError(field, "section [%d, %d) is not between the header of %d bytes and the end at %d",
			start, end, header, len(b))
	}
	return b[start:end], nil
}

func headerError(offset int, format string, args ...any) error {
	return &FormatError{Offset: offset, Rule: fmt.Sprintf(format, args...)}
}

// each calls f for every record, with type ids from 1, until f fails.
func (r *raw) each(f func(btf.TypeID, record) error) error {
	id := btf.TypeID(1)
	for offset := 0; offset < len(r.types); id++ {
		rec, err := r.at(id, offset)
		if err != nil {
			return err
		}
		if err := f(id, rec); err != nil {
			return err
		}
		offset += recordSize + len(rec.data)
	}
	return nil
}

func (r *raw) at(id btf.TypeID, offset int) (record, error) {
	rest := r.types[offset:]
	rec := record{offset: r.base + offset}
	if len(rest) < recordSize {
		return rec, rec.broken(id, "record is cut short")
	}
	info := r.order.Uint32(rest[4:])
	rec.name = r.order.Uint32(rest)
	rec.kind = uint8(info >> 24 & 0x1f)
	rec.vlen = int(info & 0xffff)
	rec.sizeType = r.order.Uint32(rest[8:])
	size, ok := dataSize(rec.kind, rec.vlen)
	if !ok {
		return rec, rec.broken(id, "kind %d is not known", rec.kind)
	}
	if size > len(rest)-recordSize {
		return rec, rec.broken(id, "its %d bytes of data are cut short", size)
	}
	rec.data = rest[recordSize : recordSize+size]
	return rec, nil
}

// dataSize returns how many bytes follow the struct btf_type of a kind.
func dataSize(kind uint8, vlen int) (size int, ok bool) {
	switch kind {
	case kindInt, kindVar, kindDeclTag:
		return 4, true
	case kindArray:
		return 12, true
	case kindStruct, kindUnion, kindDatasec, kindEnum64:
		return 12 * vlen, true
	case kindEnum, kindFuncProto:
		return 8 * vlen, true
	case kindPtr, kindFwd, kindTypedef, kindVolatile, kindConst, kindRestrict, kindFunc, kindFloat, kindTypeTag:
		return 0, true
	}
	return 0, false
}

// refs appends the ids of the types that a record refers to.
func (r *raw) refs(rec record, ids []uint32) []uint32 {
	switch rec.kind {
	case kindPtr, kindTypedef, kindVolatile, kindConst, kindRestrict, kindFunc, kindVar, kindDeclTag, kindTypeTag:
		return append(ids, rec.sizeType)
	case kindArray:
		return append(ids, r.order.Uint32(rec.data), r.order.Uint32(rec.data[4:]))
	case kindStruct, kindUnion:
		return r.column(rec, ids, 12, 4)
	case kindDatasec:
		return r.column(rec, ids, 12, 0)
	case kindFuncProto:
		return r.column(rec, append(ids, rec.sizeType), 8, 4)
	}
	return ids
}

// names appends the string offsets that a record holds.
func (r *raw) names(rec record, offsets []uint32) []uint32 {
	offsets = append(offsets, rec.name)
	switch rec.kind {
	case kindStruct, kindUnion, kindEnum64:
		return r.column(rec, offsets, 12, 0)
	case kindEnum, kindFuncProto:
		return r.column(rec, offsets, 8, 0)
	}
	return offsets
}

// column appends the u32 at byte `at` of every entry of `stride` bytes.
func (r *raw) column(rec record, values []uint32, stride, at int) []uint32 {
	for i := at; i < len(rec.data); i += stride {
		values = append(values, r.order.Uint32(rec.data[i:]))
	}
	return values
}

func (rec record) broken(id btf.TypeID, format string, args ...any) error {
	return &FormatError{Offset: rec.offset, ID: id, Rule: fmt.Sprintf(format, args...)}
}
