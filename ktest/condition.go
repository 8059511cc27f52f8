package ktest

import (
	"context"
	"fmt"
	"reflect"
	"time"

	"github.com/ktgen/ktgen/freeze"
	"github.com/ktgen/ktgen/runtime"
	"github.com/ktgen/ktgen/runtime/ktsnap"
	"github.com/ktgen/ktgen/series"
)

// Number is a value that can be looked at while the guest writes to it: it is
// one integer in memory.
type Number interface {
	~int8 | ~int16 | ~int32 | ~int64 | ~uint8 | ~uint16 | ~uint32 | ~uint64 | ~bool
}

// CaptureWhenError says that a condition has not come true.
type CaptureWhenError struct {
	Path  string // of the value: .bss.nr_dispatched
	Last  any    // value, as it was seen; nil if it was not
	Looks int    // at the value
	Err   error  // why nobody looks any more
}

func (e *CaptureWhenError) Error() string {
	if e.Looks == 0 {
		return fmt.Sprintf("the condition on %s was not looked at: %v", e.Path, e.Err)
	}
	return fmt.Sprintf("the condition on %s has not come true; its value is %v (seen %d times): %v", e.Path, e.Last, e.Looks, e.Err)
}

// Unwrap returns Err.
func (e *CaptureWhenError) Unwrap() error { return e.Err }

// Peek reads the value that p points to again, from the memory of the guest, which runs on.
// p was read through snap:
//
//	snap := examplesched.Bind(t, vm.Freeze("start"))
//	n, err := ktest.Peek(ctx, vm, snap, &snap.Bss().NrDispatched)
//
// The value must still be where it was. Global variables stay as long as the same
// scheduler is loaded; entries of maps can be deleted. The error is [freeze.ErrMapGone] or
// [freeze.ErrEntryGone] by errors.Is, if it is there no more.
func Peek[V Number](ctx context.Context, vm *VM, snap runtime.Bound, p *V) (V, error) {
	w, err := watchNumber(ctx, vm, snap, p)
	if err != nil {
		return *new(V), err
	}
	value, err := w.look()
	if gone := w.gone(ctx); gone != nil {
		return *new(V), gone
	}
	return value, err
}

// CaptureWhen captures as soon as a condition on a value is true. It looks at the value
// once a millisecond, as [Peek] does, and returns when the capture is made. Values that
// come and go between two looks are not seen.
//
// If ctx, the scheduler or the guest ends before, the error is a [*CaptureWhenError]. Else
// it is that of the capture.
func CaptureWhen[V Number](ctx context.Context, vm *VM, name string, snap runtime.Bound, p *V, condition func(V) bool) (series.Capture, error) {
	w, err := watchNumber(ctx, vm, snap, p)
	if err != nil {
		return series.Capture{}, err
	}
	if err := w.await(ctx, condition); err != nil {
		return series.Capture{}, err
	}
	c := vm.take(ctx, series.Moment{Name: name, Trigger: series.Event})
	return c, c.NoSnapshot
}

// number is an integer in the memory of a running guest.
type number[V Number] struct {
	vm   *VM
	path string
	look func() (V, error)
	gone func(context.Context) error // why the value is not the place's any more; nil if it is
}

func watchNumber[V Number](ctx context.Context, vm *VM, snap runtime.Bound, p *V) (*number[V], error) {
	place := runtime.LocationOf(snap, p)
	if err := vm.notPrepared("looking at a number of the guest's", looksOften); err != nil {
		return nil, fmt.Errorf("look at %s: %w", place.Path, err)
	}
	f, err := vm.freezer(ctx)
	if err != nil {
		return nil, fmt.Errorf("look at %s: %w", place.Path, vm.because(err))
	}
	gone := func(ctx context.Context) error {
		if place.Map == nil || vm.machine.Err() != nil {
			return nil
		}
		if err := f.Holds(ctx, place.Map, place.Addr, place.Size); err != nil {
			return fmt.Errorf("look at %s: %w", place.Path, vm.orEnd(err))
		}
		return nil
	}
	return &number[V]{vm, place.Path, func() (V, error) { return peekAt[V](f, place) }, gone}, nil
}

// peekAt reads a number.
func peekAt[V Number](f *freeze.Freezer, place ktsnap.Location) (value V, err error) {
	raw := make([]byte, place.Size)
	if err := f.Peek(place.Addr, raw); err != nil {
		return value, fmt.Errorf("look at %s: %w", place.Path, err)
	}
	bits := place.Bits
	if bits == 0 {
		bits = 8 * place.Size
	}
	v := reflect.ValueOf(&value).Elem()
	switch {
	case v.Kind() == reflect.Bool:
		v.SetBool(runtime.Bits(raw, place.BitOffset, bits) != 0)
	case v.CanInt():
		v.SetInt(runtime.SignedBits(raw, place.BitOffset, bits))
	default:
		v.SetUint(runtime.Bits(raw, place.BitOffset, bits))
	}
	return value, nil
}

// lookInterval is the time between two looks at a value.
const lookInterval = time.Millisecond

// await returns when the condition is true.
func (n *number[V]) await(ctx context.Context, condition func(V) bool) error {
	never := &CaptureWhenError{Path: n.path}
	ended := n.vm.Exited()
	ticks := time.NewTicker(lookInterval)
	defer ticks.Stop()
	var checked time.Time
	for {
		value, err := n.look()
		met := err == nil && condition(value)
		var gone error
		if met || err != nil || never.Err != nil || time.Since(checked) >= lostInterval {
			gone, checked = n.gone(ctx), time.Now()
		}
		if lost := n.vm.lost(gone, err); lost != nil {
			never.Err = lost
			return never
		}
		if met {
			return nil
		}
		never.Last = value
		never.Looks++
		if never.Err != nil {
			return never // that was the last look
		}
		select {
		case <-n.vm.pause(ctx, ticks.C, lookInterval):
		case <-n.vm.machine.Done():
		case <-ended: // its maps are kept, and may have become what is waited for
			never.Err = n.vm.endReason()
		case <-ctx.Done():
			never.Err = context.Cause(ctx)
		}
	}
}

// lost returns why a value that was looked at is not the number's: the guest is dead, the
// number is gone, or it could not be read.
func (vm *VM) lost(gone, err error) error {
	switch {
	case vm.machine.Err() != nil:
		return vm.death()
	case gone != nil:
		return gone
	case err != nil:
		return vm.orEnd(err)
	}
	return nil
}

// orEnd returns why there is no scheduler any more, if there is none, with what could not
// be read for that.
func (vm *VM) orEnd(err error) error {
	vm.awaitVerdict()
	if s := vm.current(); s == nil || !isClosed(s.Done()) {
		return err
	}
	return fmt.Errorf("%w (%w)", vm.endReason(), err)
}
