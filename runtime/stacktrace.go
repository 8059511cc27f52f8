package runtime

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"

	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/internal/keyindex"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// StackTraces reads a map of stack traces by their ids, which programs get from
// bpf_get_stackid.
type StackTraces struct {
	m       *boundMap
	keys    *keyindex.Index[uint32]
	partial bool
}

// NewStackTraces returns the map of stack traces with index i in the layout.
func NewStackTraces(b *Binding, i int) StackTraces {
	m := b.readable(i)
	const withBuildID = 1 << 5 // BPF_F_STACK_BUILD_ID
	switch {
	case m.m.Flags&withBuildID != 0:
		m.fail("read", errors.New("its frames are build ids and no addresses"))
	case m.N > 0 && m.keySize != stackIDSize:
		m.fail("read the keys of", fmt.Errorf("its keys have %d bytes, and ids of stacks %d", m.keySize, stackIDSize))
	}
	id := func(entry int) uint32 { return binary.LittleEndian.Uint32(m.m.Keys[entry*m.keySize:]) }
	return StackTraces{m: m, keys: indexEntries(m, id)}
}

// stackIDSize is the size of the id of a stack, in bytes.
const stackIDSize = 4

// Len returns the number of stacks.
func (s StackTraces) Len() int {
	s.whole("Len")
	return s.m.N
}

// IDs returns the ids of the stacks, in the order of the capture.
func (s StackTraces) IDs() []uint32 {
	s.whole("IDs")
	return append([]uint32(nil), s.keys.Keys...)
}

// Get returns the return addresses of a stack, innermost first, and fails if
// there is no stack of that id.
func (s StackTraces) Get(id uint32) []ktsnap.Address {
	frames, exists := s.Lookup(id)
	if !exists {
		s.m.b.fail(&ktsnap.Error{
			Op: "Get", Path: fmt.Sprintf("%s[%d]", s.m.Name, id),
			Err: &ktsnap.KeyNotFoundError{Map: s.m.Name, Key: fmt.Sprint(id), Len: s.m.N, Keys: s.m.FirstKeys()},
		})
	}
	return frames
}

// Lookup returns the return addresses of a stack, innermost first, if there is one of that id.
func (s StackTraces) Lookup(id uint32) (frames []ktsnap.Address, ok bool) {
	entry, exists := s.keys.Find(id)
	switch {
	case !exists:
		s.whole("Lookup")
		return nil, false
	case entry < 0:
		s.m.fail("Lookup", &ktsnap.AmbiguousKeyError{Map: s.m.Name, Key: fmt.Sprint(id), Entries: int(-entry)})
	}
	return s.frames("Lookup", int(entry)), true
}

// All ranges over the stacks by id, in the order of the capture.
func (s StackTraces) All() iter.Seq2[uint32, []ktsnap.Address] {
	return func(yield func(uint32, []ktsnap.Address) bool) {
		s.whole("All")
		for i, id := range s.keys.Keys {
			if !yield(id, s.frames("All", i)) {
				return
			}
		}
	}
}

// Partial returns the map with the entries that were captured, for one that was captured in
// part. Without it, reads that need all entries fail with a [*ktsnap.IncompleteError].
func (s StackTraces) Partial() StackTraces {
	s.partial = true
	return s
}

func (s StackTraces) whole(op string) {
	if !s.partial {
		s.m.require(op)
	}
}

// frames returns the addresses of an entry. Behind the last there are zeros.
func (s StackTraces) frames(op string, entry int) []ktsnap.Address {
	raw, _, ok := s.m.Value(entry, 0)
	if !ok {
		s.m.failUnreadable(op, entry, 0)
		return nil
	}
	frames := []ktsnap.Address{}
	for ; len(raw) >= ctype.PointerSize; raw = raw[ctype.PointerSize:] {
		frame := binary.LittleEndian.Uint64(raw)
		if frame == 0 {
			break
		}
		frames = append(frames, ktsnap.Address(frame))
	}
	return frames
}

// FrameOf returns the function that a function pointer of a value points to, or
// a return address is in.
func FrameOf(snap Bound, addr ktsnap.Address) ktsnap.Frame {
	return snap.Binding().snapshot.Frame(addr)
}

// Frames returns the places of a stack in the code, innermost first, and fails
// if there is no stack of that id.
func (s StackTraces) Frames(id uint32) []ktsnap.Frame {
	var frames []ktsnap.Frame
	for _, addr := range s.Get(id) {
		frames = append(frames, s.m.b.snapshot.Frame(addr))
	}
	return frames
}
