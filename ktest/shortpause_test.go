package ktest_test

import (
	"encoding/binary"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"os"
	goruntime "runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/freeze"
	"github.com/ktgen/ktgen/ktest"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// There is more in the guest than a short pause has time for: each part says what
// it lacks, and how much there is of it.
func TestAShortPauseSaysWhatThereWasNoTimeFor(t *testing.T) {
	for _, name := range []string{"large_hash", "large_array", "large_pointers"} {
		t.Run(name, func(t *testing.T) {
			vm := ktest.Boot(t, ktest.Config{Capture: freeze.Options{MaxPause: time.Millisecond}})
			_, out := runKeeper(t, vm, name)
			var failure string
			require.NoError(t, gob.NewDecoder(out).Decode(&failure))
			require.Empty(t, failure)
			pauses, reasons := shortPauses(t, vm, name)
			t.Logf("pauses: median %v, longest %v; the first was cut off: %s", pauses[len(pauses)/2], pauses[len(pauses)-1], reasons[0])
		})
	}
}

// shortPauses returns how long captures took, sorted, and why they lack something
// of a map, or of what its pointers lead to.
func shortPauses(t *testing.T, vm *ktest.VM, name string) (pauses []time.Duration, reasons []string) {
	t.Helper()
	const why = "the guest had stood still for as long as it may"
	for i := range 10 {
		snap := vm.Freeze(fmt.Sprintf("short %d", i))
		pauses = append(pauses, snap.Timing.Paused)
		m := mapNamed(t, snap, name)
		if m.Status != ktsnap.Complete {
			reasons = append(reasons, m.Reason)
			require.Equal(t, ktsnap.Truncated, m.Status, m.Reason)
			require.Contains(t, m.Reason, why)
			require.LessOrEqual(t, m.N, m.Total)
			require.Len(t, m.Values, m.N*m.Slots*m.Stride)
		}
		if snap.KernelStatus != ktsnap.Complete {
			reasons = append(reasons, snap.KernelReason)
			require.Contains(t, snap.KernelReason, why)
			require.Contains(t, snap.KernelReason, fmt.Sprintf("%d objects by then", len(snap.Kernel)))
		}
		require.Len(t, reasons, max(len(reasons), i+1), "there is not time for all of it")
	}
	slices.Sort(pauses)
	return pauses, reasons
}

// runLarge runs in the guest: it makes a map that takes long to capture, and keeps
// it until standard input ends.
func runLarge(name string) int {
	failure := ""
	m, err := makeLarge(name)
	if err != nil {
		failure = err.Error()
	}
	if gob.NewEncoder(os.Stdout).Encode(failure) != nil {
		return 1
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
	goruntime.KeepAlive(m)
	return 0
}

func makeLarge(name string) (*ebpf.Map, error) {
	image, err := kernelImage()
	if err != nil {
		return nil, err
	}
	u32 := &btf.Int{Name: "u32", Size: 4}
	holder := &btf.Struct{Name: "holder", Size: 8, Members: []btf.Member{
		{Name: "task", Type: &btf.Pointer{Target: &btf.Fwd{Name: "task_struct"}}},
	}}
	spec := map[string]*ebpf.MapSpec{
		"large_hash":     {Type: ebpf.Hash, KeySize: 4, ValueSize: 64, MaxEntries: 50_000},
		"large_array":    {Type: ebpf.Array, KeySize: 4, ValueSize: 4 << 20, MaxEntries: 24},
		"large_pointers": {Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 20_000, Key: u32, Value: holder},
	}[name]
	spec.Name = name
	m, err := ebpf.NewMap(spec)
	if err != nil {
		return nil, err
	}
	value := noise(int(m.ValueSize()))
	for i := range int(m.MaxEntries()) {
		if spec.Value != nil {
			binary.LittleEndian.PutUint64(value, image+uint64(i)*1024)
		}
		if err := update(m, key(m, i), value); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// kernelImage returns where the kernel's image begins. What is in it is no task,
// which takes as long to find out as if it were.
func kernelImage() (uint64, error) {
	list, err := os.ReadFile("/proc/kallsyms")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(list)) {
		if address, ok := strings.CutSuffix(line, " T _text\n"); ok {
			return strconv.ParseUint(address, 16, 64)
		}
	}
	return 0, errors.New("/proc/kallsyms has no _text")
}
