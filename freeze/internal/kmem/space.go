package kmem

import (
	"encoding/binary"
	"io"
	"math"
	"math/bits"
	"slices"
)

// Slicer is RAM that can be looked at without copying it. Slice returns the n
// bytes at the guest-physical address pa as they are in the guest, live; ok is
// false where there is no RAM or the range is not contiguous on the host.
type Slicer interface {
	Slice(pa int64, n int) (view []byte, ok bool)
}

// Layout is where one guest's kernel keeps things: what [Discover] found.
type Layout struct {
	Text     Range // the kernel image, _text to _end
	TextPhys Phys  // where Text.Start was loaded

	Direct Range // the direct map of physical memory; Direct.Start is physical 0

	PageTable Phys // the kernel's top-level page table, init_top_pgt
	Levels    int  // of page tables: 4 or 5

	VMemMap Addr // of struct page of physical page 0
}

// Space is the kernel's address space in one guest.
//
// A Space is for one goroutine, except for [Space.ViewPhys]. It caches page
// table entries and slices of RAM: call [Space.Flush] when the guest has run.
type Space struct {
	Layout
	ram     io.ReaderAt
	slicer  Slicer // nil if ram cannot be looked at in place
	windows []window
	tlb     [tlbEntries]region
	miss    []byte // one page, the table being walked, where slicer is nil
	touched byte   // keeps Touch from being optimised away
}

// NewSpace returns the address space laid out as l in ram, which is addressed
// by guest-physical address. If ram is also a [Slicer] reads do not copy.
func NewSpace(ram io.ReaderAt, l Layout) *Space {
	slicer, _ := ram.(Slicer)
	return &Space{Layout: l, ram: ram, slicer: slicer}
}

// Flush forgets what is cached.
func (s *Space) Flush() {
	clear(s.tlb[:])
	clear(s.windows)
}

// Translate returns where a is in physical memory and how many bytes from
// there on are physically contiguous for certain, at least 1. Errors are
// [NotCanonicalError], [NotMappedError] and [OutsideRAMError].
func (s *Space) Translate(a Addr) (pa Phys, contiguous uint64, err error) {
	switch {
	case s.Direct.Contains(a):
		return Phys(a - s.Direct.Start), uint64(s.Direct.End - a), nil
	case s.Text.Contains(a):
		return s.TextPhys + Phys(a-s.Text.Start), uint64(s.Text.End - a), nil
	}
	return s.walk(a)
}

// ReadPhys fills dst from physical memory.
func (s *Space) ReadPhys(pa Phys, dst []byte) error {
	if view, ok := s.inPlace(pa, len(dst)); ok {
		copy(dst, view)
		return nil
	}
	return s.readAt(pa, dst)
}

func (s *Space) readAt(pa Phys, dst []byte) error {
	if pa > maxPhys {
		return &OutsideRAMError{Phys: pa, Len: len(dst)}
	}
	if n, err := s.ram.ReadAt(dst, int64(pa)); n < len(dst) {
		return &OutsideRAMError{Phys: pa, Len: len(dst), Err: err}
	}
	return nil
}

// ViewPhys returns the n bytes at pa, in place or copied to buf, which is grown
// as needed. Any number of goroutines may call it at once, with a buf each.
func (s *Space) ViewPhys(pa Phys, n int, buf *[]byte) ([]byte, error) {
	if s.slicer != nil && pa <= maxPhys {
		if view, ok := s.slicer.Slice(int64(pa), n); ok {
			return view, nil
		}
	}
	*buf = slices.Grow((*buf)[:0], n)[:n]
	return *buf, s.readAt(pa, *buf)
}

// window is a slice of RAM, kept because asking for one takes a lock at least.
type window struct {
	mem   []byte
	asked bool
}

const (
	windowShift = 25
	windowSize  = 1 << windowShift
	maxWindows  = 1 << 16 // 2 TiB; what lies above is sliced anew each time
)

// inPlace returns n bytes of RAM where they are; ok is false where that cannot
// be.
func (s *Space) inPlace(pa Phys, n int) (view []byte, ok bool) {
	if s.slicer == nil || pa > maxPhys {
		return nil, false
	}
	offset := uint64(pa & (windowSize - 1))
	if mem := s.window(pa >> windowShift); offset+uint64(n) <= uint64(len(mem)) {
		return mem[offset : offset+uint64(n) : offset+uint64(n)], true
	}
	return s.slicer.Slice(int64(pa), n)
}

func (s *Space) window(number Phys) []byte {
	if number >= maxWindows {
		return nil
	}
	if number >= Phys(len(s.windows)) {
		s.windows = append(s.windows, make([]window, number+1-Phys(len(s.windows)))...)
	}
	w := &s.windows[number]
	if !w.asked {
		w.mem, _ = s.slicer.Slice(int64(number)<<windowShift, windowSize)
		w.asked = true
	}
	return w.mem
}

// maxPhys is the largest physical address x86-64 can express.
const maxPhys = 1<<52 - 1

// Peek returns the n bytes at a. They are the guest's own bytes where these
// are contiguous and can be sliced, and else a copy in buf, which is grown as
// needed: n must be bounded by the caller. The result is valid until the guest
// runs or buf is used again.
func (s *Space) Peek(a Addr, n int, buf *[]byte) ([]byte, error) {
	pa, contiguous, err := s.Translate(a)
	if err != nil {
		return nil, err
	}
	if contiguous >= uint64(n) {
		if view, ok := s.inPlace(pa, n); ok {
			return view, nil
		}
	}
	if cap(*buf) < n {
		*buf = make([]byte, n)
	}
	dst := (*buf)[:n]
	return dst, s.Read(a, dst)
}

// Touch brings the first bytes at a into the CPU's cache, if they can be read in
// place. Elements of linked structures lie all over memory, and looking at many
// before the first of them is needed lets the CPU fetch them at the same time.
func (s *Space) Touch(a Addr) {
	pa, _, err := s.Translate(a)
	if err != nil {
		return
	}
	if view, ok := s.inPlace(pa, 1); ok {
		s.touched ^= view[0]
	}
}

// Prefetch has the CPU bring the cache lines at some offsets of the n bytes at a into
// its cache, if they can be read in place, and does not wait for them.
func (s *Space) Prefetch(a Addr, n int, offsets []int) {
	pa, contiguous, err := s.Translate(a)
	if err != nil || contiguous < uint64(n) {
		return
	}
	if view, ok := s.inPlace(pa, n); ok && n > 0 {
		prefetch(&view[0], offsets)
	}
}

// Read fills dst with the bytes at a, which may cross pages.
func (s *Space) Read(a Addr, dst []byte) error {
	return s.Runs(a, uint64(len(dst)), func(pa Phys, n int) error {
		err := s.ReadPhys(pa, dst[:n])
		dst = dst[n:]
		return err
	})
}

// Uint64 reads the 8-byte integer at a.
func (s *Space) Uint64(a Addr) (uint64, error) {
	var word [8]byte
	if err := s.Read(a, word[:]); err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint64(word[:]), nil
}

// Addr reads the pointer at a.
func (s *Space) Addr(a Addr) (Addr, error) {
	v, err := s.Uint64(a)
	return Addr(v), err
}

// Runs calls f for each physically contiguous run of the n bytes at a, in
// order, until one fails. Runs are at most maxRun long.
func (s *Space) Runs(a Addr, n uint64, f func(pa Phys, n int) error) error {
	if _, ok := a.Add(n); !ok {
		return &WrapError{Addr: a, Len: n}
	}
	for n > 0 {
		pa, contiguous, err := s.Translate(a)
		if err != nil {
			return err
		}
		run := min(n, contiguous, maxRun)
		if err := f(pa, int(run)); err != nil {
			return err
		}
		a += Addr(run)
		n -= run
	}
	return nil
}

// maxRun keeps a run's length an int everywhere and its work interruptible.
const maxRun = 1 << 20

// Records calls f with each of the count records of size bytes that follow one
// another from a, in order, until one fails. A record is the guest's own bytes
// unless it straddles pages, and is valid during the call.
func (s *Space) Records(a Addr, count uint64, size int, f func(record []byte) error) error {
	total, ok := mul(count, uint64(size))
	if !ok {
		return &WrapError{Addr: a, Len: math.MaxUint64}
	}
	var straddling, buf []byte
	return s.Runs(a, total, func(pa Phys, n int) error {
		chunk, err := s.view(pa, n, &buf)
		if err != nil {
			return err
		}
		if len(straddling) > 0 {
			missing := min(size-len(straddling), len(chunk))
			straddling = append(straddling, chunk[:missing]...)
			chunk = chunk[missing:]
			if len(straddling) < size {
				return nil
			}
			if err := f(straddling); err != nil {
				return err
			}
			straddling = straddling[:0]
		}
		for ; len(chunk) >= size; chunk = chunk[size:] {
			if err := f(chunk[:size:size]); err != nil {
				return err
			}
		}
		straddling = append(straddling, chunk...)
		return nil
	})
}

// view returns the n bytes at pa, in place if possible and else in buf.
func (s *Space) view(pa Phys, n int, buf *[]byte) ([]byte, error) {
	if view, ok := s.inPlace(pa, n); ok {
		return view, nil
	}
	if cap(*buf) < n {
		*buf = make([]byte, n)
	}
	return (*buf)[:n], s.readAt(pa, (*buf)[:n])
}

func mul(a, b uint64) (product uint64, ok bool) {
	high, low := bits.Mul64(a, b)
	return low, high == 0
}
