package memimage

// This file makes maps that hold pointers to objects of the kernel which
// programs know by file descriptors, sockets and devices.

// Object makes an object of the kernel with one member set.
func (m *Image) Object(typeName, path string, v uint64) uint64 {
	a := m.Alloc(sizeOf(typeName))
	m.set(a, typeName, path, v)
	return a
}

// Pointers makes a map whose slots are a member of it.
func (m *Image) Pointers(h Map, typeName, path string, pointers []uint64) uint64 {
	a := m.Vmalloc(sizeOf(typeName) + 8*len(pointers))
	m.header(a, h)
	m.Write(Addr(a, typeName, path), words(pointers...))
	return a
}

// PointerTable makes a map to whose slots a member of it points.
func (m *Image) PointerTable(h Map, typeName, path string, pointers []uint64) uint64 {
	a, table := m.Alloc(sizeOf(typeName)), m.Vmalloc(8*max(len(pointers), 1))
	m.header(a, h)
	m.set(a, typeName, path, table)
	m.Write(table, words(pointers...))
	return a
}

// Device makes a slot of a map of devices, which follows next in its bucket.
func (m *Image) Device(key uint32, value []byte, next uint64) uint64 {
	const t = "bpf_dtab_netdev"
	a := m.Alloc(sizeOf(t))
	m.set(a, t, "idx", uint64(key))
	m.Write(Addr(a, t, "val"), value)
	if next != 0 {
		m.set(a, t, "index_hlist.next", Addr(next, t, "index_hlist.next"))
	}
	return a
}

// DeviceHash makes a BPF_MAP_TYPE_DEVMAP_HASH of the first devices of its
// buckets.
func (m *Image) DeviceHash(h Map, buckets []uint64) uint64 {
	const t = "bpf_dtab"
	a, table := m.Alloc(sizeOf(t)), m.Vmalloc(8*len(buckets))
	m.header(a, h)
	m.set(a, t, "dev_index_head", table)
	m.set(a, t, "n_buckets", uint64(len(buckets)))
	for i, first := range buckets {
		if first != 0 {
			m.Put(table+8*uint64(i), Addr(first, "bpf_dtab_netdev", "index_hlist.next"), 8)
		}
	}
	return a
}

// SockHash makes a BPF_MAP_TYPE_SOCKHASH with one bucket.
func (m *Image) SockHash(h Map, keys [][]byte, socks []uint64) uint64 {
	const t, element = "bpf_shtab", "bpf_shtab_elem"
	bucket := m.Alloc(sizeOf("bpf_shtab_bucket"))
	next := uint64(0)
	for i := len(keys) - 1; i >= 0; i-- {
		e := m.Alloc(sizeOf(element) + len(keys[i]))
		m.set(e, element, "sk", socks[i])
		m.Write(Addr(e, element, "key"), keys[i])
		m.set(e, element, "node.next", next)
		next = Addr(e, element, "node.next")
	}
	m.set(bucket, "bpf_shtab_bucket", "head.first", next)
	a := m.Alloc(sizeOf(t))
	m.header(a, h)
	m.set(a, t, "buckets", bucket)
	m.set(a, t, "buckets_num", 1)
	return a
}
