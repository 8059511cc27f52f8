package ktest

import (
	"context"
	"fmt"
	"sync"

	"github.com/ktgen/ktgen/capture"
	"github.com/ktgen/ktgen/freeze"
	"github.com/ktgen/ktgen/runtime/ktsnap"
	"github.com/ktgen/ktgen/series"
	"github.com/ktgen/ktgen/vmm"
)

// freezing makes the guest's freezer when it is first needed: it reads the
// kernel's symbols and types.
type freezing struct {
	mu      sync.Mutex
	freezer *freeze.Freezer
	hits    *freeze.Freezer // of watches
	casts   []ktsnap.Cast   // of what the guest was given to run
}

// Freeze takes a snapshot of the guest's maps, and fails the test if it cannot,
// or if the kernel has thrown the scheduler out in the meantime (but see
// [Config.ExpectExit]). Without a test it panics then; programs call
// [VM.TryFreeze].
func (vm *VM) Freeze(name string) *ktsnap.Snapshot {
	if vm.tb != nil {
		vm.tb.Helper()
	}
	ctx, cancel := context.WithTimeout(context.Background(), vm.cfg.Timeouts.Capture)
	defer cancel()
	snap, err := vm.TryFreeze(ctx, name)
	if err == nil {
		err = vm.endedBy(snap)
	}
	if err != nil && vm.tb == nil {
		panic(err)
	}
	if err != nil {
		vm.tb.Fatalf("%v", err)
	}
	return snap
}

// TryFreeze takes a snapshot of the guest's maps: all vCPUs stop while their bytes
// are copied. Whatever fails, the guest runs on. A snapshot that comes with an
// error holds what was copied by then.
//
// What becomes of it is added to [VM.Captures], also if it fails.
func (vm *VM) TryFreeze(ctx context.Context, name string) (*ktsnap.Snapshot, error) {
	c := vm.take(ctx, series.Moment{Name: name})
	return c.Snapshot, c.NoSnapshot
}

// Captures returns the captures that were made so far, in their order: by
// [VM.Freeze] and [VM.TryFreeze], and by what captures on its own. It can be read
// and drained while the guest runs.
func (vm *VM) Captures() *capture.Store { return vm.captures }

// take makes a capture and adds it to the store. m says which and why; take
// fills in when. A snapshot can come with an error: what was copied until then.
func (vm *VM) take(ctx context.Context, m series.Moment) series.Capture {
	c := series.Capture{Moment: m}
	c.Statistics, c.NoStatistics = vm.pair(ctx)
	snap, err := vm.snapshot(ctx, m.Name)
	c.Snapshot, c.NoSnapshot = snap, err
	vm.clock.stood(&c.Moment, snap)
	if err := vm.captures.Add(c); err != nil && c.NoSnapshot == nil {
		c.NoSnapshot = fmt.Errorf("keep snapshot %q: %w", m.Name, err)
	}
	return c
}

func (vm *VM) snapshot(ctx context.Context, name string) (*ktsnap.Snapshot, error) {
	f, err := vm.freezer(ctx)
	if err != nil {
		return nil, fmt.Errorf("take snapshot %q: %w", name, vm.because(err))
	}
	snap, err := vm.capture(ctx, f, name)
	if snap != nil {
		snap.Scheduler = vm.explained(snap.Scheduler)
		vm.addVerified(snap)
	}
	if snap != nil && vm.cfg.searched {
		snap.OnRead = vm.reads.note
	}
	if err != nil {
		return snap, fmt.Errorf("take snapshot %q: %w", name, vm.because(err))
	}
	return snap, nil
}

// explained adds to what the kernel knows of a scheduler why it has ended, which
// the kernel forgets with it, and counts its instances from its start on.
func (vm *VM) explained(c ktsnap.Scheduler) ktsnap.Scheduler {
	s := vm.current()
	if s == nil {
		return c
	}
	c.Instance = max(0, c.Instance-int(s.Before()))
	if !c.Ends() {
		return c
	}
	select {
	case <-s.Done():
	default:
		return c
	}
	if exit, err := vm.exitOf(s); err == nil && exit.Kind != ExitNone {
		c.Name, c.Reason, c.Message = exit.Scheduler, exit.Reason, exit.Message
	}
	return c
}

// endedBy returns why the scheduler has ended that nobody has asked to, if it had by
// the time of a snapshot.
func (vm *VM) endedBy(snap *ktsnap.Snapshot) error {
	if s := vm.current(); s != nil && snap.Scheduler.Ends() {
		vm.awaitReport(s)
	}
	return vm.unexpectedExit()
}

func (vm *VM) freezer(ctx context.Context) (*freeze.Freezer, error) {
	vm.freezing.mu.Lock()
	defer vm.freezing.mu.Unlock()
	if vm.freezing.freezer != nil {
		return vm.freezing.freezer, nil
	}
	f, err := vm.newFreezer(ctx)
	if err != nil {
		return nil, err
	}
	vm.freezing.freezer = f
	return f, nil
}

// hitFreezer returns the freezer of those who are called while a watchpoint has
// the guest stopped. A capture of the test's may wait for the guest then, and
// keep its own freezer meanwhile.
func (vm *VM) hitFreezer(ctx context.Context) (*freeze.Freezer, error) {
	vm.freezing.mu.Lock()
	defer vm.freezing.mu.Unlock()
	if vm.freezing.hits != nil {
		return vm.freezing.hits, nil
	}
	f, err := vm.newFreezer(ctx)
	if err != nil {
		return nil, err
	}
	vm.freezing.hits = f
	return f, nil
}

// newFreezer is called with freezing.mu held.
func (vm *VM) newFreezer(ctx context.Context) (*freeze.Freezer, error) {
	return vm.freezerOf(ctx, vm.machine)
}

// freezerOf is newFreezer for a machine that runs what the guest runs.
func (vm *VM) freezerOf(ctx context.Context, machine *vmm.VM) (*freeze.Freezer, error) {
	kernel, err := vm.kernelOf(ctx)
	if err != nil {
		return nil, err
	}
	f, err := freeze.New(machine, memory{machine.RAM()}, kernel, vm.cfg.Capture)
	if err != nil {
		return nil, err
	}
	return f, f.Casts(ctx, vm.freezing.casts)
}

// kernelOf describes the guest's kernel for captures. It asks the guest only
// if the symbols of its kernel are not kept.
func (vm *VM) kernelOf(ctx context.Context) (freeze.Kernel, error) {
	table, err := symbols(ctx, vm.agent, vm.kernel)
	if err != nil {
		return freeze.Kernel{}, err
	}
	types, err := typesOf(vm.image)
	return freeze.Kernel{Release: vm.kernel.Release, Symbols: table, Types: types, PhysText: vm.kernel.TextPhys}, err
}

// memory is a machine's RAM as package freeze reads it.
type memory struct{ *vmm.RAM }
