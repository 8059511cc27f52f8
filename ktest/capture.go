package ktest

import (
	"context"
	"fmt"
	"sync"

	"github.com/ktgen/ktgen/freeze"
	"github.com/ktgen/ktgen/runtime"
	"github.com/ktgen/ktgen/vmm"
)

// freezing makes the guest's freezer when it is first needed: it reads the
// kernel's symbols and types.
type freezing struct {
	mu      sync.Mutex
	freezer *freeze.Freezer
}

// Freeze takes a snapshot of the guest's maps, and fails the test if it cannot,
// or if the kernel has thrown the scheduler out in the meantime (but see
// [Config.ExpectExit]). Without a test it panics then; programs call
// [VM.Capture].
func (vm *VM) Freeze(name string) *runtime.Snapshot {
	if vm.tb != nil {
		vm.tb.Helper()
	}
	ctx, cancel := context.WithTimeout(context.Background(), vm.cfg.Timeouts.Capture)
	defer cancel()
	snap, err := vm.Capture(ctx, name)
	if err == nil {
		err = vm.unexpectedExit()
	}
	if err != nil && vm.tb == nil {
		panic(err)
	}
	if err != nil {
		vm.tb.Fatalf("%v", err)
	}
	return snap
}

// Capture takes a snapshot of the guest's maps: all vCPUs stop while their bytes
// are copied. Whatever fails, the guest runs on. A snapshot that comes with an
// error holds what was copied by then.
func (vm *VM) Capture(ctx context.Context, name string) (*runtime.Snapshot, error) {
	f, err := vm.freezer(ctx)
	if err != nil {
		return nil, fmt.Errorf("take snapshot %q: %w", name, vm.because(err))
	}
	snap, err := f.Capture(ctx, name)
	if snap != nil {
		vm.taken.add(snap) // for the artifacts, also what is left of one that failed
	}
	if err != nil {
		return snap, fmt.Errorf("take snapshot %q: %w", name, vm.because(err))
	}
	return snap, nil
}

func (vm *VM) freezer(ctx context.Context) (*freeze.Freezer, error) {
	vm.freezing.mu.Lock()
	defer vm.freezing.mu.Unlock()
	if vm.freezing.freezer != nil {
		return vm.freezing.freezer, nil
	}
	table, err := symbols(ctx, vm.agent, vm.kernel)
	if err != nil {
		return nil, err
	}
	types, err := vm.image.BTF()
	if err != nil {
		return nil, err
	}
	vm.freezing.freezer, err = freeze.New(vm.machine, memory{vm.machine.RAM()}, freeze.Kernel{
		Release:  vm.kernel.Release,
		Symbols:  table,
		BTF:      types,
		PhysText: vm.kernel.TextPhys,
	}, vm.cfg.Capture)
	return vm.freezing.freezer, err
}

// memory is a machine's RAM as package freeze reads it.
type memory struct{ *vmm.RAM }

// keptSnapshots is how many of the latest snapshots are written when a test
// fails.
const keptSnapshots = 8

// taken are the latest snapshots.
type taken struct {
	mu     sync.Mutex
	latest []*runtime.Snapshot
}

func (t *taken) add(s *runtime.Snapshot) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.latest = append(t.latest, s)
	if len(t.latest) > keptSnapshots {
		t.latest = t.latest[1:]
	}
}

func (t *taken) list() []*runtime.Snapshot {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]*runtime.Snapshot(nil), t.latest...)
}
