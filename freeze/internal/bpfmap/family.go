package bpfmap

import (
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// copier copies the entries of a map into its columns. It returns an error if
// the map could not be followed to its end; what it has copied by then stays.
// Limits are not errors: they are recorded by [Map.truncate].
type copier interface {
	copy(p *Pass, m *Map) error
}

// placer is a copier of maps whose values lie where pointers lead to even if none of them
// is copied. It notes where that is, if it can be read.
type placer interface {
	place(p *Pass, m *Map)
}

// family is map types that the kernel keeps alike.
type family struct {
	types   []ktsnap.MapType
	resolve func(*resolver) copier // looks up the members of the family
}

var families = []family{
	{[]ktsnap.MapType{ktsnap.MapTypeArray}, resolveArray},
	{[]ktsnap.MapType{ktsnap.MapTypeInsnArray}, resolveInsnArray},
	{[]ktsnap.MapType{ktsnap.MapTypePerCPUArray}, resolvePerCPUArray},
	{[]ktsnap.MapType{ktsnap.MapTypeHash, ktsnap.MapTypeLRUHash}, resolveHash},
	{[]ktsnap.MapType{ktsnap.MapTypeRHash}, resolveRHash},
	{[]ktsnap.MapType{ktsnap.MapTypePerCPUHash, ktsnap.MapTypeLRUPerCPUHash}, resolvePerCPUHash},
	{[]ktsnap.MapType{ktsnap.MapTypeTaskStorage}, resolveTaskStorage},
	{[]ktsnap.MapType{ktsnap.MapTypeCgroupStorage}, resolveStorage(ktsnap.MapTypeCgroupStorage)},
	{[]ktsnap.MapType{ktsnap.MapTypeInodeStorage}, resolveStorage(ktsnap.MapTypeInodeStorage)},
	{[]ktsnap.MapType{ktsnap.MapTypeSkStorage}, resolveStorage(ktsnap.MapTypeSkStorage)},
	{[]ktsnap.MapType{ktsnap.MapTypeCgroupStorageOld}, resolveCgroupStorage},
	{[]ktsnap.MapType{ktsnap.MapTypePerCPUCgroupStore}, resolvePerCPUCgroupStorage},
	{[]ktsnap.MapType{ktsnap.MapTypeArena}, resolveArena},
	{[]ktsnap.MapType{ktsnap.MapTypeStructOps}, resolveStructOps},
	{[]ktsnap.MapType{ktsnap.MapTypeQueue, ktsnap.MapTypeStack}, resolveQueue},
	{[]ktsnap.MapType{ktsnap.MapTypeLPMTrie}, resolveTrie},
	{[]ktsnap.MapType{ktsnap.MapTypeStackTrace}, resolveStackTrace},
	{[]ktsnap.MapType{ktsnap.MapTypeProgArray}, inMap("bpf_array", "ptrs", progReference)},
	{[]ktsnap.MapType{ktsnap.MapTypeArrayOfMaps}, inMap("bpf_array", "ptrs", mapReference)},
	{[]ktsnap.MapType{ktsnap.MapTypePerfEventArray}, inMap("bpf_array", "ptrs", eventReference)},
	{[]ktsnap.MapType{ktsnap.MapTypeCgroupArray}, inMap("bpf_array", "ptrs", cgroupReference)},
	{[]ktsnap.MapType{ktsnap.MapTypeReusePortArray}, inMap("reuseport_array", "ptrs", sockReference)},
	{[]ktsnap.MapType{ktsnap.MapTypeXSKMap}, inMap("xsk_map", "xsk_map", sockReference)},
	{[]ktsnap.MapType{ktsnap.MapTypeSockMap}, inTable("bpf_stab", "sks", sockOccupant)},
	{[]ktsnap.MapType{ktsnap.MapTypeDevMap}, inTable("bpf_dtab", "netdev_map", deviceOccupant)},
	{[]ktsnap.MapType{ktsnap.MapTypeCPUMap}, inTable("bpf_cpu_map", "cpu_map", cpuOccupant)},
	{[]ktsnap.MapType{ktsnap.MapTypeDevMapHash}, resolveDeviceHash},
	{[]ktsnap.MapType{ktsnap.MapTypeSockHash}, resolveSockHash},
	{[]ktsnap.MapType{ktsnap.MapTypeHashOfMaps}, resolveHashOfMaps},
	{[]ktsnap.MapType{ktsnap.MapTypeRingBuf, ktsnap.MapTypeUserRingBuf}, resolveRingBuf},
}
