package scx

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/ktgen/ktgen/ktest/internal/bpfload"
	"github.com/ktgen/ktgen/vmm/guest"
)

// Scheduler is the host's hold on a scheduler in a guest.
type Scheduler struct {
	client *guest.Client
	output *tail

	stopping atomic.Bool // it has been asked to end, before it had

	once sync.Once     // sets exit and err, and closes done
	done chan struct{} // closed when it has ended; then exit and err are set
	exit Exit
	err  error

	gone chan struct{} // closed when its program has ended, too
	left []bpfload.Unattached

	verified []bpfload.Verification

	mu        sync.Mutex
	atEnd     []func() // called before done is closed
	name      string
	before    uint64        // schedulers that the kernel had enabled before the first instance
	past      []Exit        // of earlier instances
	again     chan struct{} // closed when the next instance is enabled
	atRestart func()
}

// Warm prepares a guest for schedulers that are started later, maybe in guests
// that are restored from its state.
func Warm(ctx context.Context, client *guest.Client) error {
	return client.Call(ctx, methodWarm, nil, nil, guest.Streams{})
}

// Start starts a scheduler, and returns when the kernel says that it is
// enabled. object holds the bytes that source.Object names. output, which may
// be nil, gets what the scheduler's own binary writes.
//
// The error is a [*RejectedError], [*LoaderError], [*ExitedError],
// [*AttachError], [*BusyError] or [*UnsupportedError] for what those say, an
// error of package guest, of loaded, or that ctx has ended; then the scheduler
// is ended in the guest.
//
// If loaded is not nil it is called when the object has been loaded and before
// it is attached; its error is returned.
func Start(ctx context.Context, client *guest.Client, source Source, object []byte, output io.Writer, loaded func(context.Context) error) (*Scheduler, error) {
	s := &Scheduler{client: client, output: &tail{w: output}, done: make(chan struct{}), gone: make(chan struct{}), again: make(chan struct{})}
	events := &events{enabled: make(chan enabled, 1), loaded: make(chan struct{}, 1), ended: func(e Exit) { s.finish(e, nil) }, restarted: s.goOn}
	source.Hold = loaded != nil
	object, err := source.pack(object)
	if err != nil {
		return nil, err
	}
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	running, task := client.Aside(running, false)
	task.Act()  // until the guest has been asked
	go func() { // ends with the scheduler, or with the guest
		defer task.Rest()
		defer cancel()
		s.perform(running, source, object, events)
	}()
	return s.awaitEnabled(ctx, cancel, source, events, loaded)
}

// awaitEnabled returns s when it is enabled, and cancels it otherwise.
func (s *Scheduler) awaitEnabled(ctx context.Context, cancel context.CancelFunc, source Source, events *events, loaded func(context.Context) error) (*Scheduler, error) {
	for heard := int32(0); ; heard++ {
		end := s.client.Until(ctx, func() bool { return events.news.Load() > heard || closed(s.done) })
		select {
		case <-events.loaded:
			end()
			if err := s.proceed(ctx, loaded); err != nil {
				cancel()
				<-s.gone
				return nil, err
			}
		case e := <-events.enabled:
			end()
			s.begin(e)
			s.left, s.verified = events.left, events.verified
			return s, nil
		case <-s.done:
			end()
			return nil, s.startError()
		case <-ctx.Done():
			end()
			cancel() // which ends it in the guest; who starts the next one waits for that
			<-s.gone
			cause := context.Cause(ctx)
			return nil, fmt.Errorf("wait until the scheduler is enabled: %w%s", cause, s.meanwhile(source, events, errors.Is(cause, context.DeadlineExceeded)))
		}
	}
}

// meanwhile says what a scheduler is at that is not enabled, and, if the time was up, why that
// can take long.
func (s *Scheduler) meanwhile(source Source, e *events, isLate bool) string {
	switch at := e.loading.Load(); {
	case len(source.Args) > 0 && !isLate:
		return s.output.last()
	case !isLate:
		return ""
	case len(source.Args) > 0:
		return ": its program or its operation init waits or loops, or takes longer" + s.output.last()
	case at != nil:
		return fmt.Sprintf(": the guest's verifier looks at program %s, which is number %d of %d, and says nothing before it is done: if it has many paths to look at "+
			"(loops, branches, inlined functions), it may refuse it in the end; wait for what it says", at.Program, at.N, at.Of)
	}
	return ": its operation init waits or loops, or takes longer"
}

// proceed lets a scheduler that is loaded be attached, after what is to be done
// before.
func (s *Scheduler) proceed(ctx context.Context, loaded func(context.Context) error) error {
	if err := loaded(ctx); err != nil {
		return err
	}
	return s.client.Call(ctx, methodGo, nil, nil, guest.Streams{})
}

// finish sets how the scheduler has ended. The first time is what counts.
func (s *Scheduler) finish(exit Exit, err error) {
	s.once.Do(func() {
		s.exit, s.err = exit, err
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, f := range s.atEnd {
			f()
		}
		close(s.done)
	})
}

// AtEnd has f called when the scheduler has ended, before Done is closed, or at once. A
// guest in lockstep stands meanwhile.
func (s *Scheduler) AtEnd(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if closed(s.done) {
		f()
		return
	}
	s.atEnd = append(s.atEnd, f)
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// perform makes the call that lasts as long as the scheduler and its program.
func (s *Scheduler) perform(ctx context.Context, source Source, object []byte, events *events) {
	defer close(s.gone)
	var exit Exit
	err := s.client.Call(ctx, methodRun, source, &exit, guest.Streams{In: bytes.NewReader(object), Out: guest.Lines(events.take), Err: s.output})
	exit.Dump = events.dump
	err = typed(err, events.rejected)
	if ended := (*LoaderError)(nil); errors.As(err, &ended) {
		ended.Output = s.output.String()
		if ended.Enabled { // the agent returns an error or an exit
			exit.Scheduler, exit.Kind, exit.Process = s.Name(), ExitUnreg, &ended.Exit
			exit.Reason = "unregistered from user space"
		}
	}
	s.finish(exit, err)
}

// startError says why there is no scheduler.
func (s *Scheduler) startError() error {
	if s.err != nil {
		return s.err
	}
	if err := s.exit.Err(); err != nil {
		return err
	}
	return &AttachError{Reason: "it ended at once: " + s.exit.String()}
}

// Name returns the scheduler's name, sched_ext_ops.name.
func (s *Scheduler) Name() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.name
}

func (s *Scheduler) begin(e enabled) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.name == "" {
		s.name, s.before = e.Scheduler, e.Before
	}
}

// goOn notes that the scheduler's program has started it again.
func (s *Scheduler) goOn(r restart) {
	s.begin(r.Enabled)
	s.mu.Lock()
	s.name, s.past = r.Enabled.Scheduler, append(s.past, r.Exit)
	close(s.again)
	s.again = make(chan struct{})
	f := s.atRestart
	s.mu.Unlock()
	if f != nil {
		f()
	}
}

// OnRestart has f called each time that the scheduler's program has started it again.
func (s *Scheduler) OnRestart(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.atRestart = f
}

// Left returns the programs of the scheduler's object that are loaded and not attached.
func (s *Scheduler) Left() []bpfload.Unattached { return s.left }

// Verified returns what the verifier said of the programs of the scheduler's object.
func (s *Scheduler) Verified() []bpfload.Verification { return s.verified }

// Before returns how many schedulers the guest's kernel had enabled before this one.
func (s *Scheduler) Before() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.before
}

// Past returns how earlier instances ended, which the scheduler's program has started
// again after, and a channel that is closed when there is one more.
func (s *Scheduler) Past() (ends []Exit, more <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.past), s.again
}

// Output returns what the scheduler's own binary has written; of a long output the
// beginning and the end.
func (s *Scheduler) Output() string { return s.output.String() }

// Done is closed when the scheduler has ended.
func (s *Scheduler) Done() <-chan struct{} { return s.done }

// Gone is closed when the scheduler's program has ended, too, and everything that
// it wrote is known. It is closed soon after Done.
func (s *Scheduler) Gone() <-chan struct{} { return s.gone }

// Asked reports whether the scheduler was asked to end, by Stop, and did for that.
// It may be called once Done is closed.
func (s *Scheduler) Asked() bool {
	return s.stopping.Load() && s.err == nil && (s.exit.Kind == ExitUnreg || s.exit.Kind == ExitNone)
}

// Stopping reports whether the scheduler was asked to end before it had.
func (s *Scheduler) Stopping() bool { return s.stopping.Load() }

// Runs asks the guest's kernel whether the scheduler is enabled. Whoever is told
// that it is not can wait for Done.
func (s *Scheduler) Runs(ctx context.Context) (bool, error) {
	var state string
	if err := s.client.Call(ctx, methodState, nil, &state, guest.Streams{}); err != nil {
		return false, fmt.Errorf("ask whether scheduler %q is enabled: %w", s.Name(), err)
	}
	return state == isEnabled, nil
}

// Exit returns how the scheduler ended. It may be called once Done is closed.
// The error says why that is not known, or is a [*LoaderError].
func (s *Scheduler) Exit() (Exit, error) { return s.exit, s.err }

// Stop ends the scheduler and its program, and returns how the scheduler ended. If
// it had ended before, that is what counts.
func (s *Scheduler) Stop(ctx context.Context) (Exit, error) {
	select {
	case <-s.gone:
		return s.exit, s.err
	case <-s.done:
	default:
		s.stopping.Store(true)
	}
	if err := s.client.Call(ctx, methodStop, nil, nil, guest.Streams{}); err != nil {
		return Exit{}, fmt.Errorf("stop scheduler %q: %w", s.Name(), err)
	}
	defer s.client.Until(ctx, func() bool { return closed(s.gone) })()
	select {
	case <-s.gone:
		return s.exit, s.err
	case <-ctx.Done():
		return Exit{}, fmt.Errorf("stop scheduler %q: %w", s.Name(), context.Cause(ctx))
	}
}

// events receives what the guest reports. rejected and dump are set when the call is
// over.
type events struct {
	news      atomic.Int32  // how many times the two below have got something
	loaded    chan struct{} // of capacity 1
	enabled   chan enabled  // of capacity 1
	ended     func(Exit)
	restarted func(restart)
	rejected  *RejectedError
	dump      string
	left      []bpfload.Unattached            // set before enabled is sent
	verified  []bpfload.Verification          // and this
	loading   atomic.Pointer[bpfload.Loading] // the last program; nil once all are loaded
}

// take takes one of them.
func (e *events) take(line []byte) error {
	var ev event
	if err := json.Unmarshal(line, &ev); err != nil {
		return fmt.Errorf("read a scheduler's events: %w", err)
	}
	if ev.Rejected != nil {
		e.rejected = ev.Rejected
	}
	if ev.Dump != "" {
		e.dump = ev.Dump
	}
	if ev.Ended != nil {
		e.ended(*ev.Ended)
	}
	if ev.Again != nil {
		e.restarted(*ev.Again)
	}
	if ev.Left != nil {
		e.left = ev.Left
	}
	if ev.Verified != nil {
		e.verified = ev.Verified
		e.loading.Store(nil)
	}
	if ev.Loading != nil {
		e.loading.Store(ev.Loading)
	}
	if ev.Loaded {
		e.news.Add(1)
		e.loaded <- struct{}{} // once for each run
	}
	if ev.Enabled != nil {
		e.news.Add(1)
		select {
		case e.enabled <- *ev.Enabled:
		default: // told once
		}
	}
	return nil
}

// typed turns an error that came from the guest back into what it was there.
func typed(err error, rejected *RejectedError) error {
	var e *guest.Error
	if !errors.As(err, &e) {
		return err
	}
	var target error
	switch e.Code {
	case codeRejected:
		if rejected != nil {
			return rejected
		}
		target = new(RejectedError)
	case codeLoader:
		target = new(LoaderError)
	case codeUnsupported:
		target = new(UnsupportedError)
	case codeBusy:
		target = new(BusyError)
	case codeAttach:
		target = new(AttachError)
	default:
		return err
	}
	if e.Decode(target) != nil {
		return err
	}
	return target
}
