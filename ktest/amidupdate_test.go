package ktest_test

import (
	"encoding/binary"
	"encoding/gob"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ktgen/ktgen/ktest"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

const hotQueue = 3 // entries that the queue has room for

// storages are kinds of storage, with the member that leads from an owner to all that it has.
var storages = []struct {
	name     string
	typ      ebpf.MapType
	of, path string
	open     func() (fd int, err error)
}{
	{"hot_task", ebpf.TaskStorage, "task_struct", "bpf_storage", func() (int, error) { return unix.PidfdOpen(os.Getpid(), 0) }},
	{"hot_cgroup", ebpf.CgroupStorage, "cgroup", "bpf_cgrp_storage", func() (int, error) { return unix.Open("/sys/fs/cgroup", unix.O_RDONLY, 0) }},
	{"hot_sock", ebpf.SkStorage, "sock", "sk_bpf_storage", func() (int, error) { return unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0) }},
}

// The guest stops at the writes that an update consists of.
func TestMapsAreRightAmidAnUpdate(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{CPUs: 2})
	_, out := runKeeper(t, vm, "replace")
	var failure string
	require.NoError(t, gob.NewDecoder(out).Decode(&failure))
	require.Empty(t, failure)
	for _, s := range storages {
		t.Run(s.name, func(t *testing.T) { requireNewest(t, vm, s.name, s.of, s.path) })
	}
	for _, end := range []string{"head", "tail"} {
		t.Run("queue "+end, func(t *testing.T) { requireQueueAtItsEnd(t, vm, end) })
	}
}

// requireNewest looks at a storage as its owner gets a new element: the kernel puts it in front of the old one,
// into the map and then into what the owner has, before it takes the old one out.
func requireNewest(t *testing.T, vm *ktest.VM, name, of, path string) {
	before := mapNamed(t, vm.Freeze(name), name)
	owner := requireOneOwner(t, before)
	storage, err := vm.KernelPointer(t.Context(), owner.Addr, of, path)
	require.NoError(t, err)
	was := valueOf(t, before)
	for _, m := range atWrites(t, vm, name, storage, "bpf_local_storage", "list.first", nil) {
		require.Equal(t, owner, requireOneOwner(t, m))
		now := valueOf(t, m)
		require.Greater(t, now, was, "the element that has been put in front is the storage's")
		was = now
	}
}

// requireQueueAtItsEnd looks at a queue between the kernel's increment of an end and its wrap.
func requireQueueAtItsEnd(t *testing.T, vm *ktest.VM, end string) {
	const size = hotQueue + 1 // of its ring
	queue := mapNamed(t, vm.Freeze("queue"), "hot_queue")
	for _, m := range atWrites(t, vm, "hot_queue", queue.Addr, "bpf_queue_stack", end, func(f ktest.Fire) bool { return f.New == size }) {
		require.Equal(t, ktsnap.Complete, m.Status, m.Reason)
		require.Contains(t, []int{hotQueue - 1, hotQueue}, m.N)
		for i := range m.N - 1 {
			require.Equal(t, queued(m, i)+1, queued(m, i+1), "%v", m.Values)
		}
	}
}

func queued(m *ktsnap.Map, i int) uint32 { return binary.LittleEndian.Uint32(m.Values[i*m.Stride:]) }

// atWrites returns the map of that name as it was just after some writes to a member of a struct of the kernel.
func atWrites(t *testing.T, vm *ktest.VM, name string, addr uint64, of, member string, when func(ktest.Fire) bool) (maps []*ktsnap.Map) {
	t.Helper()
	const writes = 4
	ctx := bound(t, time.Minute)
	place, err := vm.KernelMember(ctx, addr, of, member)
	require.NoError(t, err)
	w, err := vm.Watch(ctx, place, ktest.WatchOptions{Capture: t.Name(), Max: writes, When: when})
	require.NoError(t, err)
	_, err = w.Await(ctx, writes)
	require.NoError(t, err)
	for _, fire := range w.Fires() {
		require.NoError(t, fire.CaptureErr)
		maps = append(maps, mapNamed(t, fire.Snapshot, name))
	}
	return maps
}

func requireOneOwner(t *testing.T, m *ktsnap.Map) ktsnap.Owner {
	t.Helper()
	require.Equal(t, ktsnap.Complete, m.Status, m.Reason)
	require.Len(t, m.Owners, 1)
	require.Equal(t, 1, m.N)
	return m.Owners[0]
}

// valueOf returns the number that all words of the value are.
func valueOf(t *testing.T, m *ktsnap.Map) uint32 {
	t.Helper()
	n := binary.LittleEndian.Uint32(m.Values)
	for at := 0; at < valueSize; at += 4 {
		require.Equal(t, n, binary.LittleEndian.Uint32(m.Values[at:]))
	}
	return n
}

// runReplace runs in the guest. It gives one owner of each kind one value after another, and a queue, until standard
// input ends.
func runReplace() int {
	var hot []hotStorage
	var err error
	for _, s := range storages {
		var h hotStorage
		if h, err = newHotStorage(s.name, s.typ, s.open); err != nil {
			err = fmt.Errorf("%s: %w", s.name, err)
			break
		}
		hot = append(hot, h)
	}
	queue, e := ebpf.NewMap(&ebpf.MapSpec{Name: "hot_queue", Type: ebpf.Queue, ValueSize: 4, MaxEntries: hotQueue})
	err = errors.Join(err, e)
	failure := ""
	if err != nil {
		failure = err.Error()
	}
	if gob.NewEncoder(os.Stdout).Encode(failure) != nil || err != nil {
		return 1
	}
	ended := inputEnds()
	for n := uint32(1); !ended.Load(); n++ {
		for _, h := range hot {
			if h.replace(n) != nil {
				return 1
			}
		}
		if pushAndPop(queue, n) != nil {
			return 1
		}
	}
	return 0
}

// pushAndPop keeps the latest numbers in a queue, one less than it has room for.
func pushAndPop(queue *ebpf.Map, n uint32) error {
	if err := update(queue, nil, binary.LittleEndian.AppendUint32(nil, n)); err != nil || n < hotQueue {
		return err
	}
	return queue.LookupAndDelete(nil, make([]byte, 4))
}

type hotStorage struct {
	m   *ebpf.Map
	key []byte // the owner's file descriptor
}

func newHotStorage(name string, typ ebpf.MapType, open func() (int, error)) (h hotStorage, err error) {
	spec := storage(typ)
	spec.Name = name
	if h.m, err = ebpf.NewMap(spec); err != nil {
		return h, err
	}
	fd, err := open()
	if err != nil {
		return h, err
	}
	h.key = binary.LittleEndian.AppendUint32(nil, uint32(fd))
	return h, h.replace(0)
}

func (h hotStorage) replace(n uint32) error {
	var v []byte
	for range valueSize / 4 {
		v = binary.LittleEndian.AppendUint32(v, n)
	}
	return update(h.m, h.key, v)
}
