package scenario

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ktgen/ktgen/runtime"
	"github.com/ktgen/ktgen/runtime/ktsnap"
	"github.com/ktgen/ktgen/scenario/internal/wire"
)

// Condition is a question that a step asks at intervals, until the answer is yes. It has
// either Snapshot or Poll.
type Condition struct {
	What   string        // what becomes true, for errors
	Every  time.Duration // between the end of one look and the next; 20 ms if 0
	Within time.Duration // by the host's clock (the guest's with [Hooks.Now]); then the scenario fails

	// Snapshot is asked about a snapshot, which is not kept; see [Seen]. The
	// guest stands still for about a millisecond each time. A read that fails
	// says no: what is asked for may not be there yet.
	Snapshot func(*ktsnap.Snapshot) (bool, error)

	// Poll is asked without any snapshot. An error says no.
	Poll func(context.Context) (bool, error)
}

// Seen returns a function for [Condition].Snapshot. It opens the snapshot with the function
// Open of the package that ktgen has generated, and asks holds:
//
//	scenario.Seen(examplesched.Open, func(s examplesched.Snap) bool { return s.Bss().NrDispatched > 1000 })
func Seen[S any](open func(*ktsnap.Snapshot, ...runtime.Option) (S, error), holds func(S) bool) func(*ktsnap.Snapshot) (bool, error) {
	return func(snap *ktsnap.Snapshot) (is bool, err error) {
		typed, err := open(snap)
		if err != nil {
			return false, err
		}
		err = runtime.Try(func() { is = holds(typed) })
		return is, err
	}
}

const usualInterval = 20 * time.Millisecond

func (c *Condition) check() error {
	switch {
	case c.What == "":
		return invalid("the condition does not say what becomes true", "set What")
	case (c.Snapshot == nil) == (c.Poll == nil):
		return invalid(fmt.Sprintf("the condition %q has not one of Snapshot and Poll", c.What), "set one")
	case c.Within <= 0:
		return invalid(fmt.Sprintf("the condition %q has no time within which it must come true", c.What), "set Within")
	case c.Every < 0 || c.Every > c.Within:
		return invalid(fmt.Sprintf("the condition %q is asked every %v, and must come true within %v", c.What, c.Every, c.Within), "ask more often")
	}
	return nil
}

// Await waits until a condition is true. The error is an [*OpError] with a
// [*NeverTrueError], if it does not come true in time.
func (g *Guest) Await(ctx context.Context, c Condition) error {
	err := c.check()
	if err == nil {
		_, err = g.await(ctx, &c)
	}
	if err != nil {
		return &OpError{Op: fmt.Sprintf("wait until %q", c.What), Err: err}
	}
	return nil
}

// time returns the host's time, or, as a time since 1970, the guest's ([Hooks.Now]).
func (g *Guest) time() time.Time {
	if g.hooks.Now != nil {
		return time.Unix(0, int64(g.hooks.Now()))
	}
	return time.Now()
}

func (g *Guest) since(t time.Time) time.Duration { return g.time().Sub(t) }

// await asks until the condition is true, and says how often it asked.
func (g *Guest) await(ctx context.Context, c *Condition) (looks int, err error) {
	timeout := &NeverTrueError{What: c.What, Within: c.Within}
	if g.hooks.Now != nil {
		return g.awaitInStep(ctx, c, timeout)
	}
	bounded, cancel := context.WithTimeoutCause(ctx, c.Within, timeout)
	defer cancel()
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		select {
		case <-pause.C:
		case <-bounded.Done():
			return timeout.Looks, context.Cause(bounded)
		}
		timeout.Looks++
		is, err := g.look(bounded, c)
		if is && err == nil {
			return timeout.Looks, nil
		}
		if fatal := (*captureFailed)(nil); errors.As(err, &fatal) && bounded.Err() == nil {
			return timeout.Looks, fatal.error
		}
		if bounded.Err() == nil {
			timeout.Last = err
		}
		pause.Reset(cmp.Or(c.Every, usualInterval))
	}
}

// awaitInStep is await for a guest that runs only between two looks.
func (g *Guest) awaitInStep(ctx context.Context, c *Condition, timeout *NeverTrueError) (looks int, err error) {
	for end := g.time().Add(c.Within); ; {
		timeout.Looks++
		is, err := g.look(ctx, c)
		if is && err == nil {
			return timeout.Looks, nil
		}
		if fatal := (*captureFailed)(nil); errors.As(err, &fatal) {
			return timeout.Looks, fatal.error
		}
		timeout.Last = err
		left := end.Sub(g.time())
		if left <= 0 {
			return timeout.Looks, timeout
		}
		if err := g.hold(ctx, min(left, cmp.Or(c.Every, usualInterval))); err != nil {
			return timeout.Looks, err
		}
	}
}

// captureFailed is a snapshot that a condition could not be asked about.
type captureFailed struct{ error }

func (g *Guest) look(ctx context.Context, c *Condition) (bool, error) {
	if c.Poll != nil {
		return c.Poll(ctx)
	}
	snap, err := g.hooks.Snapshot(ctx)
	if err != nil {
		return false, &captureFailed{err}
	}
	return c.Snapshot(snap)
}

// Hold lets time pass in the guest, by the guest's clock.
func (g *Guest) Hold(ctx context.Context, d time.Duration) error { return g.hold(ctx, d) }

// hold lets time pass in the guest.
func (g *Guest) hold(ctx context.Context, d time.Duration) error {
	return g.call(ctx, wire.Hold, d)
}
