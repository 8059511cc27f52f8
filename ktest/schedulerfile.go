package ktest

import (
	"bytes"
	"debug/elf"
	"fmt"
	"os"
	"regexp"
	"slices"

	"github.com/cilium/ebpf/btf"

	"github.com/ktgen/ktgen/ktest/internal/bpfload"
	"github.com/ktgen/ktgen/object"
)

// This file looks at the files of schedulers before a guest is booted.

// objectIn returns the bytes of the only object in a file, which object.Open has read.
func objectIn(path string) ([]byte, error) {
	contents, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	found, err := object.Find(bytes.NewReader(contents), int64(len(contents)))
	if err != nil || len(found) != 1 || found[0].Offset == 0 {
		return contents, err
	}
	return contents[found[0].Offset:][:found[0].Size], nil
}

// checkProgram says why a file is no program that a guest could run.
func checkProgram(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("the scheduler's program: %w: build it before the test", err)
	}
	defer f.Close()
	head := make([]byte, 2)
	if n, _ := f.ReadAt(head, 0); string(head[:n]) == "#!" {
		return nil // a script; its interpreter may be among Config.Files
	}
	program, err := elf.NewFile(f)
	switch {
	case err != nil:
		return fmt.Errorf("%s is no program (%w): ktest.Binary takes an executable for the guest, such as one that go build, cargo build or cc writes", path, err)
	case program.Machine == elf.EM_BPF:
		return fmt.Errorf("%s is a BPF object and no program: start it with ktest.Object, or give ktest.Binary the program that loads it", path)
	case program.Machine != elf.EM_X86_64:
		return fmt.Errorf("%s is a program for %v, and guests are x86-64: build it for them", path, program.Machine)
	case program.Type != elf.ET_EXEC && program.Type != elf.ET_DYN:
		return fmt.Errorf("%s is no program but %v: link it", path, program.Type)
	}
	return nil
}

// checkName says why the kernel would not take the name of a scheduler, that of its
// struct_ops map ops with what config makes of it (bpf_obj_name_cpy, kernel/bpf/syscall.c).
func checkName(obj *object.Object, ops string, config *bpfload.Config) error {
	i := slices.IndexFunc(obj.Maps, func(m object.Map) bool { return m.Name == ops })
	own, ok := btf.As[*btf.Struct](obj.Maps[i].Value)
	if !ok {
		return nil // which is told when it is loaded
	}
	for _, m := range own.Members {
		array, ok := btf.As[*btf.Array](m.Type)
		if m.Name != "name" || !ok {
			continue
		}
		at, end := uint64(m.Offset.Bytes()), uint64(m.Offset.Bytes())+uint64(array.Nelems)
		if end > min(uint64(own.Size), maxOps) {
			return fmt.Errorf("the BTF of %s is damaged: its name is at bytes %d to %d of %d", ops, at, end, own.Size)
		}
		name, _, ends := bytes.Cut(initialOps(obj.Maps[i].Initial, ops, config, end)[at:], []byte{0})
		if !ends || !opsName.Match(name) {
			return fmt.Errorf("%s.name is %q, and a scheduler's name has letters, digits, _ and ., at least one, and fewer than %d: give it another one in the object, or by Scheduler.Set(%q, ...)", ops, name, array.Nelems, ops+".name")
		}
		return nil
	}
	return fmt.Errorf("%s has no name, which the kernel wants of a scheduler: give struct %s of the object a member name", ops, own.Name)
}

// maxOps bounds the size of a struct sched_ext_ops, in bytes.
const maxOps = 1 << 16

// initialOps returns the first bytes of what a struct_ops map starts with.
func initialOps(initial []byte, ops string, config *bpfload.Config, size uint64) []byte {
	value := make([]byte, size)
	copy(value, initial)
	if config == nil {
		return value
	}
	for _, p := range config.Patches {
		if p.Of == ops && uint64(p.Offset) < size {
			copy(value[p.Offset:], p.Bytes)
		}
	}
	return value
}

var opsName = regexp.MustCompile(`^[A-Za-z0-9_.]+$`)
