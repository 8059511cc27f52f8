package bpfload

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/cilium/ebpf/btf"
)

// This file changes an object's BTF before cilium/ebpf reads it. Externs are in
// sections that no ELF section stands for, and of these cilium/ebpf takes some
// only: no weak ones in .kconfig, and in .ksyms no variables that have a type.
// The first are hidden from it, the others lose their type; package object has
// told what they are.

// Names that have as many bytes as those that they hide, which no C name has.
const (
	kconfigSection = ".kconfig"
	kconfigHidden  = ".k-onfig"
	ksymsSection   = ".ksyms"
)

// Where struct btf_header and struct btf_type keep what is read here, and what
// follows the records of each kind, in bytes: for each and for each member
// (include/uapi/linux/btf.h).
const (
	btfHeader = 24
	btfRecord = 12
)

var btfTail = map[uint32]struct{ fixed, each uint64 }{
	1: {4, 0}, 3: {12, 0}, 4: {0, 12}, 5: {0, 12}, 6: {0, 8}, 13: {0, 8}, 14: {4, 0}, 15: {0, 12}, 17: {4, 0}, 19: {0, 12},
}

const (
	btfKindVar     = 14
	btfKindDatasec = 15
)

var errBTF = errors.New("its BTF ends within a record")

// rawBTF is BTF that is changed in place.
type rawBTF struct {
	order   binary.ByteOrder
	types   []byte // the records
	strings []byte
	at      []uint32 // where each type begins in types; that of void is unused
}

func openBTF(data []byte, order binary.ByteOrder) (*rawBTF, error) {
	if len(data) < btfHeader {
		return nil, errBTF
	}
	part := func(at int) ([]byte, error) {
		start := uint64(order.Uint32(data[4:])) + uint64(order.Uint32(data[at:]))
		end := start + uint64(order.Uint32(data[at+4:]))
		if end > uint64(len(data)) {
			return nil, errBTF
		}
		return data[start:end], nil
	}
	r := &rawBTF{order: order, at: []uint32{0}}
	var err error
	if r.types, err = part(8); err != nil {
		return nil, err
	}
	if r.strings, err = part(16); err != nil {
		return nil, err
	}
	return r, r.index()
}

func (r *rawBTF) index() error {
	for at := uint64(0); at < uint64(len(r.types)); {
		if at+btfRecord > uint64(len(r.types)) {
			return errBTF
		}
		r.at = append(r.at, uint32(at))
		info := r.order.Uint32(r.types[at+4:])
		tail := btfTail[info>>24&0x1f]
		at += btfRecord + tail.fixed + tail.each*uint64(info&0xffff)
		if at > uint64(len(r.types)) {
			return errBTF
		}
	}
	return nil
}

// sections calls visit with the records of all sections of a name, and the ids
// of what is in them.
func (r *rawBTF) sections(name string, visit func(record []byte, ids []uint32)) {
	for _, at := range r.at[1:] {
		record := r.types[at:]
		info := r.order.Uint32(record[4:])
		if info>>24&0x1f != btfKindDatasec || r.name(record) != name {
			continue
		}
		var ids []uint32
		for i := range info & 0xffff {
			ids = append(ids, r.order.Uint32(record[btfRecord+12*i:]))
		}
		visit(record, ids)
	}
}

func (r *rawBTF) name(record []byte) string {
	at := uint64(r.order.Uint32(record))
	if at >= uint64(len(r.strings)) {
		return ""
	}
	end := at
	for end < uint64(len(r.strings)) && r.strings[end] != 0 {
		end++
	}
	return string(r.strings[at:end])
}

// untypeKsyms makes void of the types of variables in .ksyms.
func (r *rawBTF) untypeKsyms() {
	r.sections(ksymsSection, func(_ []byte, ids []uint32) {
		for _, id := range ids {
			if uint64(id) >= uint64(len(r.at)) {
				continue
			}
			record := r.types[r.at[id]:]
			if r.order.Uint32(record[4:])>>24&0x1f == btfKindVar {
				r.order.PutUint32(record[8:], 0)
			}
		}
	})
}

// hideKconfig renames .kconfig, and gives it a size: one without has to be that
// of a section of the ELF file.
func (r *rawBTF) hideKconfig() {
	r.sections(kconfigSection, func(record []byte, _ []uint32) {
		r.order.PutUint32(record[8:], 1)
		copy(r.strings[r.order.Uint32(record):], kconfigHidden)
	})
}

// adaptBTF changes the contents of an object's .BTF section.
func adaptBTF(data []byte, order binary.ByteOrder) error {
	r, err := openBTF(data, order)
	if err != nil {
		return fmt.Errorf("read its BTF: %w", err)
	}
	r.untypeKsyms()
	r.hideKconfig()
	return nil
}

// sectionType returns a section's type under another name, with variables that
// the kernel takes: it knows no externs. The types of the variables are the same,
// so that each is in the object's BTF once.
func sectionType(section *btf.Datasec, name string) *btf.Datasec {
	renamed := *section
	renamed.Name, renamed.Vars = name, slices.Clone(section.Vars)
	for i := range renamed.Vars {
		if v, ok := renamed.Vars[i].Type.(*btf.Var); ok && v.Linkage == btf.ExternVar {
			global := *v
			global.Linkage = btf.GlobalVar
			renamed.Vars[i].Type = &global
		}
	}
	return &renamed
}
