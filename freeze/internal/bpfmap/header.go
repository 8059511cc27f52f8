package bpfmap

import (
	"bytes"

	"github.com/ktgen/ktgen/freeze/internal/kmem"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// headerLayout is where struct bpf_map keeps what is common to all maps.
type headerLayout struct {
	size int

	mapType, keySize, valueSize, maxEntries, extra, flags, id kmem.Field
	btf, keyType, valueType, kernelValueType, refs            kmem.Field
	name, nameSize                                            int

	elemCount    kmem.Field // s64 __percpu *: entries of a hash, by CPU
	hasElemCount bool       // kernels from v6.6 on
}

func (l *headerLayout) resolve(r *resolver) {
	const t = "bpf_map"
	l.size = r.size(t)
	l.mapType = r.field(t, "map_type")
	l.keySize = r.field(t, "key_size")
	l.valueSize = r.field(t, "value_size")
	l.maxEntries = r.field(t, "max_entries")
	l.extra = r.field(t, "map_extra")
	l.flags = r.field(t, "map_flags")
	l.id = r.field(t, "id")
	l.btf = r.field(t, "btf")
	l.keyType = r.field(t, "btf_key_type_id")
	l.valueType = r.field(t, "btf_value_type_id")
	l.kernelValueType = r.field(t, "btf_vmlinux_value_type_id")
	l.refs = r.field(t, "refcnt.counter")
	l.name = r.at(t, "name")
	l.nameSize = 16 // BPF_OBJ_NAME_LEN
	l.elemCount, l.hasElemCount = r.optional(t, "elem_count")
	if l.name+l.nameSize > l.size {
		r.missing = append(r.missing, "bpf_map.name")
	}
}

// Map is one map on its way into a snapshot: everything of ktsnap.Map except
// Program, Key and Value, which [Map.BTF] and the type ids stand for.
type Map struct {
	ktsnap.Map
	BTF             BTF // zero if the map was made without BTF
	KeyType         uint32
	ValueType       uint32
	KernelValueType uint32 // id of the value's type in the kernel's BTF, if it is the kernel's: of struct_ops, of instructions

	addr    kmem.Addr
	btfAddr kmem.Addr
	counter kmem.Addr // per-CPU pointer to the number of entries; 0 if there is none
	held    bool      // somebody has a descriptor of it, or has pinned it
	reached bool      // its entries have been walked, or there is a reason why not
	written []uint64  // pages of Values that may hold other bytes than zero; nil if all may
	pages   []byte    // arena, ring buffer: what the extents are made of
	limit   uint64    // bytes this map may still take
}

// decode reads the header from a record of struct bpf_map at a.
func (l *headerLayout) decode(a kmem.Addr, record []byte) *Map {
	name, _, _ := bytes.Cut(record[l.name:l.name+l.nameSize], []byte{0})
	m := &Map{
		Map: ktsnap.Map{
			ID:         uint32(l.id.Uint(record)),
			Name:       string(name),
			Type:       ktsnap.MapType(l.mapType.Uint(record)),
			KeySize:    int(l.keySize.Uint(record)),
			ValueSize:  int(l.valueSize.Uint(record)),
			MaxEntries: int(l.maxEntries.Uint(record)),
			Flags:      uint32(l.flags.Uint(record)),
			Extra:      l.extra.Uint(record),
			Addr:       uint64(a),
			Slots:      1,
		},
		KeyType:         uint32(l.keyType.Uint(record)),
		ValueType:       uint32(l.valueType.Uint(record)),
		KernelValueType: uint32(l.kernelValueType.Uint(record)),
		addr:            a,
		btfAddr:         l.btf.Addr(record),
	}
	m.Stride = m.ValueSize
	if l.hasElemCount {
		m.counter = l.elemCount.Addr(record)
	}
	return m
}
