package memimage

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
)

// Map is the header of a BPF map, in the kernel's terms.
type Map struct {
	ID                                   uint32
	Name                                 string
	Type, KeySize, ValueSize, MaxEntries uint32
	Flags                                uint32
	Extra                                uint64
	KeyType, ValueType, KernelValueType  uint32
	BTF                                  uint64 // address of a struct btf, see [Image.BTF]
	Freed                                bool   // has no references left
	Users                                uint64 // descriptors and pins
}

// Entry is a key with a value, or with one for each CPU.
type Entry struct {
	Key    []byte
	Values [][]byte
}

// Addr is a field of a struct at a.
func Addr(a uint64, typeName, path string) uint64 { return a + Offset(typeName, path) }

// set writes a field of the struct at a.
func (m *Image) set(a uint64, typeName, path string, v uint64) {
	for _, f := range structs[typeName].members {
		if f.path == path {
			m.Put(a+uint64(f.offset), v, f.size)
			return
		}
	}
	panic(fmt.Sprintf("memimage: no %s.%s", typeName, path))
}

// header writes the struct bpf_map at a.
func (m *Image) header(a uint64, h Map) {
	const t = "bpf_map"
	refs := uint64(1)
	if h.Freed {
		refs = 0
	}
	for path, v := range map[string]uint64{
		"map_type": uint64(h.Type), "key_size": uint64(h.KeySize), "value_size": uint64(h.ValueSize),
		"max_entries": uint64(h.MaxEntries), "map_flags": uint64(h.Flags), "map_extra": h.Extra,
		"id": uint64(h.ID), "btf": h.BTF, "btf_key_type_id": uint64(h.KeyType),
		"btf_value_type_id": uint64(h.ValueType), "btf_vmlinux_value_type_id": uint64(h.KernelValueType),
		"refcnt.counter": refs, "usercnt.counter": h.Users,
	} {
		m.set(a, t, path, v)
	}
	m.Write(Addr(a, t, "name"), []byte(h.Name))
}

// Publish puts maps under their ids into map_idr. The tree has as many levels
// as the largest id needs, but at least two.
func (m *Image) Publish(byID map[uint32]uint64) { m.publish("map_idr", byID) }

// PublishPrograms puts programs under their ids into prog_idr, with the addresses of the maps that
// each uses.
func (m *Image) PublishPrograms(used map[uint32][]uint64) {
	byID := make(map[uint32]uint64)
	for id, maps := range used {
		array := m.Alloc(8 * len(maps))
		for i, a := range maps {
			m.Put(array+8*uint64(i), a, 8)
		}
		byID[id] = m.Prog(id)
		aux := m.Get(Addr(byID[id], "bpf_prog", "aux"))
		m.set(aux, "bpf_prog_aux", "used_map_cnt", uint64(len(maps)))
		m.set(aux, "bpf_prog_aux", "used_maps", array)
	}
	m.publish("prog_idr", byID)
}

func (m *Image) publish(symbol string, byID map[uint32]uint64) {
	shift := uint64(6)
	for id := range byID {
		for uint64(id)>>shift > 63 {
			shift += 6
		}
	}
	entries := make(map[uint64]uint64)
	for id, a := range byID {
		entries[uint64(id)] = a
	}
	for s := uint64(0); s <= shift; s += 6 {
		entries = m.nodes(entries, s)
	}
	m.set(m.Symbols[symbol], "idr", "idr_rt.xa_head", entries[0])
}

// nodes puts entries into xa_nodes of a shift, and returns those as entries of
// the level above.
func (m *Image) nodes(entries map[uint64]uint64, shift uint64) map[uint64]uint64 {
	above := make(map[uint64]uint64)
	for _, index := range slices.Sorted(maps.Keys(entries)) {
		tagged := above[index>>6]
		if tagged == 0 {
			tagged = m.Alloc(sizeOf("xa_node")) | 2
			m.set(tagged&^2, "xa_node", "shift", shift)
			above[index>>6] = tagged
		}
		m.Put(Addr(tagged&^2, "xa_node", "slots")+index&63*8, entries[index], 8)
	}
	return above
}

// Array makes a BPF_MAP_TYPE_ARRAY with all values, in vmalloc space.
func (m *Image) Array(h Map, values [][]byte) uint64 {
	elem := int(h.ValueSize+7) &^ 7
	a := m.Vmalloc(sizeOf("bpf_array") + elem*len(values))
	m.header(a, h)
	m.set(a, "bpf_array", "elem_size", uint64(elem))
	for i, v := range values {
		m.Write(Addr(a, "bpf_array", "value")+uint64(i*elem), v)
	}
	return a
}

// InsnArray makes a BPF_MAP_TYPE_INSN_ARRAY.
func (m *Image) InsnArray(h Map, values [][]byte) uint64 {
	a := m.Vmalloc(sizeOf("bpf_insn_array") + int(h.ValueSize)*len(values))
	m.header(a, h)
	m.Write(Addr(a, "bpf_insn_array", "values"), bytes.Join(values, nil))
	return a
}

// PerCPUArray makes a BPF_MAP_TYPE_PERCPU_ARRAY, values[index][cpu].
func (m *Image) PerCPUArray(h Map, values [][][]byte) uint64 {
	a := m.Vmalloc(sizeOf("bpf_array") + 8*len(values))
	m.header(a, h)
	for i, v := range values {
		m.Put(Addr(a, "bpf_array", "pptrs")+uint64(i*8), m.perCPUValue(v), 8)
	}
	return a
}

func (m *Image) perCPUValue(values [][]byte) uint64 {
	pointer := m.PerCPU(len(values[0]))
	for cpu, v := range values {
		m.Write(m.OnCPU(pointer, cpu), v)
	}
	return pointer
}

// Hash makes a hash map of any kind. Entries are put into the buckets in turn,
// each at the head of its list, so that some buckets have several.
func (m *Image) Hash(h Map, buckets int, entries []Entry) uint64 {
	a := m.Alloc(sizeOf("bpf_htab"))
	m.header(a, h)
	table := m.Vmalloc(buckets * sizeOf("bucket"))
	m.set(a, "bpf_htab", "buckets", table)
	m.set(a, "bpf_htab", "n_buckets", uint64(buckets))
	heads := make([]uint64, buckets)
	for i := range heads {
		heads[i] = uint64(i)<<1 | 1
	}
	for i, e := range entries {
		heads[i%buckets] = Addr(m.hashElement(e, heads[i%buckets]), "htab_elem", "hash_node.next")
	}
	for i, head := range heads {
		m.set(table+uint64(i*sizeOf("bucket")), "bucket", "head.first", head)
	}
	counter := m.PerCPU(8)
	m.Put(m.OnCPU(counter, 0), uint64(len(entries)+3), 8)
	minus3 := int64(-3)
	m.Put(m.OnCPU(counter, 1), uint64(minus3), 8)
	m.set(a, "bpf_map", "elem_count", counter)
	return a
}

// HashElements returns the addresses of the elements of a hash map's bucket.
func (m *Image) HashElements(hash uint64, bucket int) []uint64 {
	table := m.Get(Addr(hash, "bpf_htab", "buckets"))
	e := m.Get(Addr(table+uint64(bucket*sizeOf("bucket")), "bucket", "head.first"))
	var elements []uint64
	for ; e&1 == 0; e = m.Get(Addr(elements[len(elements)-1], "htab_elem", "hash_node.next")) {
		elements = append(elements, e-Offset("htab_elem", "hash_node.next"))
	}
	return elements
}

// LinkMaps makes the values of a hash map's elements pointers to maps. The
// values say which, as indices.
func (m *Image) LinkMaps(hash uint64, keySize int, maps []uint64) {
	buckets := int(m.Get(Addr(hash, "bpf_htab", "n_buckets")) & 0xffffffff)
	for b := range buckets {
		for _, e := range m.HashElements(hash, b) {
			value := Addr(e, "htab_elem", "key") + uint64(keySize+7)&^7
			m.Put(value, maps[m.Get(value)&0xffffffff], 8)
		}
	}
}

// Get reads an 8-byte integer at a virtual address that is mapped.
func (m *Image) Get(a uint64) uint64 {
	var b [8]byte
	for i := range b {
		b[i] = m.RAM[m.Phys(a+uint64(i))]
	}
	return binary.LittleEndian.Uint64(b[:])
}

func (m *Image) hashElement(e Entry, next uint64) uint64 {
	key := Offset("htab_elem", "key")
	value := key + uint64(len(e.Key)+7)&^7
	a := m.Alloc(int(value) + max(8, len(e.Values[0])))
	m.set(a, "htab_elem", "hash_node.next", next)
	m.Write(a+key, e.Key)
	if len(e.Values) == 1 {
		m.Write(a+value, e.Values[0])
		return a
	}
	m.Put(a+value, m.perCPUValue(e.Values), 8)
	return a
}

// Stored is a local storage element and the address of its owner.
type Stored struct {
	Owner    uint64
	Value    []byte
	Unlinked bool // is being freed
	Pending  bool // is in the map only, and not yet in its owner's storage
	Rejected bool // is in a storage that its owner does not lead to
	Again    bool // is in the storage of the element before it, which is the same owner's
}

// Storage makes a local storage map.
func (m *Image) Storage(h Map, bucketLog int, elements []Stored) uint64 {
	const t, b = "bpf_local_storage_map", "bpf_local_storage_map_bucket"
	a := m.Alloc(sizeOf(t))
	m.header(a, h)
	table := m.Alloc(sizeOf(b) << bucketLog)
	m.set(a, t, "buckets", table)
	m.set(a, t, "bucket_log", uint64(bucketLog))
	bucket, local := -1, uint64(0)
	for _, e := range elements {
		if !e.Again {
			bucket++
			local = m.localStorage(h.Type, e)
		}
		head := Addr(table+uint64(bucket%(1<<bucketLog)*sizeOf(b)), b, "list.first")
		m.Put(head, Addr(m.storageElement(e, local, m.Get(head)), "bpf_local_storage_elem", "map_node.next"), 8)
	}
	return a
}

// localStorage makes a struct bpf_local_storage, to which its owner leads.
func (m *Image) localStorage(of uint32, e Stored) uint64 {
	local := m.Alloc(sizeOf("bpf_local_storage"))
	m.set(local, "bpf_local_storage", "owner", e.Owner)
	if e.Rejected {
		return local
	}
	switch of {
	case 24:
		m.set(e.Owner, "sock", "sk_bpf_storage", local)
	case 29:
		m.set(e.Owner, "task_struct", "bpf_storage", local)
	case 32:
		m.set(e.Owner, "cgroup", "bpf_cgrp_storage", local)
	}
	return local
}

func (m *Image) storageElement(e Stored, local, next uint64) uint64 {
	const t = "bpf_local_storage_elem"
	a := m.Alloc(int(Offset(t, "sdata.data")) + len(e.Value))
	if !e.Pending {
		m.set(a, t, "snode.pprev", local)
	}
	m.set(a, t, "map_node.next", next)
	m.set(a, t, "local_storage", local)
	m.Write(Addr(a, t, "sdata.data"), e.Value)
	if e.Unlinked {
		m.set(a, t, "state.counter", 1)
	}
	return a
}

// StorageElement returns the address of the first element of a storage map's
// first bucket.
func (m *Image) StorageElement(storage uint64) uint64 {
	head := Addr(m.Get(Addr(storage, "bpf_local_storage_map", "buckets")), "bpf_local_storage_map_bucket", "list.first")
	return m.Get(head) - Offset("bpf_local_storage_elem", "map_node.next")
}

// Task makes a struct task_struct.
func (m *Image) Task(pid, tgid int32, comm string) uint64 {
	a := m.Alloc(sizeOf("task_struct"))
	m.set(a, "task_struct", "usage.refs.counter", 1)
	m.set(a, "task_struct", "pid", uint64(uint32(pid)))
	m.set(a, "task_struct", "tgid", uint64(uint32(tgid)))
	m.Write(Addr(a, "task_struct", "comm"), []byte(comm))
	return a
}

// ArenaScratch as a page in [Image.Arena] is the page that stands in for
// unallocated ones.
var ArenaScratch = []byte("scratch")

// Arena makes an arena with pages by their number.
func (m *Image) Arena(h Map, userStart uint64, pages map[int][]byte) uint64 {
	const t, guard, span = "bpf_arena", 1 << 15, 1 << 32
	a := m.Alloc(sizeOf(t))
	m.header(a, h)
	area := m.Alloc(sizeOf("vm_struct"))
	kernel := m.Reserve(span + 2*guard)
	m.set(area, "vm_struct", "addr", kernel)
	m.set(a, t, "kern_vm", area)
	m.set(a, t, "user_vm_start", userStart)
	scratch := m.Page()
	m.set(a, t, "scratch_page", m.StructPage(scratch))
	count := uint64(0)
	for _, n := range slices.Sorted(maps.Keys(pages)) {
		at := kernel + guard + userStart%span + uint64(n)*PageSize
		if string(pages[n]) == string(ArenaScratch) {
			m.Map(at, scratch)
			continue
		}
		m.Map(at, m.Page())
		m.Write(at, pages[n])
		count++
	}
	m.set(a, t, "nr_pages", count)
	return a
}

// StructOps makes a BPF_MAP_TYPE_STRUCT_OPS.
func (m *Image) StructOps(h Map, value []byte) uint64 {
	a := m.Alloc(sizeOf("bpf_struct_ops_map"))
	m.header(a, h)
	m.Write(Addr(a, "bpf_struct_ops_map", "kvalue"), value)
	return a
}

// Queue makes a BPF_MAP_TYPE_QUEUE or BPF_MAP_TYPE_STACK whose ring starts in
// the middle and wraps around. Values are ordered from the oldest.
func (m *Image) Queue(h Map, values [][]byte) uint64 {
	const t = "bpf_queue_stack"
	size := int(h.MaxEntries) + 1
	a := m.Vmalloc(sizeOf(t) + size*int(h.ValueSize))
	m.header(a, h)
	tail := size / 2
	m.set(a, t, "size", uint64(size))
	m.set(a, t, "tail", uint64(tail))
	m.set(a, t, "head", uint64((tail+len(values))%size))
	for i, v := range values {
		m.Write(Addr(a, t, "elements")+uint64((tail+i)%size*int(h.ValueSize)), v)
	}
	return a
}

// SetQueue sets the indices of a queue or stack.
func (m *Image) SetQueue(queue, head, tail uint64) {
	m.set(queue, "bpf_queue_stack", "head", head)
	m.set(queue, "bpf_queue_stack", "tail", tail)
}

// Record is a record of a ring buffer: its bytes, and the bits that the kernel
// sets beside the length.
type Record struct {
	Data []byte
	Bits uint32
}

// Bits of records.
const (
	RecordBusy      = 1 << 31
	RecordDiscarded = 1 << 30
)

// RingBuf makes a BPF_MAP_TYPE_RINGBUF whose records begin at a position. The
// pages of its data are mapped twice, one after another.
func (m *Image) RingBuf(h Map, start uint64, records []Record) uint64 {
	const t = "bpf_ringbuf"
	a := m.Alloc(sizeOf("bpf_ringbuf_map"))
	m.header(a, h)
	size := uint64(h.MaxEntries)
	rb := m.Reserve(sizeOf(t) + 2*int(size))
	for at := uint64(0); at < uint64(sizeOf(t)); at += PageSize {
		m.Map(rb+at, m.Page())
	}
	data := rb + Offset(t, "data")
	for at := uint64(0); at < size; at += PageSize {
		page := m.Page()
		m.Map(data+at, page)
		m.Map(data+size+at, page)
	}
	m.set(a, "bpf_ringbuf_map", "rb", rb)
	end := start
	for _, r := range records {
		m.Put(data+end%size, uint64(uint32(len(r.Data))|r.Bits), 4)
		m.Write(data+end%size+8, r.Data)
		end += (uint64(len(r.Data)) + 8 + 7) &^ 7
	}
	m.set(rb, t, "consumer_pos", start)
	m.set(rb, t, "producer_pos", end)
	return a
}

// Overwrite makes a ring buffer one that overwrites its oldest records, which
// it has done up to a position.
func (m *Image) Overwrite(ring, position uint64) {
	rb := m.Get(Addr(ring, "bpf_ringbuf_map", "rb"))
	m.set(rb, "bpf_ringbuf", "overwrite_mode", 1)
	m.set(rb, "bpf_ringbuf", "overwrite_pos", position)
}

// SetRing sets the positions of a ring buffer.
func (m *Image) SetRing(ring, consumer, producer uint64) {
	rb := m.Get(Addr(ring, "bpf_ringbuf_map", "rb"))
	m.set(rb, "bpf_ringbuf", "consumer_pos", consumer)
	m.set(rb, "bpf_ringbuf", "producer_pos", producer)
}

// Prog makes a struct bpf_prog.
func (m *Image) Prog(id uint32) uint64 {
	a, aux := m.Alloc(sizeOf("bpf_prog")), m.Alloc(sizeOf("bpf_prog_aux"))
	m.set(a, "bpf_prog", "aux", aux)
	m.set(aux, "bpf_prog_aux", "id", uint64(id))
	return a
}

// References makes a map of pointers, such as BPF_MAP_TYPE_ARRAY_OF_MAPS.
func (m *Image) References(h Map, pointers []uint64) uint64 {
	a := m.Vmalloc(sizeOf("bpf_array") + 8*len(pointers))
	m.header(a, h)
	m.set(a, "bpf_array", "elem_size", 8)
	m.Write(Addr(a, "bpf_array", "ptrs"), words(pointers...))
	return a
}

// Prefix is a node of an LPM trie.
type Prefix struct {
	Bits        int
	Data, Value []byte
	Branch      bool // has no entry
	Children    [2]*Prefix
}

// Trie makes a BPF_MAP_TYPE_LPM_TRIE.
func (m *Image) Trie(h Map, root *Prefix) uint64 {
	a := m.Alloc(sizeOf("lpm_trie"))
	m.header(a, h)
	m.set(a, "lpm_trie", "root", m.trieNode(root))
	return a
}

func (m *Image) trieNode(p *Prefix) uint64 {
	const t = "lpm_trie_node"
	if p == nil {
		return 0
	}
	a := m.Alloc(sizeOf(t) + len(p.Data) + len(p.Value))
	m.set(a, t, "prefixlen", uint64(p.Bits))
	if p.Branch {
		m.set(a, t, "flags", 1)
	}
	m.Write(Addr(a, t, "data"), append(append([]byte(nil), p.Data...), p.Value...))
	m.Write(Addr(a, t, "child"), words(m.trieNode(p.Children[0]), m.trieNode(p.Children[1])))
	return a
}

// Stacks makes a BPF_MAP_TYPE_STACK_TRACE with stacks by their id, in frames of
// frameSize bytes. What follows a stack in its value is not zero.
func (m *Image) Stacks(h Map, slots, frameSize int, stacks map[int][]byte) uint64 {
	const t = "bpf_stack_map"
	a := m.Alloc(sizeOf(t) + 8*slots)
	m.header(a, h)
	m.set(a, t, "n_buckets", uint64(slots))
	for id, stack := range stacks {
		bucket := m.Alloc(sizeOf("stack_map_bucket") + int(h.ValueSize))
		m.set(bucket, "stack_map_bucket", "nr", uint64(len(stack)/frameSize))
		m.Write(Addr(bucket, "stack_map_bucket", "data"), bytes.Repeat([]byte{0xee}, int(h.ValueSize)))
		m.Write(Addr(bucket, "stack_map_bucket", "data"), stack)
		m.Put(Addr(a, t, "buckets")+uint64(8*id), bucket, 8)
	}
	return a
}

// Ksyms makes the list of what the kernel has compiled, with code of size bytes
// at addresses, by name.
func (m *Image) Ksyms(size uint64, code map[string]uint64) {
	head := m.Alloc(16)
	m.Symbols["bpf_kallsyms"] = head
	next := head
	for _, name := range slices.Sorted(maps.Keys(code)) {
		a := m.Alloc(sizeOf("bpf_ksym"))
		m.set(a, "bpf_ksym", "start", code[name])
		m.set(a, "bpf_ksym", "end", code[name]+size)
		m.Write(Addr(a, "bpf_ksym", "name"), []byte(name))
		m.set(a, "bpf_ksym", "lnode.next", next)
		next = Addr(a, "bpf_ksym", "lnode.next")
	}
	m.Put(head, next, 8)
}

// Other makes a map of which only the header is there.
func (m *Image) Other(h Map) uint64 {
	a := m.Alloc(sizeOf("bpf_map"))
	m.header(a, h)
	return a
}

// BTF puts raw BTF into the guest and returns the address of its struct btf.
func (m *Image) BTF(id uint32, name string, raw []byte) uint64 {
	data := m.Vmalloc(len(raw))
	m.Write(data, raw)
	a := m.Alloc(sizeOf("btf"))
	m.set(a, "btf", "data", data)
	m.set(a, "btf", "data_size", uint64(len(raw)))
	m.set(a, "btf", "id", uint64(id))
	m.Write(Addr(a, "btf", "name"), []byte(name))
	return a
}
