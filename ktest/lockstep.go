package ktest

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/ktgen/ktgen/vmm"
	"github.com/ktgen/ktgen/vmm/guest"
)

// This file is about guests in lockstep ([Config.Seed]).

// knobs are what a seed decides.
type knobs struct {
	quanta  []time.Duration // when turns of vCPUs end, beside the guest's own timers
	preempt vmm.Preemption  // and in the middle of BPF programs
	offset  uint32          // turns of a loop before anything happens
	random  uint32          // QEMU's random numbers
	entropy []byte          // of the guest's kernel
}

// Bounds of the quanta. Shorter ones make a guest much slower; longer ones than a tick
// end no turn that the tick does not.
const (
	minQuantum = 20 * time.Microsecond
	maxQuantum = 2 * time.Millisecond
	quanta     = 2
	maxOffset  = 1 << 20
)

// Bounds of the ends of turns in BPF programs: instructions from one to the next, and how long a vCPU stands
// still then. Programs of schedulers have some hundred.
const (
	minPreempt, maxPreempt = 64, 1 << 11
	minStill, maxStill     = 256 * time.Nanosecond, time.Millisecond
)

// Where x86-64 kernels put what BPF programs are compiled to: where modules are, above the kernel
// itself (Documentation/arch/x86/x86_64/mm.rst).
const programsBegin, programsEnd = 0xffff_ffff_c000_0000, 0xffff_ffff_ff00_0000

// seedRule is the number of how knobsOf chooses.
const seedRule = 1

// knobsOf returns what a seed decides: the same on every machine.
func knobsOf(seed uint64) knobs {
	r := rand.New(rand.NewPCG(seed, 0x6b7467656e)) // "ktgen"
	k := knobs{offset: r.Uint32N(maxOffset), random: r.Uint32()}
	for range quanta {
		q := time.Duration(between(r, float64(minQuantum), float64(maxQuantum)))
		k.quanta = append(k.quanta, q.Truncate(time.Microsecond))
	}
	k.preempt = vmm.Preemption{
		Begin: programsBegin, End: programsEnd,
		Seed:  r.Uint64(),
		Mean:  int(between(r, minPreempt, maxPreempt)),
		Still: time.Duration(between(r, float64(minStill), float64(maxStill))),
	}
	for range 8 {
		k.entropy = binary.LittleEndian.AppendUint64(k.entropy, r.Uint64())
	}
	return k
}

// between returns a random number whose logarithm is as likely to be in one part of the range as in another of
// the same size.
func between(r *rand.Rand, least, most float64) float64 {
	return least * math.Pow(most/least, r.Float64())
}

// lockstep returns what vmm is to do for a seed, or nil without one.
func (c Config) lockstep() *vmm.Lockstep {
	if c.Seed == 0 {
		return nil
	}
	if c.isPrepared() {
		// A vCPU that spins until another one answers would have its turn until a timer of the
		// guest's expires, which takes the host seconds.
		return &vmm.Lockstep{Quanta: []time.Duration{maxQuantum}, Random: 1, Told: true, Watched: c.Watches, Rule: seedRule}
	}
	k := knobsOf(c.Seed)
	return &vmm.Lockstep{Quanta: k.quanta, Preemption: &k.preempt, Rule: seedRule, Offset: k.offset, Random: k.random, Watched: c.Watches}
}

// wakeDate is the time at which guests in lockstep are restored.
var wakeDate = time.Date(2026, time.January, 1, 12, 0, 0, 0, time.UTC)

// wakeInStep greets a guest in lockstep that has been restored.
func (c Config) wakeInStep(ctx context.Context, client *guest.Client) error {
	return client.WakeAs(ctx, wakeDate, knobsOf(c.firstSeed()).entropy)
}

// lend returns the connection with the agent of a machine. Closing it ends the machine:
// nothing else ends a read from the connection.
func lend(machine *vmm.VM) io.ReadWriteCloser {
	if calls := machine.Calls(); calls != nil {
		return calls
	}
	return machine.Port(guest.Port)
}

// virtual reports whether the guest is in lockstep.
func (vm *VM) virtual() bool { return vm.machine.Calls() != nil }

// Hold lets a time pass in the guest, by the guest's clock, and returns when the guest's
// agent says that it has. A guest in lockstep stands before and after that.
func (vm *VM) Hold(ctx context.Context, d time.Duration) error {
	if d < 0 {
		return fmt.Errorf("hold for %v: a time cannot be negative: say 0 or more", d)
	}
	return vm.because(vm.scenario.Hold(ctx, d))
}

// until lets the guest run until a channel is closed; who waits for that calls end.
func (vm *VM) until(ctx context.Context, c <-chan struct{}) (end func()) {
	return vm.agent.Until(ctx, func() bool { return isClosed(c) })
}

// virtualLook is the time of the guest's between two looks at whether a scheduler has
// come or gone.
const virtualLook = 10 * time.Millisecond

// after returns a channel that is closed when a time has passed: of the host's, or of that
// of a guest in lockstep. There the task, which is the caller, rests until then. stop is
// called when the wait has ended, whatever has ended it.
func (vm *VM) after(d time.Duration, task *guest.Task) (elapsed <-chan struct{}, stop func()) {
	over := make(chan struct{})
	calls := vm.machine.Calls()
	if calls == nil {
		timer := time.AfterFunc(d, func() { close(over) })
		return over, func() { timer.Stop() }
	}
	rang, quiet := calls.After(d)
	stopped := make(chan struct{})
	go func() { // ends with stop
		select {
		case acted := <-rang:
			task.Act()
			acted()
			close(over)
		case <-stopped:
		}
	}()
	task.Rest()
	return over, sync.OnceFunc(func() { close(stopped); quiet() })
}

// pause lets a short time pass between two looks of the test's goroutine: ticks say so
// for the host's time, and a guest in lockstep holds.
func (vm *VM) pause(ctx context.Context, ticks <-chan time.Time, d time.Duration) <-chan time.Time {
	if !vm.virtual() {
		return ticks
	}
	if vm.scenario.Hold(ctx, d) != nil || isClosed(vm.Exited()) {
		return nil // for a reason that the caller waits for, too
	}
	now := make(chan time.Time, 1)
	now <- time.Time{}
	return now
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
