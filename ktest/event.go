package ktest

import (
	"context"
	"errors"
	"fmt"

	"github.com/ktgen/ktgen/freeze"
	"github.com/ktgen/ktgen/ktest/internal/scx"
	"github.com/ktgen/ktgen/runtime/ktsnap"
	"github.com/ktgen/ktgen/series"
	"github.com/ktgen/ktgen/vmm"
	"github.com/ktgen/ktgen/vmm/guest"
)

// Names of the captures that are made without being asked for, if they can be:
// when a scheduler has ended by itself, when the guest's kernel has died, and
// when a test has failed.
const (
	SchedulerExit = "scheduler_exit"
	GuestPanic    = "guest_panic"
	TestFailure   = "test_failure"
)

// awaitExit captures the state that a scheduler leaves behind when it ends without
// having been asked to: because of an error, a stall, or a program that dies. The
// agent keeps its maps for that.
func (vm *VM) awaitExit(ctx context.Context, task *guest.Task, s *scx.Scheduler, done chan struct{}) {
	defer task.Rest()
	defer close(done) // before the guest goes on: who waits for it sees it at once
	<-s.Done()
	_, err := s.Exit()
	byItself := !s.Asked() && !errors.Is(err, guest.ErrLost) && vm.machine.Err() == nil
	vm.lastMomentOf(s).keep(byItself)
	if !byItself {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, vm.cfg.Timeouts.Capture)
	defer cancel()
	vm.take(ctx, series.Moment{Name: SchedulerExit, Trigger: series.Event})
}

// awaitAutopsy waits until the end of a scheduler that has ended is captured.
func (vm *VM) awaitAutopsy() {
	vm.mu.Lock()
	s, done := vm.scheduler, vm.autopsy
	vm.mu.Unlock()
	if s == nil {
		return
	}
	select {
	case <-s.Done():
		<-done
	default:
	}
}

// awaitDeath captures what a guest whose kernel has died has left in its
// memory.
func (vm *VM) awaitDeath() {
	<-vm.machine.Done()
	var panicked *vmm.GuestPanicError
	if !errors.As(vm.machine.Err(), &panicked) {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), vm.cfg.Timeouts.Capture)
	defer cancel()
	c := series.Capture{Moment: series.Moment{Name: GuestPanic, Trigger: series.Event}}
	c.Snapshot, c.NoSnapshot = vm.dissect(ctx)
	vm.clock.stood(&c.Moment, nil)
	_ = vm.captures.Add(c) // closed: nobody is left to read it
}

// dissect takes a snapshot of a guest that is no more.
func (vm *VM) dissect(ctx context.Context) (*ktsnap.Snapshot, error) {
	kernel, err := vm.kernelOf(ctx)
	if err != nil {
		return nil, fmt.Errorf("take snapshot %q of a guest that has died: %w", GuestPanic, err)
	}
	body := &remains{vm: vm.machine}
	f, err := freeze.New(body, memory{vm.machine.RAM()}, kernel, vm.cfg.Capture)
	if err != nil {
		return nil, err
	}
	vm.freezing.mu.Lock()
	casts := vm.freezing.casts
	vm.freezing.mu.Unlock()
	if err := f.Casts(ctx, casts); err != nil {
		return nil, err
	}
	return f.Capture(ctx, GuestPanic)
}

// remains is a guest that is no more: nothing runs in it.
type remains struct {
	vm      *vmm.VM
	release func()
}

// Pause keeps the memory in place.
func (r *remains) Pause(context.Context) error {
	release, ok := r.vm.Remains()
	if !ok {
		return vmm.ErrClosed
	}
	r.release = release
	return nil
}

// Resume lets go of the memory.
func (r *remains) Resume() error {
	r.release()
	return nil
}

// captureFailure captures the guest of a test that has failed, if it still can.
func (vm *VM) captureFailure() {
	if vm.machine.Err() != nil || vm.agent == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), vm.cfg.Timeouts.Close)
	defer cancel()
	vm.take(ctx, series.Moment{Name: TestFailure, Trigger: series.Event})
}
