package ktest

import (
	"context"
	"fmt"
	"path/filepath"
	"reflect"
	goruntime "runtime"

	"github.com/ktgen/ktgen/runtime"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// This file names places of a guest of which there is no snapshot yet. They are
// found in a snapshot that is taken for that, and not kept: the guest stands still
// for about a millisecond.

// open is the function Open of a package that ktgen has generated.
type open[S runtime.Bound] = func(*ktsnap.Snapshot, ...runtime.Option) (S, error)

// FieldAt is [Field] for a test that has no snapshot yet. The value is the one that read
// returns a pointer to; it is looked for when the watch begins:
//
//	ktest.FieldAt(examplesched.Open, func(s examplesched.Snap) *uint64 { return &s.Bss().NrDispatched })
func FieldAt[S runtime.Bound, T any](open open[S], read func(S) *T) Target {
	return Target{
		name: placeName(read),
		find: func(snap *ktsnap.Snapshot) (t Target, err error) {
			err = reading(open, snap, func(s S) { t = Field(s, read(s)) })
			return t, err
		},
	}
}

// SetAt is [Set] for a test that has no snapshot yet. The value is the one that read
// returns a pointer to; it is looked for when [VM.Write] is called:
//
//	vm.Write(ctx, ktest.SetAt(examplesched.Open, func(s examplesched.Snap) *bool { return &s.Bss().InjectFault }, true))
func SetAt[S runtime.Bound, T any](open open[S], read func(S) *T, v T) Assignment {
	return Assignment{find: func(snap *ktsnap.Snapshot) Assignment {
		var a Assignment
		if err := reading(open, snap, func(s S) { a = Set(s, read(s), v) }); err != nil {
			return Assignment{err: fmt.Errorf("set %s: %w", placeName(read), err)}
		}
		return a
	}}
}

// Writing makes assignments once a scheduler is loaded and before it is
// attached, for [Scheduler.Loaded]: the first task finds them made.
func Writing(assignments ...Assignment) func(context.Context, *VM) error {
	return func(ctx context.Context, vm *VM) error { return vm.Write(ctx, assignments...) }
}

// reading opens a snapshot and calls f, whose reads may fail.
func reading[S runtime.Bound](open open[S], snap *ktsnap.Snapshot, f func(S)) error {
	typed, err := open(snap)
	if err != nil {
		return err
	}
	return runtime.Try(func() { f(typed) })
}

// placeName names a place before it is found, by the function that reads it.
func placeName(read any) string {
	pc := reflect.ValueOf(read).Pointer()
	file, line := goruntime.FuncForPC(pc).FileLine(pc)
	return fmt.Sprintf("the value of %s:%d", filepath.Base(file), line)
}

// found returns the target with its address. Those of the kernel are found by
// [VM.locate].
func (vm *VM) found(ctx context.Context, t Target) (Target, error) {
	if t.find == nil {
		return t, nil
	}
	snap, err := vm.glance(ctx)
	if err != nil {
		return t, err
	}
	return t.find(snap)
}

// foundAll returns assignments whose places are known.
func (vm *VM) foundAll(ctx context.Context, assignments []Assignment) ([]Assignment, error) {
	var snap *ktsnap.Snapshot
	all := make([]Assignment, len(assignments))
	for i, a := range assignments {
		if a.find != nil && snap == nil {
			var err error
			if snap, err = vm.glance(ctx); err != nil {
				return nil, err
			}
		}
		if a.find != nil {
			a = a.find(snap)
		}
		all[i] = a
	}
	return all, nil
}
