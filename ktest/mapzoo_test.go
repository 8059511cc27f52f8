package ktest_test

// This file runs in the guest: it makes maps of all kinds that package freeze
// reads, fills them, and reports what bpf(2) says is in them.

import (
	"encoding/binary"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"

	"github.com/ktgen/ktgen/ktest/internal/bpfload"
)

// zooEnv makes the test binary the keeper of the maps, see [runZoo].
const zooEnv = "KTGEN_TEST_MAP_ZOO"

// zoo is what the guest says its maps hold.
type zoo struct {
	Maps   []zooMap
	Tasks  map[int32][]byte  // task storage by thread id
	Owned  map[string]int    // other storage: number of entries by map name
	Pages  map[uint64][]byte // arena pages by user address
	Queued map[string][][]byte
	Rings  map[string][]zooRecord       // what a consumer has not consumed, from the oldest on
	Slots  map[string]map[uint32]uint64 // what is in the occupied slots of arrays of references
	Newer  []string                     // names of maps whose type the kernel does not have yet
	Err    string
}

// zooRecord is a record of a ring buffer.
type zooRecord struct {
	Data      []byte
	Discarded bool
}

// zooMap is a map and its entries as bpf(2) returned them, a value for each
// CPU that can be.
type zooMap struct {
	ID      uint32
	Name    string
	Entries []zooEntry
}

type zooEntry struct {
	Key    []byte
	Values [][]byte
}

// runZoo makes maps, writes a zoo to standard output and keeps the maps until
// standard input ends. Standard input begins with a BPF object, whose maps are
// filled as well. In the role "idle" it only waits, and in the role "churn" it
// resizes a map.
func runZoo(role string) int {
	switch role {
	case "churn":
		return runChurn()
	case "replace":
		return runReplace()
	case "large_hash", "large_array", "large_pointers":
		return runLarge(role)
	case "loopback":
		return talkToItself()
	case "refuse":
		return refuse()
	case "idle":
		_, _ = io.Copy(io.Discard, os.Stdin)
		return 0
	}
	k := &keeper{zoo: zoo{
		Tasks: make(map[int32][]byte), Owned: make(map[string]int),
		Pages: make(map[uint64][]byte), Queued: make(map[string][][]byte),
		Rings: make(map[string][]zooRecord), Slots: make(map[string]map[uint32]uint64),
	}}
	var object []byte
	in := gob.NewDecoder(os.Stdin)
	err := in.Decode(&object)
	if err == nil {
		err = k.keep(object)
	}
	if err != nil {
		k.zoo.Err = err.Error()
	}
	if err := gob.NewEncoder(os.Stdout).Encode(k.zoo); err != nil {
		return 1
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
	goruntime.KeepAlive(k)
	return 0
}

type keeper struct {
	zoo  zoo
	maps map[string]*ebpf.Map
	open []io.Closer
}

func (k *keeper) keep(object []byte) error {
	for _, step := range []func() error{
		k.makeMaps,
		func() error { return k.load(object) },
		k.fillTables, k.deleteSome, k.fillTrie, k.fillInsns, k.fillReferences, k.fillQueues, k.fillTasks, k.fillCgroups, k.fillAttached, k.fillInodes, k.fillArena,
		k.fillRings, k.fillUserRing, k.fillStacks, k.fillSlots,
		k.dump,
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

const (
	arenaBase  = 1 << 44
	arenaPages = 1 << 20 // 4 GiB
	valueSize  = 28

	insnArray ebpf.MapType = 34 // BPF_MAP_TYPE_INSN_ARRAY
	rhash     ebpf.MapType = 35 // BPF_MAP_TYPE_RHASH
)

// makeMaps makes the maps that need no object.
func (k *keeper) makeMaps() error {
	innerMap := &ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 4}
	k.maps = make(map[string]*ebpf.Map)
	for name, spec := range map[string]*ebpf.MapSpec{
		"array":        {Type: ebpf.Array, KeySize: 4, ValueSize: valueSize, MaxEntries: 1000},
		"array_odd":    {Type: ebpf.Array, KeySize: 4, ValueSize: 13, MaxEntries: 777},
		"array_huge":   {Type: ebpf.Array, KeySize: 4, ValueSize: 5 << 20, MaxEntries: 1},
		"array_mmap":   {Type: ebpf.Array, KeySize: 4, ValueSize: valueSize, MaxEntries: 5000, Flags: unix.BPF_F_MMAPABLE},
		"percpu":       {Type: ebpf.PerCPUArray, KeySize: 4, ValueSize: valueSize, MaxEntries: 300},
		"hash":         {Type: ebpf.Hash, KeySize: 11, ValueSize: valueSize, MaxEntries: 2000},
		"hash_big":     {Type: ebpf.Hash, KeySize: 4, ValueSize: 9000, MaxEntries: 30},
		"hash_lazy":    {Type: ebpf.Hash, KeySize: 12, ValueSize: 13, MaxEntries: 20000, Flags: unix.BPF_F_NO_PREALLOC},
		"hash_empty":   {Type: ebpf.Hash, KeySize: 4, ValueSize: 8, MaxEntries: 10},
		"rhash":        {Type: rhash, KeySize: 11, ValueSize: valueSize, MaxEntries: 5000, Flags: unix.BPF_F_NO_PREALLOC},
		"rhash_small":  {Type: rhash, KeySize: 4, ValueSize: 13, MaxEntries: 3, Flags: unix.BPF_F_NO_PREALLOC},
		"insns":        {Type: insnArray, KeySize: 4, ValueSize: 16, MaxEntries: insnCount, Key: intType(), Value: insnValue()},
		"attached":     {Type: ebpf.CGroupStorage, KeySize: 16, ValueSize: valueSize, Key: attachedKey(), Value: valueType()},
		"attached_cpu": {Type: ebpf.PerCPUCGroupStorage, KeySize: 8, ValueSize: 13},
		"lru":          {Type: ebpf.LRUHash, KeySize: 4, ValueSize: valueSize, MaxEntries: 500},
		"lru_split":    {Type: ebpf.LRUHash, KeySize: 4, ValueSize: valueSize, MaxEntries: 500, Flags: unix.BPF_F_NO_COMMON_LRU},
		"phash":        {Type: ebpf.PerCPUHash, KeySize: 4, ValueSize: 13, MaxEntries: 400},
		"phash_lazy":   {Type: ebpf.PerCPUHash, KeySize: 4, ValueSize: valueSize, MaxEntries: 400, Flags: unix.BPF_F_NO_PREALLOC},
		"plru":         {Type: ebpf.LRUCPUHash, KeySize: 4, ValueSize: valueSize, MaxEntries: 400},
		"trie":         {Type: ebpf.LPMTrie, KeySize: 8, ValueSize: valueSize, MaxEntries: 100, Flags: unix.BPF_F_NO_PREALLOC},
		"outer":        {Type: ebpf.ArrayOfMaps, KeySize: 4, ValueSize: 4, MaxEntries: 5, InnerMap: innerMap},
		"outer_hash":   {Type: ebpf.HashOfMaps, KeySize: 4, ValueSize: 4, MaxEntries: 5, InnerMap: innerMap},
		"inner_0":      innerMap.Copy(),
		"inner_1":      innerMap.Copy(),
		"queue":        {Type: ebpf.Queue, ValueSize: valueSize, MaxEntries: 20},
		"stack":        {Type: ebpf.Stack, ValueSize: 13, MaxEntries: 20},
		"stacks":       {Type: ebpf.StackTrace, KeySize: 4, ValueSize: 127 * 8, MaxEntries: 64},
		"ring":         {Type: ebpf.RingBuf, MaxEntries: ringSize},
		"ring_user":    {Type: ebpf.UserRingbuf, MaxEntries: ringSize},
		"bloom":        {Type: ebpf.BloomFilter, ValueSize: 4, MaxEntries: 10},
		"zoo_tasks":    storage(ebpf.TaskStorage),
		"zoo_cgroups":  storage(ebpf.CgroupStorage),
		"zoo_inodes":   storage(ebpf.InodeStorage),
		"zoo_arena":    {Type: ebpf.Arena, MaxEntries: arenaPages, Flags: unix.BPF_F_MMAPABLE, MapExtra: arenaBase},
	} {
		spec.Name = name
		m, err := ebpf.NewMap(spec)
		if name == "zoo_inodes" && err != nil {
			continue // needs the BPF LSM
		}
		if spec.Type >= insnArray && errors.Is(err, unix.EINVAL) {
			k.zoo.Newer = append(k.zoo.Newer, name)
			continue
		}
		if err != nil {
			return fmt.Errorf("make map %s: %w", name, err)
		}
		k.maps[name] = m
	}
	return nil
}

func storage(t ebpf.MapType) *ebpf.MapSpec {
	return &ebpf.MapSpec{Type: t, KeySize: 4, ValueSize: valueSize, Key: intType(), Value: valueType(), Flags: unix.BPF_F_NO_PREALLOC}
}

func intType() *btf.Int { return &btf.Int{Name: "int", Size: 4, Encoding: btf.Signed} }

// valueType has valueSize bytes.
func valueType() *btf.Struct {
	return &btf.Struct{Name: "value", Size: valueSize, Members: []btf.Member{
		{Name: "data", Type: &btf.Array{Index: intType(), Type: &btf.Int{Name: "u32", Size: 4}, Nelems: valueSize / 4}},
	}}
}

// load loads an object, and takes its maps over.
func (k *keeper) load(object []byte) error {
	spec, err := bpfload.Read(object)
	if err != nil {
		return err
	}
	coll, err := bpfload.Load(spec, "object")
	if err != nil {
		return err
	}
	for name, m := range coll.Maps {
		k.maps["object "+name] = m
	}
	return nil
}

// perCPU says whether maps of a type have a value for each CPU.
func perCPU(t ebpf.MapType) bool {
	return t == ebpf.PerCPUArray || t == ebpf.PerCPUHash || t == ebpf.LRUCPUHash || t == ebpf.PerCPUCGroupStorage
}

// lookedUp says whether bpf(2) can list the entries of maps of a type.
func lookedUp(t ebpf.MapType) bool {
	switch t {
	case ebpf.Array, ebpf.PerCPUArray, ebpf.Hash, ebpf.PerCPUHash, ebpf.LRUHash, ebpf.LRUCPUHash, rhash,
		insnArray, ebpf.CGroupStorage, ebpf.PerCPUCGroupStorage, ebpf.LPMTrie, ebpf.ArrayOfMaps, ebpf.HashOfMaps, ebpf.StackTrace:
		return true
	}
	return false
}

// filledWithNoise says whether maps of a type take any key and value.
func filledWithNoise(t ebpf.MapType) bool {
	switch t {
	case insnArray, ebpf.CGroupStorage, ebpf.PerCPUCGroupStorage, ebpf.LPMTrie, ebpf.ArrayOfMaps, ebpf.HashOfMaps, ebpf.StackTrace:
		return false
	}
	return lookedUp(t)
}

// bufferSize is how many bytes bpf(2) takes for a value of m.
func bufferSize(m *ebpf.Map) int {
	if !perCPU(m.Type()) {
		return int(m.ValueSize())
	}
	return (int(m.ValueSize()) + 7) &^ 7 * ebpf.MustPossibleCPU()
}

func noise(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rand.Uint32())
	}
	return b
}

// key returns the i-th key of a map.
func key(m *ebpf.Map, i int) []byte {
	k := make([]byte, max(4, m.KeySize()))
	binary.LittleEndian.PutUint32(k, uint32(i))
	for at := 4; at < len(k); at++ {
		k[at] = byte(i * at)
	}
	return k[:m.KeySize()]
}

// fillTables puts noise into every map with keys: all of an array, most of a
// hash, more into an LRU hash than it holds.
func (k *keeper) fillTables() error {
	for name, m := range k.maps {
		info, err := m.Info()
		if err != nil {
			return err
		}
		if !filledWithNoise(m.Type()) || info.Frozen() || name == "hash_empty" {
			continue
		}
		n := int(m.MaxEntries())
		switch m.Type() {
		case ebpf.Hash, ebpf.PerCPUHash, rhash:
			n = min(n*4/5, 15000)
		case ebpf.LRUHash, ebpf.LRUCPUHash:
			n = n * 3 / 2
		}
		for i := range n {
			v := noise(bufferSize(m))
			if len(v) > 1<<20 {
				clear(v[1<<20 : 4<<20])
			}
			if err := update(m, key(m, i), v); err != nil {
				return fmt.Errorf("update %s: %w", name, err)
			}
		}
	}
	return nil
}

// deleteSome makes holes in hashes and updates elements in place of others.
func (k *keeper) deleteSome() error {
	for _, name := range []string{"hash", "hash_lazy", "phash_lazy", "rhash"} {
		m := k.maps[name]
		if m == nil {
			continue
		}
		for i := 0; i < 300; i += 3 {
			if err := m.Delete(key(m, i)); err != nil {
				return fmt.Errorf("delete from %s: %w", name, err)
			}
			if err := update(m, key(m, i+1), noise(bufferSize(m))); err != nil {
				return fmt.Errorf("update %s: %w", name, err)
			}
		}
	}
	return nil
}

// fillTrie adds prefixes of all lengths, some of which cover others.
func (k *keeper) fillTrie() error {
	for bits := range 33 {
		prefix := binary.LittleEndian.AppendUint32(nil, uint32(bits))
		prefix = append(prefix, 10, byte(bits), byte(bits*37), byte(bits*5))
		if err := update(k.maps["trie"], prefix, noise(valueSize)); err != nil {
			return fmt.Errorf("update trie: %w", err)
		}
	}
	return nil
}

// fillReferences puts maps into maps.
func (k *keeper) fillReferences() error {
	for name, slots := range map[string][]uint32{"outer": {1, 4}, "outer_hash": {1000, 7}} {
		for i, slot := range slots {
			if err := k.maps[name].Put(slot, k.maps[fmt.Sprintf("inner_%d", i)]); err != nil {
				return fmt.Errorf("update %s: %w", name, err)
			}
		}
	}
	return nil
}

// fillQueues leaves values in queues whose rings have wrapped around.
func (k *keeper) fillQueues() error {
	for _, name := range []string{"queue", "stack"} {
		m := k.maps[name]
		var list [][]byte
		for range 3 * int(m.MaxEntries()) {
			v := noise(int(m.ValueSize()))
			if len(list) == int(m.MaxEntries())-3 {
				if err := m.LookupAndDelete(nil, new([]byte)); err != nil {
					return fmt.Errorf("pop from %s: %w", name, err)
				}
				if name == "stack" {
					list = list[:len(list)-1]
				} else {
					list = list[1:]
				}
			}
			if err := m.Put(nil, v); err != nil {
				return fmt.Errorf("push to %s: %w", name, err)
			}
			list = append(list, v)
		}
		k.zoo.Queued[name] = list
	}
	return nil
}

// fillStacks keeps the stack of a program that this process runs.
func (k *keeper) fillStacks() error {
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Name: "zoo_stack", Type: ebpf.RawTracepoint, License: "GPL", Instructions: asm.Instructions{
		asm.LoadMapPtr(asm.R2, k.maps["stacks"].FD()),
		asm.Mov.Imm(asm.R3, 0),
		asm.FnGetStackid.Call(),
		asm.Return(),
	}})
	if err != nil {
		return fmt.Errorf("load a program that keeps its stack: %w", err)
	}
	k.open = append(k.open, p) // for its code to have a name
	id, err := p.Run(&ebpf.RunOptions{})
	if err == nil && int32(id) < 0 {
		err = fmt.Errorf("bpf_get_stackid returned %d", int32(id))
	}
	return err
}

// fillTasks starts processes and gives most of them, and this one, storage.
func (k *keeper) fillTasks() error {
	pids := []int{os.Getpid()}
	for i := range 12 {
		c := exec.Command("/proc/self/exe")
		c.Env = append(os.Environ(), zooEnv+"=idle")
		in, err := c.StdinPipe()
		if err != nil {
			return err
		}
		if err := c.Start(); err != nil {
			return err
		}
		k.open = append(k.open, in) // ends with this process
		if i%4 != 0 {
			pids = append(pids, c.Process.Pid)
		}
	}
	m := k.maps["zoo_tasks"]
	for _, pid := range pids {
		fd, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			return err
		}
		v := noise(valueSize)
		if err := update(m, binary.LittleEndian.AppendUint32(nil, uint32(fd)), v); err != nil {
			return fmt.Errorf("give task %d storage: %w", pid, err)
		}
		k.zoo.Tasks[int32(pid)] = v
	}
	return nil
}

func (k *keeper) fillCgroups() error {
	root := "/sys/fs/cgroup"
	for i := range 5 {
		dir := filepath.Join(root, fmt.Sprintf("zoo-%d", i))
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		if err := k.own("zoo_cgroups", dir); err != nil {
			return err
		}
	}
	return nil
}

func (k *keeper) fillInodes() error {
	if k.maps["zoo_inodes"] == nil {
		return nil
	}
	for i := range 5 {
		file := filepath.Join(os.TempDir(), fmt.Sprintf("zoo-%d", i))
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			return err
		}
		if err := k.own("zoo_inodes", file); err != nil {
			return err
		}
	}
	return nil
}

// own gives what is at path an entry of a storage map.
func (k *keeper) own(name, path string) error {
	fd, err := unix.Open(path, unix.O_RDONLY, 0)
	if err != nil {
		return fmt.Errorf("open %s: %w", path, err)
	}
	m := k.maps[name]
	if err := update(m, binary.LittleEndian.AppendUint32(nil, uint32(fd)), noise(int(m.ValueSize()))); err != nil {
		return fmt.Errorf("give %s storage: %w", path, err)
	}
	k.zoo.Owned[name]++
	return nil
}

// fillArena writes to pages from one end of the arena to the other.
func (k *keeper) fillArena() error {
	base, err := unix.MmapPtr(k.maps["zoo_arena"].FD(), 0, unsafe.Add(nil, arenaBase), arenaPages*4096,
		unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_FIXED)
	if err != nil {
		return fmt.Errorf("map the arena: %w", err)
	}
	for _, n := range []int{0, 1, 2, 511, 512, 513, 1000, 100_000, 524_288, arenaPages - 1} {
		page := noise(4096)
		copy(unsafe.Slice((*byte)(unsafe.Add(base, n*4096)), 4096), page)
		k.zoo.Pages[arenaBase+uint64(n)*4096] = page
	}
	return nil
}

// dump lists the entries of the maps.
func (k *keeper) dump() error {
	for name, m := range k.maps {
		if !lookedUp(m.Type()) {
			continue
		}
		info, err := m.Info()
		if err != nil {
			return err
		}
		id, _ := info.ID()
		z := zooMap{ID: uint32(id), Name: info.Name}
		for at := []byte(nil); ; {
			next := make([]byte, m.KeySize())
			if err := nextKey(m, at, next); errors.Is(err, unix.ENOENT) {
				break
			} else if err != nil {
				return fmt.Errorf("list %s: %w", name, err)
			}
			v := make([]byte, bufferSize(m))
			err := lookup(m, next, v)
			if errors.Is(err, unix.ENOENT) && m.Type() == ebpf.ArrayOfMaps {
				err = nil // an empty slot, which is captured as id 0
			}
			if err != nil {
				return fmt.Errorf("look up in %s: %w", name, err)
			}
			z.Entries = append(z.Entries, zooEntry{Key: next, Values: split(m, v)})
			at = next
		}
		k.zoo.Maps = append(k.zoo.Maps, z)
	}
	return nil
}

// split separates the values of the CPUs.
func split(m *ebpf.Map, v []byte) [][]byte {
	if !perCPU(m.Type()) {
		return [][]byte{v}
	}
	var values [][]byte
	size := int(m.ValueSize())
	for aligned := (size + 7) &^ 7; len(v) > 0; v = v[aligned:] {
		values = append(values, v[:size])
	}
	return values
}

// mapAttr is the part of union bpf_attr that the map commands take.
type mapAttr struct {
	fd, _            uint32
	key, value, flag uint64
}

func lookup(m *ebpf.Map, key, value []byte) error  { return command(1, m, key, value) }
func update(m *ebpf.Map, key, value []byte) error  { return command(2, m, key, value) }
func nextKey(m *ebpf.Map, key, value []byte) error { return command(4, m, key, value) }

// command is a map command of bpf(2), without the decoding of cilium/ebpf.
func command(cmd uintptr, m *ebpf.Map, key, value []byte) error {
	var pin goruntime.Pinner
	defer pin.Unpin()
	address := func(b []byte) uint64 {
		if len(b) == 0 {
			return 0
		}
		pin.Pin(&b[0])
		return uint64(uintptr(unsafe.Pointer(&b[0])))
	}
	attr := mapAttr{fd: uint32(m.FD()), key: address(key), value: address(value)}
	if _, _, e := unix.Syscall(unix.SYS_BPF, cmd, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr)); e != 0 {
		return e
	}
	return nil
}
