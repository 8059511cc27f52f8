package bpfload

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"

	"github.com/ktgen/ktgen/object"
)

// This file resolves the variables and functions of the kernel that programs
// declare with __ksym, and load the address of.

// pseudoBTFID marks a load of the address of what a BTF id stands for
// (BPF_PSEUDO_BTF_ID, include/uapi/linux/bpf.h).
const pseudoBTFID = 3

// referToKernel returns ins as a load of the address of a kernel symbol. Of a
// weak one that the kernel lacks it is 0: this is how programs ask whether
// there is a kfunc.
func (l *loader) referToKernel(ins asm.Instruction, name string) (asm.Instruction, error) {
	extern, declared := l.spec.externs[name]
	load := asm.Instruction{OpCode: ins.OpCode, Dst: ins.Dst}
	var found bool
	var err error
	if _, untyped := extern.Type.(*btf.Void); untyped || extern.Type != nil && isVoid(extern.Type) {
		var addr uint64
		addr, found, err = symbolAddress(name)
		load.Constant = int64(addr)
	} else {
		var id btf.TypeID
		id, err = l.kernelSymbol(name)
		found = err == nil
		load.Src, load.Constant = pseudoBTFID, int64(id)
		if errors.Is(err, btf.ErrNotFound) {
			load.Src, err = 0, nil
		}
	}
	switch {
	case err != nil:
		return ins, err
	case !found && declared && extern.Kind == object.ExternVar && !extern.Weak:
		return ins, errors.New("the kernel that runs has no such variable: declare it __weak if the program can do without, and test its address")
	}
	load = load.WithSource(ins.Source()).WithSymbol(ins.Symbol())
	if f := btf.FuncMetadata(&ins); f != nil {
		load = btf.WithFuncMetadata(load, f)
	}
	return load, nil
}

// isVoid reports whether t is void with qualifiers: extern const void x __ksym.
func isVoid(t btf.Type) bool {
	_, ok := btf.As[*btf.Void](t)
	return ok
}

// kernelSymbol finds the BTF id of a variable or function of vmlinux.
func (l *loader) kernelSymbol(name string) (btf.TypeID, error) {
	var v *btf.Var
	if err := l.kernel.TypeByName(name, &v); err == nil {
		return l.kernel.TypeID(v)
	}
	return l.kfunc(name)
}

// symbolAddress finds a symbol in the kernel's list of all of them.
func symbolAddress(name string) (addr uint64, found bool, err error) {
	f, err := os.Open("/proc/kallsyms")
	if err != nil {
		return 0, false, fmt.Errorf("read the kernel's symbols: %w", err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		// ffffffff81000000 T _text [module]
		fields := strings.Fields(lines.Text())
		if len(fields) < 3 || fields[2] != name {
			continue
		}
		addr, err = strconv.ParseUint(fields[0], 16, 64)
		return addr, err == nil, err
	}
	return 0, false, lines.Err()
}
