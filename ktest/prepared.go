package ktest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"testing"

	"github.com/ktgen/ktgen/freeze"
	"github.com/ktgen/ktgen/runtime/ktsnap"
	"github.com/ktgen/ktgen/vmm"
)

// This file is about the moment at which the guests of a [Search] begin. One guest is led there and kept.
// For each seed the host then does the same, up to that moment, and is told what that guest has
// answered: so schedulers, workers and captures are there, and the new guest has done
// nothing yet. What the host has found in the guest's memory is kept with it.

// preparation is that moment.
type preparation struct {
	machine *vmm.Prepared // nil while the guest is led there

	mu    sync.Mutex
	found map[string]finding
}

// finding is what was found in the memory of the guest.
type finding struct {
	value any
	err   error
}

func newPreparation() *preparation { return &preparation{found: make(map[string]finding)} }

// preparedSeed is the seed up to that moment, as far as there is one: turns end as early for all.
const preparedSeed = math.MaxUint64

// isPrepared reports whether the guest is the one that is led there.
func (c Config) isPrepared() bool { return c.preparation != nil && c.preparation.machine == nil }

// firstSeed is the seed by which a guest wakes up.
func (c Config) firstSeed() uint64 {
	if c.preparation != nil {
		return preparedSeed
	}
	return c.Seed
}

// PrepareError says why the guests of a search cannot begin where [Seeds.Prepare] and the
// scheduler's start have led.
type PrepareError struct{ Reason string }

func (e *PrepareError) Error() string { return "prepare the guests of a search: " + e.Reason }

// sameForAll is what the host has to keep to.
const sameForAll = "what it does may depend on the guest only: not on the host's time, random numbers, the order of a map, or other goroutines"

// preparing reports whether the guest has not come to its moment yet.
func (vm *VM) preparing() bool { return vm.cfg.preparation != nil && !vm.begun.Load() }

// notPrepared refuses what cannot be done before that moment.
func (vm *VM) notPrepared(what, instead string) error {
	if !vm.preparing() {
		return nil
	}
	return &PrepareError{fmt.Sprintf("%s cannot be used in Seeds.Prepare, %s", what, instead)}
}

const (
	looksOften = "as it looks at the guest's memory while the guest runs, which seeds do not have as it was then: use VM.Await with a condition on snapshots"
	runsAgain  = "as it runs the guest again from where seeds begin: call it in the test"
)

// recall finds something in the guest's memory, or does it there; if the guest has come to its moment
// before, it returns what was found for the guest that was led there.
func recall[T any](vm *VM, what string, find func() (T, error)) (value T, err error) {
	if !vm.preparing() {
		return find()
	}
	key := vm.recallKey(what)
	p := vm.cfg.preparation
	if p.machine == nil {
		value, err = find()
		p.mu.Lock()
		defer p.mu.Unlock()
		p.found[key] = finding{value, err}
		return value, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	f, ok := p.found[key]
	if !ok {
		return value, &PrepareError{fmt.Sprintf("it does something else for this guest than it did for the first: at %v of the guest's time it did not %s (%s)", vm.machine.Calls().Now(), what, sameForAll)}
	}
	value, _ = f.value.(T) // nil is none
	return value, f.err
}

// recallKey makes a key of what is done: it has the guest's call and how often that was done
// in it.
func (vm *VM) recallKey(what string) string {
	vm.mu.Lock()
	defer vm.mu.Unlock()
	key := fmt.Sprintf("%d %s", vm.machine.Calls().Count(), what)
	if vm.recalled == nil {
		vm.recalled = make(map[string]int)
	}
	vm.recalled[key]++
	return fmt.Sprintf("%s %d", key, vm.recalled[key])
}

// capture has a freezer take a snapshot.
func (vm *VM) capture(ctx context.Context, f *freeze.Freezer, name string) (*ktsnap.Snapshot, error) {
	if !vm.preparing() {
		return f.Capture(ctx, name)
	}
	kept, err := recall(vm, "take snapshot "+name, func() ([]byte, error) {
		snap, err := f.Capture(ctx, name)
		if snap == nil {
			return nil, err
		}
		var b bytes.Buffer
		_, writeErr := snap.WriteTo(&b)
		return b.Bytes(), errors.Join(err, writeErr)
	})
	if kept == nil {
		return nil, err
	}
	snap, readErr := ktsnap.Read(bytes.NewReader(kept))
	return snap, errors.Join(err, readErr)
}

// write has a freezer write.
func (vm *VM) write(ctx context.Context, f *freeze.Freezer, writes ...freeze.Write) error {
	var what string
	for _, w := range writes {
		what += fmt.Sprintf("write %x (mask %x) to %s ", w.Bytes, w.Mask, w.Path)
	}
	_, err := recall(vm, what, func() (struct{}, error) { return struct{}{}, f.Write(ctx, writes...) })
	return err
}

// keep ends the guest, and keeps it as the one that others begin with.
func (vm *VM) keep(ctx context.Context) error {
	if err := vm.unexpectedExit(); err != nil {
		return err
	}
	vm.tell() // the scheduler ends with the guest
	kept, err := vm.machine.Prepared(ctx)
	if err != nil {
		return vm.toldOtherwise(err)
	}
	vm.begun.Store(true)
	vm.cfg.preparation.machine = kept
	return nil
}

// begin lets a guest go on where the first one was kept. From here on its seed decides.
func (vm *VM) begin(ctx context.Context) error {
	if err := vm.machine.Calls().Begin(); err != nil {
		return vm.toldOtherwise(err)
	}
	vm.begun.Store(true)
	if err := vm.agent.Reseed(ctx, knobsOf(vm.cfg.Seed).entropy); err != nil {
		return vm.because(err)
	}
	return vm.checkSeed()
}

// toldOtherwise turns an error of package vmm into a [*PrepareError].
func (vm *VM) toldOtherwise(err error) error {
	if told := (*vmm.RetoldError)(nil); errors.As(err, &told) {
		return &PrepareError{fmt.Sprintf("the scheduler's start, or Seeds.Prepare, does something else for this guest than it did for the first: at %v of the guest's time it asked %s then, and %s now (%s)", told.Now, asked(told.Then), asked(told.Here), sameForAll)}
	}
	if refused := (*vmm.PrepareError)(nil); errors.As(err, &refused) {
		return &PrepareError{refused.Reason}
	}
	return err
}

// prepare leads a guest to the moment at which the seeds begin.
func (s *search) prepare() (ok bool) {
	p := newPreparation()
	ran, skipped := false, false
	passed := s.t.Run("prepare", func(t *testing.T) {
		defer func() { ran, skipped = true, t.Skipped() }()
		cfg := s.seeds.Config
		cfg.Seed, cfg.searched, cfg.preparation = preparedSeed, true, p
		vm := Boot(t, cfg)
		if s.seeds.Prepare != nil {
			s.seeds.Prepare(t, vm)
		}
		if t.Failed() {
			return
		}
		ctx, cancel := startContext(t)
		defer cancel()
		if err := vm.keep(ctx); err != nil {
			t.Fatalf("%v", err)
		}
	})
	switch {
	case skipped:
		s.t.Skip("no guest can boot here, or Seeds.Prepare skips: see prepare")
	case !ran:
		s.t.Fatal("the guest that seeds begin with was not prepared: Seeds.Prepare calls t.Parallel, which a search does not allow, or -run leaves out the subtest prepare (KTGEN_SEED=37 runs one seed)")
	case passed:
		s.preparation = p
	default:
		s.t.Log("no seed was run, as the guest that they begin with could not be prepared")
	}
	return passed
}

// start starts the guest of a seed.
func (s *search) start(t *testing.T, n uint64) *VM {
	t.Helper()
	cfg := s.seeds.Config
	cfg.Seed, cfg.searched, cfg.preparation = n, true, s.preparation
	vm := Boot(t, cfg)
	if s.seeds.Prepare != nil {
		s.seeds.Prepare(t, vm)
	}
	ctx, cancel := startContext(t)
	defer cancel()
	if err := vm.begin(ctx); err != nil {
		t.Fatalf("%v", err)
	}
	return vm
}
