package bpfload

import (
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/ktgen/ktgen/runtime/nearest"
)

// This file attaches programs to functions of files in the guest.

type uprobe func(ex *link.Executable, symbol string, p *ebpf.Program, opts *link.UprobeOptions) (link.Link, error)

// attachUprobe attaches to FILE:FUNCTION or FILE:FUNCTION+OFFSET.
func attachUprobe(probe uprobe) attacher {
	return func(_ *Collection, p *ebpf.Program, to string) (link.Link, error) {
		ex, file, function, err := openProbed(to)
		if err != nil {
			return nil, err
		}
		symbol, offset, err := splitOffset(function)
		if err != nil {
			return nil, err
		}
		l, err := probe(ex, symbol, p, &link.UprobeOptions{Offset: offset})
		if errors.Is(err, link.ErrNoSymbol) {
			return nil, noFunction(file, symbol)
		}
		return l, err
	}
}

type uprobes func(ex *link.Executable, symbols []string, p *ebpf.Program, opts *link.UprobeMultiOptions) (link.Link, error)

// attachUprobes attaches to FILE:PATTERN, a pattern being one of functions with * and ?.
func attachUprobes(probe uprobes) attacher {
	return func(_ *Collection, p *ebpf.Program, to string) (link.Link, error) {
		ex, file, pattern, err := openProbed(to)
		if err != nil {
			return nil, err
		}
		f, err := elf.Open(file)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		functions, err := functionsLike(f, file, pattern)
		if err != nil {
			return nil, err
		}
		return probe(ex, namesOf(functions), p, nil)
	}
}

// attachUprobeSession attaches to FILE:PATTERN a program that runs at the call of each function
// and at its return, which cilium/ebpf has no link for.
func attachUprobeSession(_ *Collection, p *ebpf.Program, to string) (link.Link, error) {
	_, file, pattern, err := openProbed(to)
	if err != nil {
		return nil, err
	}
	f, err := elf.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	functions, err := functionsLike(f, file, pattern)
	if err != nil {
		return nil, err
	}
	var offsets []uint64
	for _, s := range functions {
		at, err := fileOffset(f, s.Value, elf.PF_X)
		if err != nil {
			return nil, fmt.Errorf("function %s of %s: %w", s.Name, file, err)
		}
		offsets = append(offsets, at)
	}
	slices.Sort(offsets) // a function can have several names
	offsets = slices.Compact(offsets)
	path := append([]byte(file), 0)
	return newLink(&linkUprobesAttr{
		progFD: uint32(p.FD()), attachType: uint32(traceUprobeSession),
		path: pointer(path), offsets: pointer(offsets), cnt: uint32(len(offsets)),
	})
}

// fileOffset returns where in an ELF file the byte is that a program has at an address, in a
// segment with these flags.
func fileOffset(f *elf.File, addr uint64, flags elf.ProgFlag) (uint64, error) {
	for _, p := range f.Progs {
		if p.Type == elf.PT_LOAD && p.Flags&flags == flags && p.Vaddr <= addr && addr-p.Vaddr < p.Memsz {
			return addr - p.Vaddr + p.Off, nil
		}
	}
	return 0, fmt.Errorf("address %#x is in no segment with flags %v", addr, flags)
}

// openProbed opens the file of FILE:FUNCTION.
func openProbed(to string) (ex *link.Executable, file, function string, err error) {
	file, function, ok := strings.Cut(to, ":")
	if !ok {
		return nil, "", "", errors.New("it names a file and no function: name one, as in SEC(\"uprobe/libc.so.6:malloc\")")
	}
	if file, err = findFile(file); err != nil {
		return nil, "", "", err
	}
	ex, err = link.OpenExecutable(file)
	return ex, file, function, err
}

// findFile finds a program or library that is called by its name alone (resolve_full_path
// in tools/lib/bpf/libbpf.c).
func findFile(name string) (string, error) {
	if strings.Contains(name, "/") {
		return name, nil
	}
	dirs, mode := os.Getenv("PATH")+":/usr/bin:/usr/sbin", uint32(unix.R_OK|unix.X_OK)
	if strings.HasSuffix(name, ".so") || strings.Contains(name, ".so.") {
		dirs, mode = os.Getenv("LD_LIBRARY_PATH")+":/usr/lib64:/usr/lib:/lib/x86_64-linux-gnu:/lib64:/lib", unix.R_OK
	}
	for _, dir := range filepath.SplitList(dirs) {
		if file := filepath.Join(dir, name); dir != "" && unix.Access(file, mode) == nil {
			return file, nil
		}
	}
	return "", fmt.Errorf("the guest has no %s in %s: put it there (ktest.Config.Files), or name its path", name, strings.TrimPrefix(dirs, ":"))
}

// functionsLike lists the functions of an ELF file that a pattern stands for.
func functionsLike(f *elf.File, file, pattern string) ([]elf.Symbol, error) {
	all, err := symbolsOf(f)
	if err != nil {
		return nil, fmt.Errorf("list the functions of %s: %w", file, err)
	}
	all = slices.DeleteFunc(all, func(s elf.Symbol) bool { return !isLike(s.Name, pattern) })
	if len(all) == 0 {
		return nil, fmt.Errorf("%s has no function like %s: nm lists those that it has", file, pattern)
	}
	return all, nil
}

// noFunction says that a file has no such function.
func noFunction(file, name string) error {
	all, err := functionsOf(file)
	if err != nil || len(all) == 0 {
		return fmt.Errorf("%s has no table of symbols with function %s, as it was stripped: take one that was not", file, name)
	}
	return fmt.Errorf("%s has no function %s%s", file, name, nearest.Hint(name, all))
}

// functionsOf lists the names of the functions that an ELF file has, in order.
func functionsOf(file string) ([]string, error) {
	f, err := elf.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	functions, err := symbolsOf(f)
	return namesOf(functions), err
}

// namesOf returns the names of functions, each once, in order.
func namesOf(functions []elf.Symbol) []string {
	var all []string
	for _, s := range functions {
		all = append(all, s.Name)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// symbolsOf lists the functions that an ELF file has.
func symbolsOf(f *elf.File) ([]elf.Symbol, error) {
	static, err := f.Symbols()
	if err != nil && !errors.Is(err, elf.ErrNoSymbols) {
		return nil, err
	}
	dynamic, err := f.DynamicSymbols()
	if err != nil && !errors.Is(err, elf.ErrNoSymbols) {
		return nil, err
	}
	return slices.DeleteFunc(slices.Concat(static, dynamic), func(s elf.Symbol) bool {
		return elf.ST_TYPE(s.Info) != elf.STT_FUNC || s.Value == 0
	}), nil
}
