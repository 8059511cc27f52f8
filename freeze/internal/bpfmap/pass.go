package bpfmap

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/ktgen/ktgen/freeze/internal/kmem"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// Limits bound what a pass copies and how long it takes.
type Limits struct {
	MapBytes   int       // of one map's keys, values and addresses
	TotalBytes int       // of all maps'
	Deadline   time.Time // when to stop walking; zero is never
}

// Pass is one walk over all maps of a guest. It is for one goroutine.
type Pass struct {
	// Maps are the maps found, ascending by id.
	Maps []*Map

	mem    *kmem.Space
	cpus   *kmem.CPUs
	layout *Layout
	limits Limits
	chosen func(*ktsnap.Map) bool // nil chooses every map
	name   func([]*Map)           // nil leaves the kernel's names
	warmed map[identity]*Map      // of an earlier pass, whose buffers to use

	ctx   context.Context
	ticks int    // of work since the last look at the clock
	left  uint64 // bytes that all maps may still take
	jobs  []job
	begun atomic.Int64 // jobs
	late  atomic.Bool  // the time was up before all jobs were begun
	bytes int          // copied so far, without jobs
	btfs  map[kmem.Addr]BTF

	record []byte // for Peek
	owners map[kmem.Addr]ownerEntry
}

// identity tells a map from one that reuses its id or its memory.
type identity struct {
	addr kmem.Addr
	id   uint32
}

// Config is what a pass works with.
type Config struct {
	Mem    *kmem.Space
	CPUs   *kmem.CPUs
	Layout *Layout
	Limits Limits
	Choose func(*ktsnap.Map) bool // says by its header whether to copy a map; nil is all
	Name   func([]*Map)           // gives maps their names in full, before Choose is asked; nil is none
}

// NewPass returns a pass that uses up the buffers of an earlier one, whose
// maps must not be used afterwards; warm may be nil.
func NewPass(c Config, warm *Pass) *Pass {
	p := &Pass{
		mem: c.Mem, cpus: c.CPUs, layout: c.Layout, limits: c.Limits, chosen: c.Choose, name: c.Name,
		left: uint64(c.Limits.TotalBytes),
		btfs: make(map[kmem.Addr]BTF),
	}
	p.warmed = make(map[identity]*Map)
	if warm != nil {
		p.jobs = warm.jobs[:0]
		p.record, p.owners = warm.record, warm.owners
		for _, m := range warm.Maps {
			p.warmed[identity{m.addr, m.ID}] = m
		}
	}
	return p
}

// maxMaps bounds the maps of a guest.
const maxMaps = 1 << 16

// Walk finds the maps below map_idr, the address of that struct idr, and
// copies their entries, but for the large pieces it leaves to [Pass.Copy]. It
// fails only if the maps could not all be found, or ctx ends; the maps found
// by then are in p.Maps. When the time is up the maps that are left are truncated;
// their headers are read all the same.
func (p *Pass) Walk(ctx context.Context, mapIDR kmem.Addr) error {
	p.ctx = ctx
	findErr := p.find(mapIDR)
	if p.name != nil {
		p.name(p.Maps)
	}
	for _, m := range p.Maps {
		if err := p.fill(m); err != nil {
			return err
		}
		m.reached = true
	}
	if findErr != nil {
		return fmt.Errorf("find the BPF maps: %w", findErr)
	}
	return nil
}

// Finish makes the maps consistent, whatever has ended the pass, and must be
// called before they are used: err is why, and nil if nothing failed. Maps that
// were not reached, or not wholly copied, are marked.
func (p *Pass) Finish(err error) {
	if err == nil {
		err = errors.New("the capture ended before")
	}
	for _, m := range p.Maps {
		if !m.reached {
			m.fail(fmt.Errorf("not reached: %w", err))
		}
	}
	p.abandon(p.jobs[min(int(p.begun.Load()), len(p.jobs)):], err)
	for _, m := range p.Maps {
		m.Values = m.Values[:min(len(m.Values), m.N*m.Slots*m.Stride)]
		m.Total = max(m.Total, m.N)
	}
}

// abandon cuts off the maps of jobs that were not begun. Those of one map follow
// one another, by offset.
func (p *Pass) abandon(jobs []job, err error) {
	var last *Map
	for i := range jobs {
		j := &jobs[i]
		if j.m == last {
			continue
		}
		last = j.m
		all := len(j.m.bulk())
		j.m.cut(j.off)
		if p.late.Load() {
			j.m.truncate(fmt.Sprintf("%s: %d of %d bytes were copied by then", stoodStill, j.off, all))
			continue
		}
		j.m.fail(fmt.Errorf("not copied to its end: %w", err))
	}
}

// Bytes is how many bytes were copied, jobs included.
func (p *Pass) Bytes() int {
	return p.bytes + jobBytes(p.jobs[:min(int(p.begun.Load()), len(p.jobs))])
}

// Late says whether the time is up.
func (p *Pass) Late() bool {
	return !p.limits.Deadline.IsZero() && time.Now().After(p.limits.Deadline)
}

// find reads the headers of all maps.
func (p *Pass) find(mapIDR kmem.Addr) error {
	nodes := 0
	check := func() error {
		if nodes++; nodes%checkEvery != 0 {
			return nil
		}
		return context.Cause(p.ctx)
	}
	return p.layout.idr.Walk(p.mem, mapIDR, check, func(id uint64, entry kmem.Addr) error {
		if len(p.Maps) == maxMaps {
			return corrupt("there are more than %d maps", maxMaps)
		}
		if m := p.header(id, entry); m != nil {
			p.Maps = append(p.Maps, m)
		}
		return nil
	})
}

// header reads one map's header. It returns nil for a map that is being freed,
// which user space cannot find either.
func (p *Pass) header(id uint64, a kmem.Addr) *Map {
	l := &p.layout.header
	record, err := p.mem.Peek(a, l.size, &p.record)
	if err != nil {
		m := &Map{Map: ktsnap.Map{ID: uint32(id), Addr: uint64(a), Slots: 1}, addr: a}
		m.fail(fmt.Errorf("read struct bpf_map at %v: %w", a, err))
		return m
	}
	if l.refs.Int(record) <= 0 || l.id.Uint(record) == 0 {
		return nil
	}
	m := l.decode(a, record)
	m.held = p.layout.left.users.Int(record) > 0
	if uint64(m.ID) != id {
		m.fail(corrupt("struct bpf_map at %v has id %d and is found under id %d", a, m.ID, id))
		m.ID = uint32(id)
		return m
	}
	if m.BTF, err = p.identify(m.btfAddr); err != nil {
		m.Reason = fmt.Sprintf("its types are unknown: %v", err)
	}
	return m
}

// fill copies the entries of one map. It returns an error only if the pass
// must end.
func (p *Pass) fill(m *Map) error {
	if m.Status == ktsnap.Failed {
		return nil
	}
	c, ok := p.layout.families[m.Type]
	if !ok {
		p.unsupported(m)
		return nil
	}
	if l, ok := c.(placer); ok {
		l.place(p, m)
	}
	if p.chosen != nil && !p.chosen(&m.Map) {
		m.truncate("not selected")
		return nil
	}
	if w := p.warmed[identity{m.addr, m.ID}]; w != nil {
		m.Keys, m.Values, m.Addrs = w.Keys[:0], w.Values[:0], w.Addrs[:0]
		m.Owners, m.Extents = w.Owners[:0], w.Extents[:0]
		m.pages, m.written = w.pages[:0], w.written
	}
	if err := p.checkNow(); err != nil {
		return p.settle(m, err)
	}
	m.limit = min(p.left, uint64(p.limits.MapBytes))
	granted, before := m.limit, len(p.jobs)
	err := c.copy(p, m)
	p.left -= granted - m.limit
	p.bytes += m.size() - jobBytes(p.jobs[before:])
	return p.settle(m, err)
}

// settle records how copying a map ended.
func (p *Pass) settle(m *Map, err error) error {
	if err != nil {
		m.Total = max(m.Total, p.elements(m))
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errDeadline):
		m.truncate(stoodStill + ": " + m.progress() + " by then")
		return nil
	case p.ctx.Err() != nil:
		m.fail(err)
		return fmt.Errorf("copy map %q (id %d): %w", m.Name, m.ID, err)
	}
	m.fail(err)
	return nil
}

func (p *Pass) unsupported(m *Map) {
	m.Status = ktsnap.Unsupported
	m.Reason = fmt.Sprintf("maps of type %d are not read", m.Type)
	if why := m.Type.Unreadable(); why != "" {
		m.Reason = why
	}
	if why, ok := p.layout.why[m.Type]; ok {
		m.Reason = why
	}
}

var errDeadline = errors.New("the guest stood still for too long")

// stoodStill is why maps are truncated when the time is up.
const stoodStill = "the guest had stood still for as long as it may"

// progress says how far a walk has come, with the total if that is known.
func (m *Map) progress() string {
	if m.Total > m.N {
		return fmt.Sprintf("%d of %d entries", m.N, m.Total)
	}
	return fmt.Sprintf("%d entries", m.N)
}

// A look at the clock takes as long as a step of a walk, or copying a kilobyte or
// two. These bound what happens between two of them: about 0.1 ms.
const (
	checkEvery = 1 << 8  // steps
	stepBytes  = 1 << 12 // that count as a step
)

// check ends a walk whose time is up or whose caller has gone. Loops over
// guest memory call it once per step.
func (p *Pass) check() error {
	if p.ticks++; p.ticks < checkEvery {
		return nil
	}
	p.ticks = 0
	return p.checkNow()
}

// worked notes that a step copies n bytes.
func (p *Pass) worked(n int) { p.ticks += n / stepBytes }

func (p *Pass) checkNow() error {
	if err := context.Cause(p.ctx); err != nil {
		return err
	}
	if p.Late() {
		return errDeadline
	}
	return nil
}
