package freeze

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/ktgen/ktgen/freeze/internal/bpfmap"
	"github.com/ktgen/ktgen/freeze/internal/kmem"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// Write is what to change in a value of a map.
type Write struct {
	Path  string      // what is written, for messages
	Map   *ktsnap.Map // that was captured, and still has to be there
	Addr  uint64      // the kernel's, of the first byte; within a value of Map
	Bytes []byte      // what to write
	Mask  []byte      // the bits of Bytes to write; nil is all of them
}

// WriteError says which of several writes cannot be carried out. None of them
// was, unless Partial is set: then those before it were, and of it maybe a part.
type WriteError struct {
	Path    string
	Map     string
	Partial bool
	Err     error
}

func (e *WriteError) Error() string {
	s := fmt.Sprintf("write %s: %v", e.Path, e.Err)
	if e.Partial {
		return s + "; a part of this write can be in the guest, and those before it are"
	}
	return s + "; nothing was written"
}

func (e *WriteError) Unwrap() error { return e.Err }

// Reasons why a write is refused, by errors.Is.
var (
	// ErrMapGone: the guest has no such map any more.
	ErrMapGone = errors.New("the guest has this map no more: take a snapshot of the maps that it has")
	// ErrEntryGone: the map has no such entry any more, or it has moved.
	ErrEntryGone = errors.New("the map does not have this entry any more: take a snapshot of those that it has")
	// ErrOutOfRange: the bytes are not all in one value of the map.
	ErrOutOfRange = errors.New("it is not within one value of the map")
	// ErrNoMap: the place is in no map, such as a member of the kernel's task_struct.
	ErrNoMap = errors.New("it is in no map: values of maps can be written, and objects of the kernel can be read and watched only")
	// ErrReadOnly: programs cannot write the map, and the verifier has taken
	// its values for constants (bpf_map_is_rdonly, kernel/bpf/verifier.c).
	ErrReadOnly = errors.New("the map is read-only for programs, which were translated with the values that it had: set it before the scheduler is loaded")
	// ErrKernelOwned: the bytes belong to the kernel.
	ErrKernelOwned = errors.New("the kernel keeps its own state in values of this kind of map")
)

// Write stops the guest, writes, and lets it go: programs see all of the writes
// or none. Each is held against the map as it is at that moment, before any is
// carried out, and read back.
//
// The error is a [*WriteError], a [*CaptureError] if the guest could not be
// stopped or resumed, or says that the RAM cannot be written.
func (f *Freezer) Write(ctx context.Context, writes ...Write) error {
	if err := f.take(ctx); err != nil {
		return &CaptureError{Name: "write", Doing: "wait for a capture of the guest to end", Err: err}
	}
	defer f.give()
	ram, ok := f.ram.(io.WriterAt)
	if !ok {
		return fmt.Errorf("write to the guest's memory: a %T can only be read", f.ram)
	}
	w := &writer{Freezer: f, ram: ram, writes: writes}
	s := &stop{Freezer: f}
	s.run(ctx, func(ctx context.Context) error {
		s.doing = "write to its maps"
		return w.run(ctx)
	})
	var refused *WriteError
	switch {
	case s.err == nil && s.resumed == nil:
		return nil
	case s.resumed == nil && errors.As(s.err, &refused):
		return refused
	}
	return &CaptureError{Name: "write", Doing: s.doing, Err: s.err, Resume: s.resumed}
}

// writer carries out writes while the guest stands still.
type writer struct {
	*Freezer
	ram    io.WriterAt
	writes []Write
}

func (w *writer) run(ctx context.Context) error {
	pass := w.pass(w.stopped, nil, w.concerns, nil, time.Now().Add(w.options.MaxPause))
	if err := pass.Walk(ctx, w.mapIDR); err != nil {
		return err
	}
	for i := range w.writes {
		if err := w.check(pass, &w.writes[i]); err != nil {
			return w.refuse(i, false, err)
		}
	}
	for i := range w.writes {
		if err := w.write(&w.writes[i]); err != nil {
			return w.refuse(i, true, err)
		}
	}
	return nil
}

func (w *writer) refuse(i int, partial bool, err error) error {
	e := &WriteError{Path: w.writes[i].Path, Partial: partial, Err: err}
	if m := w.writes[i].Map; m != nil {
		e.Map = m.Name
	}
	return e
}

// concerns reports whether something is written to a map.
func (w *writer) concerns(m *ktsnap.Map) bool {
	for i := range w.writes {
		if to := w.writes[i].Map; to != nil && to.ID == m.ID && to.Addr == m.Addr {
			return true
		}
	}
	return false
}

// BPF_F_RDONLY_PROG of include/uapi/linux/bpf.h.
const readOnlyForPrograms = 1 << 7

// check holds a write against the map that the guest has.
func (w *writer) check(pass *bpfmap.Pass, to *Write) error {
	if to.Map == nil {
		return ErrNoMap
	}
	if len(to.Bytes) == 0 || to.Mask != nil && len(to.Mask) != len(to.Bytes) {
		return fmt.Errorf("%d bytes with a mask of %d", len(to.Bytes), len(to.Mask))
	}
	current, err := held(pass, to.Map, to.Addr, len(to.Bytes))
	switch {
	case current == nil:
		return err
	case current.Type.IsKernelOwned():
		return ErrKernelOwned
	case current.Flags&readOnlyForPrograms != 0:
		return ErrReadOnly
	case err != nil:
		return err
	}
	return w.stopped.Runs(kmem.Addr(to.Addr), uint64(len(to.Bytes)), func(kmem.Phys, int) error { return nil })
}

// held returns the map that the guest has for one that was captured, and why
// the place in it is not what it was: [ErrMapGone] (without a map),
// [ErrOutOfRange], or [ErrEntryGone]; or that this cannot be told (errUnsure).
func held(pass *bpfmap.Pass, m *ktsnap.Map, addr uint64, size int) (*bpfmap.Map, error) {
	current := present(pass, m)
	if current == nil || current.Type != m.Type || current.Name != cut(m.Name) {
		return nil, ErrMapGone
	}
	old, _, ok := m.At(addr, size)
	if !ok {
		return current, fmt.Errorf("%w: %d bytes at %#x, of values of %d bytes", ErrOutOfRange, size, addr, m.ValueSize)
	}
	entry, _, ok := current.At(addr, size)
	switch {
	case ok && sameEntry(m, old, &current.Map, entry):
		return current, nil
	case current.Status != ktsnap.Complete:
		return current, fmt.Errorf("%w (%s): allow for more with MapBytes, TotalBytes or MaxPause of freeze.Options", errUnsure, current.Reason)
	case m.Type == ktsnap.MapTypeArena:
		return current, fmt.Errorf("%w: the page of the arena has been freed", ErrEntryGone)
	}
	return current, ErrEntryGone
}

// errUnsure is for an entry that can be in the part of a map that was not reached.
var errUnsure = errors.New("the map could be read in part only, so it cannot be told whether the entry is still there")

// HoldsStopped says whether size bytes at the kernel's address addr are still in
// the entry of m that they were captured in, for a guest that stands still. The
// error is [ErrMapGone], [ErrOutOfRange] or [ErrEntryGone], or that of the walk.
func (f *Freezer) HoldsStopped(ctx context.Context, m *ktsnap.Map, addr uint64, size int) error {
	if err := f.take(ctx); err != nil {
		return err
	}
	defer f.give()
	f.stopped.Flush()
	s := &stop{Freezer: f}
	s.guard(func() error {
		pass := f.pass(f.stopped, nil, func(other *ktsnap.Map) bool { return other.ID == m.ID && other.Addr == m.Addr }, nil, time.Now().Add(f.options.MaxPause))
		if err := pass.Walk(ctx, f.mapIDR); err != nil {
			return err
		}
		_, err := held(pass, m, addr, size)
		return err
	})
	return s.err
}

// Holds is [Freezer.HoldsStopped] for a guest that runs, and may change the map meanwhile:
// what is not there is looked for several times.
func (f *Freezer) Holds(ctx context.Context, m *ktsnap.Map, addr uint64, size int) error {
	f.peek.mu.Lock()
	defer f.peek.mu.Unlock()
	s := &stop{Freezer: f}
	for range holdsLooks {
		s.guard(func() error {
			pass := f.pass(f.peek.space, nil, func(other *ktsnap.Map) bool { return other.ID == m.ID && other.Addr == m.Addr }, nil, time.Now().Add(f.options.MaxPause))
			if err := pass.Walk(ctx, f.mapIDR); err != nil {
				return nil // the list of maps was changed under the walk
			}
			if _, err := held(pass, m, addr, size); !errors.Is(err, errUnsure) {
				return err
			}
			return nil
		})
		if s.err == nil {
			return nil
		}
	}
	return s.err
}

// holdsLooks is how often in a row something is not there that is gone.
const holdsLooks = 3

func present(pass *bpfmap.Pass, m *ktsnap.Map) *bpfmap.Map {
	for _, current := range pass.Maps {
		if current.ID == m.ID && current.Addr == m.Addr {
			return current
		}
	}
	return nil
}

// sameEntry reports whether entries of two captures of one map are the same.
func sameEntry(a *ktsnap.Map, i int, b *ktsnap.Map, j int) bool {
	switch {
	case len(a.Owners) > 0 || len(b.Owners) > 0:
		return i < len(a.Owners) && j < len(b.Owners) && a.Owners[i].Addr == b.Owners[j].Addr
	case len(a.Keys) > 0 || len(b.Keys) > 0:
		return bytes.Equal(keyOf(a, i), keyOf(b, j)) && keyOf(a, i) != nil
	}
	return i == j
}

// keyOf returns the key of an entry, or nil.
func keyOf(m *ktsnap.Map, i int) []byte {
	if m.KeySize <= 0 || i >= len(m.Keys)/m.KeySize {
		return nil
	}
	return m.Keys[i*m.KeySize:][:m.KeySize]
}

// write changes the guest's memory and reads it back.
func (w *writer) write(to *Write) error {
	value := make([]byte, len(to.Bytes))
	if err := w.stopped.Read(kmem.Addr(to.Addr), value); err != nil {
		return err
	}
	for i, b := range to.Bytes {
		mask := byte(0xff)
		if to.Mask != nil {
			mask = to.Mask[i]
		}
		value[i] = value[i]&^mask | b&mask
	}
	rest := value
	err := w.stopped.Runs(kmem.Addr(to.Addr), uint64(len(value)), func(pa kmem.Phys, n int) error {
		_, err := w.ram.WriteAt(rest[:n], int64(pa))
		rest = rest[n:]
		return err
	})
	if err != nil {
		return err
	}
	back := make([]byte, len(value))
	if err := w.stopped.Read(kmem.Addr(to.Addr), back); err != nil {
		return fmt.Errorf("read it back: %w", err)
	}
	if !bytes.Equal(back, value) {
		return fmt.Errorf("the guest holds % x after % x was written", back, value)
	}
	return nil
}
