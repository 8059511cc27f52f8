package freeze

import (
	"cmp"
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/ktgen/ktgen/freeze/internal/bpfmap"
	"github.com/ktgen/ktgen/freeze/internal/kmem"
	"github.com/ktgen/ktgen/runtime"
)

// Capture stops the guest, copies its BPF maps, resumes it, and returns what
// it held. A map that could not be copied, or not wholly, is in the snapshot
// with the reason and is no error of the capture.
//
// The guest is resumed whatever fails. An error is a [*CaptureError]; a
// snapshot that comes with one holds what was copied by then, and is nil if
// that is nothing. Cancelling ctx ends the capture soon, also while it waits
// for another.
func (f *Freezer) Capture(ctx context.Context, name string) (*runtime.Snapshot, error) {
	select {
	case <-f.turn:
		defer func() { f.turn <- struct{}{} }()
	case <-ctx.Done():
		return nil, &CaptureError{Name: name, Doing: "wait for another capture of the guest to end", Err: context.Cause(ctx)}
	}
	s := &stop{Freezer: f, warm: f.rehearse(ctx)}
	s.run(ctx)
	return f.thaw(name, s)
}

// rehearse walks the running guest, for the buffers and page faults only: what
// is read can be torn. It returns nil if that ended badly.
func (f *Freezer) rehearse(ctx context.Context) (warm *bpfmap.Pass) {
	defer func() {
		if recover() != nil {
			warm = nil // the walk that counts will report it
		}
	}()
	pass := f.pass(f.running, nil)
	// The guest runs, so errors are to be expected and mean nothing.
	_ = pass.Walk(ctx, f.mapIDR)
	_ = pass.Copy(ctx)
	for _, m := range pass.Maps {
		f.programs.prefetch(f.running, m.BTF)
	}
	return pass
}

// pass returns a walk whose time starts to run.
func (f *Freezer) pass(mem *kmem.Space, warm *bpfmap.Pass) *bpfmap.Pass {
	mem.Flush()
	return bpfmap.NewPass(bpfmap.Config{
		Mem: mem, CPUs: f.cpus, Layout: f.layout, Choose: f.options.Select,
		Limits: bpfmap.Limits{
			MapBytes:   f.options.MapBytes,
			TotalBytes: f.options.TotalBytes,
			Deadline:   time.Now().Add(f.options.MaxPause),
		},
	}, warm)
}

// stop is one time that the guest stands still.
type stop struct {
	*Freezer
	warm *bpfmap.Pass

	pass    *bpfmap.Pass // nil if the guest did not stop
	online  []int
	taken   time.Time
	timing  runtime.Timing
	doing   string
	err     error
	resumed error // of Machine.Resume
}

// run stops the guest, copies, and resumes it.
func (s *stop) run(ctx context.Context) {
	start := time.Now()
	s.doing = "stop the guest"
	if s.err = s.machine.Pause(ctx); s.err != nil {
		return
	}
	s.taken = time.Now()
	s.timing.Stop = s.taken.Sub(start)
	s.guard(func() error { return s.copy(ctx) })
	resume := time.Now()
	s.resumed = s.machine.Resume()
	end := time.Now()
	s.timing.Resume = end.Sub(resume)
	s.timing.Paused = end.Sub(start)
}

// guard makes an error of a panic, for the guest to be resumed after either.
func (s *stop) guard(f func() error) {
	defer func() {
		if v := recover(); v != nil {
			s.err = &PanicError{Value: v, Stack: debug.Stack()}
		}
	}()
	s.err = f()
}

// copy is everything that happens while the guest stands still.
func (s *stop) copy(ctx context.Context) error {
	s.pass = s.Freezer.pass(s.stopped, s.warm)

	s.doing = "walk its BPF maps"
	walkErr := s.pass.Walk(ctx, s.mapIDR)
	s.online, _ = s.cpus.Online(s.stopped) // unknown where it cannot be read
	walked := time.Now()
	s.timing.Walk = walked.Sub(s.taken)

	if walkErr == nil {
		s.doing = "copy its BPF maps"
	}
	copyErr := s.pass.Copy(ctx)
	for _, m := range s.pass.Maps {
		s.programs.fetch(s.stopped, m.BTF)
	}
	s.timing.Copy = time.Since(walked)
	s.timing.Bytes = s.pass.Bytes()
	return cmp.Or(walkErr, copyErr)
}

// thaw makes a snapshot of what a stop has copied.
func (f *Freezer) thaw(name string, s *stop) (*runtime.Snapshot, error) {
	var snap *runtime.Snapshot
	if s.pass != nil {
		snap = f.snapshot(name, s)
	}
	if s.err == nil && s.resumed == nil {
		return snap, nil
	}
	e := &CaptureError{Name: name, Doing: s.doing, Err: s.err, Resume: s.resumed}
	if s.err == nil {
		e.Doing = "resume the guest"
	}
	if snap != nil {
		e.Found = len(snap.Maps)
		for _, m := range snap.Maps {
			if m.Status == runtime.Complete {
				e.Kept++
			}
		}
	}
	return snap, e
}

func (f *Freezer) snapshot(name string, s *stop) *runtime.Snapshot {
	snap := &runtime.Snapshot{
		Name:   name,
		Taken:  s.taken,
		Timing: s.timing,
		Guest: runtime.Guest{
			Release:  f.release,
			Arch:     "amd64",
			PageSize: kmem.PageSize,
			CPUs:     f.cpus.Len(),
			Online:   s.online,
		},
	}
	s.pass.Finish(s.err)
	f.programs.keepOnly(s.pass.Maps)
	for _, m := range s.pass.Maps {
		if err := f.programs.describe(m); err != nil && m.Reason == "" {
			m.Reason = fmt.Sprintf("its types are unknown: %v", err)
		}
		snap.Maps = append(snap.Maps, &m.Map)
	}
	snap.Programs = f.programs.list()
	return snap
}
