package bpfload

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/cilium/ebpf/btf"

	"github.com/ktgen/ktgen/object"
)

// This file resolves the variables and functions of the kernel that programs
// declare with __ksym (bpf_object__resolve_externs in tools/lib/bpf/libbpf.c). Those
// with a type are looked up in the types of the kernel and its modules, and have to have
// a compatible one there; variables declared as void are looked up among its symbols.
// Weak ones that the kernel lacks are 0, which is how programs know.

// KsymError is a variable or function of the kernel that an object needs, and
// that the kernel which runs does not have as the object declares it.
type KsymError struct {
	Name   string
	Func   bool
	Reason string
}

func (e *KsymError) Error() string {
	what := "variable"
	if e.Func {
		what = "kfunc"
	}
	return fmt.Sprintf("this kernel has no %s %s%s, which the program uses: boot a kernel that has it, or declare it __weak and have the program ask first (bpf_ksym_exists)", what, e.Name, e.Reason)
}

// ksym is a variable or function of the kernel that an object refers to.
type ksym struct {
	found bool
	typed bool
	place place  // of one with a type
	addr  uint64 // of one without
}

// resolveKsyms finds all that the object refers to.
func (l *loader) resolveKsyms() error {
	l.ksyms = make(map[string]*ksym)
	untyped := make(map[string]*ksym)
	for _, name := range sortedKeys(l.spec.externs) {
		e := l.spec.externs[name]
		if e.Kind == object.ExternKconfig || !l.spec.referred[name] {
			continue
		}
		k := &ksym{typed: e.Type != nil && !isVoid(e.Type)}
		l.ksyms[name] = k
		if !k.typed {
			untyped[name] = k
			continue
		}
		if err := l.resolveTyped(e, k); err != nil {
			return err
		}
	}
	if err := resolveUntyped(untyped); err != nil {
		return err
	}
	for _, name := range sortedKeys(untyped) {
		if !untyped[name].found && !l.spec.externs[name].Weak {
			return &KsymError{Name: name}
		}
	}
	return nil
}

// resolveTyped finds a variable or function by its name without a flavour: programs
// refer to scx_bpf_dsq_insert___v2 as scx_bpf_dsq_insert___v2___compat.
func (l *loader) resolveTyped(e object.Extern, k *ksym) error {
	var has btf.Type
	var err error
	own := e.Type
	if f, isFunc := e.Type.(*btf.Func); isFunc {
		var kernels *btf.Func
		own = f.Type
		if k.place, kernels, err = find[*btf.Func](l, "", essentialName(e.Name)); err == nil {
			has = kernels.Type
		}
	} else {
		var kernels *btf.Var
		if k.place, kernels, err = find[*btf.Var](l, "", e.Name); err == nil {
			has = btf.UnderlyingType(kernels.Type)
		}
	}
	fault := &KsymError{Name: e.Name, Func: e.Kind == object.ExternFunc}
	switch {
	case errors.Is(err, btf.ErrNotFound) && e.Weak:
		return nil
	case errors.Is(err, btf.ErrNotFound):
		return fault
	case err != nil:
		return fmt.Errorf("kernel symbol %s: %w", e.Name, err)
	}
	if err := compatible(btf.UnderlyingType(own), has); err != nil {
		if e.Weak && fault.Func {
			return nil
		}
		fault.Reason = fmt.Sprintf(" of that type (%v, where the object declares %v)", has, own)
		return fault
	}
	k.found = true
	return nil
}

// compatible tells whether what an object declares is what the kernel has, as libbpf does,
// and as whoever compiles C does: a struct that the object only declares is any of them.
func compatible(own, has btf.Type) error {
	o, isFunc := own.(*btf.FuncProto)
	h, kernelHas := has.(*btf.FuncProto)
	if !isFunc || !kernelHas || len(o.Params) != len(h.Params) {
		return btf.CheckTypeCompatibility(own, has)
	}
	for i := range o.Params {
		if isDeclared(o.Params[i].Type) && isPointer(h.Params[i].Type) {
			continue
		}
		if err := btf.CheckTypeCompatibility(btf.UnderlyingType(o.Params[i].Type), btf.UnderlyingType(h.Params[i].Type)); err != nil {
			return fmt.Errorf("parameter %d: %w", i+1, err)
		}
	}
	if isDeclared(o.Return) && isPointer(h.Return) {
		return nil
	}
	return btf.CheckTypeCompatibility(btf.UnderlyingType(o.Return), btf.UnderlyingType(h.Return))
}

// isDeclared reports whether t is a pointer to a struct or union that is only declared.
func isDeclared(t btf.Type) bool {
	p, ok := btf.As[*btf.Pointer](t)
	if !ok {
		return false
	}
	_, ok = btf.As[*btf.Fwd](p.Target)
	return ok
}

func isPointer(t btf.Type) bool {
	_, ok := btf.As[*btf.Pointer](t)
	return ok
}

// isVoid reports whether t is void with qualifiers: extern const void x __ksym.
func isVoid(t btf.Type) bool {
	_, ok := btf.As[*btf.Void](t)
	return ok
}

// resolveUntyped finds symbols in the kernel's list of all of them.
func resolveUntyped(want map[string]*ksym) error {
	if len(want) == 0 {
		return nil
	}
	f, err := os.Open("/proc/kallsyms")
	if err != nil {
		return fmt.Errorf("read the kernel's symbols: %w", err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		name, addr, err := symbolOf(lines.Bytes())
		k := want[string(name)]
		if k == nil {
			continue
		}
		if err != nil {
			return fmt.Errorf("read the kernel's symbols: %w", err)
		}
		if k.found && k.addr != addr {
			return fmt.Errorf("kernel symbol %s: the kernel has several of that name, at %#x and %#x: declare its type, and it is found by that", name, k.addr, addr)
		}
		k.found, k.addr = true, addr
	}
	return lines.Err()
}

// symbolOf reads a line of the list, ffffffff81000000 T _text [module]. LLVM makes
// NAME.llvm.HASH of static data that it moves between units.
func symbolOf(line []byte) (name []byte, addr uint64, err error) {
	fields := bytes.Fields(line)
	if len(fields) < 3 {
		return nil, 0, nil
	}
	name = fields[2]
	if own, _, moved := bytes.Cut(name, []byte(".llvm.")); moved && string(fields[1]) == "d" {
		name = own
	}
	addr, err = strconv.ParseUint(string(fields[0]), 16, 64)
	return name, addr, err
}

// symbolAddress finds a symbol in the kernel's list of all of them.
func symbolAddress(name string) (addr uint64, found bool, err error) {
	k := new(ksym)
	err = resolveUntyped(map[string]*ksym{name: k})
	return k.addr, k.found, err
}

// referToKernel makes an instruction load the address of a kernel symbol, 0 if the kernel
// lacks it.
func (l *loader) referToKernel(insn *[2]object.Insn, name string) error {
	k := l.ksyms[name]
	if k == nil {
		return fmt.Errorf("it refers to %q, which the object neither has nor declares", name)
	}
	if !k.typed || !k.found {
		insn[0].Imm, insn[1].Imm = int32(k.addr), int32(k.addr>>32)
		return nil
	}
	insn[0].Src, insn[0].Imm = pseudoBTFID, int32(k.place.id)
	if m := k.place.module; m != nil {
		insn[1].Imm = int32(m.btf.FD())
	}
	return nil
}

// callKernel makes an instruction call a kernel function. In the place of one that
// the kernel lacks is a call that the verifier refuses.
func (l *loader) callKernel(insn *object.Insn, name string, missing *absent) error {
	k := l.ksyms[name]
	switch {
	case k == nil:
		return fmt.Errorf("it calls %q, which the object neither has nor declares", name)
	case !k.found:
		insn.Src, insn.Off, insn.Imm = 0, 0, int32(missing.number("kfunc "+essentialName(name)))
		return nil
	}
	insn.Src, insn.Imm = pseudoKfunc, int32(k.place.id)
	if m := k.place.module; m != nil {
		insn.Off = l.modules.index(m)
	}
	return nil
}

// essentialName is name without a ___flavour.
func essentialName(name string) string {
	if i := strings.LastIndex(name, "___"); i > 0 {
		return name[:i]
	}
	return name
}
