package ktest

import (
	"context"
	"fmt"
	"strings"

	"github.com/ktgen/ktgen/freeze"
	"github.com/ktgen/ktgen/runtime/ktsnap"
	"github.com/ktgen/ktgen/sched"
	"github.com/ktgen/ktgen/series"
)

// StateNumber names a number that the kernel keeps of scheduling, which can be looked at
// while the guest runs. Its functions are [DSQLen], [LocalLen] and [NrRunning].
type StateNumber struct {
	name   string
	object string // the struct of the kernel that has it
	member string
	guard  string // a member that tells whether the struct is still what it was; empty if it always is
	find   func(*sched.State) (addr, guard uint64, err error)
}

// DSQLen is how many tasks are in a dispatch queue that the scheduler has made, or in
// SCX_DSQ_GLOBAL.
func DSQLen(id uint64) StateNumber {
	return dsqLen(fmt.Sprintf("the length of dispatch queue %d", id), func(s *sched.State) (*sched.DSQ, bool) { return s.LookupDSQ(id) })
}

// LocalLen is how many tasks are in the local queue of a CPU.
func LocalLen(cpu int) StateNumber {
	return dsqLen(fmt.Sprintf("the length of the local queue of CPU %d", cpu), func(s *sched.State) (*sched.DSQ, bool) {
		if cpu < 0 || cpu >= len(s.CPUs()) {
			return nil, false
		}
		d := s.CPUs()[cpu].Local()
		return d, d != nil
	})
}

func dsqLen(name string, find func(*sched.State) (*sched.DSQ, bool)) StateNumber {
	return StateNumber{name, "scx_dispatch_q", "nr", "id", func(s *sched.State) (addr, guard uint64, err error) {
		d, ok := find(s)
		if !ok {
			var names []string
			for _, d := range s.DSQs() {
				names = append(names, d.String())
			}
			return 0, 0, fmt.Errorf("there is no such queue: choose one that the guest has: %s", strings.Join(names, ", "))
		}
		return d.Addr, d.ID, nil
	}}
}

// NrRunning is how many tasks of all classes a CPU runs and has waiting.
func NrRunning(cpu int) StateNumber {
	return StateNumber{fmt.Sprintf("nr_running of CPU %d", cpu), "rq", "nr_running", "", func(s *sched.State) (addr, guard uint64, err error) {
		if cpu < 0 || cpu >= len(s.CPUs()) || s.CPUs()[cpu].Addr == 0 {
			return 0, 0, fmt.Errorf("there is no such CPU: choose one of 0 to %d", len(s.CPUs())-1)
		}
		return s.CPUs()[cpu].Addr, 0, nil
	}}
}

func (n StateNumber) String() string { return n.name }

// PeekState returns a number that the kernel keeps of scheduling at this moment. The
// guest is stopped once for it, as for a snapshot, to find where the number is; see
// [VM.AwaitState].
func (vm *VM) PeekState(ctx context.Context, n StateNumber) (int, error) {
	w, err := vm.watchState(ctx, n)
	if err != nil {
		return 0, err
	}
	v, err := w.look()
	return int(v), err
}

// AwaitState waits until a condition on a number that the kernel keeps of scheduling is
// true, and returns the value:
//
//	n, err := vm.AwaitState(ctx, ktest.DSQLen(sharedDSQ), func(n int) bool { return n > 100 })
//
// A snapshot stops the guest once, to find where the number is. Then the guest runs, and
// the number is read from its memory once a millisecond. Values that come and go between
// two looks are not seen.
//
// If ctx, the scheduler, the guest or the queue ends before, the error is a
// [*CaptureWhenError]. It is that of the snapshot if there is none.
func (vm *VM) AwaitState(ctx context.Context, n StateNumber, condition func(int) bool) (value int, err error) {
	w, err := vm.watchState(ctx, n)
	if err != nil {
		return 0, err
	}
	err = w.await(ctx, func(v uint64) bool {
		value = int(v)
		return condition(value)
	})
	return value, err
}

// CaptureWhenState is [CaptureWhen] for a number that the kernel keeps of scheduling.
func (vm *VM) CaptureWhenState(ctx context.Context, name string, n StateNumber, condition func(int) bool) (series.Capture, error) {
	if _, err := vm.AwaitState(ctx, n, condition); err != nil {
		return series.Capture{}, err
	}
	c := vm.take(ctx, series.Moment{Name: name, Trigger: series.Event})
	return c, c.NoSnapshot
}

// watchState finds where a number is.
func (vm *VM) watchState(ctx context.Context, n StateNumber) (*number[uint64], error) {
	look, err := vm.findNumber(ctx, n)
	if err != nil {
		return nil, fmt.Errorf("look at %s: %w", n, vm.because(err))
	}
	return &number[uint64]{vm, n.name, look, stays}, nil
}

// findNumber returns what reads a number where it is.
func (vm *VM) findNumber(ctx context.Context, n StateNumber) (func() (uint64, error), error) {
	if err := vm.notPrepared("looking at a number of the guest's", looksOften); err != nil {
		return nil, err
	}
	f, err := vm.freezer(ctx)
	if err != nil {
		return nil, err
	}
	value, err := f.KernelMember(ctx, n.object, n.member)
	if err != nil {
		return nil, err
	}
	snap, err := f.Capture(ctx, n.name)
	if err != nil {
		return nil, err
	}
	addr, guard, err := findState(snap, n)
	if err != nil {
		return nil, err
	}
	look := func() (uint64, error) { return peekAt[uint64](f, n.at(addr, value)) }
	if n.guard == "" {
		return look, nil
	}
	id, err := f.KernelMember(ctx, n.object, n.guard)
	if err != nil {
		return nil, err
	}
	return func() (uint64, error) {
		v, err := look()
		if err != nil {
			return 0, err
		}
		if is, err := peekAt[uint64](f, n.at(addr, id)); err != nil || is != guard {
			return 0, fmt.Errorf("look at %s: it is gone: its scheduler has ended, or has destroyed it", n)
		}
		return v, nil
	}, nil
}

// at is where a member of the object at addr is.
func (n StateNumber) at(addr uint64, m freeze.Member) ktsnap.Location {
	return ktsnap.Location{Path: n.name, Addr: addr + uint64(m.Offset), Size: m.Size}
}

// stays is for a number that is looked at together with what says that it is there.
func stays(context.Context) error { return nil }

func findState(snap *ktsnap.Snapshot, n StateNumber) (addr, guard uint64, err error) {
	s, err := sched.Open(snap)
	if err != nil {
		return 0, 0, err
	}
	return n.find(s)
}
