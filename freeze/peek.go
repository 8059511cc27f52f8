package freeze

import (
	"fmt"
	"sync"

	"github.com/ktgen/ktgen/freeze/internal/kmem"
)

// peek is what reads of a running guest need. They do not wait for captures.
type peek struct {
	mu    sync.Mutex
	space *kmem.Space

	// Both are nil until they are asked for.
	waiting *waitingLayout
	running *runningLayout
}

// Peek reads the guest's memory at an address of its kernel, such as that of a
// map's value, without stopping it. The guest can write at the same time: of
// what is larger than an aligned integer a part can be older than the rest. If
// the memory has been freed, what is read is what took its place.
//
// The error says where the memory is not mapped, or not RAM.
func (f *Freezer) Peek(addr uint64, dst []byte) error {
	f.peek.mu.Lock()
	defer f.peek.mu.Unlock()
	f.peek.space.Flush()
	if err := f.peek.space.Read(kmem.Addr(addr), dst); err != nil {
		return fmt.Errorf("read %d bytes of the running guest at %#x: %w", len(dst), addr, err)
	}
	return nil
}

// Piece is a piece of the guest's physical memory.
type Piece struct {
	Addr int64 // guest-physical
	Size int
}

// Physical returns where the size bytes at an address of the guest's kernel are in its physical
// memory, in order.
func (f *Freezer) Physical(addr uint64, size int) (pieces []Piece, err error) {
	f.peek.mu.Lock()
	defer f.peek.mu.Unlock()
	f.peek.space.Flush()
	err = f.peek.space.Runs(kmem.Addr(addr), uint64(size), func(pa kmem.Phys, n int) error {
		if last := len(pieces) - 1; last >= 0 && pieces[last].Addr+int64(pieces[last].Size) == int64(pa) {
			pieces[last].Size += n
			return nil
		}
		pieces = append(pieces, Piece{Addr: int64(pa), Size: n})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("find the %d bytes at %#x in the guest's physical memory: %w", size, addr, err)
	}
	return pieces, nil
}
