package ktest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ktgen/ktgen/series"
	"github.com/ktgen/ktgen/vmm/guest"
)

// Cadence plans captures that are spread evenly over a time.
type Cadence struct {
	// Over is how long the observed run takes. With N, its first and last tenth
	// have no captures.
	Over time.Duration

	// N is the number of captures. They divide the rest of Over into N+1 equal
	// parts: if Over is 10 s and N is 3, they are due at 3, 5 and 7 s.
	N int
	// Every is the time between captures, in place of N. They end with Over, or
	// with [Periodic.Stop] if Over is 0.
	Every time.Duration

	// Name is what captures are called, with a number: periodic_000. It is
	// "periodic" if it is empty.
	Name string
}

// minSpacing is the least time between two captures of a cadence, as planned. Of captures
// that are late half of it is left, so that lateness does not add up.
const minSpacing = 100 * time.Millisecond

// maxTimeouts is how many captures in a row may time out before a cadence is
// given up.
const maxTimeouts = 2

// CadenceError says why there can be no such cadence.
type CadenceError struct {
	Cadence Cadence
	Reason  string
}

func (e *CadenceError) Error() string {
	return fmt.Sprintf("a cadence of N = %d, Every = %v over %v: %s", e.Cadence.N, e.Cadence.Every, e.Cadence.Over, e.Reason)
}

// spacing returns the time between two captures.
func (c Cadence) spacing() time.Duration {
	if c.Every != 0 {
		return c.Every
	}
	return (c.Over - 2*(c.Over/10)) / time.Duration(c.N+1)
}

func (c Cadence) check() error {
	fail := func(format string, args ...any) error {
		return &CadenceError{Cadence: c, Reason: fmt.Sprintf(format, args...)}
	}
	switch {
	case c.N < 0 || c.Every < 0 || c.Over < 0:
		return fail("none of them can be negative: leave out what is not chosen")
	case c.N > 0 && c.Every > 0:
		return fail("say how many or how often, not both")
	case c.N == 0 && c.Every == 0:
		return fail("say how many (N) or how often (Every)")
	case c.N > 0 && c.Over == 0:
		return fail("say how long the run takes (Over)")
	}
	if got := c.spacing(); got < minSpacing {
		most := int((c.Over - 2*(c.Over/10)) / minSpacing)
		if c.N > 0 && most > 1 {
			return fail("captures would be %v apart, and %v is the least: at most %d fit in that time", got, minSpacing, most-1)
		}
		return fail("captures would be %v apart, and %v is the least", got, minSpacing)
	}
	if c.Every > c.Over && c.Over > 0 {
		return fail("no capture would be made")
	}
	return nil
}

// due returns when capture i is to be made, counted from the start of the
// cadence; ok is false after the last.
func (c Cadence) due(i int) (at time.Duration, ok bool) {
	if c.Every > 0 {
		at = time.Duration(i+1) * c.Every
		return at, c.Over == 0 || at <= c.Over
	}
	edge := c.Over / 10
	return edge + (c.Over-2*edge)*time.Duration(i+1)/time.Duration(c.N+1), i < c.N
}

func (c Cadence) nameOf(i int) string {
	if c.Name == "" {
		return fmt.Sprintf("periodic_%03d", i)
	}
	return fmt.Sprintf("%s_%03d", c.Name, i)
}

// NotReadyError says that a capture of a cadence was put off until it was too late,
// as no scheduler was attached.
type NotReadyError struct{ Waited time.Duration }

func (e *NotReadyError) Error() string {
	return fmt.Sprintf("no scheduler was attached when the capture was due, nor in the %v after that", e.Waited)
}

// AbandonedError says that a cadence was given up before the capture was due.
type AbandonedError struct{ Err error } // of the last capture before that, or how the scheduler ended

func (e *AbandonedError) Error() string {
	return fmt.Sprintf("the cadence was given up: %v", e.Err)
}

// Unwrap returns Err.
func (e *AbandonedError) Unwrap() error { return e.Err }

// Periodic is a cadence under way.
type Periodic struct {
	vm      *VM
	cadence Cadence
	start   time.Duration // of the cadence, as all times in here: see clock.total
	ctx     context.Context
	stop    context.CancelCauseFunc
	task    *guest.Task   // in a guest in lockstep: see wait
	done    chan struct{} // closed when it is over; then err is set
	err     error
}

// errStopped is why a cadence ends that is stopped.
var errStopped = errors.New("the cadence was stopped")

// Periodically captures in a cadence, beside the test that runs. The captures
// are in [VM.Captures]; their Due says when they were to be made, on the VM's
// clock, which stands still with the guest.
//
// A capture that is late, on a busy host, is followed by the next no sooner than 50 ms
// later. A capture that is due while no scheduler is attached is made when one is,
// and left out if the next one is due before. If the guest cannot be captured
// twice in a row in the time that takes at most (Timeouts.Capture), or if it is
// no more, the cadence is given up. So it is when the scheduler ends without having
// been asked to ([VM.Detach]). Each capture that is not made is in the
// store all the same, without a snapshot and with the reason: [*NotReadyError],
// [*AbandonedError], or the capture's error.
//
// The cadence ends with ctx, with the guest, or when it is stopped. The error
// is a [*CadenceError].
func (vm *VM) Periodically(ctx context.Context, c Cadence) (*Periodic, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	if _, err := vm.freezer(ctx); err != nil { // not at the first capture, which it would delay
		return nil, fmt.Errorf("begin a cadence: %w", vm.because(err))
	}
	p := &Periodic{vm: vm, cadence: c, start: vm.clock.total(), done: make(chan struct{})}
	ctx, p.task = vm.agent.Aside(ctx, true)
	p.ctx, p.stop = context.WithCancelCause(ctx)
	p.task.Act() // until it waits
	go p.run()   // ends with ctx, the guest or Stop
	return p, nil
}

// Wait waits until the cadence is over. The error says why captures are
// missing that were planned: a [*NotReadyError] or [*AbandonedError], or the cause of the
// context that ended it.
func (p *Periodic) Wait() error {
	defer p.vm.until(context.Background(), p.done)()
	<-p.done
	return p.err
}

// Stop ends the cadence, and waits for a capture that is being made. What was
// planned after that is not in the store.
func (p *Periodic) Stop() {
	p.stop(errStopped)
	defer p.vm.until(context.Background(), p.done)()
	<-p.done
}

func (p *Periodic) run() {
	defer p.task.Rest()
	defer close(p.done)
	defer p.stop(errStopped)
	timeouts := 0
	var last time.Duration // when the capture before was over
	for i := 0; ; i++ {
		due, ok := p.cadence.due(i)
		if !ok {
			return
		}
		err := p.sleep(apart(p.start+due, last))
		if err != nil {
			p.end(err)
			return
		}
		if p.vm.died() {
			p.abandon(i, p.vm.endReason())
			return
		}
		err = p.capture(i)
		last = p.vm.clock.total()
		if errors.Is(err, context.DeadlineExceeded) && p.ctx.Err() == nil {
			timeouts++
		} else {
			timeouts = 0
		}
		if err != nil && p.err == nil {
			p.err = err
		}
		if err != nil && (timeouts == maxTimeouts || p.vm.machine.Err() != nil) {
			p.abandon(i+1, err)
			return
		}
	}
}

// apart returns when a capture is made that is due at a time: later, if the one before
// it was so late that the guest would have done nothing between the two. last is when
// that was over, and 0 if there was none.
func apart(due, last time.Duration) time.Duration {
	if last == 0 {
		return due
	}
	return max(due, last+minSpacing/2)
}

// end notes that the cadence has ended before its time.
func (p *Periodic) end(err error) {
	if p.err == nil && !errors.Is(err, errStopped) {
		p.err = err
	}
}

// sleep waits until a time. The clock stands still with the guest, so it looks again.
func (p *Periodic) sleep(until time.Duration) error {
	for {
		left := until - p.vm.clock.total()
		if left <= 0 {
			return nil
		}
		attached, ended := p.vm.change()
		if p.vm.died() {
			return nil // which ends the cadence
		}
		if p.vm.virtual() { // what happens meanwhile is noticed at moments of the guest's time
			attached, ended, left = nil, nil, min(left, virtualLook)
		}
		elapsed, stop := p.vm.after(left, p.task)
		select {
		case <-elapsed:
		case <-ended:
		case <-attached:
		case <-p.ctx.Done():
			stop()
			return context.Cause(p.ctx)
		case <-p.vm.machine.Done():
			stop()
			return nil // the capture says why it cannot be made
		}
		stop()
	}
}

// capture makes capture i, or puts one without a snapshot into the store.
func (p *Periodic) capture(i int) error {
	due, _ := p.cadence.due(i)
	m := series.Moment{Name: p.cadence.nameOf(i), Trigger: series.Cadence, Due: p.vm.clock.due(p.start + due)}
	if err := p.ready(p.start + due); err != nil {
		p.miss(m, err)
		return err
	}
	ctx, cancel := context.WithTimeout(p.ctx, p.vm.cfg.Timeouts.Capture)
	defer cancel()
	return p.vm.take(ctx, m).NoSnapshot
}

// ready waits until a scheduler runs, as long as the next capture is not due.
func (p *Periodic) ready(due time.Duration) error {
	last := due + p.cadence.spacing() - minSpacing/2
	for {
		attached, ok := p.vm.running()
		if ok || p.vm.machine.Err() != nil {
			return nil
		}
		if p.vm.died() {
			return p.vm.endReason()
		}
		left := last - p.vm.clock.total()
		if left <= 0 {
			return &NotReadyError{Waited: p.vm.clock.total() - due}
		}
		if p.vm.virtual() {
			attached, left = nil, min(left, virtualLook)
		}
		elapsed, stop := p.vm.after(left, p.task)
		select {
		case <-attached:
		case <-elapsed:
		case <-p.vm.machine.Done():
		case <-p.ctx.Done():
			stop()
			return context.Cause(p.ctx)
		}
		stop()
	}
}

// change returns channels that are closed when the next scheduler is attached, and
// when the one that runs ends; nil without one.
func (vm *VM) change() (attached, ended <-chan struct{}) {
	vm.mu.Lock()
	defer vm.mu.Unlock()
	if vm.scheduler == nil {
		return vm.attached, nil
	}
	select {
	case <-vm.scheduler.Done():
		return vm.attached, nil // which says nothing any more
	default:
		return vm.attached, vm.scheduler.Done()
	}
}

// running tells whether a scheduler runs. attached is closed when the next one
// does.
func (vm *VM) running() (attached <-chan struct{}, ok bool) {
	vm.mu.Lock()
	defer vm.mu.Unlock()
	if vm.scheduler == nil {
		return vm.attached, false
	}
	select {
	case <-vm.scheduler.Done():
		return vm.attached, false
	default:
		return vm.attached, true
	}
}

// miss adds a capture without a snapshot.
func (p *Periodic) miss(m series.Moment, err error) {
	c := series.Capture{Moment: m, NoSnapshot: err, NoStatistics: err}
	p.vm.clock.stood(&c.Moment, nil)
	_ = p.vm.captures.Add(c) // closed: nobody is left to read it
}

// maxAbandoned bounds the captures that are added for a cadence without an end.
const maxAbandoned = 1000

// abandon adds what was planned from capture i on.
func (p *Periodic) abandon(i int, reason error) {
	abandoned := &AbandonedError{Err: reason}
	p.err = abandoned
	for ; i < maxAbandoned && p.cadence.Over > 0; i++ {
		due, ok := p.cadence.due(i)
		if !ok {
			return
		}
		p.miss(series.Moment{Name: p.cadence.nameOf(i), Trigger: series.Cadence, Due: p.vm.clock.due(p.start + due)}, abandoned)
	}
}
