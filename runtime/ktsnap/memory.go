package ktsnap

import (
	"cmp"
	"slices"
	"sync"

	"github.com/ktgen/ktgen/runtime/ctype"
)

// Memory finds the captured bytes at an address of the guest, and the objects of
// the kernel. A snapshot has one.
type Memory struct {
	of     *Snapshot
	once   sync.Once
	kernel kernelIndex
	spans  []Span // ascending by start
	arenas Windows
	lost   map[uint64]*KernelObject // objects of the program that could not be copied
}

// Span is a run of captured memory.
type Span struct {
	Start uint64
	Data  []byte
	Owner *Map         // the map whose values it holds; nil for what the program has allocated
	index int          // of the first value, as Map.Values has it
	shape *ctype.Shape // of each value, or of what the program has allocated; nil if it is not known
}

func (s *Span) end() uint64 { return s.Start + uint64(len(s.Data)) }

// Memory returns the index of the snapshot's memory, which is made at the first call.
// A copy of a snapshot makes its own.
func (s *Snapshot) Memory() *Memory {
	m := s.indexed.Load()
	if m == nil || m.of != s {
		s.indexed.CompareAndSwap(m, &Memory{of: s})
		m = s.indexed.Load()
	}
	m.once.Do(m.load)
	return m
}

func (m *Memory) load() {
	for _, captured := range m.of.Maps {
		m.addMap(captured)
	}
	for i := range m.of.Kernel {
		m.addObject(&m.of.Kernel[i])
	}
	slices.SortStableFunc(m.spans, func(a, b Span) int { return cmp.Compare(a.Start, b.Start) })
}

func (m *Memory) addMap(captured *Map) {
	if captured.Type.IsRing() {
		return // nothing points into them
	}
	if _, isArena := captured.Window(); isArena {
		m.addArena(captured)
		return
	}
	if captured.Check() != nil || captured.N == 0 {
		return
	}
	if captured.Addrs == nil {
		if captured.Base != 0 {
			m.add(Span{captured.Base, captured.Values, captured, 0, captured.Value})
		}
		return
	}
	for i := range captured.N * captured.Slots {
		if addr := captured.Addrs[i]; addr != 0 {
			m.add(Span{addr, captured.Values[i*captured.Stride:][:captured.ValueSize], captured, i, captured.Value})
		}
	}
}

// addObject adds an object that the program has allocated.
func (m *Memory) addObject(o *KernelObject) {
	switch {
	case !o.Allocated:
	case o.Fault == FaultNone:
		m.add(Span{o.Addr, o.Data, nil, 0, o.Type})
	default:
		if m.lost == nil {
			m.lost = make(map[uint64]*KernelObject)
		}
		m.lost[o.Addr] = o
	}
}

func (m *Memory) addArena(captured *Map) {
	for _, e := range captured.Extents {
		m.add(Span{e.Addr, e.Data, captured, 0, nil})
	}
	if w, ok := captured.Window(); ok {
		m.arenas = append(m.arenas, w)
	}
}

// add adds a run of memory, unless it would wrap around.
func (m *Memory) add(s Span) {
	if len(s.Data) > 0 && s.end() > s.Start {
		m.spans = append(m.spans, s)
	}
}

// Canonical returns the address under which memory is indexed: for pointers
// into an arena the user address, whichever form the program stored.
func (m *Memory) Canonical(addr uint64) uint64 { return m.arenas.ToUser(addr) }

// inArena tells whether a canonical address is in an arena, captured or not.
func (m *Memory) inArena(addr uint64) bool { return m.arenas.Has(addr) }

// Missing is the error for a pointer to memory at a canonical address that was
// not captured.
func (m *Memory) Missing(pointer *ctype.Shape, addr uint64, target *ctype.Shape) error {
	if pointer.Space == ctype.SpaceArena && len(m.arenas) > 0 && !m.inArena(addr) {
		return &ContradictionError{Addr: addr, Type: ctype.Spell(target), Found: "the address is outside the arena"}
	}
	e := &NotCapturedError{Addr: addr, Type: ctype.Spell(target)}
	if why, sure := m.of.Unheld(addr); sure {
		e.Reason = why
	}
	return e
}

// Read returns size bytes at a canonical address, in place if they lie in one
// run and copied if they go on in the next, and whether they were captured.
func (m *Memory) Read(addr uint64, size int) ([]byte, bool) {
	next, ok := m.after(addr)
	if !ok || size < 0 {
		return nil, false
	}
	s := &m.spans[next-1]
	have := s.Data[addr-s.Start:]
	if len(have) >= size {
		return have[:size:size], true
	}
	return m.join(have, next, s.end(), size)
}

// Value returns the bytes of a value of type s at a canonical address, and whether
// they were captured: of an open-ended one as many as are known to be its own.
func (m *Memory) Value(addr uint64, s *ctype.Shape) ([]byte, bool) {
	size := s.Size
	if s.OpenEnded() {
		size = max(size, m.room(addr, s))
	}
	return m.Read(addr, size)
}

// room is how many bytes a value of type s has that begins at a canonical address,
// by what it is a part of: a variable, a value of a map, an object that was
// allocated. It is 0 if nothing says it.
func (m *Memory) room(addr uint64, s *ctype.Shape) int {
	run, ok := m.Span(addr)
	switch {
	case !ok:
		return 0
	case run.Owner == nil:
		return run.shape.RoomAt(s, int(addr-run.Start), len(run.Data))
	case len(run.Owner.Extents) > 0:
		return m.roomInArena(addr, s)
	}
	return run.shape.RoomAt(s, int((addr-run.Start)%uint64(run.Owner.Stride)), run.Owner.ValueSize)
}

// roomInArena is room for what is in an arena: a variable, or an object of an
// allocator.
func (m *Memory) roomInArena(addr uint64, s *ctype.Shape) int {
	r := m.of.reader()
	for _, section := range r.sections {
		if shape, err := section.valueShape(); err == nil && addr-section.m.Base < uint64(section.m.ValueSize) {
			return shape.RoomAt(s, int(addr-section.m.Base), section.m.ValueSize)
		}
	}
	allocated := r.allocators().at
	for _, header := range [...]uint64{0, allocatedHeader} {
		if a := allocated[addr-header]; a != nil {
			return a.Size - int(header)
		}
	}
	return 0
}

// unsized tells whether nothing says how large an object of type s at a canonical
// address is: it is in an arena, and neither a variable nor an allocator's.
func (m *Memory) unsized(addr uint64, s *ctype.Shape) bool {
	run, ok := m.Span(addr)
	return ok && run.Owner != nil && len(run.Owner.Extents) > 0 && m.roomInArena(addr, s) == 0
}

// Span returns the run that holds the byte at a canonical address.
func (m *Memory) Span(addr uint64) (s Span, ok bool) {
	next, ok := m.after(addr)
	if !ok {
		return Span{}, false
	}
	return m.spans[next-1], true
}

// after returns the number of the run that follows the one with the byte at a
// canonical address; ok is false if none has it.
func (m *Memory) after(addr uint64) (next int, ok bool) {
	next, _ = slices.BinarySearchFunc(m.spans, addr, func(s Span, addr uint64) int {
		if s.Start <= addr {
			return -1
		}
		return 1
	})
	return next, next > 0 && addr < m.spans[next-1].end()
}

// join continues have with the runs from next on, as long as each begins where
// the last one ends.
func (m *Memory) join(have []byte, next int, end uint64, size int) ([]byte, bool) {
	var parts [][]byte
	for missing := size - len(have); missing > 0; next++ {
		if next == len(m.spans) || m.spans[next].Start != end {
			return nil, false
		}
		data := m.spans[next].Data
		part := data[:min(len(data), missing)]
		parts = append(parts, part)
		missing -= len(part)
		end = m.spans[next].end()
	}
	return slices.Concat(append([][]byte{have}, parts...)...), true
}

// kernelAddr returns the kernel's address for one that is canonical.
func (m *Memory) kernelAddr(addr uint64) uint64 {
	if kernel, ok := m.arenas.ToKernel(addr); ok {
		return kernel
	}
	return addr
}

// find returns the entry and the slot of the value that has the byte at an
// address. For arenas it tells only whether the address is in a page.
func (m *Map) find(addr uint64) (entry, slot int, ok bool) {
	for _, e := range m.Extents {
		if addr-e.Addr < uint64(len(e.Data)) {
			return 0, 0, true
		}
	}
	if m.N <= 0 || m.Slots <= 0 || m.Stride <= 0 {
		return 0, 0, false
	}
	if m.Addrs == nil {
		i := (addr - m.Base) / uint64(m.Stride)
		ok := m.Base != 0 && addr >= m.Base && i < uint64(m.N)*uint64(m.Slots) && (addr-m.Base)%uint64(m.Stride) < uint64(m.ValueSize)
		return int(i) / m.Slots, int(i) % m.Slots, ok
	}
	for i, start := range m.Addrs {
		if start != 0 && addr >= start && addr-start < uint64(m.ValueSize) {
			return i / m.Slots, i % m.Slots, true
		}
	}
	return 0, 0, false
}

// At returns the entry and the slot of the value whose bytes at the kernel's
// address addr are in the snapshot, size of them; ok is false if they are not.
// For arenas, whose entry is always 0, it tells whether they are in a page.
func (m *Map) At(addr uint64, size int) (entry, slot int, ok bool) {
	if w, ok := m.Window(); ok {
		if !w.hasKernel(addr) {
			return 0, 0, false
		}
		addr = w.User | (addr - w.Kernel)
	}
	last := addr + uint64(max(size, 1)) - 1
	entry, slot, ok = m.find(addr)
	if !ok || last < addr {
		return 0, 0, false
	}
	lastEntry, lastSlot, ok := m.find(last)
	return entry, slot, ok && entry == lastEntry && slot == lastSlot
}
