package freeze

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/ktgen/ktgen/freeze/internal/bpfmap"
	"github.com/ktgen/ktgen/freeze/internal/chase"
	"github.com/ktgen/ktgen/freeze/internal/kmem"
	"github.com/ktgen/ktgen/freeze/internal/scx"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// Capture stops the guest, copies its BPF maps, resumes it, and returns what
// it held. A map that could not be copied, or not wholly, is in the snapshot
// with the reason and is no error of the capture.
//
// The guest is resumed whatever fails. An error is a [*CaptureError]; a
// snapshot that comes with one holds what was copied by then, and is nil if
// that is nothing. Cancelling ctx ends the capture soon, also while it waits
// for another.
func (f *Freezer) Capture(ctx context.Context, name string) (*ktsnap.Snapshot, error) {
	if err := f.take(ctx); err != nil {
		return nil, &CaptureError{Name: name, Doing: "wait for another capture of the guest to end", Err: err}
	}
	defer f.give()
	s := &stop{Freezer: f}
	f.rehearse(ctx, s)
	s.run(ctx, s.copy)
	return f.thaw(name, s)
}

// CaptureStopped is Capture for a guest that stands still already, and goes on
// standing. Its time is that of the copy alone.
func (f *Freezer) CaptureStopped(ctx context.Context, name string) (*ktsnap.Snapshot, error) {
	if err := f.take(ctx); err != nil {
		return nil, &CaptureError{Name: name, Doing: "wait for another capture of the guest to end", Err: err}
	}
	defer f.give()
	f.prepare(ctx)
	s := &stop{Freezer: f, taken: time.Now()}
	s.guard(func() error { return s.copy(ctx) })
	s.timing.Paused = time.Since(s.taken)
	return f.thaw(name, s)
}

// take and give surround what only one goroutine may do at once.
func (f *Freezer) take(ctx context.Context) error {
	select {
	case <-f.turn:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (f *Freezer) give() { f.turn <- struct{}{} }

// rehearse walks the running guest, only to size buffers and to bring pages into memory:
// what it reads can be torn. It leaves nothing in s if it panicked.
func (f *Freezer) rehearse(ctx context.Context, s *stop) {
	defer func() {
		if recover() != nil {
			s.warm, s.warmChase, s.warmTables = nil, nil, nil // the walk that counts will report it
		}
	}()
	deadline := time.Now().Add(f.options.MaxPause)
	pass := f.learn(ctx, deadline)
	_ = pass.Copy(ctx)
	s.warmChase, _ = f.chase(ctx, f.running, pass, nil, deadline)
	s.warmTables = f.copyTables(ctx, f.running, nil, deadline)
	s.warm = pass
}

// prepare is learn for a guest that stands still, where nothing is to be sized. What it did
// not come to is not followed.
func (f *Freezer) prepare(ctx context.Context) {
	defer func() { _ = recover() }() // the walk that counts will report it
	f.learn(ctx, time.Now().Add(f.options.MaxPause))
}

// learn walks the maps, to find out what they are called and what is followed from them.
// The guest may run, so that errors are to be expected and mean nothing.
func (f *Freezer) learn(ctx context.Context, deadline time.Time) *bpfmap.Pass {
	pass := f.pass(f.running, nil, f.options.Select, f.learnNames, deadline)
	_ = pass.Walk(ctx, f.mapIDR)
	for _, m := range pass.Maps {
		f.programs.plan(m, f.planner)
	}
	f.planner.Deepen(f.options.Chase.Depth, f.options.Chase.Follow)
	return pass
}

// copyTables copies what the kernel keeps of scheduling.
func (f *Freezer) copyTables(ctx context.Context, mem *kmem.Space, warm *scx.State, deadline time.Time) *scx.State {
	if f.options.NoTables {
		return nil
	}
	return f.tables.Copy(mem, checkEvery(ctx, deadline), warm)
}

// learnNames copies the BTF of the running guest's maps, and gives them the names
// that they have there.
func (f *Freezer) learnNames(found []*bpfmap.Map) {
	f.programs.forgetUnread()
	fresh := false
	for _, m := range found {
		fresh = f.programs.prefetch(f.running, m.BTF) || fresh
	}
	if fresh {
		f.programs.forgetPlans() // they can define what others declare
		f.planner.Forget()
	}
	f.programs.nameMaps(found)
}

// recallNames gives maps of the stopped guest the names that were learned before. It learns
// the names of new maps only if Options.Select is set, which goes by them.
func (s *stop) recallNames(found []*bpfmap.Map) {
	s.programs.forgetUnread()
	if s.programs.recall(found) || s.options.Select == nil {
		return
	}
	for _, m := range found {
		s.programs.fetch(s.stopped, m.BTF)
	}
	s.programs.nameMaps(found)
}

// pass returns a walk that ends at a deadline.
func (f *Freezer) pass(mem *kmem.Space, warm *bpfmap.Pass, choose func(*ktsnap.Map) bool, name func([]*bpfmap.Map), deadline time.Time) *bpfmap.Pass {
	mem.Flush()
	return bpfmap.NewPass(bpfmap.Config{
		Mem: mem, CPUs: f.cpus, Layout: f.layout, Choose: choose, Name: name,
		Limits: bpfmap.Limits{
			MapBytes:   f.options.MapBytes,
			TotalBytes: f.options.TotalBytes,
			Deadline:   deadline,
		},
	}, warm)
}

// stop is one pause of the guest, and what is copied in it.
type stop struct {
	*Freezer

	warm       *bpfmap.Pass
	warmChase  *chase.Chase
	warmTables *scx.State

	pass      *bpfmap.Pass // nil if the guest did not stop
	chased    *chase.Chase // nil if it did not come to that
	tables    *scx.State   // nil if there are none
	late      bool         // the chase was cut off
	online    []int
	scheduler ktsnap.Scheduler
	code      []ktsnap.Symbol // that the kernel has compiled, if a map can refer to it
	taken     time.Time
	timing    ktsnap.Timing
	doing     string
	err       error
	resumed   error // of Machine.Resume
}

// run stops the guest, does what there is to do meanwhile, and resumes it.
func (s *stop) run(ctx context.Context, do func(context.Context) error) {
	start := time.Now()
	s.doing = "stop the guest"
	if s.err = s.machine.Pause(ctx); s.err != nil {
		return
	}
	s.taken = time.Now()
	s.timing.Stop = s.taken.Sub(start)
	s.guard(func() error { return do(ctx) })
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
	s.pass = s.Freezer.pass(s.stopped, s.warm, s.options.Select, s.recallNames, s.deadline())

	s.doing = "walk its BPF maps"
	walkErr := s.pass.Walk(ctx, s.mapIDR)
	s.scheduler = s.sched.read(s.stopped)
	s.online, _ = s.cpus.Online(s.stopped) // unknown where it cannot be read
	walked := time.Now()
	s.timing.Walk = walked.Sub(s.taken)

	if walkErr == nil {
		s.doing = "copy its BPF maps"
	}
	copyErr := s.pass.Copy(ctx)
	s.pass.DropLeft(s.progIDR)
	for _, m := range s.pass.Maps {
		s.programs.fetch(s.stopped, m.BTF)
	}
	if !s.pass.Late() && slices.ContainsFunc(s.pass.Maps, (*bpfmap.Map).HasCode) {
		s.code, _ = s.compiledCode() // what is missing stays without a name
	}
	s.timing.Copy = time.Since(walked)
	s.copyTables(ctx)
	s.timing.Bytes = s.pass.Bytes() + s.tables.Bytes()
	if err := cmp.Or(walkErr, copyErr); err != nil {
		return err
	}
	return s.follow(ctx)
}

// copyTables copies what the kernel keeps of scheduling.
func (s *stop) copyTables(ctx context.Context) {
	began := time.Now()
	s.tables = s.Freezer.copyTables(ctx, s.stopped, s.warmTables, s.deadline())
	s.timing.Tables = time.Since(began)
}

// follow copies the kernel's objects that the maps' values point to.
func (s *stop) follow(ctx context.Context) (err error) {
	began := time.Now()
	s.doing = "follow the pointers in its BPF maps"
	s.chased, err = s.chase(ctx, s.stopped, s.pass, s.warmChase, s.deadline())
	s.timing.Chase = time.Since(began)
	s.timing.Bytes += s.chased.Bytes()
	if s.late = errors.Is(err, errLate); s.late {
		return nil
	}
	return err
}

// deadline is when the guest has stood still for as long as it may.
func (s *stop) deadline() time.Time { return s.taken.Add(s.options.MaxPause) }

// missing says why not all that pointers lead to is in the capture, and what is.
func (s *stop) missing() string {
	var reasons []string
	if s.late {
		reasons = append(reasons, fmt.Sprintf("the guest had stood still for as long as it may (freeze.Options.MaxPause is %v): %d objects by then", s.options.MaxPause, len(s.chased.Objects)))
	}
	if left := s.chased.Left(); left != "" {
		reasons = append(reasons, left)
	}
	return strings.Join(reasons, "; ")
}

// chase follows the pointers in the maps of a pass. The error wraps errLate if the
// time is up before the end; what was copied by then is there.
func (f *Freezer) chase(ctx context.Context, mem *kmem.Space, pass *bpfmap.Pass, warm *chase.Chase, deadline time.Time) (*chase.Chase, error) {
	limits := chase.Limits{Depth: f.options.Chase.Depth, Objects: f.options.Chase.Objects, Bytes: f.options.Chase.Bytes}
	c := chase.New(mem, f.cpus, f.claims, limits, checkEvery(ctx, deadline), warm)
	if f.options.Chase.Off {
		return c, nil
	}
	for _, m := range pass.Maps {
		if w, ok := m.Window(); ok {
			c.Arena(w)
		}
	}
	for _, m := range pass.Maps {
		keys, values := f.programs.planned(m)
		if keys == nil && values == nil {
			continue
		}
		if pass.Late() {
			return c, errLate
		}
		if err := followKeys(c, m, keys); err != nil {
			return c, err
		}
		if err := followMap(c, m, values); err != nil {
			return c, err
		}
	}
	return c, nil
}

// followKeys follows the pointers in the keys of a map. What has owners has no keys.
func followKeys(c *chase.Chase, m *bpfmap.Map, plan *chase.Plan) error {
	if plan == nil || m.KeySize <= 0 {
		return nil
	}
	for key := range slices.Chunk(m.Keys, m.KeySize) {
		if err := c.Value(key, plan); err != nil {
			return err
		}
	}
	return nil
}

func followMap(c *chase.Chase, m *bpfmap.Map, plan *chase.Plan) error {
	if plan == nil {
		return nil
	}
	for i := range m.N * m.Slots {
		if m.Addrs != nil && (i >= len(m.Addrs) || m.Addrs[i] == 0) {
			continue
		}
		end := i*m.Stride + m.ValueSize
		if end > len(m.Values) {
			break
		}
		if err := c.Value(m.Values[end-m.ValueSize:end], plan); err != nil {
			return err
		}
	}
	return nil
}

// errLate ends a chase whose time is up.
var errLate = errors.New("the guest stood still for too long")

// checkEvery returns a function that fails once ctx has ended or the time is
// up, with errLate. It looks at the clock now and then only.
func checkEvery(ctx context.Context, deadline time.Time) func() error {
	const steps = 1 << 6 // in each of which an object of some kilobytes can be copied
	n := 0
	return func() error {
		if n++; n%steps != 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return errLate
		}
		return context.Cause(ctx)
	}
}

// thaw makes a snapshot of what a stop has copied.
func (f *Freezer) thaw(name string, s *stop) (*ktsnap.Snapshot, error) {
	var snap *ktsnap.Snapshot
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
			if m.Status == ktsnap.Complete {
				e.Kept++
			}
		}
	}
	return snap, e
}

func (f *Freezer) snapshot(name string, s *stop) *ktsnap.Snapshot {
	snap := &ktsnap.Snapshot{
		Name:      name,
		Taken:     s.taken,
		Timing:    s.timing,
		Scheduler: s.scheduler,
		Guest: ktsnap.Guest{
			Release:  f.release,
			Arch:     "amd64",
			PageSize: kmem.PageSize,
			CPUs:     f.cpus.Len(),
			Online:   s.online,
		},
	}
	s.pass.Finish(s.err)
	if s.chased != nil {
		snap.Kernel = s.chased.Objects
		if snap.KernelReason = s.missing(); snap.KernelReason != "" {
			snap.KernelStatus = ktsnap.Truncated
		}
	}
	if f.programs.keepOnly(s.pass.Maps) {
		f.planner.Forget()
	}
	f.programs.declare(s.pass.Maps)
	for _, m := range s.pass.Maps {
		if err := errors.Join(f.programs.describe(m), f.programs.complete(m)); err != nil && m.Reason == "" {
			m.Reason = fmt.Sprintf("its types are unknown: %v", err)
		}
		snap.Maps = append(snap.Maps, &m.Map)
	}
	if s.tables != nil {
		snap.Tables = s.tables.Tables
	}
	snap.Programs = f.programs.list()
	snap.Symbols = f.symbolise(s.pass.Maps, s.code)
	return snap
}
