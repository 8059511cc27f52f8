package ktsnap

import (
	"fmt"
	"iter"
)

// MapView reads a captured map by the names of its members, without generated
// code, or has the reason why it cannot. Errors stick, as those of a [Value]
// do:
//
//	weight, err := snap.Map("scx_per_task").CPU(1).At(0).Get("ctx.weight").Uint64()
type MapView struct {
	m       *mapReader // nil if there is no such map
	slot    int        // notNarrowed if the map is per CPU and none was chosen
	partial bool
	err     error
}

func (m *mapReader) view() MapView {
	v := MapView{m: m}
	if m.isPerCPU() {
		v.slot = NotNarrowed
	}
	switch status := m.Status.Status; {
	case m.damaged != nil:
		return v.failed("Map", m.damaged)
	case status == Unsupported || status == Failed && m.N == 0:
		return v.failed("Map", m.Incomplete())
	}
	return v
}

// isPerCPU tells whether the map has a value for each CPU.
func (m *mapReader) isPerCPU() bool { return m.Slots > 1 || m.m.Type.IsPerCPU() }

// Map returns the captured map: its header, and its bytes in columns. It is
// nil if there is none of the name that was asked for.
func (v MapView) Map() *Map {
	if v.m == nil {
		return nil
	}
	return v.m.m
}

// Path names the map as paths do: by its name, and of several maps with one name by their
// order, too, main.bss#2. It is empty if there is none.
func (v MapView) Path() string {
	if v.m == nil {
		return ""
	}
	return v.m.Name
}

// Arena returns the captured arena that the view is a section of variables of;
// nil for the snapshot's maps. Map returns a map that stands for the section: its
// id is 2^31 or more, which no map of a kernel has.
func (v MapView) Arena() *Map {
	if v.m == nil {
		return nil
	}
	return v.m.arena
}

// Err returns why the map cannot be read, or nil.
func (v MapView) Err() error { return v.none().err }

// broken tells whether there is no map to read.
func (v MapView) broken() bool { return v.m == nil || v.err != nil }

// CPU returns what CPU n has of a per-CPU map. Other maps have one value for
// all CPUs.
func (v MapView) CPU(n int) MapView {
	if v.broken() || !v.m.isPerCPU() {
		return v
	}
	if err := v.m.checkCPU(n); err != nil {
		return v.failed("CPU", err)
	}
	v.slot = n
	return v
}

// checkCPU checks a CPU number.
func (m *mapReader) checkCPU(n int) error {
	if n < 0 || n >= m.Slots {
		return &PerCPUSlotError{Map: m.Name, CPU: n, Len: m.Slots}
	}
	return nil
}

// Len returns the number of entries.
func (v MapView) Len() (int, error) {
	if v = v.whole("Len"); v.err != nil {
		return 0, v.err
	}
	return v.m.N, nil
}

// At returns the entry with number i: an array's by its index, others in the
// order of the capture.
func (v MapView) At(i int) Entry {
	if v.broken() {
		return v.none()
	}
	if i >= 0 && i < v.m.N {
		return Entry{m: v.m, entry: i, slot: v.slot}
	}
	if v.m.m.Type == MapTypeArena {
		return v.failed("At", &NoEntriesError{Map: v.m.Name, Type: v.m.m.Type}).none()
	}
	if i >= 0 && i < v.m.Status.Total && v.m.Incomplete() != nil {
		return v.failed("At", v.m.Incomplete()).none()
	}
	return v.failed("At", &IndexOutOfRangeError{Map: v.m.Name, Index: i, Len: v.m.N}).none()
}

// All ranges over the entries, over none if the map cannot be read; see Err.
func (v MapView) All() iter.Seq2[int, Entry] {
	return func(yield func(int, Entry) bool) {
		if v.broken() {
			return
		}
		for i := range v.m.N {
			if !yield(i, Entry{m: v.m, entry: i, slot: v.slot}) {
				return
			}
		}
	}
}

// Find returns the first entry that matches. There is a [*NoMatchError] instead if
// none does, with the first error that match met in Cause.
func (v MapView) Find(match func(Entry) bool) Entry {
	if v.broken() {
		return v.none()
	}
	errs := new(seen)
	for _, e := range v.All() {
		if v.try(e, errs, match) {
			return e
		}
	}
	return v.noMatch("Find", errs)
}

// try calls match with an entry whose errors are noted.
func (v MapView) try(e Entry, errs *seen, match func(Entry) bool) bool {
	e.seen = errs
	return match(e)
}

// Filter returns the entries that match. It fails with a [*NoMatchError] if none does, and
// it is open whether one should have: match met an error such as a member that there is
// not. NULL pointers and other facts of the guest leave nothing open.
func (v MapView) Filter(match func(Entry) bool) ([]Entry, error) {
	if v = v.whole("Filter"); v.err != nil {
		return nil, v.err
	}
	var matches []Entry
	errs := new(seen)
	for _, e := range v.All() {
		if v.try(e, errs, match) {
			matches = append(matches, e)
		}
	}
	if len(matches) == 0 && errs.failed() != nil {
		return nil, v.noMatch("Filter", errs).err
	}
	return matches, nil
}

// MaxBy returns the first of the entries whose key is largest. What key returns counts,
// also if it met an error that it handled. There is a [*NoMatchError] instead if there is
// no entry, or if all keys are 0 and key met an error that leaves open what they are, such
// as a member that there is not.
func (v MapView) MaxBy(key func(Entry) uint64) Entry {
	if v = v.whole("MaxBy"); v.err != nil {
		return v.none()
	}
	best, largest := -1, uint64(0)
	errs := new(seen)
	for i, e := range v.All() {
		e.seen = errs
		if k := key(e); best < 0 || k > largest {
			best, largest = i, k
		}
	}
	if best < 0 || largest == 0 && errs.failed() != nil {
		return v.noMatch("MaxBy", errs)
	}
	return v.At(best)
}

// NoMatchError is the entry that no predicate was satisfied with.
func (v MapView) noMatch(op string, errs *seen) Entry {
	if v = v.whole(op); v.err != nil {
		return v.none()
	}
	if v.m.m.Type == MapTypeArena {
		return v.failed(op, &NoEntriesError{Map: v.m.Name, Type: v.m.m.Type}).none()
	}
	no := v.m.NoMatch(op, max(v.slot, 0))
	no.Cause = errs.cause()
	return v.failed(op, no).none()
}

// Partial returns the map for reading what was captured of it, where its
// capture is incomplete.
func (v MapView) Partial() MapView {
	v.partial = true
	return v
}

// whole fails if what the snapshot holds is not all there was.
func (v MapView) whole(op string) MapView {
	if v.broken() {
		v.err = v.none().err
		return v
	}
	if v.partial || v.m.Incomplete() == nil {
		return v
	}
	return v.failed(op, v.m.Incomplete())
}

// none is the entry of a map that cannot be read.
func (v MapView) none() Entry {
	if v.m == nil && v.err == nil {
		v.err = &Error{Op: "Map", Err: &NoCaptureError{}}
	}
	return Entry{m: v.m, err: v.err}
}

func (v MapView) failed(op string, err error) MapView {
	path := v.m.Name
	if v.m.isPerCPU() && v.slot != NotNarrowed {
		path = fmt.Sprintf("%s[cpu=%d]", path, v.slot)
	}
	v.err = &Error{Op: op, Path: path, Err: err}
	return v
}
