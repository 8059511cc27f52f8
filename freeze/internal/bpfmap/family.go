package bpfmap

import "github.com/ktgen/ktgen/runtime"

// Map types that can be copied (enum bpf_map_type, include/uapi/linux/bpf.h).
const (
	typeHash           runtime.MapType = 1
	typeArray          runtime.MapType = 2
	typeProgArray      runtime.MapType = 3
	typePerfEventArray runtime.MapType = 4
	typePerCPUHash     runtime.MapType = 5
	typePerCPUArray    runtime.MapType = 6
	typeStackTrace     runtime.MapType = 7
	typeCgroupArray    runtime.MapType = 8
	typeLRUHash        runtime.MapType = 9
	typeLRUPerCPUHash  runtime.MapType = 10
	typeLPMTrie        runtime.MapType = 11
	typeArrayOfMaps    runtime.MapType = 12
	typeHashOfMaps     runtime.MapType = 13
	typeDevMap         runtime.MapType = 14
	typeSockMap        runtime.MapType = 15
	typeCPUMap         runtime.MapType = 16
	typeXSKMap         runtime.MapType = 17
	typeSockHash       runtime.MapType = 18
	typeCgroupStoreOld runtime.MapType = 19 // BPF_MAP_TYPE_CGROUP_STORAGE_DEPRECATED
	typeReusePortArray runtime.MapType = 20
	typePerCPUCgroup   runtime.MapType = 21 // BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE_DEPRECATED
	typeQueue          runtime.MapType = 22
	typeStack          runtime.MapType = 23
	typeSkStorage      runtime.MapType = 24
	typeDevMapHash     runtime.MapType = 25
	typeStructOps      runtime.MapType = 26
	typeRingBuf        runtime.MapType = 27
	typeInodeStorage   runtime.MapType = 28
	typeTaskStorage    runtime.MapType = 29
	typeBloomFilter    runtime.MapType = 30
	typeUserRingBuf    runtime.MapType = 31
	typeCgroupStorage  runtime.MapType = 32 // BPF_MAP_TYPE_CGRP_STORAGE
	typeArena          runtime.MapType = 33
	typeInsnArray      runtime.MapType = 34
	typeRHash          runtime.MapType = 35
)

// copier copies the entries of a map into its columns. It returns an error if
// the map could not be followed to its end; what it has copied by then stays.
// Limits are not errors: they are recorded by [Map.truncate].
type copier interface {
	copy(p *Pass, m *Map) error
}

// family is map types that the kernel keeps alike.
type family struct {
	types   []runtime.MapType
	resolve func(*resolver) copier // looks up the members of the family
}

var families = []family{
	{[]runtime.MapType{typeArray}, resolveArray},
	{[]runtime.MapType{typeInsnArray}, resolveInsnArray},
	{[]runtime.MapType{typePerCPUArray}, resolvePerCPUArray},
	{[]runtime.MapType{typeHash, typeLRUHash}, resolveHash},
	{[]runtime.MapType{typeRHash}, resolveRHash},
	{[]runtime.MapType{typePerCPUHash, typeLRUPerCPUHash}, resolvePerCPUHash},
	{[]runtime.MapType{typeTaskStorage}, resolveTaskStorage},
	{[]runtime.MapType{typeCgroupStorage}, resolveStorage(typeCgroupStorage)},
	{[]runtime.MapType{typeInodeStorage}, resolveStorage(typeInodeStorage)},
	{[]runtime.MapType{typeSkStorage}, resolveStorage(typeSkStorage)},
	{[]runtime.MapType{typeCgroupStoreOld}, resolveCgroupStorage},
	{[]runtime.MapType{typePerCPUCgroup}, resolvePerCPUCgroupStorage},
	{[]runtime.MapType{typeArena}, resolveArena},
	{[]runtime.MapType{typeStructOps}, resolveStructOps},
	{[]runtime.MapType{typeQueue, typeStack}, resolveQueue},
	{[]runtime.MapType{typeLPMTrie}, resolveTrie},
	{[]runtime.MapType{typeStackTrace}, resolveStackTrace},
	{[]runtime.MapType{typeProgArray}, inMap("bpf_array", "ptrs", progReference)},
	{[]runtime.MapType{typeArrayOfMaps}, inMap("bpf_array", "ptrs", mapReference)},
	{[]runtime.MapType{typePerfEventArray}, inMap("bpf_array", "ptrs", eventReference)},
	{[]runtime.MapType{typeCgroupArray}, inMap("bpf_array", "ptrs", cgroupReference)},
	{[]runtime.MapType{typeReusePortArray}, inMap("reuseport_array", "ptrs", sockReference)},
	{[]runtime.MapType{typeXSKMap}, inMap("xsk_map", "xsk_map", sockReference)},
	{[]runtime.MapType{typeSockMap}, inTable("bpf_stab", "sks", sockOccupant)},
	{[]runtime.MapType{typeDevMap}, inTable("bpf_dtab", "netdev_map", deviceOccupant)},
	{[]runtime.MapType{typeCPUMap}, inTable("bpf_cpu_map", "cpu_map", cpuOccupant)},
	{[]runtime.MapType{typeDevMapHash}, resolveDeviceHash},
	{[]runtime.MapType{typeSockHash}, resolveSockHash},
	{[]runtime.MapType{typeHashOfMaps}, resolveHashOfMaps},
	{[]runtime.MapType{typeRingBuf, typeUserRingBuf}, resolveRingBuf},
}

// unreadable says why there is nothing to copy of some map types.
var unreadable = map[runtime.MapType]string{
	typeBloomFilter: "a bloom filter keeps bits of hashes, and none of its elements",
}
