package vmm

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"time"

	"github.com/ktgen/ktgen/vmm/cache"
)

// This file has guests in lockstep begin where another one stood. The host's side of a
// guest, such as calls that last, cannot be copied. So the host does for each of them what it did for
// the first, and is given the answers that the first guest has given; the new guest
// runs when all has been told.

// Prepared is a guest in lockstep as it stood at a moment, with what its agent and the
// host had said by then. [Config.Prepared] begins other guests with it.
type Prepared struct {
	still   *template
	key     string     // of the machine
	booted  bool       // the guest was, and not restored
	told    []Exchange // the last has no answer
	pending []byte     // bytes for the agent that it has not got
	digest  string     // of all that the guest was told
}

// PrepareError says why guests cannot begin where another one stands.
type PrepareError struct{ Reason string }

func (e *PrepareError) Error() string { return "keep a guest as it stands: " + e.Reason }

// RetoldError says that the host did not do for a guest what it did for the one that
// it begins with ([Config.Prepared]).
type RetoldError struct {
	Now  time.Duration // the guest's time
	Then string        // how the first answer begins that differs; see [Exchange]
	Here string        // how it begins for this guest
}

func (e *RetoldError) Error() string {
	return fmt.Sprintf("the guest begins as another one was prepared, and was told something else at %v of its time: %q, and %q before", e.Now, e.Here, e.Then)
}

// settleTime bounds the time in which the host has to read what a guest has sent.
const settleTime = 10 * time.Second

// Prepared ends a guest in lockstep ([Lockstep.Told]), and keeps it as it stands. The caller closes what is returned. The
// error is a [*PrepareError], the VM's error, or the cause of ctx.
func (vm *VM) Prepared(ctx context.Context) (*Prepared, error) {
	defer vm.Close()
	c := vm.calls
	if c == nil || !vm.cfg.Lockstep.Told {
		return nil, &PrepareError{"it is no guest in lockstep that ends so: boot it with Lockstep.Told"}
	}
	if err := c.settle(ctx); err != nil {
		return nil, err
	}
	p := &Prepared{booted: !vm.origin.Restored, told: c.Trail(), pending: bytes.Clone(c.out)}
	if len(p.told) == maxTrail {
		return nil, &PrepareError{fmt.Sprintf("it has called %d times, and no more calls are kept: do less before", maxTrail)}
	}
	p.digest = p.hash()
	var err error
	if p.key, err = templateKey(vm.cfg, vm.accel.Accel); err != nil {
		return nil, err
	}
	if p.still, err = vm.keepApart(ctx); err != nil {
		return nil, fmt.Errorf("keep a guest as it stands: %w", err)
	}
	return p, nil
}

// Close gives back what is kept. Guests that have begun go on.
func (p *Prepared) Close() { p.still.close() }

// keepApart makes a template that has no name.
func (vm *VM) keepApart(ctx context.Context) (*template, error) {
	store, err := openStore(vm.cfg.CacheDir)
	if err != nil {
		return nil, err
	}
	f, err := cache.Nameless(store.dir)
	if err != nil {
		return nil, err
	}
	if err := vm.saveParked(ctx, f); err != nil {
		f.Close()
		return nil, cache.Explain(f.Name(), err)
	}
	t := &template{f: f}
	if err := t.readIndex(vm.ram.size); err != nil {
		f.Close()
		return nil, err
	}
	return t, nil
}

// saveParked writes a guest in lockstep to a file.
func (vm *VM) saveParked(ctx context.Context, f *os.File) error {
	ctx, cancel := context.WithTimeoutCause(ctx, keepTimeout, fmt.Errorf("not done within %v: %w", keepTimeout, context.DeadlineExceeded))
	defer cancel()
	if err := vm.park(ctx); err != nil {
		return err
	}
	return vm.save(ctx, func(s still) error { return writeTemplate(ctx, f, vm.ram, s) })
}

// hash covers what the guest was told, and when.
func (p *Prepared) hash() string {
	h := sha256.New()
	for _, x := range p.told {
		for _, w := range x.written {
			fmt.Fprintf(h, "%x: %x\n", w.addr, w.bytes)
		}
		if x.answer != nil {
			fmt.Fprintf(h, "%d %d %x\n", x.answer.order, x.answer.next, x.answer.message)
		}
	}
	fmt.Fprintf(h, "%x\n", p.pending)
	return hex.EncodeToString(h.Sum(nil))
}

// start begins a guest with p. Until [Calls.Begin] is called it does not run.
func (p *Prepared) start(ctx context.Context, cfg Config, accel Accelerator, hooks Hooks) (*VM, error) {
	key, err := templateKey(cfg, accel.Accel)
	if err != nil {
		return nil, err
	}
	if key != p.key {
		return nil, &ConfigError{"Prepared", "it is of another machine: begin with it only guests that are configured as it was"}
	}
	vm, devices, err := p.still.prepare(ctx, cfg, accel)
	if err != nil {
		return nil, err
	}
	vm.origin.Restored = true
	err = vm.within(vm.began, cfg.Timeouts.Restore, func(ctx context.Context) error {
		if err := vm.loadDevices(ctx, devices); err != nil {
			return err
		}
		if cfg.replay != nil {
			if err := vm.wake(); err != nil {
				return err
			}
			go vm.calls.run() // ends with the guest
			return nil
		}
		go vm.calls.run()
		return p.greet(ctx, vm, hooks)
	})
	if err != nil {
		vm.Close()
		return nil, err
	}
	vm.timing.Restored = time.Since(vm.began)
	return vm, nil
}

// greet calls the hook that the first guest was greeted by.
func (p *Prepared) greet(ctx context.Context, vm *VM, hooks Hooks) (err error) {
	switch {
	case p.booted && hooks.Ready != nil:
		_, err = hooks.Ready(ctx, vm)
	case !p.booted && hooks.Restored != nil:
		err = hooks.Restored(ctx, vm)
	}
	return err
}

// settle waits until the host has done all that it does because of what the guest has
// sent.
func (c *Calls) settle(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, settleTime, &PrepareError{fmt.Sprintf("what it has sent was not dealt with within %v: the host may be too busy", settleTime)})
	defer cancel()
	stop := context.AfterFunc(ctx, func() { c.change(func() {}) })
	defer stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.over == nil && ctx.Err() == nil && len(c.waits) == 0 && !(c.standing && c.quiet()) {
		c.changed.Wait()
	}
	switch {
	case len(c.waits) > 0:
		return &PrepareError{"somebody still waits for it: let each call of the guest return before"}
	case c.over != nil:
		return c.over
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	return nil
}

// quiet is called with mu held.
func (c *Calls) quiet() bool { return len(c.in) == 0 && c.reading > 0 && c.busy == 0 }

// retell tells the host what the agent of the prepared guest has said, as long as the host answers as
// it did then. It returns false if the guest is over.
func (c *Calls) retell(p *Prepared) (lives bool, err error) {
	c.mu.Lock()
	c.retelling = true
	c.mu.Unlock()
	for i, x := range p.told {
		c.hear(x.said, x.Now)
		if !c.awaitWaiters() {
			return false, nil
		}
		then := x.answer
		if i == len(p.told)-1 {
			then = &answer{message: p.pending}
		}
		begins, here := c.beginning()
		if !begins {
			here = c.compose()
		}
		if begins != (x.answer == nil) || !here.same(then) {
			return true, &RetoldError{Now: x.Now, Then: then.beginning(), Here: here.beginning()}
		}
	}
	c.mu.Lock()
	c.retelling, c.trail, c.calls = false, nil, 0
	c.mu.Unlock()
	return true, c.vm.wake()
}

func (a answer) same(b *answer) bool {
	return bytes.Equal(a.message, b.message) && a.order == b.order && a.next == b.next
}

// beginning reports whether the host has done all, and what it has not sent yet.
func (c *Calls) beginning() (begins bool, rest answer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.begins && len(c.waits) == 0, answer{message: c.out}
}

// Begin lets a guest go on that begins with another one ([Config.Prepared]), once the host has done what
// it did for that one. It returns when the guest stands in its first call.
//
// The error is the VM's error: a [*RetoldError] if the host did something else.
func (c *Calls) Begin() error {
	return c.vm.within(time.Now(), max(c.vm.cfg.Timeouts.Call, c.vm.cfg.Timeouts.Restore), func(ctx context.Context) error {
		c.change(func() { c.begins = true })
		select {
		case <-c.begun:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	})
}

// Count returns how many times the guest's agent has called.
func (c *Calls) Count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.calls
}
