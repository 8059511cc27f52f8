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

// mapTypeNames are the kernel's names without BPF_MAP_TYPE_.
var mapTypeNames = [...]string{
	"UNSPEC", "HASH", "ARRAY", "PROG_ARRAY", "PERF_EVENT_ARRAY", "PERCPU_HASH",
	"PERCPU_ARRAY", "STACK_TRACE", "CGROUP_ARRAY", "LRU_HASH",
	"LRU_PERCPU_HASH", "LPM_TRIE", "ARRAY_OF_MAPS", "HASH_OF_MAPS", "DEVMAP",
	"SOCKMAP", "CPUMAP", "XSKMAP", "SOCKHASH", "CGROUP_STORAGE_DEPRECATED",
	"REUSEPORT_SOCKARRAY", "PERCPU_CGROUP_STORAGE_DEPRECATED", "QUEUE", "STACK",
	"SK_STORAGE", "DEVMAP_HASH", "STRUCT_OPS", "RINGBUF", "INODE_STORAGE",
	"TASK_STORAGE", "BLOOM_FILTER", "USER_RINGBUF", "CGRP_STORAGE", "ARENA",
	"INSN_ARRAY", "RHASH",
}

// String returns the kernel's name without BPF_MAP_TYPE_, such as
// "PERCPU_ARRAY".
func (t MapType) String() string {
	if int(t) < len(mapTypeNames) {
		return mapTypeNames[t]
	}
	return "map type " + strconv.Itoa(int(t))
}

// IsPerCPU tells whether maps of the type have a value for each possible CPU.
func (t MapType) IsPerCPU() bool {
	switch t {
	case MapTypePerCPUHash, MapTypePerCPUArray, MapTypeLRUPerCPUHash, MapTypePerCPUCgroupStore:
		return true
	}
	return false
}

// HoldsReferences tells whether maps of the type have, in their occupied slots,
// numbers of objects that the kernel points to; see [Slots].
func (t MapType) HoldsReferences() bool {
	switch t {
	case MapTypeProgArray, MapTypePerfEventArray, MapTypeCgroupArray, MapTypeDevMap, MapTypeSockMap, MapTypeCPUMap,
		MapTypeXSKMap, MapTypeSockHash, MapTypeReusePortArray, MapTypeDevMapHash:
		return true
	}
	return false
}

// Family is the type that stands for all that are read the same way.
func (t MapType) Family() MapType {
	switch t {
	case MapTypeLRUHash, MapTypeRHash, MapTypeCgroupStorageOld:
		return MapTypeHash
	case MapTypeLRUPerCPUHash, MapTypePerCPUCgroupStore:
		return MapTypePerCPUHash
	}
	return t
}

// ParseMapType returns the type that has String's text.
func ParseMapType(text string) (MapType, error) {
	if i := slices.Index(mapTypeNames[:], text); i >= 0 {
		return MapType(i), nil
	}
	number, _ := strings.CutPrefix(text, "map type ")
	n, err := strconv.ParseUint(number, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("there is no map type %q%s", errtext.Clip(text), nearest.Hint(text, mapTypeNames[:]))
	}
	return MapType(n), nil
}

// UntypedValues tells whether the kernel keeps no type of the values of maps of
// a type, whatever their definition says (map_check_btf, kernel/bpf/syscall.c).
func (t MapType) UntypedValues() bool { return t == MapTypeQueue || t == MapTypeStack }

// UntypedKeys is untypedValues for keys.
func (t MapType) UntypedKeys() bool { return t == MapTypeHashOfMaps || t == MapTypeStackTrace }

// SlotSize is the size in bytes of the number of what is in a slot. Values can be
// larger.
const SlotSize = 4

// slotNumber is what values are without BTF.
var slotNumber = &ctype.Shape{Kind: ctype.KindInt, Name: "unsigned int", Size: SlotSize}
