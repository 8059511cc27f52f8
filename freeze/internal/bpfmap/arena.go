package bpfmap

import (
	"fmt"

	"github.com/ktgen/ktgen/freeze/internal/kmem"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// arena copies the populated pages of BPF_MAP_TYPE_ARENA (kernel/bpf/arena.c).
// The kernel maps them at
//
//	kern_vm->addr + GUARD_SZ/2 + (u32)user address
//
// where user addresses start at user_vm_start and do not cross 4 GiB. Kernels
// that allocate pages in any context keep all PTE tables of that range, 2048
// of them, whether or not there is a page (populate_pgtable_except_pte). What is
// mapped is what programs can reach. The kernel's count of pages is not always
// that: it is changed before or after the page table, and the guest can have been
// stopped in between.
type arena struct {
	userStart, area, scratch kmem.Field // of struct bpf_arena
	pages                    kmem.Field // nr_pages
	hasScratch, hasPages     bool
	base                     kmem.Field // of struct vm_struct: addr
	pageSize                 int        // of struct page
}

func resolveArena(r *resolver) copier {
	l := &arena{
		userStart: r.field("bpf_arena", "user_vm_start"),
		area:      r.field("bpf_arena", "kern_vm"),
		base:      r.field("vm_struct", "addr"),
		pageSize:  r.size("page"),
	}
	l.scratch, l.hasScratch = r.optional("bpf_arena", "scratch_page")
	l.pages, l.hasPages = r.optional("bpf_arena", "nr_pages")
	return l
}

const (
	// guardHalf is GUARD_SZ/2: as far as the signed 16-bit offset of a BPF
	// instruction reaches.
	guardHalf = 1 << 15
	maxArena  = 1 << 32 // bytes
)

// arenaRange is where an arena's pages are.
type arenaRange struct {
	kernel kmem.Range
	user   uint64 // address of the first page to the guest's programs

	scratch    kmem.Phys // page that stands in for unallocated ones after a fault
	hasScratch bool
	pages      uint64 // populated, if counted
	counted    bool
}

func (l *arena) copy(p *Pass, m *Map) error {
	m.KeySize, m.ValueSize, m.Stride = 0, 0, 0
	r, err := l.locate(p, m)
	if err != nil {
		return err
	}
	w := arenaWalk{p: p, m: m, arenaRange: r}
	err = w.find()
	w.extents()
	if err != nil {
		return fmt.Errorf("find the pages of the arena at %v: %w", r.kernel.Start, err)
	}
	w.compare()
	return nil
}

func (l *arena) place(p *Pass, m *Map) {
	if r, err := l.locate(p, m); err == nil {
		m.Base, m.Extra = uint64(r.kernel.Start)-r.user&(maxArena-1), r.user
	}
}

// locate reads struct bpf_arena.
func (l *arena) locate(p *Pass, m *Map) (r arenaRange, err error) {
	read := func(a kmem.Addr, f kmem.Field) uint64 {
		v, e := p.mem.Fetch(a, f)
		if err == nil && e != nil {
			err = fmt.Errorf("read struct bpf_arena: %w", e)
		}
		return v
	}
	r.user = read(m.addr, l.userStart)
	area := kmem.Addr(read(m.addr, l.area))
	if l.hasScratch {
		scratch := kmem.Addr(read(m.addr, l.scratch))
		r.scratch, r.hasScratch = p.mem.PageOf(scratch, l.pageSize)
	}
	if l.hasPages {
		r.pages, r.counted = read(m.addr, l.pages), true
	}
	if err != nil {
		return r, err
	}
	base := kmem.Addr(read(area, l.base))
	size := uint64(m.MaxEntries) * kmem.PageSize
	low := r.user & (maxArena - 1)
	if err == nil && (size > maxArena || low+size > maxArena || low%kmem.PageSize != 0) {
		err = corrupt("an arena of %d pages at user address %#x", m.MaxEntries, r.user)
	}
	start, ok := base.Add(guardHalf + low)
	end, ok2 := start.Add(size)
	if err == nil && (!ok || !ok2 || base%kmem.PageSize != 0) {
		err = corrupt("an arena at kernel address %v", base)
	}
	r.kernel = kmem.Range{Start: start, End: end}
	return r, err
}

// arenaWalk finds the pages of one arena and notes their copying.
type arenaWalk struct {
	p *Pass
	m *Map
	arenaRange
	firstJob int
	runs     []arenaRun
	found    int  // pages
	full     bool // there are more, and no more may be copied
}

// arenaRun is populated pages that follow one another in the arena.
type arenaRun struct {
	start kmem.Addr
	pages int
}

func (r arenaRun) end() kmem.Addr { return r.start + kmem.Addr(r.pages*kmem.PageSize) }

// find lists the populated pages.
func (w *arenaWalk) find() error {
	w.firstJob = len(w.p.jobs)
	return w.p.mem.MappedPages(w.kernel, w.p.check, func(page kmem.Page) bool {
		if w.hasScratch && page.Phys == w.scratch {
			return true
		}
		if w.full = w.m.limit < kmem.PageSize; w.full {
			return false
		}
		w.m.limit -= kmem.PageSize
		w.add(page)
		return true
	})
}

// compare holds the pages that were found against the kernel's count. More than
// it counts are all that are mapped. Of fewer it is unknown what the others are.
func (w *arenaWalk) compare() {
	switch {
	case w.full && w.counted:
		of := max(w.pages, uint64(w.found)+1)
		w.m.truncate(fmt.Sprintf("%d of %d pages reach the limit on bytes copied", w.found, of))
	case w.full:
		w.m.truncate(fmt.Sprintf("%d pages reach the limit on bytes copied", w.found))
	case w.counted && uint64(w.found) < w.pages:
		w.m.truncate(fmt.Sprintf("the kernel counts %d pages, and %d are mapped: "+
			"it was allocating or freeing the others, or its page table is damaged", w.pages, w.found))
	}
}

func (w *arenaWalk) add(page kmem.Page) {
	w.p.addJob(w.firstJob, job{m: w.m, pa: page.Phys, off: w.found * kmem.PageSize, n: kmem.PageSize})
	w.found++
	if last := len(w.runs) - 1; last >= 0 && w.runs[last].end() == page.Addr {
		w.runs[last].pages++
		return
	}
	w.runs = append(w.runs, arenaRun{start: page.Addr, pages: 1})
}

// extents makes room for the pages: an extent for each run of them.
func (w *arenaWalk) extents() {
	m := w.m
	grow(&m.pages, w.found*kmem.PageSize)
	rest := m.pages
	for _, r := range w.runs {
		n := r.pages * kmem.PageSize
		m.Extents = append(m.Extents, ktsnap.Extent{
			Addr: w.user + uint64(r.start-w.kernel.Start),
			Data: rest[:n:n],
		})
		rest = rest[n:]
	}
}
