package bpfload

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"
)

// VerifierError is a program that the kernel refused to load.
type VerifierError struct {
	Program string
	Absent  string // what the kernel lacks of which the program makes use, such as "kfunc scx_bpf_cpu_curr"; empty if it is not for that
	Log     string // the verifier's whole log; ends with its reason
	Err     error  // what bpf(2) returned
}

func (e *VerifierError) Error() string {
	reason := lastReason(e.Log)
	if e.Absent != "" {
		reason = fmt.Sprintf("the kernel has no %s (%s)", e.Absent, reason)
	}
	return fmt.Sprintf("the verifier rejects program %s: %v: %s", e.Program, e.Err, reason)
}

func (e *VerifierError) Unwrap() error { return e.Err }

// lastReason picks the verifier's complaint out of its log: the last line that
// is not one of the statistics.
func lastReason(log string) string {
	lines := strings.Split(strings.TrimSpace(log), "\n")
	for _, line := range slices.Backward(lines) {
		if !strings.HasPrefix(line, "processed ") && strings.TrimSpace(line) != "" {
			return line
		}
	}
	return "no log"
}

// program is a ProgramSpec made ready for the kernel.
type program struct {
	spec     *ebpf.ProgramSpec
	insns    asm.Instructions
	funcInfo []byte
	lineInfo []byte
	absent   absent
}

func (l *loader) prepareProgram(spec *ebpf.ProgramSpec, b *btf.Builder) (*program, error) {
	if spec.Type == ebpf.UnspecifiedProgram {
		return nil, unknownKind(spec)
	}
	p := &program{spec: spec, insns: slices.Clone(spec.Instructions)}

	if err := l.relocateCORE(p, b); err != nil {
		return nil, fmt.Errorf("applying CO-RE relocations: %w", err)
	}
	if err := l.relocateKfuncs(p); err != nil {
		return nil, err
	}

	var err error
	p.funcInfo, p.lineInfo, err = btf.MarshalExtInfos(p.insns, b)
	if err != nil {
		return nil, fmt.Errorf("encoding func_info and line_info: %w", err)
	}
	return p, nil
}

// relocateCORE applies the CO-RE relocations of p against the running kernel.
func (l *loader) relocateCORE(p *program, b *btf.Builder) error {
	var relos []*btf.CORERelocation
	var at []int
	for i := range p.insns {
		if relo := btf.CORERelocationMetadata(&p.insns[i]); relo != nil {
			relos = append(relos, relo)
			at = append(at, i)
		}
	}
	if len(relos) == 0 {
		return nil
	}

	fixups, err := btf.CORERelocate(relos, []*btf.Spec{l.kernel}, p.spec.ByteOrder, b.Add)
	if err != nil {
		return err
	}
	for i, fixup := range fixups {
		before := p.insns[at[i]]
		if err := fixup.Apply(&p.insns[at[i]]); err != nil {
			return fmt.Errorf("instruction %d: %w", at[i], err)
		}
		if poisoned(&p.insns[at[i]]) && zeroIfAbsent(relos[i]) {
			before.Constant = 0
			p.insns[at[i]] = before
		}
		p.absent.poison(&p.insns[at[i]], relos[i], l.spec.Types)
	}
	return nil
}

// relocateKfuncs resolves calls of kernel functions to their BTF ids.
func (l *loader) relocateKfuncs(p *program) (err error) {
	for i := range p.insns {
		ins := &p.insns[i]
		if !ins.IsKfuncCall() {
			continue
		}
		if *ins, err = l.callKernel(*ins, ins.Reference(), &p.absent); err != nil {
			return err
		}
	}
	return nil
}

func (l *loader) loadPrograms() error {
	for _, p := range l.programs {
		fd, err := l.loadProgram(p)
		if err != nil {
			return err
		}
		prog, err := ebpf.NewProgramFromFD(fd)
		if err != nil {
			return fmt.Errorf("program %s: %w", p.spec.Name, err)
		}
		l.coll.Programs[p.spec.Name], l.coll.sections[p.spec.Name] = prog, p.spec.SectionName
	}
	return nil
}

// verifierLogSize is large enough for the log of any program within the
// verifier's limit of a million instructions that people have looked at.
const verifierLogSize = 16 << 20

func (l *loader) loadProgram(p *program) (int, error) {
	if err := l.resolveReferences(p.insns); err != nil {
		return -1, fmt.Errorf("program %s: %w", p.spec.Name, err)
	}
	code, err := marshal(p.insns, p.spec.ByteOrder)
	if err != nil {
		return -1, fmt.Errorf("encoding program %s: %w", p.spec.Name, err)
	}
	license := append([]byte(p.spec.License), 0)

	attr := progLoadAttr{
		progType:           uint32(p.spec.Type),
		insnCnt:            uint32(len(code) / asm.InstructionSize),
		insns:              pointer(code),
		license:            pointer(license),
		flags:              p.spec.Flags,
		name:               kernelName(p.spec.Name),
		expectedAttachType: uint32(p.spec.AttachType),
	}
	if l.btf != nil {
		attr.setInfo(l.btf, p)
	}
	if l.modules.fds != nil {
		attr.fdArray = pointer(l.modules.fds)
	}
	if err := l.attachTarget(p.spec, &attr); err != nil {
		return -1, fmt.Errorf("program %s: %w", p.spec.Name, err)
	}

	fd, err := bpf(cmdProgLoad, &attr)
	if err == nil {
		return fd, nil
	}

	// Once more for the log, which costs the verifier time that a program
	// without faults need not spend.
	log := make([]byte, verifierLogSize)
	attr.logLevel, attr.logSize, attr.logBuf = 1, uint32(len(log)), pointer(log)
	fd, err = bpf(cmdProgLoad, &attr)
	if err == nil {
		return fd, nil
	}
	text := unix.ByteSliceToString(log)
	return -1, &VerifierError{Program: p.spec.Name, Absent: p.absent.met(text), Log: text, Err: err}
}

// setInfo says which lines and functions of the source instructions are from.
func (attr *progLoadAttr) setInfo(types *btf.Handle, p *program) {
	attr.btfFD = uint32(types.FD())
	attr.funcInfoRecSize, attr.funcInfo, attr.funcInfoCnt = btf.FuncInfoSize, pointer(p.funcInfo), uint32(len(p.funcInfo))/btf.FuncInfoSize
	attr.lineInfoRecSize, attr.lineInfo, attr.lineInfoCnt = btf.LineInfoSize, pointer(p.lineInfo), uint32(len(p.lineInfo))/btf.LineInfoSize
}

// resolveReferences points map loads at the maps, and reports what else the
// instructions refer to and will not find.
func (l *loader) resolveReferences(insns asm.Instructions) error {
	functions, err := insns.SymbolOffsets()
	if err != nil {
		return err
	}
	for i := range insns {
		ins := &insns[i]
		name := ins.Reference()
		if name == "" {
			continue
		}
		if section, ok := l.spec.sections[name]; ok && ins.IsLoadFromMap() {
			name = section
		}
		if name == arenaAsData && l.arena != nil && ins.IsLoadFromMap() {
			if err := l.arena.refer(ins); err != nil {
				return fmt.Errorf("section %s: %w", arenaSection, err)
			}
			continue
		}
		if offset, ok := l.kconfigOffset(name); ok && ins.OpCode.IsDWordLoad() {
			ins.Src, ins.Constant = asm.PseudoMapValue, int64(offset)<<32
			if err := ins.AssociateMap(l.coll.Maps[kconfigSection]); err != nil {
				return fmt.Errorf("variable %s of %s: %w", name, kconfigSection, err)
			}
			continue
		}
		if m, ok := l.coll.Maps[name]; ok && ins.IsLoadFromMap() {
			if err := ins.AssociateMap(m); err != nil {
				return fmt.Errorf("map %s: %w", name, err)
			}
			continue
		}
		if _, ok := functions[name]; ok {
			continue
		}
		if !ins.OpCode.IsDWordLoad() {
			return fmt.Errorf("it refers to %q, which is no map, function or kfunc: "+
				"start such a scheduler as its own binary", name)
		}
		if *ins, err = l.referToKernel(*ins, name); err != nil {
			return err
		}
	}
	return nil
}

// marshal encodes insns for bpf(2).
//
// asm.Instruction.Marshal clears Offset in ALU instructions, where
// addr_space_cast (a 64-bit register move, BPF_ADDR_SPACE_CAST in
// include/linux/filter.h) has its mark; it is put back.
func marshal(insns asm.Instructions, order binary.ByteOrder) ([]byte, error) {
	var buf bytes.Buffer
	if err := insns.Marshal(&buf, order); err != nil {
		return nil, err
	}
	code := buf.Bytes()

	iter := insns.Iterate()
	for iter.Next() {
		if isAddrSpaceCast(iter.Ins) {
			order.PutUint16(code[int(iter.Offset)*asm.InstructionSize+2:], addrSpaceCast)
		}
	}
	return code, nil
}

const addrSpaceCast = 1 // BPF_ADDR_SPACE_CAST

func isAddrSpaceCast(ins *asm.Instruction) bool {
	return ins.OpCode == asm.Mov.Op(asm.RegSource) && ins.Offset == addrSpaceCast
}
