package ktest

import (
	"sync"
	"time"

	"github.com/ktgen/ktgen/runtime/ktsnap"
	"github.com/ktgen/ktgen/series"
)

// clock tells how long a scenario has run, and in which phase it is. The time
// that the guest stood still for captures does not count. Of a guest in lockstep it is
// the guest's time.
type clock struct {
	virtual func() time.Duration // the guest's clock, if it is in lockstep; else nil

	mu      sync.Mutex
	start   time.Time
	began   time.Duration // when it was started, on a clock that goes on
	stopped time.Duration
	phase   series.Phase
}

// StartClock says that what the test observes begins at this moment: the times
// of captures count from it, those of a cadence under way, too. Before the first call they count from the guest's
// start.
func (vm *VM) StartClock() {
	vm.clock.mu.Lock()
	defer vm.clock.mu.Unlock()
	if !vm.clock.start.IsZero() {
		vm.clock.began += vm.clock.elapsed()
	}
	vm.clock.start, vm.clock.stopped = vm.clock.now(), 0
}

// EnterPhase says which step of a scenario begins at this moment, for the
// captures that follow.
func (vm *VM) EnterPhase(p series.Phase) {
	vm.clock.mu.Lock()
	defer vm.clock.mu.Unlock()
	vm.clock.phase = p
}

// Elapsed returns the time since the clock was started, without the time that
// the guest stood still for captures.
func (vm *VM) Elapsed() time.Duration {
	vm.clock.mu.Lock()
	defer vm.clock.mu.Unlock()
	return vm.clock.elapsed()
}

// total is Elapsed on a clock that is not started again.
func (c *clock) total() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.began + c.elapsed()
}

// due converts a time of [clock.total] to one since the clock was started.
func (c *clock) due(at time.Duration) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return at - c.began
}

// elapsed is [VM.Elapsed]. The lock is held.
func (c *clock) elapsed() time.Duration { return c.now().Sub(c.start) - c.stopped }

// now returns the time of the host, or, as a time since 1970, that of a guest in lockstep.
func (c *clock) now() time.Time {
	if c.virtual != nil {
		return time.Unix(0, int64(c.virtual()))
	}
	return time.Now()
}

// stood notes how long the guest stood still for a snapshot, and says in m when
// that was. A nil snapshot is one that failed at this moment.
func (c *clock) stood(m *series.Moment, snap *ktsnap.Snapshot) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m.Elapsed, m.Began, m.Phase = c.elapsed(), c.began, c.phase
	if snap == nil || c.virtual != nil {
		return
	}
	m.Elapsed = snap.Taken.Sub(c.start) - c.stopped
	c.stopped += snap.Timing.Paused - snap.Timing.Stop
}

// stoodAt is stood for a moment at which a guest in lockstep is in the middle of an instruction:
// guest is its time. That of others is the snapshot's.
func (c *clock) stoodAt(m *series.Moment, snap *ktsnap.Snapshot, guest time.Duration) {
	c.stood(m, snap)
	if c.virtual == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	m.Elapsed = time.Unix(0, int64(guest)).Sub(c.start) - c.stopped
}
