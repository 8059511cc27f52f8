// Package addrset keeps sets of addresses.
package addrset

import "math/rand/v2"

// Set is a set of addresses that are not 0. It is a table of them, of which at
// most half is used. Where an address is looked for depends on a random number, so
// that a guest cannot choose addresses that share a place.
type Set struct {
	slots  []uint64 // a power of two; 0 is free
	n      int
	factor uint64
}

// Add adds an address, and tells whether it is new.
func (s *Set) Add(addr uint64) bool {
	if 2*s.n >= len(s.slots) {
		s.grow()
	}
	place := s.place(addr)
	if *place == addr {
		return false
	}
	*place = addr
	s.n++
	return true
}

// place returns where an address is, or is to be.
func (s *Set) place(addr uint64) *uint64 {
	mask := uint64(len(s.slots) - 1)
	hash := s.hash(addr)
	for i := (hash >> 32) & mask; ; i = (i + 1) & mask {
		if s.slots[i] == 0 || s.slots[i] == addr {
			return &s.slots[i]
		}
	}
}

// hash mixes an address. Products alone leave what is evenly apart evenly apart, which with
// some factors is many times in one place.
func (s *Set) hash(addr uint64) uint64 {
	hash := addr * s.factor
	hash = (hash ^ hash>>32) * 0xbf58476d1ce4e5b9
	return (hash ^ hash>>29) * 0x94d049bb133111eb
}

func (s *Set) grow() {
	old := s.slots
	s.slots = make([]uint64, max(64, 2*len(old)))
	s.factor = rand.Uint64() | 1
	for _, addr := range old {
		if addr != 0 {
			*s.place(addr) = addr
		}
	}
}
