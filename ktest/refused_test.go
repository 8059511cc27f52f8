package ktest_test

import (
	"encoding/gob"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ktgen/ktgen/ktest"
	"github.com/ktgen/ktgen/ktest/internal/bpfload"
)

// refusals are maps that the kernel refuses, and what is said of them.
var refusals = map[string]struct {
	spec ebpf.MapSpec
	want string
}{
	"percpu_wide": {ebpf.MapSpec{Type: ebpf.PerCPUArray, KeySize: 4, ValueSize: 40000, MaxEntries: 1},
		"creating map percpu_wide (PerCPUArray): a value has 40000 bytes, above the kernel's limit of 32768 in a map that is per CPU; make it smaller, or divide it among several entries or maps (argument list too long)"},
	"percpu_hash": {ebpf.MapSpec{Type: ebpf.LRUCPUHash, KeySize: 4, ValueSize: 40000, MaxEntries: 100},
		"a value has 40000 bytes, above the kernel's limit of 32768 in a map that is per CPU"},
	"hash_wide": {ebpf.MapSpec{Type: ebpf.Hash, KeySize: 4, ValueSize: 64 << 20, MaxEntries: 10},
		"a value has 67108864 bytes, above the kernel's limit of "},
	"hash_key": {ebpf.MapSpec{Type: ebpf.Hash, KeySize: 64 << 20, ValueSize: 4, MaxEntries: 10},
		"a key has 67108864 bytes, above the kernel's limit of "},
	"arena_large": {ebpf.MapSpec{Type: ebpf.Arena, MaxEntries: 2 << 20, Flags: unix.BPF_F_MMAPABLE},
		"max_entries, the pages of the arena, is 2097152, above the kernel's limit of 1048576 (argument list too long)"},
	"array_endless": {ebpf.MapSpec{Type: ebpf.PerCPUArray, KeySize: 4, ValueSize: 32768, MaxEntries: 1 << 31}, "max_entries is 2147483648, with values of 32768 bytes"},
	"array_memory":  {ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 1 << 20, MaxEntries: 2000}, "that takes 2000 MiB or more, and the guest has "},
	"array_key":     {ebpf.MapSpec{Type: ebpf.Array, KeySize: 8, ValueSize: 8, MaxEntries: 1}, "key_size is 8, and the kernel makes the map with 4 (invalid argument)"},
	"array_empty":   {ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 8}, "max_entries is 0: the object leaves it to a program in user space how much room the map has; set it as that does, with Scheduler.Resize or MaxEntries in Scheduler.Configure (invalid argument)"},
	"array_nothing": {ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, MaxEntries: 1}, "value_size is 0, and the kernel makes the map with 4"},
	"array_flags":   {ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1, Flags: unix.BPF_F_NO_PREALLOC}, "map_flags is 0x1 (BPF_F_NO_PREALLOC), and the kernel makes the map with 0x0"},
	"lru_flags":     {ebpf.MapSpec{Type: ebpf.LRUHash, KeySize: 4, ValueSize: 8, MaxEntries: 1, Flags: unix.BPF_F_NO_PREALLOC}, "map_flags is 0x1 (BPF_F_NO_PREALLOC), and the kernel makes the map with 0x0"},
	"queue_key":     {ebpf.MapSpec{Type: ebpf.Queue, KeySize: 4, ValueSize: 8, MaxEntries: 1}, "key_size is 4, and the kernel makes the map with 0"},
	"trie_flags":    {ebpf.MapSpec{Type: ebpf.LPMTrie, KeySize: 8, ValueSize: 8, MaxEntries: 1}, "map_flags is 0x0, and the kernel makes the map with 0x1 (BPF_F_NO_PREALLOC)"},
	"arena_flags":   {ebpf.MapSpec{Type: ebpf.Arena, MaxEntries: 1}, "map_flags is 0x0, and the kernel makes the map with 0x400 (BPF_F_MMAPABLE)"},
	"arena_extra":   {ebpf.MapSpec{Type: ebpf.Arena, MaxEntries: 10, Flags: unix.BPF_F_MMAPABLE, MapExtra: 0x1234}, "map_extra is 0x1234, and the kernel makes the map with 0"},
	"maps_unknown":  {ebpf.MapSpec{Type: ebpf.HashOfMaps, KeySize: 4, ValueSize: 4, MaxEntries: 1}, "it does not say which maps are in it: define one of them in it, __array(values, struct { ... })"},
	"perf_unsized":  {ebpf.MapSpec{Type: ebpf.PerfEventArray}, "key_size and value_size are 0, and the kernel makes the map with 4 for each"},
	"no_such_type":  {ebpf.MapSpec{Type: 200, KeySize: 4, ValueSize: 8, MaxEntries: 1}, "the kernel makes no map like this, with key_size 4, value_size 8, max_entries 1, map_flags 0x0 and map_extra 0x0; it may know no maps of this type"},
}

// refuse tries to make the maps, in the guest, and writes the errors.
func refuse() int {
	said := make(map[string]string)
	for name, row := range refusals {
		spec := row.spec
		spec.Name = name
		_, err := bpfload.Load(&bpfload.Spec{CollectionSpec: &ebpf.CollectionSpec{Maps: map[string]*ebpf.MapSpec{name: &spec}}}, name)
		said[name] = fmt.Sprint(err)
	}
	if gob.NewEncoder(os.Stdout).Encode(said) != nil {
		return 1
	}
	return 0
}

func TestMapsThatAreRefusedSayWhatTheKernelWouldTake(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{})
	_, out := runKeeper(t, vm, "refuse")
	var said map[string]string
	require.NoError(t, gob.NewDecoder(out).Decode(&said))
	for name, row := range refusals {
		t.Log(said[name])
		require.Contains(t, said[name], "creating map "+name, name)
		require.Contains(t, said[name], row.want, name)
	}
}

// What is wrong with sched_ext_ops is named, with the kernel's limit.
func TestOperationsThatAreRefusedSayWhatTheKernelWouldTake(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{})
	for name, want := range map[string]string{
		"patient": "filling struct_ops map refused_ops: timeout_ms 60000 is above the kernel's limit of 30000 (argument list too long)",
		"flagged": "flags 0x10000000002 has 0x10000000000, which this kernel does not know; leave it out",
	} {
		err := vm.Attach(bound(t, time.Minute), fault(name))
		var attach *ktest.AttachError
		require.ErrorAs(t, err, &attach, name)
		t.Log(err)
		require.ErrorContains(t, err, want)
	}
	require.NoError(t, vm.Attach(bound(t, time.Minute), fault("docile")), "nothing is left of the trials")
}

// A kernel that lacks one thing, such as an older one, is told by that thing.
func TestWhatTheKernelLacksOfASchedulerIsNamed(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{})
	for name, want := range map[string]string{
		"no-kfunc":      "this kernel has no kfunc scx_bpf_of_next_year, which the program uses: boot a kernel that has it",
		"no-member":     "this kernel has no member scx.next_year.deadline of struct task_struct, which",
		"no-enumerator": "this kernel has no enumerator SCX_ENQ_OF_NEXT_YEAR of enum scx_enq_flags, which",
		"no-operation":  "this kernel's struct sched_ext_ops has no member of_next_year, and the object sets it: boot a kernel that has it",
	} {
		err := vm.Attach(bound(t, time.Minute), fault(name))
		require.Error(t, err, name)
		first, _, _ := strings.Cut(err.Error(), "\n")
		t.Log(first)
		require.Contains(t, first, want, name)
	}
	require.NoError(t, vm.Attach(bound(t, time.Minute), fault("asks")), "a program that asks first is none that lacks something")
}
