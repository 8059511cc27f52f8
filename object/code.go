package object

// This file gives the instructions of an object with what they refer to.
// Nothing is linked: an instruction keeps its place in its section, and what a
// loader would write into it is said beside it.

import (
	"cmp"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/cilium/ebpf/btf"
)

// Code is a section of instructions.
type Code struct {
	Section string
	Insns   []Insn // one for each 8 bytes: a wide load takes two
	Refs    map[int]Ref
	Relos   map[int]CORERelo
	Lines   []Line // ascending

	// Types are the functions that func_info says start at an instruction.
	Types map[int]*btf.Func
}

// Insn is a struct bpf_insn.
type Insn struct {
	Op       uint8
	Dst, Src uint8 // registers, 0 to 15
	Off      int16
	Imm      int32
}

// RefKind says what an instruction refers to.
type RefKind uint8

const (
	RefMap      RefKind = iota // the map, or struct_ops instance
	RefData                    // byte Offset of a data section
	RefFunction                // the function: called, or its address taken
	RefExtern                  // a kfunc, a kernel variable, a Kconfig value
	RefTable                   // a jump table, the instructions in Table
	RefUnknown                 // something that the object does not describe
)

// Ref is what an instruction refers to through a relocation. A call inside a
// section has none: its target stands in the instruction.
type Ref struct {
	Kind     RefKind
	Symbol   string
	Map      *Map
	Data     *Section
	Function *Function
	Extern   *Extern
	Offset   int64 // bytes into Data, or from the start of Function
	Table    []int // numbers of instructions in the section that refers to it
}

// CORERelo is a relocation by which a loader adapts an instruction to the
// running kernel's types.
type CORERelo struct {
	Kind   uint32 // enum bpf_core_relo_kind
	Type   btf.Type
	Access string // "0:1:2": index, then members
}

// Kinds of CO-RE relocations, as enum bpf_core_relo_kind of include/uapi/linux/bpf.h
// has them. Those of members come first.
const (
	COREFieldByteOffset = 0
	COREFieldRshiftU64  = 5 // the last one of a member
	CORETypeIDLocal     = 6 // the id of a type in the program's BTF
	CORETypeIDTarget    = 7 // in the kernel's
)

// IsField tells whether the relocation is that of a member.
func (r CORERelo) IsField() bool { return r.Kind <= COREFieldRshiftU64 }

// Line is a line of C that instructions come from.
type Line struct {
	Insn   int // the first instruction
	File   string
	Text   string
	Number int
	Column int
}

// maxCode bounds a section of instructions in bytes: a million of them, the
// most that the kernel's verifier walks, several times over.
const maxCode = 64 << 20

// isCode tells whether a section holds instructions.
func isCode(sec *elf.Section) bool {
	return sec.Type == elf.SHT_PROGBITS && sec.Flags&elf.SHF_EXECINSTR != 0 && sec.Size > 0
}

// readCode reads instructions and relocations.
func (o *Object) readCode(f *file) error {
	f.placed = o.places()
	for i, sec := range f.elf.Sections {
		if !isCode(sec) {
			continue
		}
		raw, err := f.contents(sec, maxCode)
		if err != nil {
			return err
		}
		code := &Code{Section: sec.Name, Insns: decode(f.elf.ByteOrder, raw)}
		if len(raw)%insnSize != 0 {
			o.warnf("section %s: its %d bytes are not a multiple of %d", sec.Name, len(raw), insnSize)
		}
		if code.Refs, err = o.readRefs(f, i, code.Insns); err != nil {
			return err
		}
		o.describe(f.ext, code)
		o.Code = append(o.Code, code)
	}
	return nil
}

const insnSize = 8

func decode(order binary.ByteOrder, b []byte) []Insn {
	insns := make([]Insn, len(b)/insnSize)
	for i := range insns {
		raw := b[i*insnSize:]
		dst, src := raw[1]&0xf, raw[1]>>4
		if order == binary.BigEndian {
			dst, src = src, dst
		}
		insns[i] = Insn{
			Op:  raw[0],
			Dst: dst,
			Src: src,
			Off: int16(order.Uint16(raw[2:])),
			Imm: int32(order.Uint32(raw[4:])),
		}
	}
	return insns
}

// rel is an Elf64_Rel.
type rel struct {
	offset uint64
	symbol *elf.Symbol
}

const relSize = 16

// relocations returns those of section number target, by offset.
func (f *file) relocations(target int) ([]rel, error) {
	var rels []rel
	for _, sec := range f.relocates[target] {
		raw, err := f.contents(sec, maxCode*relSize/insnSize)
		if err != nil {
			return nil, err
		}
		for at := 0; at+relSize <= len(raw); at += relSize {
			index := f.elf.ByteOrder.Uint64(raw[at+8:]) >> 32
			if index == 0 || index > uint64(len(f.symbols)) {
				return nil, f.failAt(sec, int64(at), "relocation names symbol %d of %d", index, len(f.symbols))
			}
			rels = append(rels, rel{f.elf.ByteOrder.Uint64(raw[at:]), &f.symbols[index-1]})
		}
	}
	slices.SortStableFunc(rels, func(a, b rel) int { return cmp.Compare(a.offset, b.offset) })
	return rels, nil
}

// readRefs resolves the relocations of code section number index.
func (o *Object) readRefs(f *file, index int, insns []Insn) (map[int]Ref, error) {
	rels, err := f.relocations(index)
	if err != nil {
		return nil, err
	}
	refs := make(map[int]Ref, len(rels))
	for _, r := range rels {
		at := r.offset / insnSize
		if r.offset%insnSize != 0 || at >= uint64(len(insns)) {
			return nil, f.failAt(f.elf.Sections[index], int64(r.offset), "a relocation is not at an instruction")
		}
		if refs[int(at)], err = o.resolve(f, r.symbol, insns[at]); err != nil {
			return nil, err
		}
	}
	return refs, nil
}

// opCall is BPF_JMP | BPF_CALL.
const opCall = 0x85

// resolve says what an instruction with a relocation to sym refers to. The
// immediate is an addend: in bytes, or for calls in instructions from the one
// after it, -1 being the symbol itself.
func (o *Object) resolve(f *file, sym *elf.Symbol, insn Insn) (Ref, error) {
	name := sym.Name
	if sym.Section == elf.SHN_UNDEF {
		return o.external(name), nil
	}
	if int(sym.Section) >= len(f.elf.Sections) {
		return Ref{Kind: RefUnknown, Symbol: name}, nil
	}
	sec := f.elf.Sections[sym.Section]
	offset := int64(sym.Value) + int64(insn.Imm)
	if insn.Op == opCall {
		offset = int64(sym.Value) + (int64(insn.Imm)+1)*insnSize
	}
	if isCode(sec) {
		return o.functionAt(sec.Name, name, offset), nil
	}
	if m := f.placed.maps[place{sec.Name, sym.Value}]; m != nil {
		return Ref{Kind: RefMap, Symbol: m.Name, Map: m}, nil
	}
	if s := f.placed.sections[int(sym.Section)]; s != nil {
		return Ref{Kind: RefData, Symbol: name, Data: s, Offset: offset}, nil
	}
	if sec.Name == jumpTables {
		table, err := o.jumpTable(f, sec, sym)
		return Ref{Kind: RefTable, Symbol: name, Offset: int64(sym.Value), Table: table}, err
	}
	return Ref{Kind: RefUnknown, Symbol: name, Offset: offset}, nil
}

// placed finds what relocations refer to.
type placed struct {
	maps     map[place]*Map
	sections map[int]*Section // by number
}

type place struct {
	section string
	offset  uint64
}

func (o *Object) places() placed {
	p := placed{make(map[place]*Map), make(map[int]*Section)}
	for i := range o.Maps {
		m := &o.Maps[i]
		at := place{m.Section, uint64(m.Offset)}
		if p.maps[at] == nil && !isStructOps(m.Section) {
			p.maps[at] = m
		}
	}
	for _, sections := range [][]Section{o.Sections, o.PerCPU} {
		for i := range sections {
			p.sections[sections[i].Index] = &sections[i]
		}
	}
	return p
}

func (o *Object) external(name string) Ref {
	i, found := slices.BinarySearchFunc(o.Externs, name, func(e Extern, name string) int { return cmp.Compare(e.Name, name) })
	if !found {
		return Ref{Kind: RefUnknown, Symbol: name}
	}
	return Ref{Kind: RefExtern, Symbol: name, Extern: &o.Externs[i]}
}

// FunctionAt returns a reference to the function that holds an instruction of a section.
func (o *Object) FunctionAt(section string, insn int) Ref {
	return o.functionAt(section, "", int64(insn)*insnSize)
}

// functionAt returns a reference to the function that holds a byte of a
// section.
func (o *Object) functionAt(section, symbol string, offset int64) Ref {
	next, _ := slices.BinarySearchFunc(o.Functions, offset, func(fn Function, offset int64) int {
		if c := strings.Compare(fn.Section, section); c != 0 {
			return c
		}
		if fn.Offset <= uint64(max(offset, 0)) {
			return -1
		}
		return 1
	})
	if next == 0 || offset < 0 {
		return Ref{Kind: RefUnknown, Symbol: symbol, Offset: offset}
	}
	found := &o.Functions[next-1]
	if found.Section != section || uint64(offset)-found.Offset >= max(found.Size, insnSize) {
		return Ref{Kind: RefUnknown, Symbol: symbol, Offset: offset}
	}
	return Ref{Kind: RefFunction, Symbol: found.Name, Function: found, Offset: offset - int64(found.Offset)}
}

// describe adds what .BTF.ext says of a section's instructions.
func (o *Object) describe(ext *extInfo, code *Code) {
	valid := func(offset uint32) (insn int, ok bool) {
		return int(offset / insnSize), offset%insnSize == 0 && int(offset/insnSize) < len(code.Insns)
	}
	code.Types = make(map[int]*btf.Func)
	for _, r := range ext.each(ext.funcs[code.Section]) {
		at, ok := valid(r.word(0))
		if fn := o.funcType(r.word(4)); ok && fn != nil {
			code.Types[at] = fn
		}
	}
	code.Relos = make(map[int]CORERelo)
	for _, r := range ext.each(ext.relos[code.Section]) {
		at, ok := valid(r.word(0))
		t, err := o.Types.TypeByID(btf.TypeID(r.word(4)))
		if ok && err == nil {
			code.Relos[at] = CORERelo{Kind: r.word(12), Type: t, Access: ext.string(r.word(8))}
		}
	}
	for _, r := range ext.each(ext.lines[code.Section]) {
		if at, ok := valid(r.word(0)); ok {
			code.Lines = append(code.Lines, Line{
				Insn:   at,
				File:   ext.string(r.word(4)),
				Text:   ext.string(r.word(8)),
				Number: int(r.word(12) >> 10),
				Column: int(r.word(12) & 0x3ff),
			})
		}
	}
	slices.SortStableFunc(code.Lines, func(a, b Line) int { return cmp.Compare(a.Insn, b.Insn) })
}

func (o *Object) funcType(id uint32) *btf.Func {
	t, err := o.Types.TypeByID(btf.TypeID(id))
	if err != nil {
		return nil
	}
	fn, _ := t.(*btf.Func)
	return fn
}

// Line returns the line of C that instruction at comes from, or nil.
func (c *Code) Line(at int) *Line {
	i := sort.Search(len(c.Lines), func(i int) bool { return c.Lines[i].Insn > at })
	if i == 0 {
		return nil
	}
	return &c.Lines[i-1]
}

func (l *Line) String() string { return fmt.Sprintf("%s:%d: %s", l.File, l.Number, l.Text) }
