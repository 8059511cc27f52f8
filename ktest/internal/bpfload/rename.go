package bpfload

import (
	"bytes"
	"debug/elf"
	"fmt"
)

// This file gives sections and symbols of an object other names. They are in tables of
// names behind the file: in the old ones a name may be the end of another.

// Where the header of an ELF file and those of its sections keep what is changed here,
// in bytes, and how long they are (struct elf64_hdr and elf64_shdr,
// include/uapi/linux/elf.h).
const (
	elfSections     = 0x28 // where the headers of sections begin
	elfNamesSection = 0x3e // which of them has the names
	elfHeaderSize   = 64
	sectionName     = 0
	sectionOffset   = 0x18
	sectionSize     = 0x20
	sectionHeader   = 64
)

// renamer collects new names for parts of an ELF file.
type renamer struct {
	file     *elf.File
	contents []byte
	tables   map[int][]byte // of names, by section
}

// header returns the header of a section, nil if there is none.
func (r *renamer) header(section int) []byte {
	start := r.file.ByteOrder.Uint64(r.contents[elfSections:])
	at := start + uint64(section)*sectionHeader
	if section < 0 || section >= len(r.file.Sections) || at < start || at+sectionHeader > uint64(len(r.contents)) {
		return nil
	}
	return r.contents[at:][:sectionHeader]
}

// add puts a name into a table and returns where it is there.
func (r *renamer) add(table int, name string) (uint32, error) {
	if r.tables[table] == nil {
		if r.header(table) == nil {
			return 0, fmt.Errorf("it has no section %d of names", table)
		}
		names, err := r.file.Sections[table].Data()
		if err != nil {
			return 0, fmt.Errorf("read its names: %w", err)
		}
		r.tables[table] = bytes.Clone(names)
	}
	at := len(r.tables[table])
	r.tables[table] = append(append(r.tables[table], name...), 0)
	return uint32(at), nil
}

// sections calls sections what readable says.
func (r *renamer) sections() error {
	table := int(r.file.ByteOrder.Uint16(r.contents[elfNamesSection:]))
	for i, s := range r.file.Sections {
		to := readable(s.Name)
		if h := r.header(i); to != s.Name && h != nil {
			at, err := r.add(table, to)
			if err != nil {
				return err
			}
			r.file.ByteOrder.PutUint32(h[sectionName:], at)
		}
	}
	return nil
}

// finish returns the file with the tables behind it.
func (r *renamer) finish() []byte {
	for table, names := range r.tables {
		h := r.header(table)
		r.file.ByteOrder.PutUint64(h[sectionOffset:], uint64(len(r.contents)))
		r.file.ByteOrder.PutUint64(h[sectionSize:], uint64(len(names)))
		r.contents = append(r.contents, names...)
	}
	return r.contents
}

// renameInBTF calls sections in an object's BTF what readable says. No name is the
// end of another there.
func renameInBTF(types []byte, sections []*elf.Section) {
	for _, s := range sections {
		if to := readable(s.Name); to != s.Name {
			copy(types, bytes.ReplaceAll(types, []byte("\x00"+s.Name+"\x00"), []byte("\x00"+to+"\x00")))
		}
	}
}
