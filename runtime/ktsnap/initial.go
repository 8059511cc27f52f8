package ktsnap

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/internal/errtext"
	"github.com/ktgen/ktgen/runtime/nearest"
)

// This file has what a BPF object starts with, before a loader sees it.

// Initial changes what an object starts with. The function Initial of generated
// packages makes one.
type Initial func(*InitialState) error

// InitialState is what an object starts with.
type InitialState struct {
	// Snapshot has its data sections as the file has them, and its maps, without
	// entries. Entries that are put into them are what they start with. Functions in
	// struct_ops maps are the addresses of Programs.
	Snapshot *Snapshot

	Programs []*InitialProgram

	keys    map[*Map]map[string]int
	filled  map[*Map]int
	written map[*Map][]byte // bits that one Initial has set, as masks of Map.Values
}

// NewInitialState returns the state of an object with these maps and programs.
func NewInitialState(snapshot *Snapshot, programs []*InitialProgram) *InitialState {
	s := &InitialState{Snapshot: snapshot, Programs: programs}
	s.place()
	return s
}

// InitialProgram is a program of an object.
type InitialProgram struct {
	Name string
	Addr uint64 // stands for it in struct_ops maps
	Load bool   // it is loaded
}

// InitialError is a value that an object cannot start with, which is found before any
// guest is booted.
type InitialError struct {
	Path string // the variable, map, entry, operation or program
	Err  error
}

func (e *InitialError) Error() string {
	return fmt.Sprintf("cannot set initial values of the object: %s: %v", e.Path, e.Err)
}

// Unwrap returns Err.
func (e *InitialError) Unwrap() error { return e.Err }

// Apply makes changes, one after the other. The error is an [*InitialError], an
// AssignError of package runtime, or what reads fail with.
func (s *InitialState) Apply(changes ...Initial) error {
	for _, change := range changes {
		s.written = make(map[*Map][]byte)
		if err := change(s); err != nil {
			return err
		}
	}
	for _, m := range s.Snapshot.Maps {
		if m.N > m.MaxEntries {
			return &InitialError{m.Name, fmt.Errorf("it is given %s, and has room for %d: make it larger, or give fewer", errtext.Count(m.N, "entry", "entries"), m.MaxEntries)}
		}
	}
	return nil
}

// Program returns the program called name. The error is an [*InitialError] that lists
// those that there are.
func (s *InitialState) Program(name string) (*InitialProgram, error) {
	var names []string
	for _, p := range s.Programs {
		if p.Name == name {
			return p, nil
		}
		names = append(names, p.Name)
	}
	return nil, absent("program", name, names)
}

// Find returns the map or section called name. The error is as of Program.
func (s *InitialState) Find(name string) (*Map, error) {
	var names []string
	for _, m := range s.Snapshot.Maps {
		if m.Name == name {
			return m, nil
		}
		names = append(names, m.Name)
	}
	return nil, absent("map or section", name, names)
}

func absent(what, name string, has []string) error {
	return &InitialError{name, fmt.Errorf("the object has no such %s%s; it has %s", what, nearest.Hint(name, has), errtext.List(has))}
}

// Resize gives a map room for n entries, or the array at the end of a section n
// elements, which are zero where the file has none.
func (s *InitialState) Resize(m *Map, n int) error {
	if m.Value != nil && m.Value.Kind == ctype.KindSection {
		return s.lengthen(m, n)
	}
	if err := mayHold(m, n); err != nil {
		return &InitialError{m.Name, err}
	}
	m.MaxEntries = n
	return nil
}

// Fill has n maps made, as the definition of a map of maps says of its inner maps, and put
// into the map with the keys 0 to n-1. The error is an [*InitialError].
func (s *InitialState) Fill(m *Map, n int) error {
	var err error
	switch {
	case !m.Type.HoldsMaps():
		err = fmt.Errorf("it has no maps in it, as it is of type %v: maps of maps can be filled with some", m.Type)
	case m.KeySize != 4:
		err = fmt.Errorf("maps are put into it with the keys 0 to %d, and its keys have %d bytes", n-1, m.KeySize)
	case n < 0 || n > m.MaxEntries:
		err = fmt.Errorf("it has room for %d maps, not for %d", m.MaxEntries, n)
	}
	if err != nil {
		return &InitialError{m.Name, err}
	}
	if s.filled == nil {
		s.filled = make(map[*Map]int)
	}
	s.filled[m] = n
	return nil
}

// Filled returns how many maps are made for a map of maps.
func (s *InitialState) Filled(m *Map) int { return s.filled[m] }

// mayHold says why a map cannot have room for n entries.
func mayHold(m *Map, n int) error {
	switch t := m.Type; {
	case t.is(owned):
		return fmt.Errorf("a %v has as many entries as there are owners: it has no size", t)
	case t.is(single):
		return fmt.Errorf("a %v has one entry: it has no size", t)
	case t.is(inBytes) && (n < pageSize || n&(n-1) != 0 || int64(n) > math.MaxUint32):
		return fmt.Errorf("a %[2]v cannot have %[1]d bytes: its size is a power of two, and at least a page of %[3]d bytes", n, t, pageSize)
	case t.is(inPages) && (n < 1 || n > maxArenaPages):
		return fmt.Errorf("an arena has 1 to %d pages, not %d", maxArenaPages, n)
	}
	if n < 1 || int64(n) > math.MaxUint32 {
		return fmt.Errorf("a map has room for 1 to %d entries, not for %d", uint32(math.MaxUint32), n)
	}
	return nil
}

const (
	maxInitial    = 1 << 28 // bytes of the entries of a map
	pageSize      = 4096
	maxArenaPages = 1 << 20 // 4 GiB (arena_map_alloc, kernel/bpf/arena.c)
)

// lengthen gives the array at the end of a section n elements.
func (s *InitialState) lengthen(m *Map, n int) error {
	last, ok := m.Value.Resizable()
	if !ok {
		return &InitialError{m.Name, errors.New("it cannot be made longer: its last variable is no array, or bytes follow it that belong to no variable; put the array into a section of its own, as in SEC(\".data.NAME\")")}
	}
	array := m.Value.Members[last]
	switch has := array.Type.Underlying().Len; {
	case n == has:
		return nil
	case n < has:
		return &InitialError{array.Name, fmt.Errorf("it has %s in the file, and cannot be made shorter than that: %d", errtext.Count(has, "element", "elements"), n)}
	case int64(n) > (math.MaxInt32-int64(array.Offset))/int64(array.Type.Underlying().Elem.Size):
		return &InitialError{array.Name, fmt.Errorf("%d elements of %d bytes are more than a section holds, which is %d bytes", n, array.Type.Underlying().Elem.Size, math.MaxInt32)}
	}
	m.Value = m.Value.Lengthened(n)
	m.ValueSize = m.Value.Size
	m.Stride = (m.ValueSize + 7) &^ 7
	m.Values = append(m.Values, make([]byte, max(0, m.Stride-len(m.Values)))...)
	s.place()
	return nil
}

// Put makes sure that a map has an entry for a key, and returns the entry's number. A new
// one is zeroes, with a value for each CPU if the map is per CPU. An array gets all
// entries up to the one that the key numbers.
func (s *InitialState) Put(m *Map, key []byte) (entry int, err error) {
	if err := takesEntries(m); err != nil {
		return 0, &InitialError{m.Name, err}
	}
	entry = m.N
	switch {
	case m.KeySize > 0 && !m.Type.HasKeys(): // an array
		entry = int(ctype.IntPlace{Bits: 32}.Load(key))
	case m.KeySize > 0:
		if len(key) != m.KeySize {
			return 0, &InitialError{m.Name, fmt.Errorf("its keys have %d bytes, not %d", m.KeySize, len(key))}
		}
		known := s.keysOf(m)
		if i, ok := known[string(key)]; ok {
			return i, nil
		}
		known[string(key)] = entry
		m.Keys = append(m.Keys, key...)
	}
	if entry < m.N {
		return entry, nil
	}
	size := (entry + 1) * max(m.Slots, 1) * m.Stride
	if size > maxInitial {
		return 0, &InitialError{m.Name, fmt.Errorf("%d entries are more than the %d bytes that a map can start with", entry+1, maxInitial)}
	}
	m.Values = append(m.Values, make([]byte, size-len(m.Values))...)
	m.N, m.Total = entry+1, entry+1
	s.place()
	return entry, nil
}

// keysOf returns the numbers of a map's entries by their keys.
func (s *InitialState) keysOf(m *Map) map[string]int {
	if s.keys[m] == nil {
		if s.keys == nil {
			s.keys = make(map[*Map]map[string]int)
		}
		s.keys[m] = make(map[string]int)
	}
	return s.keys[m]
}

// takesEntries says why a map cannot start with entries.
func takesEntries(m *Map) error {
	switch t := m.Type; {
	case t.is(owned):
		return fmt.Errorf("the entries of a %v belong to objects of the guest, which does not run yet: write them when it does (VM.Write)", t)
	case !t.is(initial):
		return fmt.Errorf("a %v cannot start with entries", t)
	}
	if m.Value != nil && m.Value.Kind == ctype.KindSection {
		return errors.New("it is a section: set its variables")
	}
	return nil
}

// initialAddr is the kernel address from which on maps are placed.
const initialAddr = 0xffff_8880_1000_0000

// place gives the values of all maps addresses, apart from one another, after more was
// added.
func (s *InitialState) place() {
	at := uint64(initialAddr)
	for _, m := range s.Snapshot.Maps {
		if m.Type == MapTypeArena {
			continue // whose addresses would be those of other maps, too
		}
		m.Base = at
		at += (uint64(len(m.Values)) + 8191) &^ 4095
	}
	s.Snapshot.dynamic.Store(nil)
	s.Snapshot.indexed.Store(nil)
}

// Set makes the value at a place of the snapshot other bytes, of a bitfield those of
// mask.
func (s *InitialState) Set(place Location, value, mask []byte) error {
	m := place.Map
	if m == nil || place.Addr < m.Base || place.Addr-m.Base+uint64(len(value)) > uint64(len(m.Values)) {
		return &InitialError{place.Path, errors.New("it is in no variable or entry of the object")}
	}
	written := s.written[m]
	written = append(written, make([]byte, max(0, len(m.Values)-len(written)))...)
	s.written[m] = written
	at := int(place.Addr - m.Base)
	for i := range value {
		bits := byte(0xff)
		if mask != nil {
			bits = mask[i]
		}
		if b := &m.Values[at+i]; (*b^value[i])&bits&written[at+i] != 0 {
			return &InitialError{place.Path, errors.New("it shares bytes with what was given another value before: give one of them")}
		} else {
			*b = *b&^bits | value[i]&bits
		}
		written[at+i] |= bits
	}
	return nil
}

// ProgramAt returns the program whose address an operation is, nil if it is none.
func (s *InitialState) ProgramAt(addr uint64) *InitialProgram {
	if i := slices.IndexFunc(s.Programs, func(p *InitialProgram) bool { return p.Addr == addr }); i >= 0 {
		return s.Programs[i]
	}
	return nil
}
