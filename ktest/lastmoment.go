package ktest

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/ktgen/ktgen/ktest/internal/scx"
	"github.com/ktgen/ktgen/series"
	"github.com/ktgen/ktgen/vmm"
)

// BeforeExit is the name of the captures of the moment in which the kernel decides
// to end a scheduler. Its queues are as they were: the kernel takes the tasks out of
// them, by dequeue and exit_task, after that.
const BeforeExit = "before_exit"

// lastMoment waits for that moment. The kernel claims an end by writing its kind to
// scx_sched.exit_kind (scx_claim_exit, kernel/sched/ext): the guest is stopped by that
// write, so that it does not matter how busy the host is. Until then it costs nothing
// but a watchpoint.
type lastMoment struct {
	vm        *VM
	scheduler *scx.Scheduler

	mu      sync.Mutex
	point   *vmm.Watchpoint // nil while nothing is watched
	capture *series.Capture // nil if none was made
}

// awaitLastMoment begins to wait. A guest in which that cannot be done is captured
// after the end only.
func (vm *VM) awaitLastMoment(s *scx.Scheduler) *lastMoment {
	l := &lastMoment{vm: vm, scheduler: s}
	if !vm.cfg.BeforeExit {
		return l
	}
	ctx, cancel := context.WithTimeout(context.Background(), vm.cfg.Timeouts.Capture)
	defer cancel()
	f, err := vm.hitFreezer(ctx)
	if err != nil {
		return l
	}
	addr, size, ok := f.ExitKind()
	if !ok {
		return l
	}
	if point, err := vm.machine.Watch(ctx, addr, size, l.onHit); err == nil {
		l.mu.Lock()
		l.point = point
		l.mu.Unlock()
	}
	return l
}

// onHit is called while the guest stands still.
func (l *lastMoment) onHit(h vmm.Hit) (keep bool) {
	if h.New == 0 {
		return true // no kind: a comparison that failed
	}
	if l.scheduler.Stopping() {
		return false
	}
	ctx, cancel := context.WithTimeout(context.Background(), l.vm.cfg.Timeouts.Capture)
	defer cancel()
	c := series.Capture{Moment: series.Moment{Name: BeforeExit, Trigger: series.Event}, NoStatistics: errStands}
	f, err := l.vm.hitFreezer(ctx)
	if err == nil {
		c.Snapshot, err = f.CaptureStopped(ctx, BeforeExit)
	}
	c.NoSnapshot = err
	c.Elapsed, c.Phase = l.vm.clock.stood(c.Snapshot)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.capture = &c
	return false
}

// errStands is why there are no statistics of that moment.
var errStands = errors.New("the guest stood still, and could not be asked for statistics")

// keep adds the capture to the store, with how the scheduler ended, which the
// kernel did not know by then.
func (l *lastMoment) keep() {
	l.mu.Lock()
	c := l.capture
	l.capture = nil
	l.mu.Unlock()
	if c == nil {
		return
	}
	if c.Snapshot != nil {
		c.Snapshot.Scheduler = l.vm.explained(c.Snapshot.Scheduler)
	}
	_ = l.vm.captures.Add(*c) // closed: nobody is left to read it
}

// yield gives the watchpoint to someone who has asked for one. It reports whether
// there was one.
func (l *lastMoment) yield() bool {
	l.mu.Lock()
	point := l.point
	l.point = nil
	l.mu.Unlock()
	if point == nil {
		return false
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	return point.Close(ctx) == nil
}

// closeTime bounds the time that taking back a watchpoint may take.
const closeTime = 5 * time.Second
