package ktest

import (
	"sync"
	"time"

	"github.com/ktgen/ktgen/runtime/ktsnap"
	"github.com/ktgen/ktgen/series"
)

// clock tells how long a scenario has run, and in which phase it is. The time
// that the guest stood still for captures does not count.
type clock struct {
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
	vm.clock.start, vm.clock.stopped = time.Now(), 0
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
	return time.Since(vm.clock.start) - vm.clock.stopped
}

// stood notes how long the guest stood still for a snapshot, and returns when
// that was. A nil snapshot is one that failed at this moment.
func (c *clock) stood(snap *ktsnap.Snapshot) (time.Duration, series.Phase) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if snap == nil {
		return time.Since(c.start) - c.stopped, c.phase
	}
	elapsed := snap.Taken.Sub(c.start) - c.stopped
	c.stopped += snap.Timing.Paused - snap.Timing.Stop
	return elapsed, c.phase
}
