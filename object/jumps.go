package object

import (
	"debug/elf"
)

// This file reads jump tables, of which clang makes goto *table[i] with BPF_JA|BPF_X:
// each a symbol in a section of their own, with 64-bit offsets of instructions, in
// bytes from the start of their section (create_jt_map in tools/lib/bpf/libbpf.c).

const jumpTables = ".jumptables"

// jumpTable returns what is at a symbol of section .jumptables: numbers of
// instructions in the section of code that jumps there.
func (o *Object) jumpTable(f *file, sec *elf.Section, sym *elf.Symbol) ([]int, error) {
	data, err := f.contents(sec, maxCode)
	if err != nil {
		return nil, err
	}
	const entry = 8
	end := sym.Value + sym.Size
	if sym.Value%entry != 0 || sym.Size%entry != 0 || end < sym.Value || end > uint64(len(data)) {
		return nil, f.failAt(sec, int64(sym.Value), "table %s of %d bytes is not whole entries of %d among its %d bytes", sym.Name, sym.Size, entry, len(data))
	}
	table := make([]int, 0, sym.Size/entry)
	for at := sym.Value; at < end; at += entry {
		to := f.elf.ByteOrder.Uint64(data[at:])
		if to%insnSize != 0 || to > maxCode {
			return nil, f.failAt(sec, int64(at), "table %s leads to byte %#x, which is no instruction", sym.Name, to)
		}
		table = append(table, int(to/insnSize))
	}
	return table, nil
}
