package bpfmap

import (
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// Map types that can be copied (enum bpf_map_type, include/uapi/linux/bpf.h).
const (
	typeHash           ktsnap.MapType = 1
	typeArray          ktsnap.MapType = 2
	typeProgArray      ktsnap.MapType = 3
	typePerfEventArray ktsnap.MapType = 4
	typePerCPUHash     ktsnap.MapType = 5
	typePerCPUArray    ktsnap.MapType = 6
	typeStackTrace     ktsnap.MapType = 7
	typeCgroupArray    ktsnap.MapType = 8
	typeLRUHash        ktsnap.MapType = 9
	typeLRUPerCPUHash  ktsnap.MapType = 10
	typeLPMTrie        ktsnap.MapType = 11
	typeArrayOfMaps    ktsnap.MapType = 12
	typeHashOfMaps     ktsnap.MapType = 13
	typeDevMap         ktsnap.MapType = 14
	typeSockMap        ktsnap.MapType = 15
	typeCPUMap         ktsnap.MapType = 16
	typeXSKMap         ktsnap.MapType = 17
	typeSockHash       ktsnap.MapType = 18
	typeCgroupStoreOld ktsnap.MapType = 19 // BPF_MAP_TYPE_CGROUP_STORAGE_DEPRECATED
	typeReusePortArray ktsnap.MapType = 20
	typePerCPUCgroup   ktsnap.MapType = 21 // BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE_DEPRECATED
	typeQueue          ktsnap.MapType = 22
	typeStack          ktsnap.MapType = 23
	typeSkStorage      ktsnap.MapType = 24
	typeDevMapHash     ktsnap.MapType = 25
	typeStructOps      ktsnap.MapType = 26
	typeRingBuf        ktsnap.MapType = 27
	typeInodeStorage   ktsnap.MapType = 28
	typeTaskStorage    ktsnap.MapType = 29
	typeBloomFilter    ktsnap.MapType = 30
	typeUserRingBuf    ktsnap.MapType = 31
	typeCgroupStorage  ktsnap.MapType = 32 // BPF_MAP_TYPE_CGRP_STORAGE
	typeArena          ktsnap.MapType = 33
	typeInsnArray      ktsnap.MapType = 34
	typeRHash          ktsnap.MapType = 35
)

// copier copies the entries of a map into its columns. It returns an error if
// the map could not be followed to its end; what it has copied by then stays.
// Limits are not errors: they are recorded by [Map.truncate].
type copier interface {
	copy(p *Pass, m *Map) error
}

// family is map types that the kernel keeps alike.
type family struct {
	types   []ktsnap.MapType
	resolve func(*resolver) copier // looks up the members of the family
}

var families = []family{
	{[]ktsnap.MapType{typeArray}, resolveArray},
	{[]ktsnap.MapType{typeInsnArray}, resolveInsnArray},
	{[]ktsnap.MapType{typePerCPUArray}, resolvePerCPUArray},
	{[]ktsnap.MapType{typeHash, typeLRUHash}, resolveHash},
	{[]ktsnap.MapType{typeRHash}, resolveRHash},
	{[]ktsnap.MapType{typePerCPUHash, typeLRUPerCPUHash}, resolvePerCPUHash},
	{[]ktsnap.MapType{typeTaskStorage}, resolveTaskStorage},
	{[]ktsnap.MapType{typeCgroupStorage}, resolveStorage(typeCgroupStorage)},
	{[]ktsnap.MapType{typeInodeStorage}, resolveStorage(typeInodeStorage)},
	{[]ktsnap.MapType{typeSkStorage}, resolveStorage(typeSkStorage)},
	{[]ktsnap.MapType{typeCgroupStoreOld}, resolveCgroupStorage},
	{[]ktsnap.MapType{typePerCPUCgroup}, resolvePerCPUCgroupStorage},
	{[]ktsnap.MapType{typeArena}, resolveArena},
	{[]ktsnap.MapType{typeStructOps}, resolveStructOps},
	{[]ktsnap.MapType{typeQueue, typeStack}, resolveQueue},
	{[]ktsnap.MapType{typeLPMTrie}, resolveTrie},
	{[]ktsnap.MapType{typeStackTrace}, resolveStackTrace},
	{[]ktsnap.MapType{typeProgArray}, inMap("bpf_array", "ptrs", progReference)},
	{[]ktsnap.MapType{typeArrayOfMaps}, inMap("bpf_array", "ptrs", mapReference)},
	{[]ktsnap.MapType{typePerfEventArray}, inMap("bpf_array", "ptrs", eventReference)},
	{[]ktsnap.MapType{typeCgroupArray}, inMap("bpf_array", "ptrs", cgroupReference)},
	{[]ktsnap.MapType{typeReusePortArray}, inMap("reuseport_array", "ptrs", sockReference)},
	{[]ktsnap.MapType{typeXSKMap}, inMap("xsk_map", "xsk_map", sockReference)},
	{[]ktsnap.MapType{typeSockMap}, inTable("bpf_stab", "sks", sockOccupant)},
	{[]ktsnap.MapType{typeDevMap}, inTable("bpf_dtab", "netdev_map", deviceOccupant)},
	{[]ktsnap.MapType{typeCPUMap}, inTable("bpf_cpu_map", "cpu_map", cpuOccupant)},
	{[]ktsnap.MapType{typeDevMapHash}, resolveDeviceHash},
	{[]ktsnap.MapType{typeSockHash}, resolveSockHash},
	{[]ktsnap.MapType{typeHashOfMaps}, resolveHashOfMaps},
	{[]ktsnap.MapType{typeRingBuf, typeUserRingBuf}, resolveRingBuf},
}

// unreadable says why there is nothing to copy of some map types.
var unreadable = map[ktsnap.MapType]string{
	typeBloomFilter: "a bloom filter keeps bits of hashes, and none of its elements",
}
