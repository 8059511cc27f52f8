package vmm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ktgen/ktgen/vmm/gdb"
	"github.com/ktgen/ktgen/vmm/qmp"
)

const (
	stopTimeout = 10 * time.Second // of a stop command
	contTimeout = 5 * time.Second  // of one cont command
	contTries   = 3                // if QEMU refuses it
)

// pauseState says who has the guest stopped.
type pauseState struct {
	// turn holds a value while someone has the guest paused, or is about to.
	turn chan struct{}
	// stopping is true from before a stop command until after a cont command, so
	// that QEMU's STOP events can be told from those that nobody asked for.
	stopping atomic.Bool
	// The two below belong to whoever has the turn.
	release func() // lets a guest in lockstep go on; nil if it does not stand for a pause
	parked  bool   // a guest in lockstep has stopped its vCPUs itself

	stopped chan struct{} // of capacity 1; gets the end of each time that QEMU runs the guest

	mu     sync.Mutex
	paused bool
}

func (p *pauseState) init() { p.turn, p.stopped = make(chan struct{}, 1), make(chan struct{}, 1) }

// Pause stops all vCPUs and the guest's clocks. When it returns without an error
// nothing in the guest runs and its memory does not change, until [VM.Resume]. When
// it returns an error the guest runs, or is no more.
//
// A guest is paused by one caller at a time: Pause waits until others have
// resumed. When ctx ends while QEMU is stopping the guest, Pause takes it back first,
// and ends a guest whose QEMU does not answer. The error is ctx's cause, or the VM's error (see [VM.Err]) if the
// guest is no more.
func (vm *VM) Pause(ctx context.Context) error {
	if err := vm.pause1(ctx); err != nil {
		return fmt.Errorf("pausing the guest: %w", err)
	}
	return nil
}

func (vm *VM) pause1(ctx context.Context) error {
	select {
	case vm.pause.turn <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-vm.Done():
		return vm.Err()
	}
	if !vm.ram.acquire() {
		<-vm.pause.turn
		return ErrClosed
	}
	if err := vm.halt(ctx); err != nil {
		vm.ram.release()
		<-vm.pause.turn
		return err
	}
	vm.pause.mu.Lock()
	vm.pause.paused = true
	vm.pause.mu.Unlock()
	return nil
}

// halt stops the vCPUs, or waits until those of a guest in lockstep stand.
func (vm *VM) halt(ctx context.Context) (err error) {
	if vm.calls == nil || vm.pause.parked {
		return vm.stop(ctx)
	}
	vm.pause.release, err = vm.calls.stand(ctx)
	return err
}

// proceed undoes halt.
func (vm *VM) proceed() error {
	if vm.pause.release == nil {
		return vm.cont()
	}
	vm.pause.release()
	vm.pause.release = nil
	return nil
}

// stop stops the vCPUs. If that fails it makes sure that they run.
func (vm *VM) stop(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	vm.pause.stopping.Store(true)
	bounded, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	err := vm.mon.Do(bounded, "stop", nil, nil)
	if stub := vm.stub(); stub != nil && !errors.Is(err, qmp.ErrGone) {
		err = errors.Join(err, vm.standStill(stub, err != nil))
	}
	if err == nil {
		return nil
	}
	if errors.Is(err, qmp.ErrGone) {
		return vm.gone(err)
	}
	// The command may be carried out yet.
	return errors.Join(err, vm.cont())
}

// standStill readies the stub after a stop command, or after one that was given up: a
// stub is spoken to only while the guest stands still. QEMU carries out commands in
// their order, so that the reply to another stop is late enough.
func (vm *VM) standStill(stub *gdb.Client, again bool) error {
	ctx, cancel := vm.stubTime()
	defer cancel()
	if again {
		if err := vm.mon.Do(ctx, "stop", nil, nil); err != nil {
			return err
		}
	}
	return vm.stubGone(vm.noticeHit(ctx, stub))
}

// Resume lets a paused guest go on. It depends on no context: it is tried
// several times, and a guest that cannot be made to go on is ended, so that none
// stays behind stuck. The error is then the VM's error.
//
// Without a pause it returns [ErrNotPaused].
func (vm *VM) Resume() error {
	vm.pause.mu.Lock()
	paused := vm.pause.paused
	vm.pause.paused = false
	vm.pause.mu.Unlock()
	if !paused {
		return ErrNotPaused
	}
	defer func() {
		vm.ram.release()
		<-vm.pause.turn
	}()
	if err := vm.proceed(); err != nil {
		return fmt.Errorf("resuming the guest: %w", err)
	}
	return nil
}

// cont lets the vCPUs run. A guest that it cannot make run is ended.
func (vm *VM) cont() error {
	var err error
	for range contTries {
		if err = vm.contOnce(); err == nil {
			return nil
		}
		if errors.Is(err, qmp.ErrGone) {
			return vm.gone(err)
		}
		if !is[*qmp.Error](err) {
			break // QEMU does not answer
		}
	}
	vm.fail(&InfraError{
		What:    fmt.Sprintf("the guest could not be resumed: %v", err),
		Advice:  "run it again",
		Console: vm.Console(),
	})
	return vm.Err()
}

func (vm *VM) contOnce() error {
	ctx, cancel := context.WithTimeout(context.Background(), contTimeout)
	defer cancel()
	if stub := vm.stub(); stub != nil {
		if err := vm.contByStub(ctx, stub); err != nil {
			return vm.stubGone(err)
		}
	} else if err := vm.mon.Do(ctx, "cont", nil, nil); err != nil {
		return err
	}
	vm.pause.stopping.Store(false)
	return nil
}

// onEvent follows the machine's state. It is called by the goroutine that
// reads QMP.
func (vm *VM) onEvent(e qmp.Event) {
	switch e.Name {
	case "SHUTDOWN":
		var data struct {
			Reason string `json:"reason"`
		}
		json.Unmarshal(e.Data, &data) // without a reason QEMU's exit tells
		vm.mu.Lock()
		vm.shutdown = data.Reason
		vm.mu.Unlock()
		// The guest is over. QEMU 7.2 can hang on its way out, in
		// monitor_cleanup, when a command has come in meanwhile.
		time.AfterFunc(exitGrace, vm.proc.kill)
	case "STOP":
		signal(vm.pause.stopped)
		if !vm.pause.stopping.Load() {
			go vm.judgeStop()
		}
	case "RESUME":
		signal(vm.watches.resumed)
	case "MIGRATION":
		vm.migration.onEvent(e)
	}
}

// judgeStop ends a guest that QEMU stopped by itself because it cannot go on.
func (vm *VM) judgeStop() {
	select {
	case <-vm.connected:
	case <-vm.Done():
		return
	}
	ctx, cancel := context.WithTimeout(vm.alive, stopTimeout)
	defer cancel()
	status, err := vm.Status(ctx)
	if err != nil {
		return // QEMU has ended, and says why
	}
	switch status {
	case "internal-error", "io-error", "guest-panicked":
		vm.fail(&InfraError{
			What:    fmt.Sprintf("QEMU stopped the guest with %s (accelerator %s)", status, vm.accel.Accel),
			Advice:  fmt.Sprintf("if it happens again, try another accelerator ($%s=%s)", EnvAccel, TCG),
			Console: vm.Console(),
		})
	}
}
