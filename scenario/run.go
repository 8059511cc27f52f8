package scenario

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/ktgen/ktgen/vmm/guest"
)

// ErrBusy says that a scenario runs in the guest. There can be one at a time.
var ErrBusy = errors.New("a scenario runs in this guest: wait for it, or perform single ops beside it")

// Run performs a scenario. It is checked before anything is done, against what
// the guest is and runs at this moment.
//
// When it has ended, by a hook that calls t.FailNow or panics too, the workers and cgroups that it has made are gone, CPUs
// that it has switched off are on again, and hooks are undone; what else it has
// changed stays.
//
// The error of a scenario that ends early is an [*OpError]. The report that comes with it
// says what has happened by then.
func (g *Guest) Run(ctx context.Context, s Scenario) (report *Report, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r := &run{guest: g, scenario: s, began: g.time(), report: new(Report)}
	if err := r.begin(ctx, cancel); err != nil {
		return r.report, err
	}
	// Deferred, as a hook can call t.FailNow or panic.
	defer func() { err = errors.Join(err, r.end(ctx)) }()
	return r.report, r.steps(ctx)
}

// run is a scenario while it runs.
type run struct {
	guest    *Guest
	scenario Scenario
	began    time.Time
	before   *state // of the guest
	report   *Report
	past     <-chan struct{} // Hooks.Ended of a scheduler whose end is no fault
}

// begin checks the scenario, and keeps others from running.
func (r *run) begin(ctx context.Context, fail func(error)) error {
	g := r.guest
	var err error
	if r.before, err = g.now(ctx); err != nil {
		return err
	}
	if err := r.scenario.check(r.before.clone()); err != nil {
		return fmt.Errorf("the scenario cannot be performed, and nothing was done: %w", err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.fail != nil {
		return ErrBusy
	}
	g.fail, g.stopped = fail, nil
	if !r.before.scheduler {
		r.past = g.hooks.Ended()
	}
	g.hooks.Begin()
	return nil
}

func (r *run) steps(ctx context.Context) error {
	for i := range r.scenario.Steps {
		step := &r.scenario.Steps[i]
		r.guest.hooks.Phase(i+1, step.Name)
		r.report.Steps = append(r.report.Steps, StepReport{Name: step.Name, Began: r.guest.since(r.began)})
		report := &r.report.Steps[i]
		err := r.step(ctx, i+1, step, report)
		r.collect(ctx, report)
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *run) step(ctx context.Context, n int, step *Step, report *StepReport) error {
	for i, op := range step.ops() {
		done := OpReport{Op: op.String(), Began: r.guest.since(r.began)}
		done.Err = r.op(ctx, op)
		done.Took = r.guest.since(r.began) - done.Began
		report.Ops = append(report.Ops, done)
		if done.Err == nil {
			continue
		}
		failed := &OpError{Step: n, StepName: step.Name, N: i + 1, Op: done.Op, Err: done.Err}
		if !bearable(op, done.Err) || lost(r.guest.client) {
			return failed
		}
		r.report.missing = append(r.report.missing, failed)
		r.guest.hooks.Warn(failed)
	}
	began := r.guest.time()
	err := r.hold(ctx, step, report)
	report.Held = r.guest.since(began)
	if err != nil {
		return &OpError{Step: n, StepName: step.Name, Op: "hold", Err: err}
	}
	return nil
}

// op performs an op of the scenario.
func (r *run) op(ctx context.Context, op Op) error {
	perform := func(ctx context.Context) error {
		err := r.guest.Do(ctx, op)
		if e := (*OpError)(nil); errors.As(err, &e) {
			return e.Err
		}
		return err
	}
	switch op.(type) {
	case StartScheduler, ReplaceScheduler:
		return orCause(ctx, perform(ctx))
	case StopScheduler:
		err := orCause(ctx, perform(ctx))
		r.past = r.guest.hooks.Ended()
		return err
	}
	return r.scheduled(ctx, perform)
}

func (r *run) hold(ctx context.Context, step *Step, report *StepReport) error {
	return r.scheduled(ctx, func(ctx context.Context) (err error) {
		if step.Until != nil {
			report.Looks, err = r.guest.await(ctx, step.Until)
			return err
		}
		if d := step.lasts(r.scenario.Duration); d > 0 {
			return r.guest.hold(ctx, d)
		}
		return nil
	})
}

// scheduled does something as long as the scheduler runs, if one does: none that
// the scenario has ended, or found at its end. It ends
// with a [*SchedulerDiedError] if the scheduler does, unless the test has ended it.
func (r *run) scheduled(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	ended := r.guest.hooks.Ended()
	if ended == nil || ended == r.past {
		return orCause(ctx, do(ctx))
	}
	why := sync.OnceValue(r.guest.hooks.Why)
	ctx = guest.Interrupted(ctx, func() bool { return isClosed(ended) && why() != nil })
	watched := make(chan struct{})
	go func() { // ends with ctx
		defer close(watched)
		select {
		case <-ended:
			if err := why(); err != nil {
				cancel(&SchedulerDiedError{Err: err})
			}
		case <-ctx.Done():
		}
	}()
	err := orCause(ctx, do(ctx))
	cancel(nil)
	<-watched
	if died := (*SchedulerDiedError)(nil); errors.As(context.Cause(ctx), &died) {
		return died
	}
	return err
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// orCause returns why a context has ended, if it has, and err otherwise.
func orCause(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// collect measures the workers at the end of a step.
func (r *run) collect(ctx context.Context, report *StepReport) {
	g := r.guest
	running := g.crowds()
	if len(running) > 0 && !lost(g.client) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTime)
		defer cancel()
		_ = g.measure(ctx, running...) // a guest that does not answer has been the end of the step
	}
	g.mu.Lock()
	stopped := g.stopped
	g.stopped = nil
	g.mu.Unlock()
	for _, w := range append(stopped, running...) {
		report.Workers = append(report.Workers, w.tally.step(w)...)
	}
	r.total(stopped)
}

func (r *run) total(ended []*Running) {
	for _, w := range ended {
		r.report.Workers = append(r.report.Workers, w.tally.total(w)...)
	}
}

// end takes back what the scenario has made of the guest.
func (r *run) end(ctx context.Context) error {
	g := r.guest
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTime)
	defer cancel()
	g.mu.Lock()
	undo := g.undo
	g.fail, g.undo = nil, nil
	g.mu.Unlock()

	var errs []error
	for _, h := range slices.Backward(undo) {
		if err := h.Undo(ctx); err != nil {
			errs = append(errs, fmt.Errorf("undo %s: %w", h.What, err))
		}
	}
	if !lost(g.client) {
		errs = append(errs, r.tidy(ctx))
	}
	g.mu.Lock()
	stopped := g.stopped
	g.stopped = nil
	g.mu.Unlock()
	r.total(stopped)
	r.report.Lasted = r.guest.since(r.began)
	g.hooks.Phase(0, "")
	return errors.Join(errs...)
}

// tidy removes what was not there before the scenario.
func (r *run) tidy(ctx context.Context) error {
	now, err := r.guest.now(ctx)
	if err != nil {
		return err
	}
	var errs []error
	do := func(op Op) {
		died := (*WorkerDiedError)(nil)
		if err := r.guest.Do(ctx, op); err != nil && !errors.As(err, &died) { // what died has ended the scenario
			errs = append(errs, fmt.Errorf("clean up after the scenario: %w", err))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(now.workers)) {
		if _, was := r.before.workers[name]; !was {
			do(Stop{Workers: name})
		}
	}
	for _, name := range slices.Backward(slices.Sorted(maps.Keys(now.cgroups))) { // children first
		if _, was := r.before.cgroups[name]; !was {
			do(Remove{Cgroup: name})
		}
	}
	for _, cpu := range now.cpus {
		if r.before.online[cpu] && !now.online[cpu] {
			do(SetOnline{CPU: cpu, Online: true})
		}
	}
	return errors.Join(errs...)
}
