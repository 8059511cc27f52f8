package ktest_test

// This file starts the schedulers of the kernel's tools/sched_ext.

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/cilium/ebpf/btf"
	"github.com/stretchr/testify/require"

	ktbtf "github.com/ktgen/ktgen/btf"
	"github.com/ktgen/ktgen/object"
	"github.com/ktgen/ktgen/vmm/cache"
)

// public returns the object of a scheduler, of those that scripts/corpus has
// compiled into the cache.
func public(t *testing.T, name string) string {
	t.Helper()
	dir, err := cache.Dir()
	require.NoError(t, err)
	paths, err := filepath.Glob(filepath.Join(dir, "corpus/*/objects/sched_ext", name+".bpf.o"))
	require.NoError(t, err)
	if len(paths) == 0 && os.Getenv("CI") == "" {
		t.Skip("there is no " + name + " in the cache; make test fetches and compiles it")
	}
	require.NotEmpty(t, paths, "scripts/corpus sample did not compile %s into the cache", name)
	return paths[len(paths)-1]
}

// patience is for how long a public scheduler may not get to run tasks, as
// busy as the host may be: the most that the kernel allows.
const patience = 30 * time.Second

// configured is an object with constants set, as a scheduler's own program sets
// them before it loads the object.
func configured(t *testing.T, path string, constants map[string]uint64) string {
	t.Helper()
	obj, err := object.Open(path)
	require.NoError(t, err)
	contents, err := os.ReadFile(path)
	require.NoError(t, err)
	f, err := elf.NewFile(bytes.NewReader(contents))
	require.NoError(t, err)
	rodata, set := f.Section(".rodata"), 0
	for _, s := range obj.Sections {
		for _, v := range s.Vars {
			if value, ok := constants[v.Name]; ok && s.Name == rodata.Name {
				copy(contents[rodata.Offset+uint64(v.Offset):][:v.Size], binary.LittleEndian.AppendUint64(nil, value))
				set++
			}
		}
	}
	require.Equal(t, len(constants), set, "constants of %s", path)
	for _, m := range obj.Maps {
		if ops, ok := btf.As[*btf.Struct](m.Value); ok && m.Section == ".struct_ops.link" {
			timeout, err := ktbtf.FieldOf(ops, "timeout_ms")
			require.NoError(t, err)
			at := f.Section(m.Section).Offset + uint64(m.Offset) + uint64(timeout.Offset)
			binary.LittleEndian.PutUint32(contents[at:], uint32(patience.Milliseconds()))
		}
	}
	out := filepath.Join(t.TempDir(), filepath.Base(path))
	require.NoError(t, os.WriteFile(out, contents, 0o600))
	return out
}
