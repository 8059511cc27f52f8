package bpfload

import (
	"bytes"
	"debug/elf"
)

// This file gives sections of an object other names: readable has them.

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

// renameSections returns an ELF file with other names of its sections, in a table of
// names that is at the end: in the old one a name may be the end of another.
func renameSections(contents []byte, f *elf.File) []byte {
	if len(contents) < elfHeaderSize {
		return contents
	}
	start := f.ByteOrder.Uint64(contents[elfSections:])
	header := func(i int) []byte {
		if end := start + uint64(i+1)*sectionHeader; end < start || end > uint64(len(contents)) {
			return nil
		}
		return contents[start+uint64(i)*sectionHeader:][:sectionHeader]
	}
	table := int(f.ByteOrder.Uint16(contents[elfNamesSection:]))
	if table >= len(f.Sections) || header(table) == nil {
		return contents
	}
	names, err := f.Sections[table].Data()
	if err != nil {
		return contents
	}
	for i, s := range f.Sections {
		to := readable(s.Name)
		if h := header(i); to != s.Name && h != nil {
			f.ByteOrder.PutUint32(h[sectionName:], uint32(len(names)))
			names = append(append(names, to...), 0)
		}
	}
	h := header(table)
	f.ByteOrder.PutUint64(h[sectionOffset:], uint64(len(contents)))
	f.ByteOrder.PutUint64(h[sectionSize:], uint64(len(names)))
	return append(contents, names...)
}

// renameInBTF does the same in an object's BTF, where no name is the end of another.
func renameInBTF(types []byte, sections []*elf.Section) {
	for _, s := range sections {
		if to := readable(s.Name); to != s.Name {
			copy(types, bytes.ReplaceAll(types, []byte("\x00"+s.Name+"\x00"), []byte("\x00"+to+"\x00")))
		}
	}
}
