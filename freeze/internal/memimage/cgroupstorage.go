package memimage

// This file makes the deprecated kinds of cgroup storage.

// Attached is what a program that is attached to a cgroup has: a value, or one
// for each CPU.
type Attached struct {
	Cgroup uint64
	Type   uint32 // of attachment
	Values [][]byte
}

// CgroupStorage makes a BPF_MAP_TYPE_CGROUP_STORAGE_DEPRECATED, or a
// BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE_DEPRECATED. The padding of the keys is not
// zero.
func (m *Image) CgroupStorage(h Map, elements []Attached) uint64 {
	const t, e, list = "bpf_cgroup_storage_map", "bpf_cgroup_storage", "list_map.next"
	a := m.Alloc(sizeOf(t))
	m.header(a, h)
	next := Addr(a, t, "list.next")
	for i := len(elements) - 1; i >= 0; i-- {
		at := m.Alloc(sizeOf(e))
		m.Write(Addr(at, e, "key"), words(elements[i].Cgroup, 0xeeee_eeee<<32|uint64(elements[i].Type)))
		m.set(at, e, "buf", m.attachedBuffer(elements[i].Values))
		m.set(at, e, list, next)
		next = Addr(at, e, list)
	}
	m.set(a, t, "list.next", next)
	return a
}

func (m *Image) attachedBuffer(values [][]byte) uint64 {
	if len(values) > 1 {
		return m.perCPUValue(values)
	}
	data := Offset("bpf_storage_buffer", "data")
	a := m.Alloc(int(data) + len(values[0]))
	m.Write(a+data, values[0])
	return a
}
