package ktest

import (
	"context"
	"fmt"
	"time"

	"github.com/ktgen/ktgen/freeze"
	"github.com/ktgen/ktgen/series"
)

// BeforeStall is the name of the captures of [VM.CaptureBeforeStall].
const BeforeStall = "before_stall"

// stallPart is the part of the watchdog's time after which a task that is
// runnable and does not run is captured.
const stallPart = 0.5

// CaptureBeforeStall captures as soon as a task of the BPF scheduler has been runnable
// without running for half of the watchdog's timeout. The snapshot has the state that
// leads to the stall, and that of [SchedulerExit] the end of it. The [freeze.Waiting] says
// which task it is. The guest does not stop before the capture.
//
// If ctx, the scheduler or the guest ends before, the error says so, and which task had
// waited longest. Else it is that of the capture.
func (vm *VM) CaptureBeforeStall(ctx context.Context) (series.Capture, freeze.Waiting, error) {
	if err := vm.notPrepared("VM.CaptureBeforeStall", looksOften); err != nil {
		return series.Capture{}, freeze.Waiting{}, fmt.Errorf("look for tasks that wait: %w", err)
	}
	f, err := vm.freezer(ctx)
	if err != nil {
		return series.Capture{}, freeze.Waiting{}, fmt.Errorf("look for tasks that wait: %w", vm.because(err))
	}
	ticks := time.NewTicker(stallInterval)
	defer ticks.Stop()
	var longest freeze.Waiting
	never := func(err error) (series.Capture, freeze.Waiting, error) {
		return series.Capture{}, longest, noStall(longest, err)
	}
	for {
		w, err := f.LongestWaiting()
		if err != nil {
			return never(vm.because(err))
		}
		if w.Limit > 0 && float64(w.For) >= stallPart*float64(w.Limit) {
			c := vm.take(ctx, series.Moment{Name: BeforeStall, Trigger: series.Event})
			return c, w, c.NoSnapshot
		}
		if w.For > longest.For {
			longest = w
		}
		select {
		case <-vm.pause(ctx, ticks.C, stallInterval):
		case <-vm.machine.Done():
			return never(vm.death())
		case <-vm.Exited():
			return never(vm.endReason())
		case <-ctx.Done():
			return never(context.Cause(ctx))
		}
	}
}

// noStall says why no task was waited for any longer, and which had waited longest.
func noStall(longest freeze.Waiting, err error) error {
	seen := ""
	if longest.For > 0 {
		seen = fmt.Sprintf(" (at most, %s)", longest)
	}
	return fmt.Errorf("wait for a task that is about to stall%s: %w", seen, err)
}

// stallInterval is the time between two looks. Watchdogs allow for seconds.
const stallInterval = 20 * time.Millisecond
