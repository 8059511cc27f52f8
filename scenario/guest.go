package scenario

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ktgen/ktgen/runtime/ktsnap"
	"github.com/ktgen/ktgen/scenario/internal/wire"
	"github.com/ktgen/ktgen/vmm/guest"
)

// Hooks are functions of the caller, which does what the agent cannot. Any may be nil: an op
// that needs it fails. A hook that only reports is then not called.
type Hooks struct {
	// Capture takes a snapshot and keeps it. Without it, and when it fails, a
	// scenario goes on; see [Capture].
	Capture  func(ctx context.Context, name string) error
	Snapshot func(ctx context.Context) (*ktsnap.Snapshot, error)

	Start func(context.Context, Scheduler) error
	Stop  func(context.Context) error
	// Ended returns a channel that is closed when the scheduler has ended; nil if this
	// guest was given none. Once it is closed, Why says how the scheduler has ended, and
	// nil if the test has ended it.
	Ended func() <-chan struct{}
	Why   func() error
	// Died asks the kernel whether the scheduler has ended by itself, and returns
	// why: it knows so before Ended tells. It is asked when an op has failed.
	Died func() error

	// Install puts a program of this machine into the guest.
	Install func(ctx context.Context, guest, host string) error

	// Now is the guest's clock, if time passes there only while somebody waits for the
	// guest. Then what scenarios measure and wait for is that time.
	Now func() time.Duration

	Begin func()                      // a scenario begins
	Phase func(step int, name string) // a step begins; 0 when the scenario has ended
	Warn  func(error)                 // something is missing, and the scenario goes on

	Passed func(time.Duration) // time has passed that takes none; see [NewRehearsal]

	Output io.Writer // gets what payloads and programs write
}

// Guest performs ops and scenarios in a guest. Its methods may be called from
// any goroutine; ops follow one another.
type Guest struct {
	client caller
	hooks  Hooks

	turn chan struct{} // of capacity 1; full while an op is performed

	mu      sync.Mutex
	state   *state // changed in an op's turn, too
	running map[string]*Running
	stopped []*Running  // since the last step of a scenario
	undo    []Hook      // of the scenario that runs
	fail    func(error) // ends the scenario that runs; nil if none does
}

// NewGuest returns what performs ops through an agent that has the handlers of
// package scenario/agent.
func NewGuest(client *guest.Client, hooks Hooks) *Guest { return newGuest(client, hooks) }

func newGuest(client caller, hooks Hooks) *Guest {
	return &Guest{
		client: client, hooks: hooks.complete(), turn: make(chan struct{}, 1),
		state: newState(), running: make(map[string]*Running),
	}
}

// complete returns the hooks without any that are nil, but for Output.
func (h Hooks) complete() Hooks {
	lacks := func(what string) error {
		return fmt.Errorf("whoever performs this scenario has set no scenario.Hooks.%s", what)
	}
	if h.Capture == nil {
		h.Capture = func(context.Context, string) error { return lacks("Capture") }
	}
	if h.Snapshot == nil {
		h.Snapshot = func(context.Context) (*ktsnap.Snapshot, error) { return nil, lacks("Snapshot") }
	}
	if h.Start == nil {
		h.Start = func(context.Context, Scheduler) error { return lacks("Start") }
	}
	if h.Stop == nil {
		h.Stop = func(context.Context) error { return lacks("Stop") }
	}
	if h.Ended == nil {
		h.Ended = func() <-chan struct{} { return nil }
	}
	if h.Why == nil {
		h.Why = func() error { return lacks("Why") }
	}
	if h.Died == nil {
		h.Died = func() error { return nil }
	}
	if h.Install == nil {
		h.Install = func(context.Context, string, string) error { return lacks("Install") }
	}
	if h.Begin == nil {
		h.Begin = func() {}
	}
	if h.Phase == nil {
		h.Phase = func(int, string) {}
	}
	if h.Warn == nil {
		h.Warn = func(error) {}
	}
	return h
}

// performance is an op while it is performed.
type performance struct {
	ctx   context.Context
	guest *Guest
}

func (g *Guest) call(ctx context.Context, method string, params any) error {
	return typed(g.client.Call(ctx, method, params, nil, guest.Streams{}))
}

func (p *performance) call(method string, params any) error {
	return p.guest.call(p.ctx, method, params)
}

// Do performs an op. The error is an [*OpError]; the op is checked before
// anything is done.
//
// Ops follow one another: Do waits for the one before, as long as ctx lasts. While
// an op calls the test, as [Hook] does and [StartScheduler] can, the test performs
// further ones.
func (g *Guest) Do(ctx context.Context, op Op) error {
	if err := g.perform(ctx, op); err != nil {
		return &OpError{Op: opName(op), Err: err}
	}
	return nil
}

func (g *Guest) perform(ctx context.Context, op Op) error {
	if err := g.enter(ctx); err != nil {
		return err
	}
	leave := sync.OnceFunc(func() { <-g.turn })
	defer leave()
	after, err := g.now(ctx)
	if err == nil {
		err = checkOp(after, op)
	}
	if err != nil {
		return err
	}
	_, calls := op.(callsTest)
	if calls {
		leave()
	}
	if err := op.do(&performance{ctx: ctx, guest: g}); err != nil || calls {
		return g.orDeath(err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.state = after
	return nil
}

// orDeath returns how the scheduler has ended, if it has, in place of what an op has
// failed with: making a cgroup, for example, fails by the number that the dying
// scheduler returned, and only its last words say why.
func (g *Guest) orDeath(err error) error {
	died := (*SchedulerDiedError)(nil)
	if err == nil || errors.As(err, &died) {
		return err
	}
	if why := g.hooks.Died(); why != nil {
		return &SchedulerDiedError{Err: why, While: err}
	}
	return err
}

// enter waits for the turn of an op.
func (g *Guest) enter(ctx context.Context) error {
	select {
	case g.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for the op before, which is still performed: %w", context.Cause(ctx))
	}
}

// callsTest are ops that call functions of the test, which may perform ops. They
// change nothing that a [state] keeps.
type callsTest interface{ callsTest() }

// now returns a copy of the state of the guest.
func (g *Guest) now(ctx context.Context) (*state, error) {
	g.mu.Lock()
	s := g.state.clone()
	g.mu.Unlock()
	if s.facts == nil {
		var facts wire.Facts
		if err := g.client.Call(ctx, wire.Probe, nil, &facts, guest.Streams{}); err != nil {
			return nil, g.orDeath(fmt.Errorf("ask the guest what it offers: %w", typed(err)))
		}
		s.learn(&facts)
		g.mu.Lock()
		g.state.learn(&facts)
		g.mu.Unlock()
	}
	s.scheduler = g.scheduled()
	return s, nil
}

// scheduled reports whether a scheduler of ours runs.
func (g *Guest) scheduled() bool {
	ended := g.hooks.Ended()
	return ended != nil && !isClosed(ended)
}

// Running are workers in the guest.
type Running struct {
	Workers Workers
	PIDs    []int // in the guest

	guest  *Guest
	stdin  *guest.Gate             // its end stops them
	cancel context.CancelCauseFunc // kills them
	up     atomic.Bool             // they have started
	over   chan struct{}           // closed when they have ended
	err    error                   // then: why, if nobody had stopped them
	asked  atomic.Bool             // somebody looks whether they have ended

	tally tally
}

// Spawn starts workers. They end with the guest, when they are stopped, or when
// one of them ends by itself.
func (g *Guest) Spawn(ctx context.Context, w Workers) (*Running, error) {
	if err := g.Do(ctx, w); err != nil {
		return nil, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	r := g.running[w.name()]
	if r == nil {
		return nil, &OpError{Op: w.String(), Err: errors.New("they were stopped at once, by somebody else")}
	}
	return r, nil
}

// Workers returns the workers of a name that run.
func (g *Guest) Workers(name string) (*Running, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if r := g.running[name]; r != nil {
		return r, nil
	}
	_, err := g.state.crowd(name)
	return nil, err
}

// spawn starts workers and returns when all of them are up.
func (p *performance) spawn(w Workers) (*Running, error) {
	if w.Payload != nil && w.Payload.Host != "" {
		if err := p.guest.hooks.Install(p.ctx, w.Payload.Args[0], w.Payload.Host); err != nil {
			return nil, err
		}
	}
	running, cancel := context.WithCancelCause(context.WithoutCancel(p.ctx))
	r := &Running{Workers: w, guest: p.guest, stdin: guest.NewGate(), cancel: cancel, over: make(chan struct{})}
	started := make(chan wire.Started, 1)
	begun := make(chan struct{})
	go r.perform(running, begun, started) // ends with the workers, or with the guest
	<-begun
	defer p.guest.client.Until(p.ctx, func() bool { return r.up.Load() || r.ended() })()
	select {
	case s := <-started:
		r.PIDs = s.PIDs
	case <-r.over:
		if r.err == nil {
			r.err = errors.New("they ended at once")
		}
		return nil, r.err
	case <-p.ctx.Done():
		cancel(context.Cause(p.ctx))
		<-r.over
		return nil, fmt.Errorf("wait until the workers are up: %w", context.Cause(p.ctx))
	}
	p.guest.mu.Lock()
	p.guest.running[w.name()] = r
	p.guest.mu.Unlock()
	select {
	case <-r.over: // when nobody could know it yet
		p.guest.failed(r)
	default:
	}
	return r, nil
}

// perform makes the call that lasts as long as the workers.
func (r *Running) perform(ctx context.Context, begun chan<- struct{}, started chan<- wire.Started) {
	defer r.cancel(nil)
	ctx, task := r.guest.client.Aside(ctx, false)
	task.Act() // until the guest has been asked
	defer task.Rest()
	close(begun)
	out := guest.Lines(func(line []byte) error {
		var s wire.Started
		if err := json.Unmarshal(line, &s); err != nil {
			return err
		}
		r.up.Store(true)
		started <- s // once
		return nil
	})
	var final []wire.Stats
	err := r.guest.client.Call(ctx, wire.Spawn, r.Workers.wire(), &final, guest.Streams{In: r.stdin, Out: out, Err: r.guest.hooks.Output})
	r.stdin.Close()
	if err != nil {
		r.err = typed(err)
		r.guest.failed(r)
	} else {
		r.tally.absorb(final)
	}
	close(r.over)
}

// failed ends the scenario that runs, as workers of it have ended.
func (g *Guest) failed(r *Running) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.fail != nil && r.err != nil && g.running[r.Workers.name()] == r {
		g.fail(r.err)
	}
}

func (r *Running) ended() bool {
	select {
	case <-r.over:
		return true
	default:
		return false
	}
}

// Ended is closed when the workers have ended.
func (r *Running) Ended() <-chan struct{} {
	r.asked.Store(true)
	return r.over
}

// Died returns how workers have died that nobody has stopped, or has asked for with
// [Running.Ended]: each a [*WorkerDiedError], with the workers' name before it.
func (g *Guest) Died() (all []error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(g.running)) {
		r := g.running[name]
		if died := (*WorkerDiedError)(nil); r.ended() && !r.asked.Load() && errors.As(r.err, &died) {
			all = append(all, fmt.Errorf("workers %s: %w", name, died))
		}
	}
	return all
}

// Stop ends the workers and returns what they have done. The error is a
// [*WorkerDiedError] in an [*OpError] if one of them had ended before.
func (r *Running) Stop(ctx context.Context) ([]Stats, error) {
	err := r.guest.Do(ctx, Stop{Workers: r.Workers.name()})
	return r.tally.total(r), err
}

// Stats returns what the workers have done since their start.
func (r *Running) Stats(ctx context.Context) ([]Stats, error) {
	if err := r.guest.measure(ctx, r); err != nil {
		return nil, err
	}
	return r.tally.total(r), nil
}

// stop ends workers. They are forgotten whatever comes.
func (p *performance) stop(name string) error {
	g := p.guest
	g.mu.Lock()
	r := g.running[name]
	delete(g.running, name)
	delete(g.state.workers, name)
	if r != nil {
		g.stopped = append(g.stopped, r)
	}
	g.mu.Unlock()
	if r == nil {
		return nil
	}
	r.stdin.Close()
	defer g.client.Until(p.ctx, r.ended)()
	select {
	case <-r.over:
		return r.err
	case <-p.ctx.Done():
		r.cancel(context.Cause(p.ctx))
		<-r.over
		return fmt.Errorf("wait until the workers have ended: %w", context.Cause(p.ctx))
	}
}

// undo takes back a cgroup that could not be filled.
func (p *performance) undo(c Cgroup, started []Workers) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(p.ctx), cleanupTime)
	defer cancel()
	q := &performance{ctx: ctx, guest: p.guest}
	for _, w := range started {
		_ = q.stop(w.name()) // the failure before counts
	}
	_ = q.call(wire.Remove, wire.Cgroup{Name: c.Name})
}

func (g *Guest) hooked(h Hook) {
	if h.Undo == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.undo = append(g.undo, h)
}

// measure asks the agent what workers have done. It says nothing of workers that
// have just ended: their own call does.
func (g *Guest) measure(ctx context.Context, rs ...*Running) error {
	for _, r := range rs {
		var stats []wire.Stats
		if err := g.client.Call(ctx, wire.Measure, r.Workers.name(), &stats, guest.Streams{}); err != nil {
			return fmt.Errorf("measure workers %q: %w", r.Workers.name(), err)
		}
		r.tally.absorb(stats)
	}
	return nil
}

// crowds returns the workers that run, in the order of their names.
func (g *Guest) crowds() []*Running {
	g.mu.Lock()
	defer g.mu.Unlock()
	var all []*Running
	for _, r := range g.running {
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b *Running) int { return compare(a.Workers.name(), b.Workers.name()) })
	return all
}

// cleanupTime bounds how long the end of a scenario may take, after whatever
// has ended it. Workers that a scheduler does not let run end only when the
// kernel's watchdog has thrown it out, after 30 s at most.
const cleanupTime = 45 * time.Second
