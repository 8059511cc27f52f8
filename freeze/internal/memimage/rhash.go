package memimage

// This file makes maps of BPF_MAP_TYPE_RHASH.

// RTable is a struct bucket_table: the elements of its buckets.
type RTable struct {
	Buckets [][]Entry
	Nest    int // the buckets are in pages below one of 1<<Nest pointers; 0 is none
}

// RHash makes a BPF_MAP_TYPE_RHASH whose tables succeed one another. Every
// second bucket is locked.
func (m *Image) RHash(h Map, tables ...RTable) uint64 {
	const t = "bpf_rhtab"
	a := m.Alloc(sizeOf(t))
	m.header(a, h)
	elements, future := 0, uint64(0)
	for i := len(tables) - 1; i >= 0; i-- {
		table := m.rtable(tables[i])
		m.set(table, "bucket_table", "future_tbl", future)
		future = table
		for _, bucket := range tables[i].Buckets {
			elements += len(bucket)
		}
	}
	m.set(a, t, "ht.tbl", future)
	m.set(a, t, "ht.nelems.counter", uint64(elements))
	return a
}

// rtable makes a table. Of nested ones, pages without elements are left out.
func (m *Image) rtable(r RTable) uint64 {
	const t = "bucket_table"
	a := m.Vmalloc(sizeOf(t) + 8*max(1, len(r.Buckets)))
	m.set(a, t, "size", uint64(len(r.Buckets)))
	m.set(a, t, "nest", uint64(r.Nest))
	buckets := Addr(a, t, "buckets")
	if r.Nest == 0 {
		m.rbuckets(buckets, r.Buckets)
		return a
	}
	m.Put(buckets, m.rnested(r.Buckets, 1<<r.Nest), 8)
	return a
}

// rnested makes a page of pointers to pages which share buckets between them.
func (m *Image) rnested(buckets [][]Entry, pointers int) uint64 {
	const perPage = PageSize / 8
	page := m.Vmalloc(PageSize)
	each := len(buckets) / pointers
	for i := range pointers {
		below := buckets[i*each : (i+1)*each]
		if empty(below) {
			continue
		}
		child := uint64(0)
		if each > perPage {
			child = m.rnested(below, perPage)
		} else {
			child = m.Vmalloc(PageSize)
			m.rbuckets(child, below)
		}
		m.Put(page+uint64(8*i), child, 8)
	}
	return page
}

func empty(buckets [][]Entry) bool {
	for _, b := range buckets {
		if len(b) > 0 {
			return false
		}
	}
	return true
}

// rbuckets makes buckets from a on, each a list that ends with its own address.
func (m *Image) rbuckets(a uint64, buckets [][]Entry) {
	for i, bucket := range buckets {
		at := a + uint64(8*i)
		node, next := uint64(0), at|1
		for j := len(bucket) - 1; j >= 0; j-- {
			node = m.relement(bucket[j], next)
			next = node
		}
		m.Put(at, node|uint64(i&1), 8)
	}
}

// relement makes an element, and returns the address of its rhash_head.
func (m *Image) relement(e Entry, next uint64) uint64 {
	const t = "rhtab_elem"
	data := Offset(t, "data")
	value := data + uint64(len(e.Key)+7)&^7
	a := m.Alloc(int(value) + len(e.Values[0]))
	m.set(a, t, "node.next", next)
	m.Write(a+data, e.Key)
	m.Write(a+value, e.Values[0])
	return Addr(a, t, "node.next")
}

// RBucket returns where a bucket of the first table of a map is, which is not
// nested, and where its elements have their rhash_head.
func (m *Image) RBucket(rhash uint64, bucket int) (at uint64, nodes []uint64) {
	table := m.Get(Addr(rhash, "bpf_rhtab", "ht.tbl"))
	at = Addr(table, "bucket_table", "buckets") + uint64(8*bucket)
	for node := m.Get(at) &^ 1; node != 0 && node&1 == 0; node = m.Get(node) {
		nodes = append(nodes, node)
	}
	return at, nodes
}
