package kmem

import (
	"encoding/binary"
	"fmt"
)

// Level is a level of the page table, after the kernel's names.
type Level int

// The levels, from the leaves up. With 4 levels the P4D is folded away.
const (
	PTE Level = iota
	PMD
	PUD
	P4D
	PGD
)

func (l Level) String() string {
	if l < PTE || l > PGD {
		return fmt.Sprintf("level %d", int(l))
	}
	return [...]string{"PTE", "PMD", "PUD", "P4D", "PGD"}[l]
}

// shift is the number of address bits that an entry of the level maps.
func (l Level) shift() uint { return pageShift + 9*uint(l) }

// Bits of a page table entry (arch/x86/include/asm/pgtable_types.h).
const (
	entryPresent = 1 << 0
	entryHuge    = 1 << 7 // in a PMD or PUD: maps a page, not a table
	entryAddr    = (1<<52 - 1) &^ (PageSize - 1)
)

// TableSize is how many bytes one table of PTEs maps.
const TableSize = regionSize

// regionSize is what one PTE table maps, and what one slot of the TLB covers.
const (
	regionShift = pageShift + 9
	regionSize  = 1 << regionShift
	tlbEntries  = 256
)

// region is the cached translation of 2 MiB: either one contiguous mapping, or
// the PTE table that maps it page by page.
type region struct {
	tag   Addr // region number plus 1; 0 is an empty slot
	table []byte
	pa    Phys // of the region's first byte, if table is nil
}

// walk translates a by the page table.
func (s *Space) walk(a Addr) (Phys, uint64, error) {
	slot := s.slot(a)
	if !slot.holds(a) {
		if err := s.fill(slot, a); err != nil {
			return 0, 0, err
		}
	}
	if slot.table == nil {
		offset := a & (regionSize - 1)
		return slot.pa + Phys(offset), uint64(regionSize - offset), nil
	}
	entry := tableEntry(slot.table, a, PTE)
	if entry&entryPresent == 0 {
		return 0, 0, &NotMappedError{Addr: a, Level: PTE}
	}
	offset := a & (PageSize - 1)
	return Phys(entry&entryAddr) + Phys(offset), uint64(PageSize - offset), nil
}

// slot returns where the region of a is cached, if it is.
func (s *Space) slot(a Addr) *region { return &s.tlb[a>>regionShift%tlbEntries] }

// holds says whether the region of a is cached here.
func (r *region) holds(a Addr) bool { return r.tag == a>>regionShift+1 }

// fill finds the region of a and caches it in slot.
func (s *Space) fill(slot *region, a Addr) error {
	if !s.canonical(a) {
		return &NotCanonicalError{Addr: a}
	}
	table := s.PageTable
	for level := s.top(); level > PTE; level-- {
		view, err := s.table(table)
		if err != nil {
			return fmt.Errorf("read the %v table for %v: %w", level, a, err)
		}
		entry := tableEntry(view, a, level)
		if entry&entryPresent == 0 {
			return &NotMappedError{Addr: a, Level: level}
		}
		if entry&entryHuge != 0 && level <= PUD {
			base := Phys(entry & entryAddr &^ (1<<level.shift() - 1))
			inPage := a & (1<<level.shift() - 1) &^ (regionSize - 1)
			*slot = region{tag: a>>regionShift + 1, pa: base + Phys(inPage)}
			return nil
		}
		table = Phys(entry & entryAddr)
	}
	view, err := s.table(table)
	if err != nil {
		return fmt.Errorf("read the PTE table for %v: %w", a, err)
	}
	if len(s.miss) > 0 && &view[0] == &s.miss[0] {
		view = append([]byte(nil), view...)
	}
	*slot = region{tag: a>>regionShift + 1, table: view}
	return nil
}

// top is the level of the top-level page table.
func (s *Space) top() Level {
	if s.Levels == 5 {
		return PGD
	}
	return P4D // entered by PGD entries, the P4D being folded
}

// canonical says whether a is in the upper half of the address space.
func (s *Space) canonical(a Addr) bool {
	return int64(a)>>(s.top().shift()+9-1) == -1
}

// table returns the page table at pa, valid until the next call.
func (s *Space) table(pa Phys) ([]byte, error) {
	if view, ok := s.inPlace(pa, PageSize); ok {
		return view, nil
	}
	if s.miss == nil {
		s.miss = make([]byte, PageSize)
	}
	return s.miss, s.readAt(pa, s.miss)
}

func tableEntry(table []byte, a Addr, l Level) uint64 {
	index := a >> l.shift() & 511
	return binary.LittleEndian.Uint64(table[index*8:])
}
