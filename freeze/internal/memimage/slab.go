package memimage

// This file makes slab caches: struct kmem_cache, the pages of slabs, and the
// struct page of each, over which struct slab lies.

// Type of slab pages in the top byte of page_type (enum pagetype).
const pgtySlab = 0xf5

// slabs makes the list of all slab caches.
func (m *Image) slabs() {
	const name = "slab_caches"
	m.symbol(name, words(0, 0))
	head := m.Symbols[name]
	m.Write(head, words(head, head))
}

// SlabCache makes a slab cache for objects of size bytes.
func (m *Image) SlabCache(name string, size int) uint64 {
	const t = "kmem_cache"
	a := m.Alloc(sizeOf(t))
	text := m.Alloc(len(name) + 1)
	m.Write(text, []byte(name))
	m.set(a, t, "name", text)
	m.set(a, t, "size", uint64(size))
	m.set(a, t, "object_size", uint64(size))
	head := m.Symbols["slab_caches"]
	m.set(a, t, "list.next", m.Get(head))
	m.Write(head, words(Addr(a, t, "list.next")))
	return a
}

// Slab makes a slab of a cache, of one page of the direct map. A cache of 0 makes
// a page that is in use for something else.
func (m *Image) Slab(cache uint64) uint64 {
	pa := m.allocPhys(PageSize, PageSize)
	page := m.StructPage(pa)
	if m.tableEntry(page) == 0 {
		m.Map(page&^(PageSize-1), m.Page())
	}
	if cache != 0 {
		m.set(page, "page", "page_type", pgtySlab<<24)
		m.set(page, "slab", "slab_cache", cache)
	}
	return m.pageOffset() + pa
}

// tableEntry returns the page table entry for a, 0 if there is none.
func (m *Image) tableEntry(a uint64) uint64 {
	table := m.root
	for l := m.levels - 1; l > 0; l-- {
		next := m.phys64(table + a>>(12+9*l)&511*8)
		if next&present == 0 {
			return 0
		}
		table = next & entry
	}
	return m.phys64(table + a>>12&511*8)
}
