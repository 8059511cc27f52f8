package freeze

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path"
	"regexp"

	ebtf "github.com/cilium/ebpf/btf"

	"github.com/ktgen/ktgen/btf"
	"github.com/ktgen/ktgen/freeze/internal/kmem"
)

// This file says which function an address of code is in: one of the kernel's
// image, or one that the kernel has translated from BPF.

// Function is a function of the kernel, or of a BPF program.
type Function struct {
	Name   string // as kallsyms has it, such as "proc_dointvec" or "bpf_prog_4f2a91..._tally_enqueue"
	Source string // the name in the C source
	BPF    bool
	Offset uint64 // of the address from the function's first instruction

	// Of a BPF program that was loaded with line information: the file as the compiler
	// was told of it, the line, from 1, and its text. Empty and 0 for all other code.
	File string
	Line int
	Text string

	// Inlined is where the instruction's own line is, if that is in another file than its function:
	// in a macro or an inlined function of a header. It was reached from somewhere near File, Line and Text then:
	// line information has no line without an instruction of its own, such as WRITE_ONCE of a constant.
	Inlined SourceLine
}

// SourceLine is a line of a BPF program's source.
type SourceLine struct {
	File string // as the compiler was told of it
	Line int    // from 1
	Text string
}

func (f Function) String() string {
	switch {
	case f.Name == "":
		return "unknown code"
	case f.Inlined.Line > 0:
		return fmt.Sprintf("%s, near %s:%d, in %s:%d", f.Source, path.Base(f.File), f.Line, path.Base(f.Inlined.File), f.Inlined.Line)
	case f.Line > 0:
		return fmt.Sprintf("%s, %s:%d", f.Source, path.Base(f.File), f.Line)
	}
	return fmt.Sprintf("%s+%#x", f.Source, f.Offset)
}

// FunctionAt returns the function that has the instruction at an address. It is
// the zero Function for code that is in neither the kernel's image nor a BPF
// program, such as a module's. What the guest runs changes, so it must stand
// still.
//
// A pc that a watchpoint reports is that of the next instruction: pass pc-1.
func (f *Freezer) FunctionAt(ctx context.Context, addr uint64) (Function, error) {
	if err := f.take(ctx); err != nil {
		return Function{}, err
	}
	defer f.give()
	f.stopped.Flush()
	if f.stopped.Text.Contains(kmem.Addr(addr)) {
		name, offset := f.symbols.Before(addr)
		return Function{Name: name, Source: name, Offset: offset}, nil
	}
	function, err := f.bpfFunction(kmem.Addr(addr))
	if err != nil {
		return Function{}, fmt.Errorf("find the BPF function with the instruction at %#x: %w", addr, err)
	}
	return function, nil
}

// Symbols returns the symbols of the guest's kernel.
func (f *Freezer) Symbols() *Symbols { return f.symbols }

// NotPerCPUError reports an address that is no per-CPU variable's, or a CPU
// that the guest cannot have.
type NotPerCPUError struct {
	Addr uint64
	CPU  int
	CPUs int // nr_cpu_ids
}

func (e *NotPerCPUError) Error() string {
	if e.CPU < 0 || e.CPU >= e.CPUs {
		return fmt.Sprintf("the guest has no CPU %d: it has %d, from 0 on", e.CPU, e.CPUs)
	}
	return fmt.Sprintf("%#x is no per-CPU variable", e.Addr)
}

// IsPerCPU reports whether the symbol at an address is a per-CPU variable, from
// __per_cpu_start to __per_cpu_end (include/asm-generic/vmlinux.lds.h), each CPU
// having its copy elsewhere.
func (f *Freezer) IsPerCPU(addr uint64) bool {
	start, ok1 := f.symbols.Lookup("__per_cpu_start")
	end, ok2 := f.symbols.Lookup("__per_cpu_end")
	return ok1 && ok2 && addr >= start && addr < end
}

// OnCPU returns the address of a per-CPU variable's copy. The error is a
// [*NotPerCPUError].
func (f *Freezer) OnCPU(addr uint64, cpu int) (uint64, error) {
	if cpu < 0 || cpu >= f.cpus.Len() || !f.IsPerCPU(addr) {
		return 0, &NotPerCPUError{Addr: addr, CPU: cpu, CPUs: f.cpus.Len()}
	}
	copied, ok := f.cpus.PerCPU(kmem.Addr(addr), cpu)
	if !ok {
		return 0, &NotPerCPUError{Addr: addr, CPU: cpu, CPUs: f.cpus.Len()}
	}
	return uint64(copied), nil
}

// ksymLayout is where struct bpf_ksym keeps the range and the name of a BPF
// program's function (include/linux/bpf.h). All of them are on the list
// bpf_kallsyms (kernel/bpf/core.c).
type ksymLayout struct {
	head       kmem.Addr // bpf_kallsyms
	node       int       // offset of bpf_ksym.lnode
	start, end kmem.Field
	name       int // offset
	nameSize   int
	ok         bool
}

// newKsymLayout returns the zero layout for a kernel that keeps BPF functions in
// a way that is not known here: their code is unknown code then.
func newKsymLayout(kernel *ebtf.Spec, symbols *Symbols) (l ksymLayout) {
	const t = "bpf_ksym"
	head, ok := symbols.Lookup("bpf_kallsyms")
	node, err1 := btf.Find(kernel, t, "lnode")
	name, err2 := btf.Find(kernel, t, "name")
	start, err3 := btf.Find(kernel, t, "start")
	end, err4 := btf.Find(kernel, t, "end")
	if !ok || errors.Join(err1, err2, err3, err4) != nil || start.Size != 8 || end.Size != 8 || name.Size > kmem.PageSize {
		return ksymLayout{}
	}
	return ksymLayout{
		ok: true, head: kmem.Addr(head), node: node.Offset,
		start: kmem.Field{Offset: start.Offset, Size: 8}, end: kmem.Field{Offset: end.Offset, Size: 8},
		name: name.Offset, nameSize: name.Size,
	}
}

// maxKsyms bounds the list. A guest has a few dozen; JIT memory of all programs
// bounds it in a working kernel (bpf_jit_limit).
const maxKsyms = 1 << 16

var bpfPrefix = regexp.MustCompile(`^bpf_prog_[0-9a-f]{16}_`)

func (f *Freezer) bpfFunction(addr kmem.Addr) (function Function, err error) {
	err = f.eachKsym(func(ksym kmem.Addr, start, end uint64) (bool, error) {
		if uint64(addr) < start || uint64(addr) >= end {
			return true, nil
		}
		if function, err = f.ksymFunction(ksym, uint64(addr)-start); err == nil {
			err = f.lines.find(f.stopped, ksym, &function, lineRange{start, uint64(addr)})
		}
		return false, err
	})
	return function, err
}

// eachKsym calls visit with each struct bpf_ksym and the range of its code,
// until that returns false.
func (f *Freezer) eachKsym(visit func(ksym kmem.Addr, start, end uint64) (bool, error)) error {
	l := &f.ksyms
	if !l.ok {
		return nil
	}
	node, err := f.stopped.Addr(l.head)
	for range maxKsyms {
		if err != nil || node == l.head {
			return err
		}
		ksym := node - kmem.Addr(l.node)
		start, err1 := f.stopped.Fetch(ksym, l.start)
		end, err2 := f.stopped.Fetch(ksym, l.end)
		if err1 != nil || err2 != nil {
			return fmt.Errorf("read struct bpf_ksym at %v: %w", ksym, errors.Join(err1, err2))
		}
		if more, err := visit(ksym, start, end); !more || err != nil {
			return err
		}
		node, err = f.stopped.Addr(node)
	}
	return fmt.Errorf("bpf_kallsyms has more than %d entries", maxKsyms)
}

func (f *Freezer) ksymFunction(ksym kmem.Addr, offset uint64) (Function, error) {
	raw := make([]byte, f.ksyms.nameSize)
	if err := f.stopped.Read(ksym+kmem.Addr(f.ksyms.name), raw); err != nil {
		return Function{}, fmt.Errorf("read the name of struct bpf_ksym at %v: %w", ksym, err)
	}
	name, _, _ := bytes.Cut(raw, []byte{0})
	return Function{
		Name:   string(name),
		Source: string(bpfPrefix.ReplaceAll(name, nil)),
		BPF:    true,
		Offset: offset,
	}, nil
}
