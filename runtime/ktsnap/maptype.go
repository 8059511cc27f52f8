package ktsnap

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/internal/errtext"
	"github.com/ktgen/ktgen/runtime/nearest"
)

// The map types there are (enum bpf_map_type, include/uapi/linux/bpf.h).
const (
	MapTypeHash              MapType = 1
	MapTypeArray             MapType = 2
	MapTypeProgArray         MapType = 3
	MapTypePerfEventArray    MapType = 4
	MapTypePerCPUHash        MapType = 5
	MapTypePerCPUArray       MapType = 6
	MapTypeStackTrace        MapType = 7
	MapTypeCgroupArray       MapType = 8
	MapTypeLRUHash           MapType = 9
	MapTypeLRUPerCPUHash     MapType = 10
	MapTypeLPMTrie           MapType = 11
	MapTypeArrayOfMaps       MapType = 12
	MapTypeHashOfMaps        MapType = 13
	MapTypeDevMap            MapType = 14
	MapTypeSockMap           MapType = 15
	MapTypeCPUMap            MapType = 16
	MapTypeXSKMap            MapType = 17
	MapTypeSockHash          MapType = 18
	MapTypeCgroupStorageOld  MapType = 19
	MapTypeReusePortArray    MapType = 20
	MapTypePerCPUCgroupStore MapType = 21
	MapTypeQueue             MapType = 22
	MapTypeStack             MapType = 23
	MapTypeSkStorage         MapType = 24
	MapTypeDevMapHash        MapType = 25
	MapTypeStructOps         MapType = 26
	MapTypeRingBuf           MapType = 27
	MapTypeInodeStorage      MapType = 28
	MapTypeTaskStorage       MapType = 29
	MapTypeBloomFilter       MapType = 30
	MapTypeUserRingBuf       MapType = 31
	MapTypeCgroupStorage     MapType = 32
	MapTypeArena             MapType = 33
	MapTypeInsnArray         MapType = 34
	MapTypeRHash             MapType = 35
)

// mapKind is what is known of the maps of a type. A type that is new needs a row here,
// and a reader in freeze/internal/bpfmap; CONTRIBUTING.md has the whole list.
type mapKind struct {
	name     string  // the kernel's, without BPF_MAP_TYPE_
	accessor string  // the type of package runtime that generated code reads it through
	as       MapType // that stands for all which are read the same way, if it is not this one
	is       trait

	unreadable string // why there is nothing to copy of it
}

// trait is a set of what is true of the maps of a type.
type trait uint16

const (
	perCPU     trait = 1 << iota // a value for each possible CPU
	keyed                        // entries have keys; those of others are numbered, or owned
	owned                        // an entry for each owner that the guest has, and no size
	single                       // one entry, and no size
	inBytes                      // its size is a number of bytes, a power of two and whole pages
	inPages                      // its size is a number of pages
	initial                      // it can start with entries
	queued                       // values one behind the other, which nothing else tells apart
	maps                         // its values are maps
	references                   // numbers of objects that the kernel points to, in occupied slots
	kernels                      // the kernel relies on what is in it: headers of records, functions

	// The kernel keeps no type of the one side, whatever the definition says
	// (map_check_btf, kernel/bpf/syscall.c).
	untypedKeys
	untypedValues
)

// is tells whether one of the traits is true of the maps of a type.
func (t MapType) is(one trait) bool { return t.kind().is&one != 0 }

var mapKinds = [...]mapKind{
	{name: "UNSPEC"},
	MapTypeHash:              {name: "HASH", accessor: "Hash", is: keyed | initial},
	MapTypeArray:             {name: "ARRAY", accessor: "Array", is: initial},
	MapTypeProgArray:         {name: "PROG_ARRAY", accessor: "Slots", is: references | untypedValues},
	MapTypePerfEventArray:    {name: "PERF_EVENT_ARRAY", accessor: "Slots", is: references | untypedValues},
	MapTypePerCPUHash:        {name: "PERCPU_HASH", accessor: "PerCPUHash", is: perCPU | keyed | initial},
	MapTypePerCPUArray:       {name: "PERCPU_ARRAY", accessor: "PerCPUArray", is: perCPU | initial},
	MapTypeStackTrace:        {name: "STACK_TRACE", accessor: "StackTraces", is: keyed | untypedKeys},
	MapTypeCgroupArray:       {name: "CGROUP_ARRAY", accessor: "Slots", is: references | untypedValues},
	MapTypeLRUHash:           {name: "LRU_HASH", accessor: "Hash", as: MapTypeHash, is: keyed | initial},
	MapTypeLRUPerCPUHash:     {name: "LRU_PERCPU_HASH", accessor: "PerCPUHash", as: MapTypePerCPUHash, is: perCPU | keyed | initial},
	MapTypeLPMTrie:           {name: "LPM_TRIE", accessor: "Trie", is: keyed | initial},
	MapTypeArrayOfMaps:       {name: "ARRAY_OF_MAPS", accessor: "ArrayOfMaps", is: maps},
	MapTypeHashOfMaps:        {name: "HASH_OF_MAPS", accessor: "HashOfMaps", is: keyed | maps | untypedKeys},
	MapTypeDevMap:            {name: "DEVMAP", accessor: "Slots", is: references | untypedValues},
	MapTypeSockMap:           {name: "SOCKMAP", accessor: "Slots", is: references | untypedValues},
	MapTypeCPUMap:            {name: "CPUMAP", accessor: "Slots", is: references | untypedValues},
	MapTypeXSKMap:            {name: "XSKMAP", accessor: "Slots", is: references | untypedValues},
	MapTypeSockHash:          {name: "SOCKHASH", accessor: "Hash", is: keyed | references | untypedKeys | untypedValues},
	MapTypeCgroupStorageOld:  {name: "CGROUP_STORAGE_DEPRECATED", accessor: "Hash", as: MapTypeHash, is: keyed | owned},
	MapTypeReusePortArray:    {name: "REUSEPORT_SOCKARRAY", accessor: "Slots", is: references | untypedValues},
	MapTypePerCPUCgroupStore: {name: "PERCPU_CGROUP_STORAGE_DEPRECATED", accessor: "PerCPUHash", as: MapTypePerCPUHash, is: perCPU | keyed | owned},
	MapTypeQueue:             {name: "QUEUE", accessor: "Queue", is: queued | initial | untypedValues},
	MapTypeStack:             {name: "STACK", accessor: "Queue", is: queued | initial | untypedValues},
	MapTypeSkStorage:         {name: "SK_STORAGE", accessor: "Storage", is: owned},
	MapTypeDevMapHash:        {name: "DEVMAP_HASH", accessor: "Hash", is: keyed | references | untypedKeys | untypedValues},
	MapTypeStructOps:         {name: "STRUCT_OPS", accessor: "StructOps", is: single | kernels},
	MapTypeRingBuf:           {name: "RINGBUF", accessor: "RingBuf", is: inBytes | kernels},
	MapTypeInodeStorage:      {name: "INODE_STORAGE", accessor: "Storage", is: owned},
	MapTypeTaskStorage:       {name: "TASK_STORAGE", accessor: "TaskStorage", is: owned},
	MapTypeBloomFilter:       {name: "BLOOM_FILTER", unreadable: "a bloom filter keeps bits of hashes, and none of its elements"},
	MapTypeUserRingBuf:       {name: "USER_RINGBUF", accessor: "RingBuf", is: inBytes},
	MapTypeCgroupStorage:     {name: "CGRP_STORAGE", accessor: "Storage", is: owned},
	MapTypeArena:             {name: "ARENA", accessor: "Arena", is: inPages},
	MapTypeInsnArray:         {name: "INSN_ARRAY", accessor: "Array", is: kernels},
	MapTypeRHash:             {name: "RHASH", accessor: "Hash", as: MapTypeHash, is: keyed | initial},
}

// kind is the row of the type, of an empty one if it is newer than ktgen.
func (t MapType) kind() *mapKind {
	if int(t) < len(mapKinds) {
		return &mapKinds[t]
	}
	return &mapKind{}
}

// String returns the kernel's name without BPF_MAP_TYPE_, such as
// "PERCPU_ARRAY".
func (t MapType) String() string {
	if name := t.kind().name; name != "" {
		return name
	}
	return "map type " + strconv.Itoa(int(t))
}

// IsPerCPU tells whether maps of the type have a value for each possible CPU.
func (t MapType) IsPerCPU() bool { return t.is(perCPU) }

// HoldsReferences tells whether maps of the type have, in their occupied slots,
// numbers of objects that the kernel points to.
func (t MapType) HoldsReferences() bool { return t.is(references) }

// Accessor is the type of package runtime that generated code reads maps of the type
// through, such as "PerCPUArray"; empty if there is none.
func (t MapType) Accessor() string { return t.kind().accessor }

// Unreadable says why there is nothing to copy of maps of the type; empty if there is.
func (t MapType) Unreadable() string { return t.kind().unreadable }

// Family is the type that stands for all that are read the same way.
func (t MapType) Family() MapType {
	if as := t.kind().as; as != 0 {
		return as
	}
	return t
}

// UntypedValues tells whether the kernel keeps no type of the values of maps of
// the type.
func (t MapType) UntypedValues() bool { return t.is(untypedValues) }

// UntypedKeys is UntypedValues for keys.
func (t MapType) UntypedKeys() bool { return t.is(untypedKeys) }

// HasKeys tells whether entries of maps of the type have keys. Those of others are
// numbered, or have owners.
func (t MapType) HasKeys() bool { return t.is(keyed) }

// HasOwners tells whether maps of the type have an entry for each owner that the guest
// has: a task, a cgroup, an inode or a socket.
func (t MapType) HasOwners() bool { return t.is(owned) }

// IsQueue tells whether maps of the type are queues or stacks.
func (t MapType) IsQueue() bool { return t.is(queued) }

// HasSize tells whether maps of the type have room for a number of entries that their
// max_entries says. Others have an entry for each owner, or one.
func (t MapType) HasSize() bool { return !t.is(owned | single) }

// HoldsMaps tells whether the values of maps of the type are maps.
func (t MapType) HoldsMaps() bool { return t.is(maps) }

// IsKernelOwned tells whether the kernel relies on what is in maps of the type: on
// headers of records, on functions, and on pointers, whose targets' numbers a
// capture has in their place.
func (t MapType) IsKernelOwned() bool { return t.is(kernels | maps | references) }

// ParseMapType returns the type that has String's text.
func ParseMapType(text string) (MapType, error) {
	named := func(k mapKind) bool { return k.name == text }
	if i := slices.IndexFunc(mapKinds[:], named); i >= 0 {
		return MapType(i), nil
	}
	number, _ := strings.CutPrefix(text, "map type ")
	n, err := strconv.ParseUint(number, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("there is no map type %q%s", errtext.Clip(text), nearest.Hint(text, mapTypeNames()))
	}
	return MapType(n), nil
}

func mapTypeNames() (names []string) {
	for _, k := range mapKinds {
		names = append(names, k.name)
	}
	return names
}

// SlotSize is the size in bytes of the number that stands for what is in a slot. Values
// can be larger.
const SlotSize = 4

// slotNumber is what values are without BTF.
var slotNumber = &ctype.Shape{Kind: ctype.KindInt, Name: "unsigned int", Size: SlotSize}

// PrefixLenSize is the size in bytes of the length that the key of a trie begins with
// (struct bpf_lpm_trie_key_hdr, include/uapi/linux/bpf.h).
const PrefixLenSize = 4
