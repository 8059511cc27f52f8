package agent

import (
	"fmt"
	"os"
	"sync/atomic"
	"unsafe"

	"github.com/ktgen/ktgen/scenario/internal/latency"
	"golang.org/x/sys/unix"
)

// page is what a worker shares with the agent. The worker writes it, the agent
// reads it, and takes the longest gap away. Times are in ns of CLOCK_MONOTONIC.
type page struct {
	iterations atomic.Uint64
	seen       atomic.Int64 // when the worker last knew that it ran, at first when it was let; 0 before
	asleep     atomic.Int64 // until when it sleeps by its own choice; 0 while it does not
	gap        atomic.Int64 // longest time from one moment that it ran to the next
	wakeups    [latency.Buckets]atomic.Uint64
	fork       atomic.Uint32 // errno of the fork that failed
}

// pageSize is the distance of pages in a file, a multiple of the guest's pages.
const pageSize = 4096

var _ [pageSize - unsafe.Sizeof(page{})]struct{} // it fits

// share maps page i of a file.
func share(f *os.File, i int) (*page, func() error, error) {
	mem, err := unix.Mmap(int(f.Fd()), int64(i)*pageSize, pageSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, nil, fmt.Errorf("map the page that a worker shares with the agent: %w", err)
	}
	return (*page)(unsafe.Pointer(&mem[0])), func() error { return unix.Munmap(mem) }, nil
}

// release notes that the worker may run from now on. The agent calls it: a worker
// that no scheduler lets run cannot.
func (p *page) release(now int64) { p.seen.Store(now) }

// ran notes that the worker runs, and how long it did not.
func (p *page) ran(now int64) {
	p.lapse(now - p.seen.Load())
	p.seen.Store(now)
}

func (p *page) lapse(d int64) {
	for old := p.gap.Load(); d > old && !p.gap.CompareAndSwap(old, d); old = p.gap.Load() {
	}
}

// woke notes how long a wakeup took.
func (p *page) woke(d int64) {
	p.lapse(d)
	p.wakeups[latency.Bucket(d)].Add(1)
}

// takeGap returns the longest gap since it was last called. One that lasts is
// part of it: a worker that no scheduler lets run notes nothing.
func (p *page) takeGap(now int64) int64 {
	longest := p.gap.Swap(0)
	if seen := p.seen.Load(); seen != 0 {
		longest = max(longest, now-max(seen, p.asleep.Load()))
	}
	return longest
}

// histogram returns the counts of wakeups, without the zeroes at the end.
func (p *page) histogram() []uint64 {
	counts, end := make([]uint64, latency.Buckets), 0
	for i := range p.wakeups {
		if counts[i] = p.wakeups[i].Load(); counts[i] > 0 {
			end = i + 1
		}
	}
	return counts[:end]
}
