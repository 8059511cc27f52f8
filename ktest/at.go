package ktest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

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

// Moments say which moments of a run that is over [VM.Moments] visits.
type Moments struct {
	From, To time.Duration // of the guest's CLOCK_MONOTONIC; a To of 0 is now
	// Of are places. With them a moment is just after a store to one. Without, it is just
	// after the kernel has noted the time of a CPU (rq.clock), as it does whenever it
	// schedules.
	Of []Target
	// Apart is the least time between two moments. 0 visits all.
	Apart time.Duration
	Max   int // how many are visited, the first ones; default 20

	nth int // of the stores to the place in Of, the one that is visited; 0 for all
}

// check says what of m cannot be.
func (m *Moments) check() error {
	switch {
	case m.Max < 0:
		return &MomentError{m.From, fmt.Sprintf("Moments.Max is %d: give how many to visit, or 0 for 20", m.Max)}
	case m.Apart < 0:
		return &MomentError{m.From, fmt.Sprintf("Moments.Apart is %v: give the time between two, or 0 for all", m.Apart)}
	case m.To != 0 && m.To < m.From:
		return &MomentError{m.From, fmt.Sprintf("Moments.To, %v, is before Moments.From", m.To)}
	}
	return nil
}

// At takes a snapshot of a guest in lockstep as it was at an earlier moment. at is a time
// of the guest's CLOCK_MONOTONIC. The snapshot is of the first of [Moments] since then. For
// the moment of a store there is [VM.AtStore].
//
// The error is one of [VM.Moments].
func (vm *VM) At(ctx context.Context, at time.Duration) (*ktsnap.Snapshot, error) {
	snaps, err := vm.moments(ctx, "VM.At", Moments{From: at, Max: 1})
	if err != nil {
		return nil, err
	}
	return snaps[0], nil
}

// AtStore takes a snapshot of a guest in lockstep as it was just after a store that [VM.Blame]
// has told of. Kernel and programs are in the middle of something there.
//
// The error is one of [VM.Moments].
func (vm *VM) AtStore(ctx context.Context, s Store) (*ktsnap.Snapshot, error) {
	if s.nth == 0 {
		return nil, errors.New("visit a store: VM.AtStore takes stores that VM.Blame has told of, and no loads")
	}
	snaps, err := vm.moments(ctx, "VM.AtStore", Moments{From: s.Time, Of: []Target{*s.of}, Max: 1, nth: s.nth})
	if err != nil {
		return nil, err
	}
	return snaps[0], nil
}

// Moments takes snapshots of a guest in lockstep as it was at earlier moments. The run is
// repeated for that, in another guest. Kernel and programs can be in the middle of something
// there. The guest itself is not touched, and the snapshots are not among [VM.Captures].
// [dump.HTML] makes a page of them, with what differs from one to the next. A snapshot's name
// tells the moment, and the store that it is just after.
//
// The error is a [*MomentError] if there is no such moment, or one of [VM.Blame].
func (vm *VM) Moments(ctx context.Context, m Moments) ([]*ktsnap.Snapshot, error) {
	return vm.moments(ctx, "VM.Moments", m)
}

func (vm *VM) moments(ctx context.Context, method string, m Moments) ([]*ktsnap.Snapshot, error) {
	if err := vm.notPrepared(method, runsAgain); err != nil {
		return nil, err
	}
	if err := m.check(); err != nil {
		return nil, err
	}
	if calls := vm.machine.Calls(); calls != nil {
		now := calls.Now()
		m.To = cmp.Or(m.To, now)
		if m.From > now {
			return nil, &MomentError{m.From, fmt.Sprintf("its time is %v now: let it run first, with vm.Hold", now)}
		}
	}
	if began := vm.beganAt(); m.From < began {
		return nil, &MomentError{m.From, fmt.Sprintf("the guest began at %v, as a copy of one that was there before: take a moment after that", began)}
	}
	snaps, err := vm.visit(ctx, m)
	switch {
	case err != nil:
		return nil, fmt.Errorf("visit %v of the guest's time: %w", m.From, vm.because(err))
	case len(snaps) == 0 && len(m.Of) > 0:
		return nil, &MomentError{m.From, fmt.Sprintf("nothing was stored to %s until %v", names(m.Of), m.To)}
	case len(snaps) == 0:
		return nil, &MomentError{m.From, fmt.Sprintf("no CPU has noted the time until %v; take a moment before", m.To)}
	}
	return snaps, nil
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

// visit is a run that is run again up to its last moment.
type visit struct {
	*inquiry // of the places
	Moments
	leave func() // ends the run
	snaps []*ktsnap.Snapshot
	err   error
}

func (vm *VM) visit(ctx context.Context, m Moments) ([]*ktsnap.Snapshot, error) {
	m.Max = cmp.Or(m.Max, 20)
	visited, leave := context.WithCancel(ctx)
	defer leave()
	v := &visit{inquiry: newInquiry(ctx, vm), Moments: m, leave: leave}
	for _, t := range m.Of {
		if err := v.add(t); err != nil {
			return nil, err
		}
	}
	extents := v.extents()
	if len(m.Of) == 0 {
		var err error
		if extents, err = vm.clocks(ctx); err != nil {
			return nil, err
		}
	}
	again, err := vm.machine.Again(visited, extents, v.onAccess)
	if again != nil {
		again.Close()
	}
	if v.err != nil || visited.Err() != nil && ctx.Err() == nil {
		return v.snaps, v.err // it was left
	}
	return v.snaps, err
}

// onAccess is called while the vCPU that loads or stores waits.
func (v *visit) onAccess(machine *vmm.VM, a vmm.Access) {
	if v.err != nil || len(v.snaps) == v.Max {
		return
	}
	if len(v.places) > 0 {
		v.inquiry.onAccess(machine, a) // for the names of moments
	}
	if !a.Store || !v.reached(a) {
		return
	}
	if a.Time > v.To {
		v.leave()
		return
	}
	v.From = a.Time + v.Apart
	if v.err = v.capture(machine, a); v.err != nil || len(v.snaps) == v.Max {
		v.leave()
	}
}

// reached tells whether the moment of a store is one to visit, unless it is too late.
func (v *visit) reached(a vmm.Access) bool {
	if v.nth > 0 {
		return v.places[0].stored() == v.nth
	}
	return a.Time != 0 && a.Time >= v.From
}

func (v *visit) capture(machine *vmm.VM, a vmm.Access) (err error) {
	if v.freeze == nil {
		if v.freeze, err = v.vm.freezerOf(v.ctx, machine); err != nil {
			return err
		}
	}
	snap, err := v.freeze.CaptureStopped(v.ctx, v.name(a))
	if err != nil {
		return err
	}
	if snap == nil {
		return errors.New("the guest did not stand still there: this is a bug in ktgen, please report it")
	}
	v.snaps = append(v.snaps, snap)
	return nil
}

// name tells the moment just after a store.
func (v *visit) name(a vmm.Access) string {
	for _, p := range v.places {
		if p.touched(a) {
			s := p.Stores[len(p.Stores)-1]
			return fmt.Sprintf("%s: %s (%v, %s)", p.Place, s.became(), s.Time, s.by())
		}
	}
	return fmt.Sprintf("at %v", a.Time)
}
