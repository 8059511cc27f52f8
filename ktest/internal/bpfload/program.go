package bpfload

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"

	"github.com/ktgen/ktgen/object"
)

// VerifierError is a program that the kernel refused to load.
type VerifierError struct {
	Program string
	Section string
	Type    ebpf.ProgramType
	Absent  string // what the kernel lacks of which the program makes use, such as "kfunc scx_bpf_cpu_curr"; empty if it is not for that
	Untyped string // why the program has no types in the kernel, if it refuses the object's
	Log     string // the verifier's whole log; ends with its reason
	Err     error  // what bpf(2) returned
}

func (e *VerifierError) Error() string {
	reason := e.Reason()
	if e.Absent != "" {
		reason = fmt.Sprintf("the kernel has no %s (%s)", e.Absent, reason)
	}
	return fmt.Sprintf("the verifier rejects program %s: %v: %s", e.Program, e.Err, reason)
}

// Reason returns what the verifier says, with what explains it.
func (e *VerifierError) Reason() string {
	said := Complaint(e.Log)
	if said == "" && (e.Log == "" || strings.Contains(e.Log, "processed 0 insns")) {
		return fmt.Sprintf("it has not come to look at the program: the kernel may lack programs of section %s, type %v; boot another kernel (Config.Kernel), or leave the program out (Scheduler.Load)", e.Section, e.Type)
	}
	reason := cmp.Or(said, "it does not say why")
	if e.Untyped != "" && strings.Contains(reason, "BTF") {
		reason += "; it has none there, since " + e.Untyped
	}
	return reason
}

func (e *VerifierError) Unwrap() error { return e.Err }

// Complaint returns the line of a verifier's log that says what is wrong, or "" if
// there is none. It comes last, but for statistics and, from Linux 7.3 on, a report
// about it that explains and suggests.
func Complaint(log string) string {
	log, _, _ = strings.Cut(log, "\nVerification failed:")
	for _, line := range slices.Backward(strings.Split(log, "\n")) {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "processed ") {
			return line
		}
	}
	return ""
}

// program is a program made ready for the kernel.
type program struct {
	spec     *ebpf.ProgramSpec
	code     *code
	insns    []object.Insn // of code, relocated
	funcInfo []byte
	lineInfo []byte
	absent   absent
	tables   map[int64]*ebpf.Map // of jumps, by where they are in their section
}

func (l *loader) prepareProgram(spec *ebpf.ProgramSpec, b *btf.Builder) (*program, error) {
	if spec.Type == ebpf.UnspecifiedProgram {
		return nil, unknownKind(spec)
	}
	c := l.spec.code[spec.Name]
	p := &program{spec: spec, code: c, insns: slices.Clone(c.insns)}

	if err := l.relocateCORE(p, b); err != nil {
		return nil, fmt.Errorf("applying CO-RE relocations: %w", err)
	}
	err := l.makeJumpTables(p)
	if err != nil {
		return nil, err
	}
	p.funcInfo, p.lineInfo, err = btf.MarshalExtInfos(c.described(), b)
	if err != nil {
		return nil, fmt.Errorf("encoding func_info and line_info: %w", err)
	}
	return p, nil
}

// described returns stand-ins for the instructions of a program, each of 8 bytes, which
// have their functions and lines.
func (c *code) described() asm.Instructions {
	all := make(asm.Instructions, len(c.insns))
	for i := range all {
		all[i].OpCode = asm.Mov.Op(asm.ImmSource)
		if line := c.lines[i]; line != nil {
			all[i] = all[i].WithSource(line)
		}
		if fn := c.funcs[i]; fn != nil {
			all[i] = btf.WithFuncMetadata(all[i], fn)
		}
	}
	return all
}

func (l *loader) loadPrograms() error {
	for i, p := range l.programs {
		if l.began != nil {
			if err := l.began(Loading{Program: p.spec.Name, N: i + 1, Of: len(l.programs)}); err != nil {
				return err
			}
		}
		fd, figures, err := l.loadProgram(p)
		if err != nil {
			return err
		}
		prog, err := ebpf.NewProgramFromFD(fd)
		if err != nil {
			return fmt.Errorf("program %s: %w", p.spec.Name, err)
		}
		l.coll.Programs[p.spec.Name], l.coll.sections[p.spec.Name] = prog, p.spec.SectionName
		if err := l.coll.verified(prog, figures); err != nil {
			return fmt.Errorf("program %s: %w", p.spec.Name, err)
		}
	}
	return nil
}

// verifierLogSize is large enough for the log of any program within the
// verifier's limit of a million instructions that people have looked at.
const verifierLogSize = 16 << 20

func (l *loader) loadProgram(p *program) (int, Verification, error) {
	if err := l.resolveReferences(p); err != nil {
		return -1, Verification{}, fmt.Errorf("program %s: %w", p.spec.Name, err)
	}
	attr := l.programAttributes(p)
	if err := l.attachTarget(p.spec, &attr); err != nil {
		return -1, Verification{}, fmt.Errorf("program %s: %w", p.spec.Name, err)
	}

	fd, figures, err := attr.load(l.figures)
	if err == nil {
		return fd, figures, nil
	}

	// Once more for the log, which costs the verifier time that a program
	// without faults need not spend.
	log := make([]byte, verifierLogSize)
	attr.logLevel, attr.logSize, attr.logBuf = logWhole, uint32(len(log)), pointer(log)
	fd, err = bpf(cmdProgLoad, &attr)
	if err == nil {
		return fd, Verification{}, nil
	}
	text := unix.ByteSliceToString(log)
	return -1, Verification{}, &VerifierError{
		Program: p.spec.Name, Section: p.spec.SectionName, Type: p.spec.Type,
		Absent: p.absent.met(text), Untyped: l.untyped, Log: text, Err: err,
	}
}

// programAttributes returns how the kernel is to load a program, but for what it attaches to.
func (l *loader) programAttributes(p *program) progLoadAttr {
	attr := progLoadAttr{
		progType:           uint32(p.spec.Type),
		insnCnt:            uint32(len(p.insns)),
		insns:              pointer(encode(p.insns)),
		license:            pointer(append([]byte(p.spec.License), 0)),
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
	return attr
}

// setInfo says which lines and functions of the source instructions are from.
func (attr *progLoadAttr) setInfo(types *btf.Handle, p *program) {
	attr.btfFD = uint32(types.FD())
	attr.funcInfoRecSize, attr.funcInfo, attr.funcInfoCnt = btf.FuncInfoSize, pointer(p.funcInfo), uint32(len(p.funcInfo))/btf.FuncInfoSize
	attr.lineInfoRecSize, attr.lineInfo, attr.lineInfoCnt = btf.LineInfoSize, pointer(p.lineInfo), uint32(len(p.lineInfo))/btf.LineInfoSize
}

// encode writes instructions as bpf(2) takes them.
func encode(insns []object.Insn) []byte {
	code := make([]byte, 0, len(insns)*insnSize)
	for _, insn := range insns {
		code = append(code, insn.Op, insn.Src<<4|insn.Dst)
		code = native.AppendUint16(code, uint16(insn.Off))
		code = native.AppendUint32(code, uint32(insn.Imm))
	}
	return code
}
