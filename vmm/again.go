package vmm

import (
	"context"
	"fmt"
	"time"
)

// This file runs a guest in lockstep again: another guest is started as the first one was, and
// is answered as that was. What is kept of a run for that is in its trail.

// ramWrite is what the host has written into a guest that stood.
type ramWrite struct {
	addr  int64
	bytes []byte
}

// noteWrite keeps what the host writes while the guest stands in its latest call. A guest that
// does not run yet has in it what the host has written for the one that it begins with.
func (c *Calls) noteWrite(p []byte, addr int64) (there bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.retelling {
		return true
	}
	if n := len(c.trail); n > 0 && c.calls <= maxTrail {
		last := &c.trail[n-1]
		last.written = append(last.written, ramWrite{addr, append([]byte(nil), p...)})
	}
	return false
}

// replay is a run that a guest repeats.
type replay struct {
	trail    []Exchange
	extents  []Extent
	onAccess func(*VM, Access)
	reached  chan struct{} // closed when the guest stands where the first one stands
}

// DivergedError says that a guest in lockstep did not do what it had done before.
type DivergedError struct {
	Call int // of the agent, from 1
	Now  time.Duration
}

func (e *DivergedError) Error() string {
	return fmt.Sprintf("the guest was run again, and did not do the same, which shows at its call %d, at %v of its time: this is a bug in ktgen, please report it with the QEMU's version", e.Call, e.Now)
}

// Again runs a guest in lockstep again, up to the call in which it stands now, or to its
// end. It calls onAccess for each load and store that touches one of the extents, in their
// order, the host's writes ([RAM.WriteAt]) among them. The vCPU waits meanwhile: onAccess may read the memory of the guest that it is
// given, and do nothing else with it. None of that changes what the guest does.
//
// The guest that ran again stands then. The caller closes it.
//
// The error is a [*WitnessError], a [*DivergedError], or one of [Launch].
func (vm *VM) Again(ctx context.Context, extents []Extent, onAccess func(*VM, Access)) (*VM, error) {
	if vm.calls == nil {
		return nil, &WitnessError{"the guest runs freely, so that it would not do the same again: give it a seed"}
	}
	trail := vm.calls.Trail()
	if len(trail) == maxTrail {
		return nil, &WitnessError{fmt.Sprintf("its run is longer than what is kept of one, %d calls: ask earlier", maxTrail)}
	}
	cfg := vm.cfg
	if err := cfg.checkWitness(); err != nil {
		return nil, err
	}
	if !vm.origin.Restored {
		cfg.Start = StartCold
	}
	cfg.Console = nil
	cfg.replay = &replay{trail: trail, extents: extents, onAccess: onAccess, reached: make(chan struct{})}
	again, err := Launch(ctx, cfg, Hooks{})
	if err != nil {
		return nil, err
	}
	select {
	case <-cfg.replay.reached:
		return again, nil
	case <-again.Done():
		if vm.Err() != nil && !is[*DivergedError](again.Err()) {
			return again, nil // it has ended as the first one did
		}
		err := again.Err()
		again.Close()
		return nil, err
	}
}

// follow serves the calls of a guest that runs again.
func (c *Calls) follow(r *replay) error {
	c.vm.wires.hold.close()
	for i, turn := range r.trail {
		if err := c.awaitCall(); err != nil {
			return err
		}
		if err := c.receive(); err != nil {
			return err
		}
		if !c.sameAs(i, turn) {
			return &DivergedError{Call: i + 1, Now: turn.Now}
		}
		if err := c.writeAgain(turn); err != nil {
			return err
		}
		if turn.answer == nil {
			break
		}
		if err := c.repeat(turn); err != nil {
			return err
		}
	}
	close(r.reached)
	return nil
}

// sameAs compares the latest call with one of the first run's, and forgets what it said.
func (c *Calls) sameAs(i int, turn Exchange) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.in = nil
	mine := c.trail[i]
	return mine.Now == turn.Now && mine.In == turn.In
}

// writeAgain writes what the host had written while the guest stood in a call.
func (c *Calls) writeAgain(turn Exchange) error {
	for _, w := range turn.written {
		if _, err := c.vm.ram.WriteAt(w.bytes, w.addr); err != nil {
			return err
		}
		c.vm.witness.host(w, turn.Now)
	}
	return nil
}

// repeat answers a call as it was answered in the first run.
func (c *Calls) repeat(turn Exchange) error {
	c.mu.Lock()
	c.standing = false
	c.mu.Unlock()
	return c.give(*turn.answer)
}
