package ktest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ktgen/ktgen/freeze"
	"github.com/ktgen/ktgen/runtime/ktsnap"
	"github.com/ktgen/ktgen/vmm"
)

// MomentError says that a moment of a guest cannot be visited.
type MomentError struct {
	At     time.Duration
	Reason string
}

func (e *MomentError) Error() string {
	return fmt.Sprintf("visit %v of the guest's time: %s", e.At, e.Reason)
}

// At takes a snapshot of a guest in lockstep as it was at an earlier moment. at is a time
// of the guest's CLOCK_MONOTONIC, such as [Store.Time]. The run is repeated for that, in
// another guest, up to the first time after the moment at which the kernel notes the time
// of a CPU (rq.clock). It does so whenever it schedules. Kernel and programs can be in the
// middle of something there. The guest itself is not touched, and the snapshot is not
// among [VM.Captures].
//
// The error is a [*MomentError] or one of [VM.Blame].
func (vm *VM) At(ctx context.Context, at time.Duration) (*ktsnap.Snapshot, error) {
	if err := vm.notPrepared("VM.At", runsAgain); err != nil {
		return nil, err
	}
	if calls := vm.machine.Calls(); calls != nil && at > calls.Now() {
		return nil, &MomentError{at, fmt.Sprintf("its time is %v now: let it run first, with vm.Hold", calls.Now())}
	}
	if began := vm.beganAt(); at < began {
		return nil, &MomentError{at, fmt.Sprintf("the guest began at %v, as a copy of one that was there before: take a moment after that", began)}
	}
	extents, err := vm.clocks(ctx)
	if err != nil {
		return nil, fmt.Errorf("visit %v of the guest's time: %w", at, vm.because(err))
	}
	visited, leave := context.WithCancel(ctx)
	defer leave()
	v := &visit{vm: vm, ctx: ctx, at: at, leave: leave}
	again, err := vm.machine.Again(visited, extents, v.onAccess)
	if again != nil {
		again.Close()
	}
	switch {
	case v.snap != nil || v.err != nil:
		return v.snap, v.err
	case err != nil:
		return nil, fmt.Errorf("visit %v of the guest's time: %w", at, err)
	}
	return nil, &MomentError{at, "no CPU has noted the time since; take a moment before"}
}

// beganAt returns the time at which a restored guest began; 0 for others.
func (vm *VM) beganAt() time.Duration {
	calls := vm.machine.Calls()
	if calls == nil || !vm.machine.Origin().Restored {
		return 0
	}
	trail := calls.Trail()
	if len(trail) == 0 {
		return 0
	}
	return trail[0].Now
}

// clocks returns where the kernel notes the time of each CPU.
func (vm *VM) clocks(ctx context.Context) (extents []vmm.Extent, err error) {
	f, err := vm.freezer(ctx)
	if err != nil {
		return nil, err
	}
	member, err := f.KernelMember(ctx, "rq", "clock")
	if err != nil {
		return nil, err
	}
	runqueues, ok := f.Symbols().Lookup("runqueues")
	if !ok {
		return nil, &SymbolNotFoundError{Requested: "runqueues", Release: vm.kernel.Release}
	}
	for cpu := range vm.machine.Config().CPUs {
		rq, err := f.OnCPU(runqueues, cpu)
		if err != nil {
			return nil, err
		}
		pieces, err := f.Physical(rq+uint64(member.Offset), member.Size)
		if err != nil {
			return nil, err
		}
		extents = appendExtents(extents, pieces)
	}
	return extents, nil
}

// visit is a run that is run again up to a moment.
type visit struct {
	vm    *VM
	ctx   context.Context
	at    time.Duration
	leave func()

	snap *ktsnap.Snapshot
	err  error
}

// onAccess is called while the vCPU that loads or stores waits.
func (v *visit) onAccess(machine *vmm.VM, a vmm.Access) {
	if !a.Store || a.Time == 0 || a.Time < v.at || v.snap != nil || v.err != nil {
		return
	}
	var f *freeze.Freezer
	if f, v.err = v.vm.freezerOf(v.ctx, machine); v.err != nil {
		return
	}
	v.snap, v.err = f.CaptureStopped(v.ctx, fmt.Sprintf("at %v", a.Time))
	if v.snap == nil && v.err == nil {
		v.err = errors.New("no snapshot was made")
	}
	v.leave()
}
