package bpfmap

// This file copies the large pieces that a walk has noted.

import (
	"bytes"
	"context"
	"fmt"
	goruntime "runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"github.com/ktgen/ktgen/freeze/internal/kmem"
)

// job is a physically contiguous piece of a map to be copied.
type job struct {
	m   *Map
	pa  kmem.Phys
	off int // into m.bulk()
	n   int // bytes
}

// bulk is what the jobs of a map fill: the pages of an arena, or the values.
func (m *Map) bulk() []byte {
	if m.pages != nil {
		return m.pages
	}
	return m.Values
}

// cut drops everything from an offset into m.bulk() on.
func (m *Map) cut(off int) {
	if m.pages == nil {
		m.N = min(m.N, off/m.Stride)
		return
	}
	for i := range m.Extents {
		e := &m.Extents[i]
		if off <= len(e.Data) {
			e.Data = e.Data[:off]
			m.Extents = m.Extents[:i+1]
			return
		}
		off -= len(e.Data)
	}
}

func jobBytes(jobs []job) int {
	n := 0
	for i := range jobs {
		n += jobs[i].n
	}
	return n
}

const (
	// inlineCopy is up to how many bytes are copied while walking.
	inlineCopy = 64 << 10

	// sparseCopy is from how many bytes on zero pages are not copied: such a
	// piece is mostly untouched memory, and the buffer is zero already.
	sparseCopy = 1 << 20

	// maxWorkers bounds the goroutines that copy; memory bandwidth ends before.
	maxWorkers = 4
	// workerBytes is how much a further worker must find to do.
	workerBytes = 2 << 20
)

// span fills the n bytes of a map's values from a, contiguous in the guest,
// at once if they are few and later else. It returns how many bytes could be
// found before the first one that is not mapped.
func (p *Pass) span(m *Map, a kmem.Addr, n int) (int, error) {
	if n <= inlineCopy {
		dst := grow(&m.Values, n)
		found := 0
		err := p.mem.Runs(a, uint64(n), func(pa kmem.Phys, n int) error {
			if err := p.mem.ReadPhys(pa, dst[found:found+n]); err != nil {
				return err
			}
			found += n
			return nil
		})
		m.Values, m.written = m.Values[:found], nil
		return found, err
	}
	return p.plan(m, a, n)
}

// plan notes the jobs for n bytes and then makes room for what was found, so
// that a size that is claimed and not backed by memory allocates nothing.
func (p *Pass) plan(m *Map, a kmem.Addr, n int) (int, error) {
	first, found := len(p.jobs), 0
	err := p.mem.Runs(a, uint64(n), func(pa kmem.Phys, n int) error {
		if err := p.check(); err != nil {
			return err
		}
		p.addJob(first, job{m: m, pa: pa, off: found, n: n})
		found += n
		return nil
	})
	m.room(found)
	return found, err
}

// room makes m.Values n bytes long. For a sparse copy they are zero but for
// the pages in m.written.
func (m *Map) room(n int) {
	sparse := n >= sparseCopy
	if cap(m.Values) < n || sparse && m.written == nil {
		m.Values = make([]byte, n)[:n:n]
		m.written = make([]uint64, n/kmem.PageSize/64+1)
	}
	m.Values = m.Values[:n]
	if !sparse {
		m.written = nil
	}
}

// addJob appends a job, or extends the last one of the same plan.
func (p *Pass) addJob(first int, j job) {
	const maxJob = 256 << 10
	if last := len(p.jobs) - 1; last >= first {
		l := &p.jobs[last]
		if l.pa+kmem.Phys(l.n) == j.pa && l.n+j.n <= maxJob {
			l.n += j.n
			return
		}
	}
	p.jobs = append(p.jobs, j)
}

// Copy does what the walk has left to do, on several CPUs where that pays, until
// the time is up. A piece that cannot be read makes its map Failed. It returns an
// error only if ctx ends.
func (p *Pass) Copy(ctx context.Context) error {
	c := copying{Pass: p, ctx: ctx}
	var others sync.WaitGroup
	for range p.workers() - 1 {
		others.Go(c.work)
	}
	c.work()
	others.Wait()
	if c.panicked != nil {
		panic(c.panicked)
	}
	return context.Cause(ctx)
}

// copying is one call of Copy.
type copying struct {
	*Pass
	ctx context.Context

	mu       sync.Mutex // guards the maps, where a job fails, and panicked
	panicked any
}

// work does jobs until there are no more.
func (c *copying) work() {
	var buf []byte
	for c.ctx.Err() == nil && !c.over() {
		i := int(c.begun.Add(1)) - 1
		if i >= len(c.jobs) {
			return
		}
		if err := c.try(&c.jobs[i], &buf); err != nil {
			c.fail(&c.jobs[i], err)
		}
	}
}

// over says whether no more jobs are to be begun.
func (c *copying) over() bool {
	if !c.Late() || int(c.begun.Load()) >= len(c.jobs) {
		return false
	}
	c.late.Store(true)
	return true
}

// try does a job. A panic is an error, and is kept for the goroutine that
// called Copy, which knows what to do about it.
func (c *copying) try(j *job, buf *[]byte) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v", v)
			c.mu.Lock()
			defer c.mu.Unlock()
			c.panicked = fmt.Sprintf("%v\n%s", v, debug.Stack())
		}
	}()
	return c.do(j, buf)
}

// fail cuts a map off before a piece that could not be read.
func (c *copying) fail(j *job, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	j.m.fail(fmt.Errorf("copy its bytes: %w", err))
	j.m.cut(j.off)
}

func (p *Pass) workers() int {
	return max(1, min(goruntime.GOMAXPROCS(0), maxWorkers, jobBytes(p.jobs)/workerBytes))
}

func (p *Pass) do(j *job, buf *[]byte) error {
	src, err := p.mem.ViewPhys(j.pa, j.n, buf)
	if err != nil {
		return err
	}
	dst := j.m.bulk()[j.off : j.off+j.n]
	if j.m.written != nil {
		j.copySparse(dst, src)
		return nil
	}
	copy(dst, src)
	return nil
}

var zeroPage [kmem.PageSize]byte

// copySparse copies the pages that are not zero. The pages of the destination
// that were never written are zero, and are not touched for a page that is.
func (j *job) copySparse(dst, src []byte) {
	for at := 0; at < len(src); {
		page := (j.off + at) / kmem.PageSize
		n := min(len(src)-at, (page+1)*kmem.PageSize-j.off-at)
		s, d := src[at:at+n], dst[at:at+n]
		at += n
		word, bit := &j.m.written[page/64], uint64(1)<<(page%64)
		switch dirty := atomic.LoadUint64(word)&bit != 0; {
		case !bytes.Equal(s, zeroPage[:n]):
			copy(d, s)
			if !dirty {
				atomic.OrUint64(word, bit)
			}
		case dirty:
			clear(d)
		}
	}
}
