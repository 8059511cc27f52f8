package ktsnap

import (
	"github.com/ktgen/ktgen/runtime/ctype"
)

// Location is where a value of a snapshot lies in the guest: to watch what is
// written there, or to write to it.
type Location struct {
	Path string // such as ".bss.nr_dispatched" or "task_ctxs[1234].ctx.weight"
	Map  *Map   // that the value was captured of; nil if a pointer led elsewhere

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

// Location returns where what has an address lies.
func (m *Memory) Location(addr uint64) Location {
	at := Location{Addr: m.kernelAddr(addr)}
	if shown, ok := m.locate(m.Canonical(addr)); ok {
		at.Map = shown.Map
	}
	return at
}
