package ktest

import (
	"context"
	"errors"
	"fmt"

	"github.com/ktgen/ktgen/runtime/ktsnap"
	"github.com/ktgen/ktgen/scenario"
	"github.com/ktgen/ktgen/series"
)

// Run performs the steps of a scenario and returns what has happened. It fails
// the test if it cannot, and panics without a test; [VM.TryRun] returns an
// error. What the steps have made in the guest is gone afterwards; a snapshot of
// it is what a [scenario.Capture] among them leaves in [VM.Captures].
func (vm *VM) Run(steps ...scenario.Step) *scenario.Report {
	if vm.tb != nil {
		vm.tb.Helper()
	}
	ctx := context.Background()
	if vm.tb != nil {
		ctx = vm.tb.Context()
	}
	report, err := vm.TryRun(ctx, scenario.Scenario{Steps: steps})
	if err != nil && vm.tb == nil {
		panic(err)
	}
	if err != nil {
		if errors.As(err, new(*scenario.SchedulerDiedError)) {
			vm.tell()
		}
		vm.tb.Fatalf("%v", err)
	}
	return report
}

// TryRun performs a scenario; see [scenario.Guest.Run]. Captures that are made
// meanwhile have the number and the name of its steps, and their times count
// from its beginning.
//
// If the scheduler ends, so does the scenario, with a [*scenario.SchedulerDiedError]. That the
// test handles the error does not mean that it has asked for the end: see [Config.ExpectExit].
func (vm *VM) TryRun(ctx context.Context, s scenario.Scenario) (*scenario.Report, error) {
	report, err := vm.scenario.Run(ctx, s)
	return report, vm.because(err)
}

// Do performs a single op of those that scenarios have, at this moment. What it
// makes in the guest stays until an op takes it away.
func (vm *VM) Do(ctx context.Context, op scenario.Op) error {
	return vm.because(vm.scenario.Do(ctx, op))
}

// Cgroup makes a cgroup, and starts the workers that it has.
func (vm *VM) Cgroup(ctx context.Context, c scenario.Cgroup) error { return vm.Do(ctx, c) }

// Spawn starts workers. They end with the guest, or when they are stopped.
func (vm *VM) Spawn(ctx context.Context, w scenario.Workers) (*scenario.Running, error) {
	running, err := vm.scenario.Spawn(ctx, w)
	return running, vm.because(err)
}

// Workers returns the workers of a name, whether a scenario has started them or
// [VM.Do] or [VM.Spawn].
func (vm *VM) Workers(name string) (*scenario.Running, error) { return vm.scenario.Workers(name) }

// Await waits until a condition is true. If that does not come true, the error says
// whether the scheduler has ended meanwhile.
func (vm *VM) Await(ctx context.Context, c scenario.Condition) error {
	err := vm.because(vm.scenario.Await(ctx, c))
	if errors.As(err, new(*scenario.NeverTrueError)) && vm.died() {
		return fmt.Errorf("%w; %w", err, vm.endReason())
	}
	return err
}

// hooks are what scenarios ask of the VM.
func (vm *VM) hooks() scenario.Hooks {
	return scenario.Hooks{
		Capture: func(ctx context.Context, name string) error {
			_, err := vm.TryFreeze(ctx, name)
			return err
		},
		Snapshot: vm.glance,
		Start: func(ctx context.Context, s scenario.Scheduler) error {
			ours, ok := s.(Scheduler)
			if !ok {
				return fmt.Errorf("the scheduler is a %T, and has to be of ktest.Object or ktest.Binary", s)
			}
			return vm.Attach(ctx, ours)
		},
		Stop:    vm.stopScheduler,
		Ended:   vm.Exited,
		Why:     vm.schedulerFault,
		Died:    vm.schedulerDied,
		Install: vm.upload,
		Begin:   vm.StartClock,
		Now:     vm.clock.virtual,
		Phase:   func(step int, name string) { vm.EnterPhase(series.Phase{Step: step, Name: name}) },
		Warn:    vm.warn,
		Output:  vm.output,
	}
}

// warn logs what is missing, and fails nothing. What there is to say before the test
// has its guest is said then.
func (vm *VM) warn(err error) {
	if vm.tb == nil {
		vm.unsaid = append(vm.unsaid, err)
		return
	}
	vm.tb.Logf("warning: %v", err)
}

// glance takes a snapshot that is not kept.
func (vm *VM) glance(ctx context.Context) (*ktsnap.Snapshot, error) {
	ctx, cancel := context.WithTimeout(ctx, vm.cfg.Timeouts.Capture)
	defer cancel()
	snap, err := vm.snapshot(ctx, "condition")
	vm.clock.stood(new(series.Moment), snap)
	return snap, err
}

func (vm *VM) stopScheduler(ctx context.Context) error {
	exit, err := vm.Detach(ctx)
	if err != nil {
		return err
	}
	return exit.Err()
}

// schedulerDied says why a scheduler has ended by itself, if the kernel says that it
// has.
func (vm *VM) schedulerDied() error {
	vm.awaitVerdict()
	return vm.schedulerFault()
}

// schedulerFault says why the scheduler has ended, if it has, and the test has not asked it
// to.
func (vm *VM) schedulerFault() error {
	s := vm.current()
	if s == nil || !isClosed(s.Done()) || s.Asked() {
		return nil
	}
	exit, err := vm.exitOf(s)
	if err != nil {
		return vm.because(err)
	}
	if err := exit.Err(); err != nil {
		return err
	}
	return errors.New(exit.String())
}
