package object

// This file reads .BTF.ext: which C line and which function an instruction
// belongs to, and which CO-RE relocations a loader applies to it. Records are
// kept as bytes, checked for their bounds, until something asks for them.

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"path"
	"strings"
)

// extInfo is the contents of .BTF.ext, by section of code.
type extInfo struct {
	order   binary.ByteOrder
	strings []byte // of .BTF

	lines, funcs, relos map[string]records
}

// records are fixed-size records, of which later kernels may lengthen the
// tail.
type records struct {
	size int
	data []byte
}

func (r records) len() int { return len(r.data) / max(r.size, 1) }

// concat appends the records of b, if they are of the same size. r is not used
// after that.
func (r records) concat(b records) (records, bool) {
	if r.data == nil {
		return b, true
	}
	return records{r.size, append(r.data, b.data...)}, r.size == b.size
}

// record is one of them.
type record struct {
	order binary.ByteOrder
	data  []byte
}

// word returns the 32-bit word at a byte of the record.
func (r record) word(at int) uint32 { return r.order.Uint32(r.data[at:]) }

// each returns the records one by one.
func (e *extInfo) each(r records) []record {
	all := make([]record, r.len())
	for i := range all {
		all[i] = record{e.order, r.data[i*r.size : (i+1)*r.size]}
	}
	return all
}

// Sizes in bytes of the records that this file understands: struct
// bpf_func_info, bpf_line_info and bpf_core_relo (include/uapi/linux/bpf.h).
const (
	funcInfoSize = 8
	lineInfoSize = 16
	coreReloSize = 16
)

func parseExt(order binary.ByteOrder, rawBTF, b []byte) (*extInfo, error) {
	e := &extInfo{order: order, strings: stringsOf(order, rawBTF)}
	const shortest = 24 // struct btf_ext_header up to line_info_len
	if len(b) < shortest || order.Uint16(b) != 0xeb9f || b[2] != 1 {
		return nil, fmt.Errorf("its header is not that of BTF.ext version 1")
	}
	header := order.Uint32(b[4:])
	if uint64(header) < shortest || uint64(header) > uint64(len(b)) {
		return nil, fmt.Errorf("its header has %d of %d bytes", header, len(b))
	}
	var err error
	if e.funcs, err = e.table(b, header, 8, funcInfoSize); err != nil {
		return nil, fmt.Errorf("function info: %w", err)
	}
	if e.lines, err = e.table(b, header, 16, lineInfoSize); err != nil {
		return nil, fmt.Errorf("line info: %w", err)
	}
	const withRelos = 32
	if header >= withRelos {
		if e.relos, err = e.table(b, header, 24, coreReloSize); err != nil {
			return nil, fmt.Errorf("CO-RE relocations: %w", err)
		}
	}
	return e, nil
}

// stringsOf returns the string section of BTF that was parsed before.
func stringsOf(order binary.ByteOrder, b []byte) []byte {
	start := uint64(order.Uint32(b[4:])) + uint64(order.Uint32(b[16:]))
	return b[start : start+uint64(order.Uint32(b[20:]))]
}

// table reads the subsection whose offset and length stand at byte `field` of
// the header: a record size, then for each section its name, a count and that
// many records.
func (e *extInfo) table(b []byte, header uint32, field, least int) (map[string]records, error) {
	start := uint64(header) + uint64(e.order.Uint32(b[field:]))
	length := uint64(e.order.Uint32(b[field+4:]))
	if length == 0 {
		return nil, nil
	}
	if start+length > uint64(len(b)) || length < 4 {
		return nil, fmt.Errorf("bytes [%d, %d) of %d", start, start+length, len(b))
	}
	rest := b[start : start+length]
	size := e.order.Uint32(rest)
	if uint64(size) < uint64(least) || size%4 != 0 {
		return nil, fmt.Errorf("records of %d bytes, want at least %d", size, least)
	}
	bySection := make(map[string]records)
	for rest = rest[4:]; len(rest) > 0; {
		if len(rest) < 8 {
			return nil, fmt.Errorf("%d bytes are left over", len(rest))
		}
		name, count := e.string(e.order.Uint32(rest)), uint64(e.order.Uint32(rest[4:]))
		rest = rest[8:]
		n := count * uint64(size)
		if n > uint64(len(rest)) {
			return nil, fmt.Errorf("section %s: %d records in %d bytes", name, count, len(rest))
		}
		all, ok := bySection[name].concat(records{int(size), rest[:n:n]})
		if !ok {
			return nil, fmt.Errorf("section %s: records of two sizes", name)
		}
		bySection[name] = all
		rest = rest[n:]
	}
	return bySection, nil
}

// string returns the string at an offset of .BTF's, empty if there is none.
func (e *extInfo) string(offset uint32) string {
	if uint64(offset) >= uint64(len(e.strings)) {
		return ""
	}
	s := e.strings[offset:]
	if end := bytes.IndexByte(s, 0); end >= 0 {
		s = s[:end]
	}
	return string(s)
}

// source returns the name of the first file that line info names and that is
// not a header.
func (e *extInfo) source() string {
	best := ""
	for _, lines := range e.lines {
		for _, line := range e.each(lines) {
			name := path.Base(strings.TrimSpace(e.string(line.word(4))))
			if strings.HasSuffix(name, ".c") && (best == "" || name < best) {
				best = name
			}
		}
	}
	return best
}
