package bpfload

import (
	"fmt"
	"maps"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"

	"github.com/ktgen/ktgen/object"
)

// This file makes instructions refer to what there is in the kernel: its types, its
// symbols, and the maps that were made.

// relocateCORE applies the CO-RE relocations of p against the running kernel.
func (l *loader) relocateCORE(p *program, b *btf.Builder) error {
	var ofKernel, ofModules []coreRelo
	for _, r := range p.code.relos {
		in, err := l.typesWith(r.core.Type)
		if err != nil {
			return err
		}
		if in[0] == l.kernel {
			ofKernel = append(ofKernel, r)
		} else {
			ofModules = append(ofModules, r)
		}
	}
	if err := l.relocateIn([]*btf.Spec{l.kernel}, p, ofKernel, b); err != nil {
		return err
	}
	for _, r := range ofModules {
		in, err := l.typesWith(r.core.Type)
		if err == nil {
			err = l.relocateIn(in, p, []coreRelo{r}, b)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// relocateIn applies relocations of p against types of the kernel.
func (l *loader) relocateIn(targets []*btf.Spec, p *program, all []coreRelo, b *btf.Builder) error {
	if len(all) == 0 {
		return nil
	}
	relos := make([]*btf.CORERelocation, len(all))
	for i, r := range all {
		relos[i] = r.relo
	}
	fixups, err := btf.CORERelocate(relos, targets, p.spec.ByteOrder, func(t btf.Type) (btf.TypeID, error) { return l.addLocal(t, b) })
	if err != nil {
		return err
	}
	for i := range fixups {
		if err := l.fix(p, all[i], &fixups[i]); err != nil {
			return fmt.Errorf("instruction %d: %w", all[i].at, err)
		}
	}
	return nil
}

// addLocal adds a type of the object to what the kernel gets. Relocations have it from
// another reading of the same types.
func (l *loader) addLocal(t btf.Type, b *btf.Builder) (btf.TypeID, error) {
	id, err := l.spec.local.TypeID(t)
	if err != nil {
		return 0, err
	}
	own, err := l.spec.Types.TypeByID(id)
	if err != nil {
		return 0, err
	}
	return b.Add(own)
}

// fix changes an instruction as a relocation says.
func (l *loader) fix(p *program, r coreRelo, fixup *btf.COREFixup) error {
	insn := p.insns[r.at:]
	ins := instructionOf(insn)
	if r.core.Kind == object.CORETypeIDLocal || r.core.Kind == object.CORETypeIDTarget {
		// cilium/ebpf insists on the number of the type that the relocation names. It can be
		// another: who links objects renumbers types, and the relocations, but not what
		// instructions load, and libbpf does not look at that (bpf_core_calc_relo_insn in
		// tools/lib/bpf/relo_core.c).
		id, err := l.spec.Types.TypeID(r.core.Type)
		if err != nil {
			return fmt.Errorf("number type %s: %w", r.core.Type, err)
		}
		ins.Constant = int64(id)
	}
	before := ins
	if err := fixup.Apply(&ins); err != nil {
		return err
	}
	if poisoned(&ins) && zeroIfAbsent(r.core.Kind) {
		ins = before
		ins.Constant = 0
	}
	isPoisoned := poisoned(&ins)
	p.absent.poison(&ins, r.relo, l.spec.Types)
	setInstruction(insn, ins)
	if isPoisoned {
		return nil
	}
	if err := l.fit(&insn[0], r.core); err != nil {
		insn[0] = object.Insn{Op: opCall, Imm: int32(p.absent.number(reloName(r.relo, l.spec.Types) + " " + err.Error()))}
	}
	return nil
}

// instructionOf returns the first instruction as cilium/ebpf has it.
func instructionOf(insn []object.Insn) asm.Instruction {
	ins := asm.Instruction{
		OpCode: asm.OpCode(insn[0].Op), Dst: asm.Register(insn[0].Dst), Src: asm.Register(insn[0].Src),
		Offset: insn[0].Off, Constant: int64(insn[0].Imm),
	}
	if isWide(insn) {
		ins.Constant = int64(insn[1].Imm)<<32 | int64(uint32(insn[0].Imm))
	}
	return ins
}

// setInstruction makes the first instruction ins, which is as wide unless it is poisoned.
func setInstruction(insn []object.Insn, ins asm.Instruction) {
	wide := isWide(insn)
	insn[0] = object.Insn{Op: uint8(ins.OpCode), Dst: uint8(ins.Dst), Src: uint8(ins.Src), Off: ins.Offset, Imm: int32(ins.Constant)}
	if wide {
		insn[1] = object.Insn{Imm: int32(ins.Constant >> 32)}
	}
}

// isWide tells whether the first instruction takes two, for a constant of 64 bits.
func isWide(insn []object.Insn) bool { return insn[0].Op == opLoadImm && len(insn) > 1 }

// resolveReferences makes instructions refer to the maps and to the kernel.
func (l *loader) resolveReferences(p *program) error {
	for _, at := range slices.Sorted(maps.Keys(p.code.refs)) {
		ref := p.code.refs[at]
		insn := p.insns[at:]
		var err error
		switch {
		case ref.Kind == object.RefExtern && insn[0].Op == opCall:
			err = l.callKernel(&insn[0], ref.Symbol, &p.absent)
		case !isWide(insn):
			err = fmt.Errorf("it refers to %s, and does not load its address", ref.Symbol)
		default:
			err = l.load(p, at, ref)
		}
		if err != nil {
			return fmt.Errorf("instruction %d: %w", at, err)
		}
	}
	return nil
}

// load makes an instruction load the address of what it refers to.
func (l *loader) load(p *program, at int, ref object.Ref) error {
	insn := (*[2]object.Insn)(p.insns[at:])
	switch ref.Kind {
	case object.RefMap:
		return l.loadMap(insn, pseudoMapFD, ref.Map.Name, insn[1].Imm)
	case object.RefData:
		if ref.Data.Name == arenaSection && l.arena != nil {
			refer(insn, pseudoMapValue, l.arena.arena.FD(), int32(l.arena.offset)+int32(ref.Offset))
			return nil
		}
		return l.loadMap(insn, pseudoMapValue, ref.Data.Name, int32(ref.Offset))
	case object.RefTable:
		refer(insn, pseudoMapValue, p.tables[ref.Offset].FD(), insn[1].Imm)
		return nil
	case object.RefExtern:
		if offset, ok := l.kconfigOffset(ref.Symbol); ok {
			return l.loadMap(insn, pseudoMapValue, kconfigSection, int32(offset))
		}
		return l.referToKernel(insn, ref.Symbol)
	}
	return fmt.Errorf("it refers to %q, which is no map, variable, function or kfunc that the object has or declares", ref.Symbol)
}

func (l *loader) loadMap(insn *[2]object.Insn, how uint8, name string, offset int32) error {
	m := l.coll.Maps[name]
	if m == nil {
		return fmt.Errorf("it refers to map %s, which is not loaded", name)
	}
	refer(insn, how, m.FD(), offset)
	return nil
}

func refer(insn *[2]object.Insn, how uint8, fd int, offset int32) {
	insn[0].Src, insn[0].Off, insn[0].Imm = how, 0, int32(fd)
	insn[1].Imm = offset
}

// makeJumpTables makes the maps of the tables that a program jumps by.
func (l *loader) makeJumpTables(p *program) error {
	for _, at := range slices.Sorted(maps.Keys(p.code.refs)) {
		ref := p.code.refs[at]
		if ref.Kind != object.RefTable || p.tables[ref.Offset] != nil {
			continue
		}
		m, err := l.jumpTable(p, p.code.partAt(at), ref)
		if err != nil {
			return fmt.Errorf("jump table %s: %w", ref.Symbol, err)
		}
		if p.tables == nil {
			p.tables = make(map[int64]*ebpf.Map)
		}
		p.tables[ref.Offset] = m
	}
	return nil
}

// jumpTable makes the map of a table that a function of p jumps by. Its entries are
// counted from the start of the program, where those in the object are from the start of
// their section.
func (l *loader) jumpTable(p *program, in part, ref object.Ref) (*ebpf.Map, error) {
	m, err := ebpf.NewMap(&ebpf.MapSpec{Name: ".jumptables", Type: insnArray, KeySize: 4, ValueSize: 16, MaxEntries: uint32(len(ref.Table))})
	if err != nil {
		return nil, err
	}
	l.coll.tables = append(l.coll.tables, m)
	for i, insn := range ref.Table {
		to := insn - int(in.fn.Offset/insnSize) + in.start
		if to < 0 || to >= len(p.insns) {
			return nil, fmt.Errorf("its entry %d leads out of the program", i)
		}
		value := make([]byte, 16) // struct bpf_insn_array_value of include/uapi/linux/bpf.h
		native.PutUint32(value, uint32(to))
		if err := m.Put(uint32(i), value); err != nil {
			return nil, fmt.Errorf("entry %d: %w", i, err)
		}
	}
	return m, m.Freeze()
}

// insnArray is BPF_MAP_TYPE_INSN_ARRAY.
const insnArray = ebpf.MapType(34)
