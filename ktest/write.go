package ktest

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/ktgen/ktgen/freeze"
	"github.com/ktgen/ktgen/runtime"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// Assignment is a value that [VM.Write] gives to a place of the guest.
type Assignment struct {
	write freeze.Write
	err   error // why it cannot be given

	find func(*ktsnap.Snapshot) Assignment // makes one whose place is known; nil if it is
}

// Set assigns v to the value that p points to, which was read through snap:
//
//	err := vm.Write(ctx, ktest.Set(snap, &snap.Bss().InjectFault, true))
//
// The value can be a global, a value of an array, hash or storage map, per CPU or not, or
// an object in an arena. It can be any member of these, bitfields and enums included, and a
// pointer, which nil makes NULL. *p does not change: it belongs to the snapshot.
func Set[T any](snap runtime.Bound, p *T, v T) Assignment {
	place, value, mask, err := runtime.Assign(snap, p, v)
	return assignment(place, value, mask, err)
}

// SetOf makes a value that was found by its path another, as [runtime.AssignAny]
// takes it: a number, a bool, the name of an enumerator, a text, a slice, a map of members.
func SetOf(v ktsnap.Value, to any) Assignment {
	place, value, mask, err := runtime.AssignAny(v, to)
	return assignment(place, value, mask, err)
}

func assignment(place ktsnap.Location, value, mask []byte, err error) Assignment {
	return Assignment{
		write: freeze.Write{Path: place.Path, Map: place.Map, Addr: place.Addr, Bytes: value, Mask: mask},
		err:   err,
	}
}

// Write stops the guest, makes all assignments, and lets it go: its programs
// see all of them or none. Maps and entries that they are for must still be
// there, at the place that they had.
//
// The error is a [*runtime.AssignError] for a value that does not fit, a
// [*freeze.WriteError] for a place that is no more or cannot be written, or as
// those of [VM.TryFreeze].
func (vm *VM) Write(ctx context.Context, assignments ...Assignment) error {
	if len(assignments) == 0 {
		return nil
	}
	assignments, err := vm.foundAll(ctx, assignments)
	if err != nil {
		return err
	}
	writes := make([]freeze.Write, len(assignments))
	for i, a := range assignments {
		if a.err != nil {
			return a.err
		}
		writes[i] = a.write
	}
	f, err := vm.freezer(ctx)
	if err == nil {
		err = vm.write(ctx, f, writes...)
	}
	return vm.because(err)
}

// Poke writes an integer of size bytes (1, 2, 4 or 8) at an offset into the first value of
// an array map. The map's name is suffix, or ends in it, such as ".bss". Poke is for code
// without generated types; see [Set] and [SetOf].
//
// The error is a [*ktsnap.MapNotFoundError], a [*ktsnap.AmbiguousMapError], or one of
// [VM.Write].
func (vm *VM) Poke(ctx context.Context, suffix string, offset, size int, number uint64) error {
	doing := fmt.Sprintf("write %d bytes at offset %d of map *%s", size, offset, suffix)
	switch {
	case size != 1 && size != 2 && size != 4 && size != 8:
		return fmt.Errorf("%s: an integer has 1, 2, 4 or 8 bytes: choose such a size", doing)
	case size < 8 && number>>(8*size) != 0:
		return fmt.Errorf("%s: %d does not fit: choose a larger size, or a smaller number", doing, number)
	}
	f, err := vm.freezer(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", doing, vm.because(err))
	}
	snap, err := vm.capture(ctx, f, "poke")
	if err != nil {
		return fmt.Errorf("%s: %w", doing, vm.because(err))
	}
	m, err := bySuffix(snap, suffix)
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	if m.Type != ktsnap.MapTypeArray || m.Base == 0 {
		return fmt.Errorf("%s: %s is a map of type %v, and not an array in one piece: use ktest.Set or ktest.SetOf", doing, m.Name, m.Type)
	}
	if offset < 0 || offset > m.ValueSize-size {
		return fmt.Errorf("%s: %w: a value of %s has %d bytes; choose an offset that leaves room", doing, freeze.ErrOutOfRange, m.Name, m.ValueSize)
	}
	write := freeze.Write{
		Path: fmt.Sprintf("%s[0]+%d", m.Name, offset), Map: m,
		Addr:  m.Base + uint64(offset),
		Bytes: binary.LittleEndian.AppendUint64(nil, number)[:size],
	}
	return vm.because(vm.write(ctx, f, write))
}

// bySuffix returns the only map whose name ends in suffix; of several the one that
// has no other name, or the only one of the active scheduler's.
func bySuffix(snap *ktsnap.Snapshot, suffix string) (*ktsnap.Map, error) {
	var found []*ktsnap.Map
	var names []string
	for _, m := range snap.Maps {
		names = append(names, m.Name)
		if strings.HasSuffix(m.Name, suffix) {
			found = append(found, m)
		}
	}
	switch len(found) {
	case 0:
		return nil, &ktsnap.MapNotFoundError{Requested: "*" + suffix, Available: names}
	case 1:
		return found[0], nil
	}
	whole := slices.DeleteFunc(slices.Clone(found), func(m *ktsnap.Map) bool { return m.Name != suffix })
	if len(whole) == 1 {
		return whole[0], nil
	}
	active := snap.Active()
	own := slices.DeleteFunc(slices.Clone(found), func(m *ktsnap.Map) bool { return active.Map(m.Name).Map() != m })
	if len(own) == 1 {
		return own[0], nil
	}
	return nil, ambiguousSuffix(suffix, found)
}

// suffixError is an AmbiguousMapError whose way out is one that Poke has.
type suffixError struct {
	*ktsnap.AmbiguousMapError
	do string
}

func (e *suffixError) Unwrap() error { return e.AmbiguousMapError }

func (e *suffixError) Error() string {
	they := make([]string, len(e.IDs))
	for i, id := range e.IDs {
		they[i] = fmt.Sprintf("%s (id %d)", e.Names[i], id)
	}
	return fmt.Sprintf("%d maps answer to %q: %s: %s", len(they), e.Requested, strings.Join(they, ", "), e.do)
}

func ambiguousSuffix(suffix string, found []*ktsnap.Map) error {
	e := &suffixError{&ktsnap.AmbiguousMapError{Requested: "*" + suffix}, "say more of the name"}
	for _, m := range found {
		if slices.Contains(e.Names, m.Name) {
			e.do = "names do not tell them apart: take a snapshot and use ktest.SetOf with MapByID(id).At(0).Get(path)"
		}
		e.IDs, e.Names = append(e.IDs, m.ID), append(e.Names, m.Name)
	}
	return e
}
