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
	stopped time.Duration
	phase   series.Phase
}

// StartClock says that what the test observes begins at this moment: the times
// of captures count from it. Before the first call they count from the guest's
// start.
func (vm *VM) StartClock() {
	vm.clock.mu.Lock()
	defer vm.clock.mu.Unlock()
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
	return vm.clock.now().Sub(vm.clock.start) - vm.clock.stopped
}

// now returns the time of the host, or, as a time since 1970, that of a guest in lockstep.
func (c *clock) now() time.Time {
	if c.virtual != nil {
		return time.Unix(0, int64(c.virtual()))
	}
	return time.Now()
}

// stood notes how long the guest stood still for a snapshot, and returns when
// that was. A nil snapshot is one that failed at this moment.
func (c *clock) stood(snap *ktsnap.Snapshot) (time.Duration, series.Phase) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if snap == nil || c.virtual != nil {
		return c.now().Sub(c.start) - c.stopped, c.phase
	}
	elapsed := snap.Taken.Sub(c.start) - c.stopped
	c.stopped += snap.Timing.Paused - snap.Timing.Stop
	return elapsed, c.phase
}

// stoodAt is stood for a moment at which a guest in lockstep is in the middle of an instruction:
// guest is its time. That of others is the snapshot's.
func (c *clock) stoodAt(snap *ktsnap.Snapshot, guest time.Duration) (time.Duration, series.Phase) {
	elapsed, phase := c.stood(snap)
	if c.virtual == nil {
		return elapsed, phase
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Unix(0, int64(guest)).Sub(c.start) - c.stopped, phase
}
