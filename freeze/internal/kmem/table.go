package kmem

import (
	"bytes"
	"encoding/binary"
)

// zeroPage is what an empty page table is compared to, at many entries a time.
var zeroPage [PageSize]byte

// Page is one 4 KiB page of a range: where it is mapped, and to what.
type Page struct {
	Addr Addr
	Phys Phys
}

// MappedPages calls f for each mapped page of [start, end), ascending, until f
// returns false. Absent upper levels are skipped as a whole, so that the cost
// follows the number of page tables, not the size of the range. start and end
// are multiples of PageSize.
//
// check is called for each table looked at; an error of its ends the walk.
func (s *Space) MappedPages(r Range, check func() error, f func(Page) bool) error {
	for a := r.Start; a < r.End; {
		if err := check(); err != nil {
			return err
		}
		next, more, err := s.mappedInRegion(a, r.End, f)
		if err != nil || !more {
			return err
		}
		if next <= a {
			return nil // the end of the address space
		}
		a = next
	}
	return nil
}

// mappedInRegion handles the part of [a, end) in the 2 MiB region of a, and
// returns where to go on: further away where an upper level is absent.
func (s *Space) mappedInRegion(a, end Addr, f func(Page) bool) (next Addr, more bool, err error) {
	slot := s.slot(a)
	if !slot.holds(a) {
		err = s.fill(slot, a)
	}
	if missing, ok := err.(*NotMappedError); ok {
		size := Addr(1) << missing.Level.shift()
		return a&^(size-1) + size, true, nil
	}
	if err != nil {
		return 0, false, err
	}
	next = a&^(regionSize-1) + regionSize
	last := min(end, next) - 1
	if next < a {
		last = end - 1
	}
	if slot.table == nil {
		for ; a <= last; a += PageSize {
			if !f(Page{Addr: a, Phys: slot.pa + Phys(a&(regionSize-1))}) {
				return 0, false, nil
			}
		}
		return next, true, nil
	}
	if !slot.mapped(a, last, f) {
		return 0, false, nil
	}
	return next, true, nil
}

// mapped hands f the pages of [a, last] that the slot's table maps, until f
// returns false.
func (r *region) mapped(a, last Addr, f func(Page) bool) bool {
	entries := r.table[a>>pageShift&511*8 : (last>>pageShift&511+1)*8]
	if bytes.Equal(entries, zeroPage[:len(entries)]) {
		return true
	}
	for ; len(entries) >= 8; entries, a = entries[8:], a+PageSize {
		entry := binary.LittleEndian.Uint64(entries)
		if entry&entryPresent != 0 && !f(Page{Addr: a, Phys: Phys(entry & entryAddr)}) {
			return false
		}
	}
	return true
}

// PageOf returns the physical page that a struct page describes, given the
// size of that struct; ok is false if p is no struct page.
func (s *Space) PageOf(p Addr, size int) (pa Phys, ok bool) {
	if size <= 0 || p < s.VMemMap {
		return 0, false
	}
	number := uint64(p-s.VMemMap) / uint64(size)
	return Phys(number << pageShift), number <= maxPhys>>pageShift
}
