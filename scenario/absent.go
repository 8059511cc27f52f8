package scenario

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/ktgen/ktgen/scenario/internal/wire"
	"github.com/ktgen/ktgen/vmm/guest"
)

// caller is the connection with the agent of a guest: a [*guest.Client], or
// [absent].
type caller interface {
	Call(ctx context.Context, method string, params, result any, s guest.Streams) error
	Exec(ctx context.Context, command guest.Command, s guest.Streams) (guest.Exit, error)
	Lost() <-chan struct{}
	Until(ctx context.Context, over func() bool) (end func())
	Aside(ctx context.Context, patient bool) (context.Context, *guest.Task)
}

// NewRehearsal returns a Guest that performs ops and scenarios without a guest, to test
// steps, hooks, captures and assertions. What an op asks of the guest has happened at
// once. Workers do nothing, programs succeed, and holds take no time. The Guest refuses
// what could not be performed on such a machine.
//
// The test makes what Hooks.Capture and Hooks.Snapshot return. Hooks that are nil do
// nothing; without them a scheduler starts and stops as ops say.
func NewRehearsal(m Machine, hooks Hooks) *Guest {
	a := &absent{passed: hooks.Passed, groups: make(map[string]*absentGroup)}
	for cpu := range m.CPUs {
		a.facts.Possible = append(a.facts.Possible, cpu)
		if !slices.Contains(m.Offline, cpu) {
			a.facts.Online = append(a.facts.Online, cpu)
		}
	}
	a.facts.Controllers = []string{"cpuset", "cpu", "io", "memory", "pids"}
	a.facts.Files = controlFiles
	a.schedule(m.Scheduler, &hooks)
	return newGuest(a, hooks)
}

// controlFiles are those that settings of a [Cgroup] are written to.
var controlFiles = []string{
	"cpuset.cpus", "cpuset.mems", "cpu.weight", "cpu.max", "io.weight",
	"memory.max", "memory.high", "memory.low", "pids.max",
}

// absent is the agent of a guest that is not there.
type absent struct {
	facts  wire.Facts
	passed func(time.Duration) // may be nil

	mu     sync.Mutex
	now    time.Duration // of the guest's clock
	groups map[string]*absentGroup
	last   int           // pid
	ended  chan struct{} // closed when the scheduler has; nil if none has been started
}

// absentGroup are workers that are not there.
type absentGroup struct {
	comms []string
	first int // pid
	born  time.Duration
}

// firstPID is that of the first worker that is not there.
const firstPID = 1000

// schedule makes hooks that are nil those of a scheduler that is not there.
func (a *absent) schedule(runs bool, hooks *Hooks) {
	if runs {
		a.ended = make(chan struct{})
	}
	if hooks.Start == nil {
		hooks.Start = func(context.Context, Scheduler) error { return a.start() }
	}
	if hooks.Stop == nil {
		hooks.Stop = func(context.Context) error { return a.stop() }
	}
	if hooks.Ended == nil {
		hooks.Ended, hooks.Why = a.hasEnded, func() error { return nil } // nobody but Stop ends it
	}
	if hooks.Install == nil {
		hooks.Install = func(context.Context, string, string) error { return nil }
	}
}

func (a *absent) start() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ended = make(chan struct{})
	return nil
}

func (a *absent) stop() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	close(a.ended) // which the check of the op has seen open
	return nil
}

func (a *absent) hasEnded() <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.ended
}

// Lost returns nil: what is not there cannot be lost.
func (a *absent) Lost() <-chan struct{} { return nil }

// Until does nothing: a guest that is not there does not run.
func (a *absent) Until(context.Context, func() bool) (end func()) { return func() {} }

// Aside returns no task.
func (a *absent) Aside(ctx context.Context, _ bool) (context.Context, *guest.Task) { return ctx, nil }

// Exec says that the program has succeeded.
func (a *absent) Exec(ctx context.Context, _ guest.Command, _ guest.Streams) (guest.Exit, error) {
	return guest.Exit{}, context.Cause(ctx)
}

// Call performs the methods of package agent that return something.
func (a *absent) Call(ctx context.Context, method string, params, result any, s guest.Streams) error {
	switch method {
	case wire.Probe:
		*result.(*wire.Facts) = a.facts
	case wire.Spawn:
		return a.spawn(ctx, params.(wire.Workers), result.(*[]wire.Stats), s)
	case wire.Measure:
		*result.(*[]wire.Stats) = a.measure(params.(string))
	case wire.Hold:
		a.hold(params.(time.Duration))
	}
	return context.Cause(ctx)
}

func (a *absent) hold(d time.Duration) {
	a.mu.Lock()
	a.now += d
	a.mu.Unlock()
	if a.passed != nil {
		a.passed(d)
	}
}

// spawn lasts as long as the workers would.
func (a *absent) spawn(ctx context.Context, w wire.Workers, final *[]wire.Stats, s guest.Streams) error {
	if err := json.NewEncoder(s.Out).Encode(a.born(w)); err != nil {
		return fmt.Errorf("report workers: %w", err)
	}
	defer a.buried(w.Name)
	told := make(chan struct{})
	go func() { // ends with the call, which closes s.In
		defer close(told)
		_, _ = io.Copy(io.Discard, s.In)
	}()
	select {
	case <-told:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	*final = a.measure(w.Name)
	return nil
}

func (a *absent) buried(workers string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.groups, workers)
}

func (a *absent) born(w wire.Workers) wire.Started {
	a.mu.Lock()
	defer a.mu.Unlock()
	g := &absentGroup{comms: w.Comms, first: firstPID + a.last, born: a.now}
	a.last += len(w.Comms)
	a.groups[w.Name] = g
	var started wire.Started
	for i := range g.comms {
		started.PIDs = append(started.PIDs, g.first+i)
	}
	return started
}

func (a *absent) measure(name string) []wire.Stats {
	a.mu.Lock()
	defer a.mu.Unlock()
	g := a.groups[name]
	if g == nil {
		return nil
	}
	var all []wire.Stats
	for i, comm := range g.comms {
		all = append(all, wire.Stats{Comm: comm, PID: g.first + i, Now: int64(a.now), Age: int64(a.now - g.born)})
	}
	return all
}
