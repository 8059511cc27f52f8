package vmm

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"golang.org/x/sys/unix"
)

// Guest-physical layout of QEMU's q35 machine (hw/i386/pc_q35.c, pc_q35_init):
// RAM that does not fit below the PCI hole continues at 4 GiB.
//
//	guest-physical  0 ........ low | PCI hole | 4 GiB ............
//	banks           0 ........ low |            low ........ size
const (
	q35MaxLow   = 0xb0000000 // RAM of less than this is all below the hole
	q35SplitLow = 0x80000000 // else this much is
	highRAM     = 4 * int64(GiB)
)

// RAM is a guest's memory, addressed by guest-physical addresses. It can be
// read and written while the guest runs, which then changes it at the same time, and
// after the guest has died, until the VM is closed.
//
// Its methods may be called from any goroutine.
type RAM struct {
	size, low int64
	banks     []bank
	wrote     func(p []byte, pa int64) (there bool) // called before a write by WriteAt, which it can make needless; nil for nobody

	mu     sync.Mutex
	mem    []byte // nil once unmapped
	users  int    // pauses and accesses that need mem to stay mapped
	closed bool
}

// newRAM makes the memory of a guest, of banks that follow one another.
func newRAM(sizes ...Size) (*RAM, error) {
	r := &RAM{}
	for _, size := range sizes {
		b, err := newBank(r.size, int64(size))
		if err != nil {
			r.closeBanks()
			return nil, fmt.Errorf("creating the guest's memory (%v): %w (Config.Memory gives it less)", size, err)
		}
		r.banks = append(r.banks, b)
		r.size += int64(size)
	}
	r.low = lowRAM(r.size)
	var err error
	if r.mem, err = mapBanks(r.banks, r.size); err != nil {
		r.closeBanks()
		return nil, fmt.Errorf("creating the guest's memory (%v): %w (Config.Memory gives it less)", r.Size(), err)
	}
	return r, nil
}

// lowRAM returns how much of a guest's RAM is below the PCI hole.
func lowRAM(size int64) int64 {
	if size >= q35MaxLow {
		return q35SplitLow
	}
	return size
}

// Size returns the amount of RAM.
func (r *RAM) Size() Size { return Size(r.size) }

// End returns the first guest-physical address after all RAM. There may be a
// hole below it.
func (r *RAM) End() int64 {
	if r.low == r.size {
		return r.size
	}
	return highRAM + r.size - r.low
}

// offset returns where in the banks the guest-physical address pa is, and
// how many bytes from there on are contiguous.
func (r *RAM) offset(pa int64) (off, contiguous int64, ok bool) {
	switch {
	case pa < 0:
		return 0, 0, false
	case pa < r.low:
		return pa, r.low - pa, true
	case pa >= highRAM && pa-highRAM < r.size-r.low:
		off = pa - highRAM + r.low
		return off, r.size - off, true
	}
	return 0, 0, false
}

// AddressError reports an access to guest-physical addresses that are not RAM.
type AddressError struct {
	Addr int64 // first address of the access that is not RAM
	RAM  Size
}

func (e *AddressError) Error() string {
	return fmt.Sprintf("guest-physical address %#x is not in the guest's %v of RAM", e.Addr, e.RAM)
}

// ReadAt reads guest memory at the guest-physical address pa (io.ReaderAt). It
// returns an [*AddressError] and what it read before where there is no RAM, and
// [ErrClosed] once the VM is closed.
func (r *RAM) ReadAt(p []byte, pa int64) (int, error) {
	return r.each(pa, len(p), func(done int, mem []byte) { copy(p[done:], mem) })
}

// WriteAt writes guest memory (io.WriterAt). Its errors are those of ReadAt.
func (r *RAM) WriteAt(p []byte, pa int64) (int, error) {
	if r.wrote != nil && r.wrote(p, pa) {
		return len(p), nil
	}
	return r.each(pa, len(p), func(done int, mem []byte) { copy(mem, p[done:]) })
}

// each calls visit for the contiguous pieces of memory that make up n bytes
// from pa on, with the number of bytes before each.
func (r *RAM) each(pa int64, n int, visit func(done int, mem []byte)) (int, error) {
	if !r.acquire() {
		return 0, ErrClosed
	}
	defer r.release()
	done := 0
	for done < n {
		off, contiguous, ok := r.offset(pa + int64(done))
		if !ok {
			return done, &AddressError{Addr: pa + int64(done), RAM: r.Size()}
		}
		piece := min(int64(n-done), contiguous)
		visit(done, r.mem[off:off+piece])
		done += int(piece)
	}
	return done, nil
}

// Slice returns n bytes of guest memory at the guest-physical address pa,
// without a copy. It reports false where they are not all RAM or not
// contiguous.
//
// The slice is valid until the VM is closed, and, if it was taken while the
// guest is paused, in any case until the guest is resumed. Touching it later
// crashes the process.
func (r *RAM) Slice(pa int64, n int) ([]byte, bool) {
	off, contiguous, ok := r.offset(pa)
	if !ok || n < 0 || int64(n) > contiguous {
		return nil, false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.mem == nil {
		return nil, false
	}
	return r.mem[off : off+int64(n) : off+int64(n)], true
}

var (
	_ io.ReaderAt = (*RAM)(nil)
	_ io.WriterAt = (*RAM)(nil)
)

// acquire keeps the memory mapped until release. It reports false if the
// memory is closed.
func (r *RAM) acquire() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return false
	}
	r.users++
	return true
}

func (r *RAM) release() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.users--
	r.unmapUnused()
}

// close unmaps the memory as soon as nobody uses it.
func (r *RAM) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	r.unmapUnused()
}

// unmapUnused is called with mu held.
func (r *RAM) unmapUnused() {
	if !r.closed || r.users > 0 || r.mem == nil {
		return
	}
	mem := r.mem
	r.mem = nil
	r.closeBanks()
	if err := unix.Munmap(mem); err != nil {
		panic(errors.Join(errors.New("vmm: unmapping guest memory"), err)) // mem is what Mmap returned
	}
}
