package ktest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/ktgen/ktgen/freeze"
	"github.com/ktgen/ktgen/ktest/internal/scx"
	"github.com/ktgen/ktgen/series"
	"github.com/ktgen/ktgen/vmm"
)

// BeforeExit is the name of the captures of the moment in which the kernel decides
// to end a scheduler. Its queues are as they were: the kernel takes the tasks out of
// them, by dequeue and exit_task, after that.
const BeforeExit = "before_exit"

// lastMoment waits for that moment. When the kernel has noted why a scheduler has to end it writes the kind
// ([freeze.Freezer.ExitKind]): the guest is stopped by that
// write, so that it does not matter how busy the host is. Until then it costs nothing
// but a watchpoint.
type lastMoment struct {
	vm        *VM
	scheduler *scx.Scheduler

	mu      sync.Mutex
	point   *vmm.Watchpoint // nil while nothing is watched
	capture *series.Capture // nil if none was made
	missed  error           // why there is none; nil while it is awaited
	message string          // what the kernel had noted; its log has that of errors only
}

// exitOf returns how a scheduler has ended.
func (vm *VM) exitOf(s *scx.Scheduler) (Exit, error) {
	exit, err := s.Exit()
	vm.mu.Lock()
	last := vm.last
	vm.mu.Unlock()
	if exit.Message != "" || last == nil || last.scheduler != s {
		return exit, err
	}
	last.mu.Lock()
	defer last.mu.Unlock()
	exit.Message = last.message
	return exit, err
}

// awaitLastMoment begins to wait. Where that cannot be done the scheduler is captured
// after its end only, and the test's log says so, once for a guest.
func (vm *VM) awaitLastMoment(s *scx.Scheduler) *lastMoment {
	l := &lastMoment{vm: vm, scheduler: s}
	switch {
	case vm.cfg.NoBeforeExit:
		l.missed = errNotWanted
		return l
	case vm.virtual() && !vm.cfg.Watches:
		l.missed = vmm.ErrLockstepWatch
		return l
	case vm.preparing():
		l.missed = errPrepared
		return l
	}
	l.missed = l.arm()
	if l.missed != nil && !errors.Is(l.missed, errTooLate) && vm.machine.Err() == nil {
		vm.unwatched.Do(func() { vm.warn(&LastMomentError{Err: l.missed}) })
	}
	return l
}

// LastMomentError says why there will be no capture of the moment in which the kernel
// decides to end a scheduler ([BeforeExit]).
type LastMomentError struct {
	Err error // [freeze.ErrExitKindUnknown], [vmm.WatchLimitError], or what else there is
}

func (e *LastMomentError) Error() string {
	return fmt.Sprintf("no capture %q will be made, and if the scheduler ends by itself %q shows its queues after the kernel has emptied them: %v (ktest.Config.NoBeforeExit does without, and without this message)", BeforeExit, SchedulerExit, e.Err)
}

func (e *LastMomentError) Unwrap() error { return e.Err }

// Reasons for which there is no such capture.
var (
	errNotWanted = errors.New("ktest.Config.NoBeforeExit is set")
	errTooLate   = errors.New("the kernel had decided to end the scheduler before it could be watched")
	errYielded   = errors.New("its watchpoint was given to a watch of the test (VM.Watch), as no more could be had")
	errPrepared  = errors.New("the scheduler was started where the guests of a search begin, before any of them ran")
	errUnseen    = errors.New("the kernel's decision to end the scheduler was not seen")
)

// arm watches the place in which the kernel notes an end.
func (l *lastMoment) arm() error {
	ctx, cancel := context.WithTimeout(context.Background(), l.vm.cfg.Timeouts.Capture)
	defer cancel()
	f, err := l.vm.hitFreezer(ctx)
	if err != nil {
		return err
	}
	addr, size, err := f.ExitKind()
	if errors.Is(err, freeze.ErrNoScheduler) {
		return errTooLate
	}
	if err != nil {
		return err
	}
	point, err := l.vm.machine.Watch(ctx, addr, size, kernelMemory(f), l.onHit)
	if err != nil {
		return err
	}
	l.mu.Lock()
	l.point = point
	l.mu.Unlock()
	return l.early(f, addr, size)
}

// early returns an error if the kernel has noted the end before that was watched.
func (l *lastMoment) early(f *freeze.Freezer, addr uint64, size int) error {
	noted, err := isNoted(f, addr, size)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.capture == nil && noted {
		return errTooLate
	}
	return nil
}

// isNoted tells whether an end is noted where [freeze.Freezer.ExitKind] says.
func isNoted(f *freeze.Freezer, addr uint64, size int) (bool, error) {
	kind := make([]byte, size)
	err := f.Peek(addr, kind)
	return err == nil && slices.Max(kind) != 0, err
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
	c := series.Capture{Moment: moment, NoStatistics: errStands}
	f, err := l.vm.hitFreezer(ctx)
	if err == nil {
		c.Snapshot, err = f.CaptureStopped(ctx, BeforeExit)
	}
	c.NoSnapshot = err
	l.vm.clock.stoodAt(&c.Moment, c.Snapshot, h.Time)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.capture = &c
	if c.Snapshot != nil {
		l.message = c.Snapshot.Scheduler.Message
	}
	return false
}

// moment is what the capture is of.
var moment = series.Moment{Name: BeforeExit, Trigger: series.Event}

// errStands is why there are no statistics of that moment.
var errStands = errors.New("the guest stood still, and could not be asked for statistics")

// keep adds the capture to the store, with how the scheduler ended, which the
// kernel did not know by then. If a scheduler that has ended by itself has none it adds
// why, unless nobody wants it.
func (l *lastMoment) keep(byItself bool) {
	l.mu.Lock()
	c, missed := l.capture, l.missed
	l.capture = nil
	l.mu.Unlock()
	if c == nil && (!byItself || errors.Is(missed, errNotWanted)) {
		return
	}
	if c == nil {
		c = &series.Capture{Moment: moment, NoStatistics: errStands, NoSnapshot: cmp.Or(missed, errUnseen)}
		l.vm.clock.stood(&c.Moment, nil)
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
	if point != nil {
		l.missed = errYielded
	}
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
