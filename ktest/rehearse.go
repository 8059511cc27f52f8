package ktest

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/ktgen/ktgen/capture"
	"github.com/ktgen/ktgen/runtime/ktsnap"
	"github.com/ktgen/ktgen/scenario"
	"github.com/ktgen/ktgen/series"
)

// Rehearse performs a scenario without a guest, to test steps, hooks and assertions in
// microseconds. For each capture it calls snapshot with the name; a generated fixture makes
// such a snapshot. The store has the captures, with the step and the time that they would
// have had. Whatever the scenario asks of the guest has happened at once
// ([scenario.NewRehearsal]).
//
// A capture for which snapshot returns an error is missing, like one that fails; if snapshot
// is nil, all are. Conditions see the snapshot of the name "". The caller closes the store.
func Rehearse(ctx context.Context, m scenario.Machine, s scenario.Scenario, snapshot func(name string) (*ktsnap.Snapshot, error)) (*scenario.Report, *capture.Store, error) {
	r := &rehearsal{store: capture.New(capture.Options{}), snapshot: snapshot}
	hooks := scenario.Hooks{Passed: r.pass, Begin: r.begin, Phase: r.enter}
	if snapshot != nil {
		hooks.Capture = r.capture
		hooks.Snapshot = func(context.Context) (*ktsnap.Snapshot, error) { return snapshot("") }
	}
	report, err := scenario.NewRehearsal(m, hooks).Run(ctx, s)
	return report, r.store, err
}

// rehearsal keeps the captures of a guest that is not there.
type rehearsal struct {
	store    *capture.Store
	snapshot func(name string) (*ktsnap.Snapshot, error)

	mu      sync.Mutex
	elapsed time.Duration
	phase   series.Phase
}

func (r *rehearsal) begin() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.elapsed = 0
}

func (r *rehearsal) pass(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.elapsed += d
}

func (r *rehearsal) enter(step int, name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.phase = series.Phase{Step: step, Name: name}
}

func (r *rehearsal) capture(_ context.Context, name string) error {
	snap, err := r.snapshot(name)
	if err != nil {
		err = fmt.Errorf("make up snapshot %q: %w", name, err)
	}
	r.mu.Lock()
	c := series.Capture{Moment: series.Moment{Name: name, Elapsed: r.elapsed, Phase: r.phase}, Snapshot: snap, NoSnapshot: err}
	r.mu.Unlock()
	if addErr := r.store.Add(c); err == nil {
		err = addErr
	}
	return err
}
