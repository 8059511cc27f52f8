package chase

// This file holds a pointer's claim against what the kernel's allocator knows.
// Memory of slab caches is described by
//
//	vmemmap[pfn] (struct page) ──► struct slab .slab_cache ──► struct kmem_cache .name, .size
//
// struct slab lies over struct page, that of the first page of the slab
// (mm/slab.h). A struct page of a later page leads to the first by its
// compound_head, or compound_info, whose lowest bit says so
// (include/linux/page-flags.h). page_type says whether a page belongs to a slab:
// PGTY_slab in the top byte on kernels that have it there (Linux kernel commit
// 4ffca5a96678 ("mm: support only one page_type per page") (in v6.12)).

import (
	"bytes"
	"fmt"

	ebtf "github.com/cilium/ebpf/btf"

	"github.com/ktgen/ktgen/btf"
	"github.com/ktgen/ktgen/freeze/internal/kmem"
)

// Claims tells what is at an address of the guest's kernel. It is for one
// goroutine.
type Claims struct {
	spec *ebtf.Spec
	mem  kmem.Layout // where the guest's kernel is

	known   bool // the kernel describes its slabs in a way that is understood
	page    int  // size of struct page
	head    kmem.Field
	typ     kmem.Field
	hasType bool
	cache   kmem.Field // of struct slab: slab_cache
	name    kmem.Field // of struct kmem_cache
	size    kmem.Field
	object  field      // object_size, without what is behind each object
	pad     kmem.Field // red_left_pad, in front of each object
	hasPad  bool
	slab    uint64 // what page_type has for slabs

	dedicated map[string]bool // names of caches
	names     map[kmem.Addr]cacheInfo
}

// cacheInfo is a struct kmem_cache.
type cacheInfo struct {
	name string
	size uint64 // bytes from one object to the next
	room uint64 // bytes of an object that are its own
	pad  uint64 // bytes in front of each
	ok   bool
}

// claim is how objects of one type can be told.
type claim struct {
	dedicated bool // there is a slab cache of the type's name
	usage     field
	self      field // a pointer that leads to the object itself
}

// field is a member of a type; ok is false if the kernel has none.
type field struct {
	kmem.Field
	ok bool
}

// Members that tell a live object of a type from what is no such object, or
// none any more: a reference count that is 0 once it is freed, and a pointer that
// leads back to it.
var (
	usages = map[string]string{"task_struct": "usage.refs.counter"}
	selves = map[string]string{"cgroup": "self.cgroup"}
)

// NewClaims looks up how a kernel describes its slabs. Where it does so in an
// unknown way less is checked.
func NewClaims(kernel *ebtf.Spec, mem *kmem.Space, slabCaches kmem.Addr) *Claims {
	c := &Claims{spec: kernel, mem: mem.Layout, dedicated: make(map[string]bool), names: make(map[kmem.Addr]cacheInfo)}
	c.resolve()
	if c.known {
		c.list(mem, slabCaches)
	}
	return c
}

func (c *Claims) resolve() {
	size, err := btf.SizeOf(c.spec, "page")
	c.page = size
	var ok [4]bool
	if c.head, ok[0] = c.lookup("page", "compound_head"); !ok[0] {
		c.head, ok[0] = c.lookup("page", "compound_info")
	}
	c.cache, ok[1] = c.lookup("slab", "slab_cache")
	c.name, ok[2] = c.lookup("kmem_cache", "name")
	c.size, ok[3] = c.lookup("kmem_cache", "size")
	c.known = err == nil && ok == [4]bool{true, true, true, true}
	c.object.Field, c.object.ok = c.lookup("kmem_cache", "object_size")
	c.pad, c.hasPad = c.lookup("kmem_cache", "red_left_pad")
	c.typ, c.hasType = c.lookup("page", "page_type")
	if c.slab, c.hasType = c.pageTypeOfSlabs(); !c.hasType {
		c.known = false
	}
}

// pageTypeOfSlabs returns the enumerator PGTY_slab.
func (c *Claims) pageTypeOfSlabs() (uint64, bool) {
	var e *ebtf.Enum
	if err := c.spec.TypeByName("pagetype", &e); err != nil {
		return 0, false
	}
	for _, v := range e.Values {
		if v.Name == "PGTY_slab" {
			return v.Value, c.hasType
		}
	}
	return 0, false
}

func (c *Claims) lookup(typ, path string) (kmem.Field, bool) {
	f, err := btf.Find(c.spec, typ, path)
	if err != nil || f.Bits != 0 {
		return kmem.Field{}, false
	}
	switch f.Size {
	case 1, 2, 4, 8:
		return kmem.Field{Offset: f.Offset, Size: f.Size}, true
	}
	return kmem.Field{}, false
}

// of returns how objects of a type can be told.
func (c *Claims) of(name string) claim {
	claim := claim{dedicated: c.dedicated[name]}
	if path := usages[name]; path != "" {
		claim.usage.Field, claim.usage.ok = c.lookup(name, path)
	}
	if path := selves[name]; path != "" {
		claim.self.Field, claim.self.ok = c.lookup(name, path)
	}
	return claim
}

// maxCaches bounds the list of slab caches.
const maxCaches = 1 << 14

// list notes the names of all slab caches. The guest may run: a list that
// leads nowhere ends there.
func (c *Claims) list(mem *kmem.Space, head kmem.Addr) {
	link, err := btf.Find(c.spec, "kmem_cache", "list")
	if err != nil || head == 0 {
		return
	}
	at, err := mem.Addr(head)
	for range maxCaches {
		if err != nil || at == head || at == 0 {
			return
		}
		if info := c.info(mem, at-kmem.Addr(link.Offset)); info.ok {
			c.dedicated[info.name] = true
		}
		at, err = mem.Addr(at)
	}
}

// info reads a struct kmem_cache, once.
func (c *Claims) info(mem *kmem.Space, cache kmem.Addr) cacheInfo {
	if known, ok := c.names[cache]; ok {
		return known
	}
	var info cacheInfo
	name, err := mem.Fetch(cache, c.name)
	size, sizeErr := mem.Fetch(cache, c.size)
	if err == nil && sizeErr == nil {
		info.name, info.ok = cString(mem, kmem.Addr(name))
		info.size, info.room = size, size
		if c.object.ok {
			if room, err := mem.Fetch(cache, c.object.Field); err == nil {
				info.room = min(room, size)
			}
		}
		if c.hasPad {
			info.pad, _ = mem.Fetch(cache, c.pad)
		}
	}
	if len(c.names) < 2*maxCaches {
		c.names[cache] = info
	}
	return info
}

// cString reads the name of a cache, which can lie across pages.
func cString(mem *kmem.Space, a kmem.Addr) (string, bool) {
	const maxName = 64
	buf := make([]byte, maxName)
	n := maxName
	if mem.Read(a, buf) != nil {
		n = int(kmem.PageSize - a%kmem.PageSize)
		if n > maxName || mem.Read(a, buf[:n]) != nil {
			return "", false
		}
	}
	name, _, ended := bytes.Cut(buf[:n], []byte{0})
	return string(name), ended && len(name) > 0
}

// contradiction says what is at an address instead of an object of type t
// whose bytes are data; empty if nothing speaks against it.
func (c *Claims) contradiction(mem *kmem.Space, a kmem.Addr, t *Type, data []byte) string {
	if t.each {
		return "" // per-CPU memory is in no slab
	}
	if u := t.claim.usage; u.ok && u.Uint(data) == 0 {
		return "it was freed: nothing refers to it any more"
	}
	if s := t.claim.self; s.ok && s.Addr(data) != a {
		return fmt.Sprintf("its %s leads to %#x", selves[t.Name], uint64(s.Addr(data)))
	}
	if !c.known || c.mem.Text.Contains(a) { // objects that the kernel's image has need no slab
		return ""
	}
	if !c.mem.Direct.Contains(a) {
		return t.elsewhere("this is in no slab")
	}
	return c.inSlab(mem, a, t)
}

// inSlab is contradiction for an address in the direct map of memory.
func (c *Claims) inSlab(mem *kmem.Space, a kmem.Addr, t *Type) string {
	first, page, err := c.slabOf(mem, a)
	if err != nil {
		return "" // what cannot be read speaks neither for nor against it
	}
	if c.typ.Uint(page)>>(8*(c.typ.Size-1)) != c.slab {
		return t.elsewhere("the page there is in no slab")
	}
	info := c.info(mem, c.cache.Addr(page))
	switch {
	case !info.ok || !t.claim.dedicated:
		return ""
	case info.name != t.Name:
		return fmt.Sprintf("the object there is of the slab cache %q", info.name)
	case info.size > 0 && uint64(a-first)%info.size != info.pad%info.size:
		return fmt.Sprintf("it is %d bytes into an object of its slab cache", (uint64(a-first)-info.pad)%info.size)
	}
	return ""
}

// room is how many bytes there are at an address up to the end of the slab's object
// that it is in; 0 if that is not known.
func (c *Claims) room(mem *kmem.Space, a kmem.Addr) int {
	if !c.known || c.mem.Text.Contains(a) || !c.mem.Direct.Contains(a) {
		return 0
	}
	first, page, err := c.slabOf(mem, a)
	if err != nil || c.typ.Uint(page)>>(8*(c.typ.Size-1)) != c.slab {
		return 0
	}
	info := c.info(mem, c.cache.Addr(page))
	if !info.ok || info.size == 0 || uint64(a-first) < info.pad {
		return 0
	}
	in := (uint64(a-first) - info.pad) % info.size
	return int(min(max(info.room, in)-in, maxObject))
}

// elsewhere says what contradicts that there is a t outside of slabs; empty if
// there can be. bpf_obj_new takes memory from slabs (kernel/bpf/memalloc.c).
func (t *Type) elsewhere(found string) string {
	switch {
	case t.claim.dedicated:
		return "the kernel allocates these from their slab cache, and " + found
	case t.own:
		return "the kernel allocates these from slabs, and " + found
	}
	return ""
}

// slabOf returns the address of the first byte of the compound page that a is
// in, and its struct page.
func (c *Claims) slabOf(mem *kmem.Space, a kmem.Addr) (first kmem.Addr, page []byte, err error) {
	pfn := uint64(a-c.mem.Direct.Start) / kmem.PageSize
	at := c.mem.VMemMap + kmem.Addr(pfn*uint64(c.page))
	record := make([]byte, c.page)
	for range 2 {
		if err := mem.Read(at, record); err != nil {
			return 0, nil, err
		}
		first = c.mem.Direct.Start + kmem.Addr(uint64(at-c.mem.VMemMap)/uint64(c.page)*kmem.PageSize)
		head := c.head.Uint(record)
		if head&1 == 0 {
			return first, record, nil
		}
		at = c.headOf(at, head)
	}
	return 0, nil, fmt.Errorf("the page at %v leads to no first page", a)
}

// headOf returns the struct page of the first page. Where compound_info holds
// a mask and not an address, its low bit apart, it is and-ed with the page's own.
func (c *Claims) headOf(at kmem.Addr, head uint64) kmem.Addr {
	target := kmem.Addr(head - 1)
	if target >= c.mem.VMemMap && target <= at {
		return target
	}
	return at & target
}
