package ktest

import (
	"context"
	"errors"
	"fmt"

	"github.com/ktgen/ktgen/ktest/internal/scx"
)

// This file follows schedulers that their own programs start again.

// Restarts returns how earlier instances of the scheduler ended, if its own program has
// started it again after each. Programs do so if the exit code asks for it
// (SCX_ECODE_ACT_RESTART, when CPUs come or go). Such an end fails no test, and
// [VM.Exited] is closed at the end of the last instance only. A program that detaches its
// scheduler by itself, and then sleeps, has ended it. A snapshot has the maps of
// one instance, and says in Scheduler.Instance which one, 1 for the first.
func (vm *VM) Restarts() []Exit {
	s := vm.current()
	if s == nil {
		return nil
	}
	ends, _ := s.Past()
	return ends
}

// AwaitInstance waits until the scheduler's program has started it for the nth time. If
// the scheduler ends before, the error is [ErrNoScheduler], and says how it ended.
func (vm *VM) AwaitInstance(ctx context.Context, n int) error {
	s := vm.current()
	if s == nil {
		return ErrNoScheduler
	}
	for {
		ends, more := s.Past()
		if len(ends)+1 >= n {
			return nil
		}
		if err := vm.awaitMore(ctx, s, more); err != nil {
			return fmt.Errorf("wait for instance %d of scheduler %q, whose latest is %d: %w", n, s.Name(), len(ends)+1, err)
		}
	}
}

func (vm *VM) awaitMore(ctx context.Context, s *scx.Scheduler, more <-chan struct{}) error {
	defer vm.until(ctx, s.Done())()
	select {
	case <-more:
		return nil
	case <-s.Done():
		err := vm.endReason()
		if exit, exitErr := s.Exit(); exitErr == nil {
			_, _ = vm.observe(s, exit, nil)
		}
		return err
	case <-ctx.Done():
		return vm.because(context.Cause(ctx))
	}
}

// restarted keeps the moment before the end of one instance, and awaits that of the next.
func (vm *VM) restarted(s *scx.Scheduler) {
	vm.lastMomentOf(s).keep(false)
	next := vm.awaitLastMoment(s)
	vm.mu.Lock()
	defer vm.mu.Unlock()
	if vm.scheduler == s {
		vm.last = next
	}
}

// lastMomentOf returns what awaits the end of a scheduler's instance.
func (vm *VM) lastMomentOf(s *scx.Scheduler) *lastMoment {
	vm.mu.Lock()
	defer vm.mu.Unlock()
	if vm.last == nil || vm.last.scheduler != s {
		return &lastMoment{vm: vm, scheduler: s, missed: errors.New("another scheduler has been started since")}
	}
	return vm.last
}
