package btf

import (
	"bytes"
	"fmt"

	"github.com/cilium/ebpf/btf"
)

const (
	// maxTypes bounds the types of one BTF object. A distribution's vmlinux
	// has about 120,000.
	maxTypes = 1 << 20

	// maxNesting bounds how deeply types hold others by value, and how long a
	// chain of qualifiers and typedefs may be; the kernel's own limit on
	// either (MAX_RESOLVE_DEPTH, kernel/bpf/btf.c) is 32.
	maxNesting = 64
)

// Parse decodes the BTF of a program or of a kernel from its raw form, the
// contents of a .BTF section or of /sys/kernel/btf/vmlinux. The bytes need not
// be trusted: records, ids and strings are checked first, so that every type of
// the result can be looked at without an error. Sizes and member offsets are
// checked where they are used, in [Shapes.Of] and [FieldOf].
//
// The result refers to b, which must not change. A [*FormatError] says what is
// wrong with it.
func Parse(b []byte) (*btf.Spec, error) {
	r, err := openRaw(b)
	if err != nil {
		return nil, err
	}
	if err := r.check(); err != nil {
		return nil, err
	}
	spec, err := btf.LoadSpecFromReader(bytes.NewReader(b))
	if err != nil {
		return nil, fmt.Errorf("decode BTF: %w", err)
	}
	return spec, nil
}

// CutEnums returns the names of the enums whose values are cut: they have 8 bytes, and 4 of
// each value are here. clang writes so what has a typedef for its fixed type.
func CutEnums(b []byte) (names []string) {
	r, err := openRaw(b)
	if err != nil {
		return nil
	}
	_ = r.each(func(_ btf.TypeID, rec record) error { // as far as it can be read
		if rec.kind == kindEnum && rec.sizeType == 8 && rec.vlen > 0 && r.isString(rec.name) {
			name, _, _ := bytes.Cut(r.strings[rec.name:], []byte{0})
			names = append(names, string(name))
		}
		return nil
	})
	return names
}

// check verifies every record by itself, then how they hang together.
func (r *raw) check() error {
	count := 0
	err := r.each(func(id btf.TypeID, rec record) error {
		if count++; count > maxTypes {
			return rec.broken(id, "more than %d types", maxTypes)
		}
		return nil
	})
	if err != nil {
		return err
	}
	var scratch []uint32
	err = r.each(func(id btf.TypeID, rec record) error {
		scratch = r.refs(rec, scratch[:0])
		for _, ref := range scratch {
			if uint64(ref) > uint64(count) {
				return rec.broken(id, "refers to type %d of %d", ref, count)
			}
		}
		scratch = r.names(rec, scratch[:0])
		for _, name := range scratch {
			if !r.isString(name) {
				return rec.broken(id, "name at %d is not the start of one of the %d bytes of strings", name, len(r.strings))
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return r.checkDepth(count)
}

func (r *raw) isString(offset uint32) bool {
	return offset == 0 || uint64(offset) < uint64(len(r.strings)) && r.strings[offset-1] == 0
}
