package ktest

import (
	"fmt"
	"os"
	"sync"
	"time"

	ebtf "github.com/cilium/ebpf/btf"

	"github.com/ktgen/ktgen/btf"
	"github.com/ktgen/ktgen/vmm/kernel"
)

// This file parses the types of kernels, of which a process has few and boots many
// guests: each guest has a freezer for the test and one for what stops it by itself.

// kernelTypes are those that this process has parsed.
var kernelTypes sync.Map // of kernelFile to func() (*btf.Spec, error)

// kernelFile is a file that has a kernel's types, as it was when it was looked at.
type kernelFile struct {
	path    string
	size    int64
	changed time.Time
}

// typesOf returns the types of a kernel. They are not to be changed.
func typesOf(k *kernel.Kernel) (*ebtf.Spec, error) {
	info, err := os.Stat(k.Vmlinux())
	if err != nil {
		return nil, fmt.Errorf("read the types of kernel %s: %w", k.Release, err)
	}
	file := kernelFile{k.Vmlinux(), info.Size(), info.ModTime()}
	parse, _ := kernelTypes.LoadOrStore(file, sync.OnceValues(func() (*ebtf.Spec, error) { return parseTypes(k) }))
	spec, err := parse.(func() (*ebtf.Spec, error))()
	if err != nil {
		kernelTypes.Delete(file) // the next guest may be luckier
	}
	return spec, err
}

func parseTypes(k *kernel.Kernel) (*ebtf.Spec, error) {
	raw, err := k.BTF()
	if err != nil {
		return nil, err
	}
	spec, err := btf.Parse(raw)
	if err != nil {
		return nil, fmt.Errorf("read the BTF of kernel %s (%d bytes): %w", k.Release, len(raw), err)
	}
	return spec, nil
}
