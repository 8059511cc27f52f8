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

	waiting *waitingLayout // nil until it is asked for
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
