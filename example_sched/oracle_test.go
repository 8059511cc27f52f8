package examplesched_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/ktgen/ktgen/ktest"
	"github.com/ktgen/ktgen/runtime/ktsnap"
	"github.com/ktgen/ktgen/vmm/guest"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// This file holds what freeze reads against what bpf(2) returns in the guest.
//
// A reader in the guest closes the scheduler's books, so that no map changes
// any more, and says so; the host takes a snapshot; the reader then reads every
// map by system calls and opens the books again.

func TestSnapshotsEqualWhatTheKernelReturns(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{CPUs: 2, Scheduler: scheduler})
	_, err := vm.Work(t.Context(), ktest.Sleep, 3)
	require.NoError(t, err)

	snap, read := freezeWithBooksClosed(t, vm)

	require.Len(t, snap.Maps, len(read))
	for _, m := range snap.Maps {
		t.Run(m.Name, func(t *testing.T) {
			want, ok := read[m.ID]
			require.True(t, ok, "map id %d", m.ID)
			require.Equal(t, ktsnap.Complete, m.Status, m.Reason)
			require.Equal(t, want.Name, m.Name)
			compareEntries(t, m, want)
		})
	}
}

// freezeWithBooksClosed takes a snapshot, and has the reader read the same state.
func freezeWithBooksClosed(t *testing.T, vm *ktest.VM) (*ktsnap.Snapshot, map[uint32]mapContents) {
	t.Helper()
	var snap *ktsnap.Snapshot
	out := whileClosed(t, vm, func() { snap = vm.Freeze("closed") })

	var read []mapContents
	require.NoError(t, json.Unmarshal(out, &read))
	byID := make(map[uint32]mapContents)
	for _, m := range read {
		byID[m.ID] = m
	}
	return snap, byID
}

// whileClosed runs f while the books are closed, and returns what the reader
// read then.
func whileClosed(t *testing.T, vm *ktest.VM, f func()) []byte {
	t.Helper()
	in, proceed := io.Pipe()
	stdout, out := io.Pipe()
	var stderr bytes.Buffer

	done := make(chan error, 1)
	go func() { // ends with the reader
		exit, err := vm.Agent().Exec(t.Context(), guest.Command{
			Args: []string{"/init"},
			Env:  []string{readerEnv + "=1"},
		}, guest.Streams{In: in, Out: out, Err: &stderr})
		if err == nil && exit.Code != 0 {
			err = fmt.Errorf("the reader: %v: %s", exit, stderr.Bytes())
		}
		out.CloseWithError(io.EOF)
		in.Close()
		done <- err
	}()

	lines := bufio.NewReader(stdout)
	if line, err := lines.ReadString('\n'); err != nil || line != closedLine {
		proceed.Close()
		t.Fatalf("the books were not closed: %q, %v, %v", line, err, <-done)
	}
	f()
	require.NoError(t, proceed.Close())
	contents, err := io.ReadAll(lines)
	require.NoError(t, err)
	require.NoError(t, <-done)
	return contents
}

// mapContents is a map as bpf(2) returns it. Of an arena it has the whole
// memory, mapped.
type mapContents struct {
	ID     uint32
	Name   string
	Type   ebpf.MapType
	Keys   [][]byte   // of storage maps: process ids
	Values [][][]byte // by entry and slot
}

// closedLine is what the reader writes when no map changes any more.
const closedLine = "closed\n"

// readMaps is the reader. It holds the books closed until its input ends.
func readMaps(in io.Reader, out io.Writer) error {
	maps, err := openMaps()
	if err != nil {
		return err
	}
	if err := setBooksClosed(maps, true); err != nil {
		return err
	}
	// Programs run in RCU read-side critical sections. This waits for those
	// that began before the flag was set, as synchronize_rcu does.
	const cmdGlobal = 1 // MEMBARRIER_CMD_GLOBAL
	if _, _, errno := unix.Syscall(unix.SYS_MEMBARRIER, cmdGlobal, 0, 0); errno != 0 {
		return fmt.Errorf("membarrier: %w", errno)
	}
	if _, err := io.WriteString(out, closedLine); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, in); err != nil {
		return err
	}

	contents, err := readAll(maps)
	if err != nil {
		return err
	}
	if err := json.NewEncoder(out).Encode(contents); err != nil {
		return err
	}
	return setBooksClosed(maps, false)
}

// openMap is a map with its description.
type openMap struct {
	*ebpf.Map
	id   uint32
	info *ebpf.MapInfo
}

func openMaps() ([]openMap, error) {
	var maps []openMap
	for id := ebpf.MapID(0); ; {
		next, err := ebpf.MapGetNextID(id)
		if errors.Is(err, unix.ENOENT) {
			return maps, nil
		}
		if err != nil {
			return nil, err
		}
		m, err := ebpf.NewMapFromID(next)
		if err != nil {
			return nil, err
		}
		info, err := m.Info()
		if err != nil {
			return nil, err
		}
		maps = append(maps, openMap{m, uint32(next), info})
		id = next
	}
}

func setBooksClosed(maps []openMap, closed bool) error {
	for _, m := range maps {
		if m.info.Name != "sched.bss" {
			continue
		}
		offset, err := varOffset(m, "books_closed")
		if err != nil {
			return err
		}
		// A write of the whole section would undo what the scheduler writes at
		// the same time; .bss is mapped instead.
		mem, err := unix.Mmap(m.FD(), 0, int(m.ValueSize()), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		if err != nil {
			return fmt.Errorf("mapping .bss: %w", err)
		}
		mem[offset] = 0
		if closed {
			mem[offset] = 1
		}
		return unix.Munmap(mem)
	}
	return errors.New("the guest has no map sched.bss")
}

func varOffset(m openMap, name string) (uint32, error) {
	id, ok := m.info.BTFID()
	if !ok {
		return 0, fmt.Errorf("%s has no BTF", m.info.Name)
	}
	handle, err := btf.NewHandleFromID(id)
	if err != nil {
		return 0, err
	}
	defer handle.Close()
	spec, err := handle.Spec(nil)
	if err != nil {
		return 0, err
	}
	var section *btf.Datasec
	if err := spec.TypeByName(".bss", &section); err != nil {
		return 0, err
	}
	for _, v := range section.Vars {
		if v.Type.TypeName() == name {
			return v.Offset, nil
		}
	}
	return 0, fmt.Errorf(".bss has no variable %s", name)
}

func readAll(maps []openMap) ([]mapContents, error) {
	pids, err := taskIDs(maps)
	if err != nil {
		return nil, err
	}
	var all []mapContents
	for _, m := range maps {
		c := mapContents{ID: m.id, Name: m.info.Name, Type: m.Type()}
		switch m.Type() {
		case ebpf.Array:
			c.Values, err = readArray(m)
		case ebpf.PerCPUArray:
			c.Values, err = readPerCPUArray(m)
		case ebpf.Hash:
			c.Keys, c.Values, err = readHash(m)
		case ebpf.TaskStorage:
			c.Keys, c.Values, err = readTaskStorage(m, pids)
		case ebpf.Arena:
			c.Values, err = readArena(m)
		case ebpf.StructOpsMap:
			c.Values, err = readArray(m)
		default:
			err = errors.New("the reader does not know its type")
		}
		if err != nil {
			return nil, fmt.Errorf("reading map %s (%v): %w", m.info.Name, m.Type(), err)
		}
		all = append(all, c)
	}
	return all, nil
}

func readArray(m openMap) (values [][][]byte, err error) {
	for i := range m.MaxEntries() {
		value := make([]byte, m.ValueSize())
		if err := m.Lookup(i, value); err != nil {
			return nil, err
		}
		values = append(values, [][]byte{value})
	}
	return values, nil
}

func readPerCPUArray(m openMap) (values [][][]byte, err error) {
	for i := range m.MaxEntries() {
		var slots [][]byte
		if err := m.Lookup(i, &slots); err != nil {
			return nil, err
		}
		values = append(values, slots)
	}
	return values, nil
}

func readHash(m openMap) (keys [][]byte, values [][][]byte, err error) {
	key, value := make([]byte, m.KeySize()), make([]byte, m.ValueSize())
	for it := m.Iterate(); ; {
		if !it.Next(&key, &value) {
			return keys, values, it.Err()
		}
		keys = append(keys, bytes.Clone(key))
		values = append(values, [][]byte{bytes.Clone(value)})
	}
}

// taskIDs returns the keys of task_ctxs: the tasks there are.
func taskIDs(maps []openMap) ([]int32, error) {
	for _, m := range maps {
		if m.info.Name != "task_ctxs" {
			continue
		}
		var pids []int32
		var pid int32
		value := make([]byte, m.ValueSize())
		it := m.Iterate()
		for it.Next(&pid, &value) {
			pids = append(pids, pid)
		}
		return pids, it.Err()
	}
	return nil, errors.New("the guest has no map task_ctxs")
}

func readTaskStorage(m openMap, pids []int32) (keys [][]byte, values [][][]byte, err error) {
	const pidfdThread = unix.O_EXCL // PIDFD_THREAD: a task, not only its leader
	for _, pid := range pids {
		fd, err := unix.PidfdOpen(int(pid), pidfdThread)
		if errors.Is(err, unix.ESRCH) {
			continue // it has ended since the books were closed
		}
		if err != nil {
			return nil, nil, fmt.Errorf("pidfd_open %d: %w", pid, err)
		}
		value := make([]byte, m.ValueSize())
		err = m.Lookup(uint32(fd), value)
		unix.Close(fd)
		if err != nil {
			return nil, nil, fmt.Errorf("task %d: %w", pid, err)
		}
		keys = append(keys, fmt.Append(nil, pid))
		values = append(values, [][]byte{value})
	}
	return keys, values, nil
}

// readArena maps the arena where its pointers say it is, and reads all of it.
func readArena(m openMap) ([][][]byte, error) {
	extra, _ := m.info.MapExtra()
	size := uintptr(m.MaxEntries()) * 4096
	addr, _, errno := unix.Syscall6(unix.SYS_MMAP, uintptr(extra), size,
		unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_FIXED_NOREPLACE, uintptr(m.FD()), 0)
	if errno != 0 {
		return nil, fmt.Errorf("mmap: %w", errno)
	}
	defer unix.Syscall(unix.SYS_MUNMAP, addr, size, 0)
	memory, err := os.Open("/proc/self/mem")
	if err != nil {
		return nil, err
	}
	defer memory.Close()
	contents := make([]byte, size)
	if _, err := memory.ReadAt(contents, int64(addr)); err != nil {
		return nil, err
	}
	return [][][]byte{{contents}}, nil
}

// compareEntries holds the entries of a captured map against the reader's.
func compareEntries(t *testing.T, m *ktsnap.Map, want mapContents) {
	switch want.Type {
	case ebpf.Arena:
		compareArena(t, m, want.Values[0][0])
	case ebpf.StructOpsMap:
		compareStructOps(t, m, want.Values[0][0])
	case ebpf.Hash:
		require.Equal(t, byKey(want.Keys, want.Values), byKey(entryKeys(m), entryValues(m)))
	case ebpf.TaskStorage:
		compareTaskStorage(t, m, want)
	default:
		require.Equal(t, want.Values, entryValues(m))
	}
}

func entryKeys(m *ktsnap.Map) (keys [][]byte) {
	for i := range m.N {
		keys = append(keys, m.Keys[i*m.KeySize:][:m.KeySize])
	}
	return keys
}

func entryValues(m *ktsnap.Map) (values [][][]byte) {
	for i := range m.N {
		var slots [][]byte
		for slot := range m.Slots {
			slots = append(slots, m.Values[(i*m.Slots+slot)*m.Stride:][:m.ValueSize])
		}
		values = append(values, slots)
	}
	return values
}

func byKey(keys [][]byte, values [][][]byte) map[string][][]byte {
	m := make(map[string][][]byte)
	for i, k := range keys {
		m[string(k)] = values[i]
	}
	return m
}

// compareTaskStorage compares the tasks that the reader could still ask for.
func compareTaskStorage(t *testing.T, m *ktsnap.Map, want mapContents) {
	var keys [][]byte
	for _, owner := range m.Owners {
		keys = append(keys, fmt.Append(nil, owner.PID))
	}
	got := byKey(keys, entryValues(m))
	require.Len(t, got, m.N, "a task has one entry")
	require.NotEmpty(t, want.Keys)
	require.GreaterOrEqual(t, len(got), len(want.Keys))
	for i, key := range want.Keys {
		require.Equal(t, want.Values[i], got[string(key)], "task %s", key)
	}
}

// compareArena compares the pages that were captured, and makes sure that the
// others hold nothing.
func compareArena(t *testing.T, m *ktsnap.Map, want []byte) {
	got := make([]byte, len(want))
	for _, e := range m.Extents {
		require.GreaterOrEqual(t, e.Addr, m.Extra)
		copy(got[e.Addr-m.Extra:], e.Data)
	}
	require.True(t, bytes.Equal(want, got))
	require.True(t, bytes.ContainsFunc(want, func(r rune) bool { return r != 0 }), "the arena is empty")
}

// compareStructOps compares the name of the scheduler: bpf(2) returns program
// ids where the kernel's memory has code addresses, and everything else that
// tally sets is zero or in its name.
func compareStructOps(t *testing.T, m *ktsnap.Map, want []byte) {
	require.Contains(t, string(want), "tally\x00")
	require.Contains(t, string(m.Values), "tally\x00")
}
