package ktest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ktgen/ktgen/freeze"
	"github.com/ktgen/ktgen/runtime/ktsnap"
	"github.com/ktgen/ktgen/series"
	"github.com/ktgen/ktgen/vmm"
)

// WatchOptions say which writes fire, and what a fire does. With the zero value, each
// write that changes the value fires, and the watch keeps what it wrote.
//
// Under TCG, writes of two vCPUs within some microseconds are seen as one: Old is the
// value before both, New the value after both, and CPU and PC are those of one of them. CPU
// and PC of the next fire can be wrong then. If only one vCPU writes, every write is seen
// as it was.
type WatchOptions struct {
	// Unchanged lets writes fire, too, that leave the value as it was. Under
	// TCG, if two vCPUs' writes were seen as one, a fire without a write can follow.
	Unchanged bool
	// When says whether a write fires; nil is always. The guest stands still
	// meanwhile.
	When func(Fire) bool
	// Every lets the nth, 2nth, ... of the writes that pass When fire.
	Every int
	// Interval is the least time between two fires. Writes in between only
	// count.
	Interval time.Duration
	// Max disarms the watch after as many fires. Default 1000.
	Max int

	// Capture takes a snapshot at each fire, of the instant just after the
	// write, and adds it to [VM.Captures] under this name.
	Capture string
	// OnFire is called at each fire, after the capture, while the guest
	// stands still. It must not pause the guest or take snapshots.
	OnFire func(Fire)

	// Rate is how many writes a second, fired or not, are looked at, each of
	// which costs the guest about a millisecond. When there are more the
	// watch is blind until the second is over; see [WatchStats]. Default 1000. In guests in
	// lockstep all writes are looked at.
	Rate int
}

const (
	defaultFires = 1000
	defaultRate  = 1000
)

func (o WatchOptions) withDefaults() (WatchOptions, error) {
	if o.Every < 0 || o.Max < 0 || o.Rate < 0 || o.Interval < 0 {
		return o, errors.New("a limit of ktest.WatchOptions is negative: leave it 0 for the default")
	}
	if o.Every == 0 {
		o.Every = 1
	}
	if o.Max == 0 {
		o.Max = defaultFires
	}
	if o.Rate == 0 {
		o.Rate = defaultRate
	}
	return o, nil
}

// Fire is a write to a watched place.
type Fire struct {
	N        int           // of the fires of this watch, from 1
	Time     time.Time     // on the host; of a guest in lockstep Guest, as a time since 1970
	Guest    time.Duration // the CLOCK_MONOTONIC of a guest in lockstep, for [VM.At]
	CPU      int           // that wrote
	PC       uint64        // of the instruction after the one that wrote; in lockstep of the one that wrote
	Function freeze.Function
	Old, New uint64 // as the place holds them, not sign-extended

	// Snapshot is of the instant just after the write; nil without
	// WatchOptions.Capture, or if it failed (CaptureErr).
	Snapshot   *ktsnap.Snapshot
	CaptureErr error

	kind kind    // of Old and New
	left *uint64 // by the write before, if that was another value than Old
}

func (f Fire) String() string {
	s := fmt.Sprintf("CPU %d, %s: %s became %s", f.CPU, f.Function, f.kind.text(f.Old), f.kind.text(f.New))
	if f.left != nil {
		s += fmt.Sprintf(" (the CPUs had left it %s: the host, by VM.Write, or a device has made it %s)", f.kind.text(*f.left), f.kind.text(f.Old))
	}
	return s
}

// WatchStats count what a watch has seen.
type WatchStats struct {
	Hits      int           // writes that stopped the guest
	Fires     int           // of those
	Unchanged int           // writes that left the value as it was
	Refused   int           // by When
	Passed    int           // over because of Every
	Limited   int           // by Interval
	Blind     time.Duration // for how long writes were not seen, because of Rate
	Armed     bool
}

// Watch looks at the writes to a place. Its methods may be called from any
// goroutine.
type Watch struct {
	vm     *VM
	target Target
	opts   WatchOptions
	point  *vmm.Watchpoint
	freeze *freeze.Freezer
	left   *uint64     // by the latest write; nil if writes since are not seen. Of onHit.
	shows  atomic.Bool // a write: the guest stands in it, and what is watched is there

	mu      sync.Mutex // guards what follows
	fires   []Fire
	stats   WatchStats
	changed chan struct{} // closed at the next fire, or when the watch ends
	matched int           // writes that passed When
	window  time.Time     // beginning of the second that Rate is about
	seen    int           // writes since then
	rearm   *time.Timer   // while the watch is blind
	err     error
	closed  bool
	ended   chan struct{} // closed when err is set
}

// Watch fires when a vCPU writes to the target. It ends with the guest, with
// what it looks at ([Watch.Err]), or by [Watch.Close]. A guest in lockstep needs [Config.Watches].
//
// The error is a [*SymbolNotFoundError], a [*PerCPUSymbolError], [freeze.ErrMapGone] or
// [freeze.ErrEntryGone] if the guest has no more what the target was captured in, or one of [vmm.VM.Watch].
func (vm *VM) Watch(ctx context.Context, target Target, opts WatchOptions) (*Watch, error) {
	w, err := vm.watch(ctx, target, opts)
	if err != nil {
		return nil, fmt.Errorf("watch %s: %w", target, vm.because(err))
	}
	return w, nil
}

func (vm *VM) watch(ctx context.Context, target Target, opts WatchOptions) (*Watch, error) {
	if err := vm.notPrepared("VM.Watch", "as no guest of the search runs yet: call it in the test"); err != nil {
		return nil, err
	}
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	if target, err = vm.found(ctx, target); err != nil {
		return nil, err
	}
	if target.large != nil {
		return nil, target.large
	}
	f, err := vm.hitFreezer(ctx)
	if err != nil {
		return nil, err
	}
	if target.addr, err = vm.locate(f, target); err != nil {
		return nil, err
	}
	if target.of != nil {
		if err := f.Holds(ctx, target.of, target.addr, target.size); err != nil {
			return nil, err
		}
	}
	w := &Watch{vm: vm, target: target, opts: opts, freeze: f, changed: make(chan struct{}), ended: make(chan struct{})}
	w.stats.Armed = true
	w.point, err = vm.machine.Watch(ctx, target.addr, target.size, kernelMemory(f), w.onHit)
	if full := (*vmm.WatchLimitError)(nil); errors.As(err, &full) && vm.yieldLastMoment() {
		w.point, err = vm.machine.Watch(ctx, target.addr, target.size, kernelMemory(f), w.onHit)
	}
	if err != nil {
		return nil, err
	}
	return w, nil
}

// kernelMemory is the memory of the guest's kernel.
func kernelMemory(f *freeze.Freezer) vmm.Memory {
	return vmm.Memory{Read: f.Peek, Locate: func(addr uint64) (int64, error) {
		pieces, err := f.Physical(addr, 1)
		if err != nil {
			return 0, err
		}
		return pieces[0].Addr, nil
	}}
}

// yieldLastMoment makes room for a watch that the test has asked for.
func (vm *VM) yieldLastMoment() bool {
	vm.mu.Lock()
	last := vm.last
	vm.mu.Unlock()
	return last != nil && last.yield()
}

// onHit is called while the guest stands still.
func (w *Watch) onHit(h vmm.Hit) (keep bool) {
	w.shows.Store(true)
	defer w.shows.Store(false)
	fire := Fire{Time: time.Now(), Guest: h.Time, CPU: h.CPU, PC: h.PC, Old: w.target.value(h.Old), New: w.target.value(h.New), kind: w.target.kind}
	if w.vm.virtual() {
		fire.Time = time.Unix(0, int64(h.Time))
	}
	if left := w.left; left != nil && *left != fire.Old {
		fire.left = left
	}
	ctx, cancel := context.WithTimeout(context.Background(), w.vm.cfg.Timeouts.Capture)
	defer cancel()
	if err := w.holds(ctx); err != nil {
		w.fail(err)
		return false
	}
	// Code that is in no function that is known is reported as such.
	fire.Function, _ = w.freeze.FunctionAt(ctx, h.Within)
	if w.admit(&fire) {
		w.perform(ctx, fire)
	}
	keep = w.goOn()
	w.left = nil
	if keep {
		w.left = &fire.New
	}
	return keep
}

// holds says why a write is not to what is watched: its map or its entry is no
// more, and the memory is something else's.
func (w *Watch) holds(ctx context.Context) error {
	if w.target.of == nil {
		return nil
	}
	return w.freeze.HoldsStopped(ctx, w.target.of, w.target.addr, w.target.size)
}

// lost is why there is no memory any more where the place was.
func (w *Watch) lost() error {
	err := error(&vmm.WatchLostError{Addr: w.target.addr, Size: w.target.size})
	if w.target.of != nil {
		return fmt.Errorf("%w (%w)", freeze.ErrMapGone, err)
	}
	return err
}

// Err returns why the watch has ended by itself, or nil: [freeze.ErrMapGone] or
// [freeze.ErrEntryGone] by errors.Is, if what it looks at is no more.
func (w *Watch) Err() error {
	select {
	case <-w.point.Lost():
		w.fail(w.lost())
	default:
		if err := w.gone(); err != nil && w.vm.machine.Err() == nil {
			w.fail(err)
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// gone says why what is watched is no more, nil if it is there.
func (w *Watch) gone() error {
	if w.target.of == nil || w.shows.Load() {
		return nil
	}
	if w.freeze.Peek(w.target.addr, make([]byte, w.target.size)) != nil {
		return w.lost()
	}
	ctx, cancel := context.WithTimeout(context.Background(), w.vm.cfg.Timeouts.Capture)
	defer cancel()
	return w.freeze.Holds(ctx, w.target.of, w.target.addr, w.target.size)
}

// lostInterval is how often it is looked whether what is watched is still there.
const lostInterval = 100 * time.Millisecond

// fail ends the watch.
func (w *Watch) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stats.Armed = false
	if w.err == nil {
		w.err = err
		close(w.ended)
	}
}

// admit counts a write and decides whether it fires.
func (w *Watch) admit(fire *Fire) bool {
	matches := w.opts.When == nil || w.opts.When(*fire)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stats.Hits++
	if fire.Time.Sub(w.window) >= time.Second {
		w.window, w.seen = fire.Time, 0
	}
	w.seen++
	switch {
	case w.closed || w.stats.Fires == w.opts.Max:
		return false
	case !w.opts.Unchanged && fire.Old == fire.New:
		w.stats.Unchanged++
		return false
	case !matches:
		w.stats.Refused++
		return false
	}
	if w.matched++; w.matched%w.opts.Every != 0 {
		w.stats.Passed++
		return false
	}
	if n := len(w.fires); n > 0 && fire.Time.Sub(w.fires[n-1].Time) < w.opts.Interval {
		w.stats.Limited++
		return false
	}
	w.stats.Fires++
	fire.N = w.stats.Fires
	return true
}

// perform does what a fire is for.
func (w *Watch) perform(ctx context.Context, fire Fire) {
	if name := w.opts.Capture; name != "" {
		snap, err := w.freeze.CaptureStopped(ctx, name)
		fire.Snapshot, fire.CaptureErr = snap, err
		w.vm.keepWatched(name, snap, err, fire.Guest)
	}
	w.mu.Lock()
	w.fires = append(w.fires, fire)
	close(w.changed)
	w.changed = make(chan struct{})
	w.mu.Unlock()
	if w.opts.OnFire != nil {
		w.opts.OnFire(fire)
	}
}

// keepWatched adds the capture of a fire to the store. guest is the time of a guest in lockstep.
func (vm *VM) keepWatched(name string, snap *ktsnap.Snapshot, err error, guest time.Duration) {
	c := series.Capture{Moment: series.Moment{Name: name, Trigger: series.Watch}, Snapshot: snap, NoSnapshot: err}
	vm.clock.stoodAt(&c.Moment, snap, guest)
	_ = vm.captures.Add(c) // a name that may not be used twice, or the end of the test
}

// goOn says whether the watchpoint stays armed, and makes it blind for the rest
// of a second in which there were too many writes.
func (w *Watch) goOn() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed || w.stats.Fires == w.opts.Max {
		w.stats.Armed = false
		return false
	}
	if w.seen < w.opts.Rate || w.vm.virtual() {
		return true
	}
	blind := max(time.Until(w.window.Add(time.Second)), time.Millisecond)
	w.stats.Blind += blind
	w.stats.Armed = false
	w.rearm = time.AfterFunc(blind, w.seeAgain)
	return false
}

// seeAgain ends a time of being blind.
func (w *Watch) seeAgain() {
	w.mu.Lock()
	closed := w.closed
	w.mu.Unlock()
	if closed {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), w.vm.cfg.Timeouts.Capture)
	defer cancel()
	if err := w.point.Arm(ctx); err != nil {
		if lost := (*vmm.WatchLostError)(nil); errors.As(err, &lost) {
			err = w.lost()
		}
		w.fail(fmt.Errorf("arm it again after too many writes: %w", err))
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stats.Armed = true
}

// Fires returns the fires so far.
func (w *Watch) Fires() []Fire {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]Fire(nil), w.fires...)
}

// Stats returns what the watch has seen so far.
func (w *Watch) Stats() WatchStats {
	_ = w.Err() // which disarms it
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.stats
}

// Await waits until the watch has fired n times, and returns the nth fire. The
// error names what was waited for, and what was seen instead.
func (w *Watch) Await(ctx context.Context, n int) (Fire, error) {
	looks := time.NewTicker(lostInterval)
	defer looks.Stop()
	for {
		w.mu.Lock()
		fires, changed, err := w.fires, w.changed, w.err
		w.mu.Unlock()
		if len(fires) >= n && n > 0 {
			return fires[n-1], nil
		}
		if err != nil {
			return Fire{}, w.missed(n, err)
		}
		if w.vm.virtual() {
			if err := w.vm.scenario.Hold(ctx, virtualLook); err != nil {
				return Fire{}, w.missed(n, err)
			}
			_ = w.Err() // which ends the watch if it has to
			continue
		}
		select {
		case <-changed:
		case <-w.ended:
		case <-looks.C:
			_ = w.Err() // which ends the watch if it has to
		case <-w.vm.machine.Done():
			return Fire{}, w.missed(n, w.vm.machine.Err())
		case <-ctx.Done():
			return Fire{}, w.missed(n, context.Cause(ctx))
		}
	}
}

func (w *Watch) missed(n int, err error) error {
	s := w.Stats()
	var seen []string
	for _, part := range []struct {
		n    int
		what string
	}{{s.Refused, "refused by When"}, {s.Passed, "passed over by Every"}, {s.Limited, "within Interval"}, {s.Unchanged, "left the value as it was"}} {
		if part.n > 0 {
			seen = append(seen, fmt.Sprintf("%d %s", part.n, part.what))
		}
	}
	what := fmt.Sprintf("%d writes were seen", s.Hits)
	if len(seen) > 0 {
		what += ": " + strings.Join(seen, ", ")
	}
	return fmt.Errorf("wait for fire %d of the watch of %s: it has fired %d times (%s): %w", n, w.target, s.Fires, what, err)
}

// Close ends the watch. Its fires stay readable.
func (w *Watch) Close() error {
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return nil
	}
	w.closed = true
	w.stats.Armed = false
	if w.rearm != nil {
		w.rearm.Stop()
	}
	w.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), w.vm.cfg.Timeouts.Capture)
	defer cancel()
	if err := w.point.Close(ctx); err != nil && w.vm.machine.Err() == nil {
		return fmt.Errorf("end the watch of %s: %w", w.target, err)
	}
	return nil
}
