package vmm

import (
	"context"
	"fmt"

	"github.com/ktgen/ktgen/vmm/gdb"
)

// This file stops the guest at writes to its memory, by QEMU's gdbstub. The
// stub is attached with the first watchpoint and stays: from then on the guest
// is let go by the stub and not by QMP, since QEMU 8.1 and later tell of a stop
// only after that.
//
// A write that is watched can stop the guest under the hands of someone who is
// about to pause it. The guest then stays stopped until the hit has been looked
// at: VM.cont leaves that to serveHits. QEMU does not report a hit that it meets
// while it carries out a stop command (pause_all_vcpus is under way, vm_stop with
// RUN_STATE_DEBUG does nothing then). It stops the vCPU after the write all the same.
// Such a hit is found by the value: only vCPUs change it while the guest runs. A hit that
// writes the value that was there before is missed.
//
// With one TCG thread for all vCPUs, another vCPU may run for some microseconds until
// the main loop carries out the stop that a hit has asked for. If it writes, too, QEMU
// reports its write alone. QEMU reports the first hit later, when that vCPU next looks at the
// page of a watchpoint (CPUState.watchpoint_hit, check_watchpoint in
// accel/tcg/watchpoint.c). The values tell that the report was of two writes, and that the
// later one is of none.

// onStubStop takes what the stub tells of a stop. It is called by the goroutine
// that reads the stub's connection.
func (vm *VM) onStubStop(s gdb.Stop) {
	vm.watches.mu.Lock()
	vm.watches.latest = s
	vm.watches.mu.Unlock()
	if s.Watch != 0 {
		vm.leaveHit(s)
	}
}

// leaveHit leaves a hit for serveHits.
func (vm *VM) leaveHit(s gdb.Stop) {
	vm.watches.mu.Lock()
	vm.watches.pending = &s
	vm.watches.mu.Unlock()
	signal(vm.watches.wake)
}

// noticeHit looks for a hit that QEMU does not tell of. It is called after a
// stop command.
func (vm *VM) noticeHit(ctx context.Context, stub *gdb.Client) error {
	if err := stub.Sync(ctx); err != nil {
		return err
	}
	vm.watches.mu.Lock()
	pending, latest := vm.watches.pending != nil, vm.watches.latest
	vm.watches.mu.Unlock()
	if pending || latest.Thread == 0 {
		return nil
	}
	for _, w := range vm.watches.list() {
		value, err := w.held()
		if err != nil {
			continue // which contByStub takes care of
		}
		if value != w.value {
			latest.Watch = w.addr
			vm.leaveHit(latest)
			return nil
		}
	}
	return nil
}

// signal puts a token into a channel that holds one at the most.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (vm *VM) takeHit() *gdb.Stop {
	vm.watches.mu.Lock()
	defer vm.watches.mu.Unlock()
	hit := vm.watches.pending
	vm.watches.pending = nil
	return hit
}

// serveHits shows hits to the watchpoints that they belong to, and lets the
// guest go, until the guest is no more.
func (vm *VM) serveHits(stub *gdb.Client) {
	defer stub.Close()
	for {
		select {
		case <-vm.watches.wake:
		case <-vm.Done():
			return
		}
		select {
		case vm.pause.turn <- struct{}{}:
		case <-vm.Done():
			return
		}
		if vm.ram.acquire() {
			vm.serveHit(stub)
			vm.ram.release()
		}
		<-vm.pause.turn
	}
}

// serveHit is called by the one who has the turn to pause the guest. The guest
// stands still if there is a hit.
func (vm *VM) serveHit(stub *gdb.Client) {
	stop := vm.takeHit()
	if stop == nil {
		return
	}
	vm.pause.stopping.Store(true)
	if err := vm.showHit(stub, stop); err != nil {
		vm.fail(&InfraError{
			What:    fmt.Sprintf("a write to %#x stopped the guest, and QEMU's gdbstub failed then: %v", stop.Watch, err),
			Advice:  "run it again",
			Console: vm.Console(),
		})
		return
	}
	_ = vm.cont() // which ends the guest if it fails
}

// showHit calls those whom a hit concerns.
func (vm *VM) showHit(stub *gdb.Client, stop *gdb.Stop) error {
	ctx, cancel := vm.stubTime()
	defer cancel()
	if err := stub.Select(ctx, stop.Thread); err != nil {
		return err
	}
	pc, err := stub.PC(ctx)
	if err != nil {
		return err
	}
	for _, w := range vm.watches.list() {
		if w.addr != stop.Watch {
			continue
		}
		if err := w.show(Hit{CPU: stop.Thread - 1, PC: pc, Within: pc - 1}); err != nil {
			return err
		}
	}
	return nil
}

// show completes a hit, calls onHit, and disarms the watchpoint if it says so. The
// time that onHit takes, a capture maybe, is not the stub's.
func (w *Watchpoint) show(hit Hit) (err error) {
	hit.Old = w.value
	if hit.New, err = w.held(); err != nil {
		return nil // whoever lets the guest go notices, too
	}
	w.value = hit.New
	if w.tell(hit) {
		return nil
	}
	ctx, cancel := w.vm.stubTime()
	defer cancel()
	return w.disarm(ctx)
}

// stubTime bounds some commands to the stub. It depends on no context of a caller's,
// since a stub that is left in the middle of something cannot be used again.
func (vm *VM) stubTime() (context.Context, context.CancelFunc) {
	return context.WithTimeout(vm.alive, stopTimeout)
}

// tell calls onHit. One that ends its goroutine, as testing.TB.FailNow does, must
// not leave the guest stopped: it has one of its own.
func (w *Watchpoint) tell(hit Hit) (keep bool) {
	w.vm.watches.telling.Store(true)
	defer w.vm.watches.telling.Store(false)
	answer := make(chan bool, 1)
	go func() {
		defer close(answer)
		answer <- w.onHit(hit)
	}()
	return <-answer
}

// contByStub lets the guest go by the stub, unless there is a hit that nobody
// has looked at.
func (vm *VM) contByStub(ctx context.Context, stub *gdb.Client) error {
	if err := stub.Sync(ctx); err != nil {
		return err
	}
	vm.watches.mu.Lock()
	pending := vm.watches.pending != nil
	vm.watches.mu.Unlock()
	if pending {
		return nil
	}
	for _, w := range vm.watches.list() {
		if err := w.note(ctx); err != nil {
			return err
		}
	}
	select {
	case <-vm.watches.resumed: // of an earlier time
	default:
	}
	if err := stub.Continue(); err != nil {
		return err
	}
	select {
	case <-vm.watches.resumed:
		return nil
	case <-vm.Done():
		return vm.Err()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
