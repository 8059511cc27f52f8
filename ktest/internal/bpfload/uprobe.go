package bpfload

import (
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// This file attaches programs to functions of files in the guest.

type uprobe func(ex *link.Executable, symbol string, p *ebpf.Program, opts *link.UprobeOptions) (link.Link, error)

// attachUprobe attaches to FILE:FUNCTION or FILE:FUNCTION+OFFSET.
func attachUprobe(probe uprobe) attacher {
	return func(p *ebpf.Program, to string) (link.Link, error) {
		ex, _, function, err := openProbed(to)
		if err != nil {
			return nil, err
		}
		symbol, offset, err := splitOffset(function)
		if err != nil {
			return nil, err
		}
		return probe(ex, symbol, p, &link.UprobeOptions{Offset: offset})
	}
}

type uprobes func(ex *link.Executable, symbols []string, p *ebpf.Program, opts *link.UprobeMultiOptions) (link.Link, error)

// attachUprobes attaches to FILE:PATTERN, a pattern being one of functions with * and ?.
func attachUprobes(probe uprobes) attacher {
	return func(p *ebpf.Program, to string) (link.Link, error) {
		ex, file, pattern, err := openProbed(to)
		if err != nil {
			return nil, err
		}
		symbols, err := functionsLike(file, pattern)
		if err != nil {
			return nil, err
		}
		return probe(ex, symbols, p, nil)
	}
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
func functionsLike(file, pattern string) ([]string, error) {
	f, err := elf.Open(file)
	if err != nil {
		return nil, fmt.Errorf("list the functions of %s: %w", file, err)
	}
	defer f.Close()
	static, err := f.Symbols()
	if err != nil && !errors.Is(err, elf.ErrNoSymbols) {
		return nil, fmt.Errorf("list the functions of %s: %w", file, err)
	}
	dynamic, err := f.DynamicSymbols()
	if err != nil && !errors.Is(err, elf.ErrNoSymbols) {
		return nil, fmt.Errorf("list the functions of %s: %w", file, err)
	}
	var all []string
	for _, s := range slices.Concat(static, dynamic) {
		if ok, _ := path.Match(pattern, s.Name); ok && elf.ST_TYPE(s.Info) == elf.STT_FUNC && s.Value != 0 {
			all = append(all, s.Name)
		}
	}
	slices.Sort(all)
	if all = slices.Compact(all); len(all) == 0 {
		return nil, fmt.Errorf("%s has no function like %s", file, pattern)
	}
	return all, nil
}
