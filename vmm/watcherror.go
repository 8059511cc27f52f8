package vmm

import (
	"errors"
	"fmt"
)

// ErrLockstepWatch says that a guest in lockstep was started without [Lockstep.Watched].
var ErrLockstepWatch = errors.New("guests in lockstep have watchpoints only if they are started with a plugin in their QEMU (ktest.Config.Watches), which does not change their runs but makes them slower; what a run did is told without, by running it again (vm.Blame, vm.At)")

// WatchLostError reports a place that has no memory any more: the guest has freed
// it.
type WatchLostError struct {
	Addr uint64
	Size int
	Err  error // of Memory; nil if there was memory before
}

func (e *WatchLostError) Error() string {
	s := fmt.Sprintf("watching %d bytes at %#x: the guest has no memory there, or has freed it", e.Size, e.Addr)
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

func (e *WatchLostError) Unwrap() error { return e.Err }

// WatchLimitError reports that no more places can be watched.
type WatchLimitError struct {
	Addr  uint64
	Size  int
	Armed int // watchpoints that there are
	Accel Accel
	Err   error
}

func (e *WatchLimitError) Error() string {
	s := fmt.Sprintf("watching %d bytes at %#x: %v; %d watchpoints are armed", e.Size, e.Addr, e.Err, e.Armed)
	if e.Accel == KVM {
		return s + ", and the CPU's debug registers hold 4: take one back (Watchpoint.Close), or use $" + EnvAccel + "=tcg, which has no limit"
	}
	return s
}

func (e *WatchLimitError) Unwrap() error { return e.Err }

// WatchSizeError reports a place that debug registers cannot watch.
type WatchSizeError struct {
	Addr uint64
	Size int
}

func (e *WatchSizeError) Error() string {
	return fmt.Sprintf("watching %d bytes at %#x: a watched place has 1, 2, 4 or 8 bytes and is aligned to as many", e.Size, e.Addr)
}

// WatchOverlapError reports a place that shares bytes with one that is watched
// and is not the same. QEMU says only where a watchpoint begins that was hit, so that
// hits of the two could not be told apart.
type WatchOverlapError struct {
	Addr      uint64
	Size      int
	OtherAddr uint64
	OtherSize int
}

func (e *WatchOverlapError) Error() string {
	return fmt.Sprintf("watching %d bytes at %#x: %d bytes at %#x are watched, which share some of them: watch the same place, or take that watchpoint back first",
		e.Size, e.Addr, e.OtherSize, e.OtherAddr)
}
