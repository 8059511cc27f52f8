package ktsnap

import (
	"fmt"

	"github.com/ktgen/ktgen/runtime/ctype"
)

// Location is where a value of a snapshot lies in the guest: to watch what is
// written there, or to write to it.
type Location struct {
	Path string // such as ".bss.nr_dispatched" or "task_ctxs[1234].ctx.weight"

	Map    *Map // that the value was captured of; nil if a pointer led elsewhere
	Entry  int  // of Map; -1 in an arena and elsewhere
	CPU    int  // -1 if Map is not per CPU
	Offset int  // bytes into the entry's value; in an arena into its 4 GiB

	Addr uint64 // the kernel's, of the first byte; of an arena's object not its user address
	Size int    // bytes; of a bitfield those that hold it

	// Bits is the width of a bitfield and 0 for anything else. BitOffset is
	// its distance from Addr; see Member.BitOffset.
	Bits, BitOffset int

	Shape *ctype.Shape // in the guest
}

// NoLocationError reports a value of which a snapshot does not say where it was in the
// guest's memory, such as one of a hand-made snapshot.
type NoLocationError struct{}

func (*NoLocationError) Error() string {
	return "the snapshot does not say where in the guest's memory it was, as those of fixtures do not: writes and watches need a value that was read out of a guest"
}

// Location returns where a value lies. The error is a [*NoLocationError] if the snapshot does
// not say where it was.
func (v Value) Location() (Location, error) {
	const op = "Location"
	switch {
	case v.err != nil:
		return Location{}, v.err
	case v.shape == nil:
		return Location{}, v.fail(op, v.noShape())
	case v.addr == 0:
		return Location{}, v.fail(op, &NoLocationError{})
	}
	at := v.root.m.r.memory().Location(v.addr)
	at.Path, at.Size, at.Shape = v.Path(), len(v.data), v.shape
	at.Bits, at.BitOffset = int(v.bits), int(v.first)
	return at, nil
}

// Location returns where what has an address lies, in any of the forms in which
// programs store pointers.
func (m *Memory) Location(addr uint64) Location {
	l := Location{Addr: m.kernelAddr(addr), Entry: -1, CPU: -1}
	addr = m.Canonical(addr)
	at, ok := m.Span(addr)
	if !ok || at.Owner == nil {
		return l
	}
	if w, ok := at.Owner.Window(); ok {
		l.Map, l.Offset = at.Owner, int(addr-w.User)
		return l
	}
	offset := int(addr - at.Start)
	index := at.index + offset/at.Owner.Stride
	if index/at.Owner.Slots >= at.Owner.N {
		return l
	}
	l.Map, l.Entry, l.Offset = at.Owner, index/at.Owner.Slots, offset%at.Owner.Stride
	if at.Owner.Slots > 1 || at.Owner.Type.IsPerCPU() {
		l.CPU = index % at.Owner.Slots
	}
	return l
}

// Locate finds the captured map that an address of the guest leads into, in any
// of the forms in which programs store pointers. For a variable of an arena that
// is the section that it is in; see [Snapshot.Views].
func (s *Snapshot) Locate(addr uint64) (at Location, ok bool) {
	r := s.reader()
	at = r.memory().Location(addr)
	addr = r.memory().Canonical(addr)
	for _, section := range r.sections {
		if section.N == 1 && addr-section.Base < uint64(section.Size) {
			at.Map, at.Entry, at.Offset = section.m, 0, int(addr-section.Base)
		}
	}
	return at, at.Map != nil
}

// EntryAt returns the entry at a location, for its CPU; an error in an arena.
func (s *Snapshot) EntryAt(at Location) Entry {
	for _, m := range s.reader().all() {
		if m.m == at.Map {
			v := m.view()
			if at.CPU >= 0 {
				v = v.CPU(at.CPU)
			}
			return v.At(at.Entry)
		}
	}
	return Entry{err: &Error{Op: "EntryAt", Err: fmt.Errorf("the location is in no map of this snapshot")}}
}
