package vmm

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/ktgen/ktgen/vmm/qmp"
)

// This file is the life of a VM, from the start of QEMU until the VM's error is
// known. Each VM has four goroutines, which end with QEMU:
//
//	process.run     starts and reaps QEMU
//	console.record  reads the console
//	qmp.Client      reads QMP
//	VM.supervise    waits for the others, and says why it ended

// fail ends QEMU, with err as the VM's error unless it has one already, and
// waits until the VM is done.
func (vm *VM) fail(err error) {
	vm.mu.Lock()
	if vm.verdict == nil {
		vm.verdict = err
	}
	vm.mu.Unlock()
	vm.proc.kill()
	<-vm.alive.Done()
}

// start starts QEMU and connects to it; the guest's vCPUs run. ctx bounds the
// life of QEMU, not only the start.
func start(ctx context.Context, cfg Config, accel Accelerator) (*VM, error) {
	vm, err := spawn(cfg, accel, cfg.startArgs()...)
	if err != nil {
		return nil, err
	}
	if err := vm.connect(ctx); err != nil || vm.calls == nil {
		return vm, err
	}
	vm.witness.begin(0)
	if err := vm.cont(); err != nil {
		vm.Close()
		return nil, err
	}
	go vm.calls.run() // ends with the guest
	return vm, nil
}

// spawn makes the guest's memory and starts QEMU. The VM must be connected
// next.
func spawn(cfg Config, accel Accelerator, extra ...string) (*VM, error) {
	preempt, err := cfg.preemptFile()
	if err != nil {
		return nil, err
	}
	defer preempt.Close() // of none does nothing
	vm := newVM(cfg, accel)
	if err := vm.equip(); err != nil {
		return nil, err
	}
	defer vm.wires.closeTheirs()
	args := append(cfg.arguments(accel.Accel), cfg.Lockstep.args()...)
	args = append(args, extra...)
	files, env := descriptors(vm.ram, vm.wires), cfg.environment()
	if preempt != nil {
		more, vars := cfg.Lockstep.Preemption.wiring(fdRAM + len(files))
		files, args, env = append(files, preempt), append(args, more...), append(env, vars...)
	}
	if vm.witness != nil {
		defer vm.witness.closeTheirs()
		theirs, more, vars := vm.witness.files(fdRAM + len(files))
		files, args, env = append(files, theirs...), append(args, more...), append(env, vars...)
	}
	if vm.proc, err = startProcess(cfg.QEMU, args, env, files); err != nil {
		vm.witness.discard()
		vm.wires.close()
		vm.ram.close()
		return nil, err
	}
	if vm.witness != nil {
		go vm.witness.run() // ends with QEMU
	}
	go vm.console.record(vm.wires.console)
	return vm, nil
}

// newVM returns a VM without a guest.
func newVM(cfg Config, accel Accelerator) *VM {
	vm := &VM{
		cfg:       cfg,
		accel:     accel,
		console:   newConsole(cfg.Console),
		connected: make(chan struct{}),
		began:     time.Now(),
	}
	vm.pause.init()
	vm.watches.init()
	vm.migration.init()
	if cfg.Lockstep != nil {
		vm.calls = newCalls(vm)
	}
	vm.alive, vm.die = context.WithCancelCause(context.Background())
	return vm
}

// equip makes what the VM shares with QEMU: memory, connections and, for a run that is
// watched, the plugin. What is made is undone if something cannot be.
func (vm *VM) equip() (err error) {
	if vm.ram, err = newRAM(vm.cfg.banks()...); err != nil {
		return err
	}
	if vm.calls != nil {
		vm.ram.wrote = vm.wrote
	}
	if vm.wires, err = wire(vm.cfg); err != nil {
		vm.ram.close()
		return err
	}
	switch r := vm.cfg.replay; {
	case r != nil:
		vm.witness, err = newWitness(vm.ram, watchLoads|watchStores, r.extents, func(a Access) { r.onAccess(vm, a) })
	case vm.calls != nil && vm.cfg.Lockstep.Watched:
		vm.witness, err = newWitness(vm.ram, watchStores, nil, vm.onStore)
	}
	if err != nil {
		vm.wires.closeTheirs()
		vm.wires.close()
		vm.ram.close()
	}
	return err
}

// descriptors returns QEMU's files in the order of their numbers.
func descriptors(ram *RAM, w *wires) []*os.File {
	files := append([]*os.File{ram.banks[0].file}, w.theirs...)
	for _, further := range ram.banks[1:] {
		files = append(files, further.file)
	}
	return files
}

// startTimeout is how long QEMU may take to answer after its start.
const startTimeout = 30 * time.Second

// connect waits until QEMU answers. If it does not, everything is cleaned up.
func (vm *VM) connect(ctx context.Context) error {
	bounded, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	mon, err := qmp.New(bounded, vm.wires.qmp, qmp.Options{OnEvent: vm.onEvent})
	if err != nil {
		return vm.abort(ctx, err)
	}
	if hold := vm.wires.hold; hold != nil {
		if err := hold.check(vm.cfg.QEMU); err != nil {
			mon.Close()
			return vm.abort(ctx, err)
		}
	}
	vm.mon = mon
	close(vm.connected)
	vm.timing.QEMU = time.Since(vm.began)
	go vm.supervise(ctx)
	return nil
}

// abort cleans up after a QEMU that could not be connected to, and returns why.
func (vm *VM) abort(ctx context.Context, err error) error {
	if errors.Is(err, qmp.ErrGone) {
		// QEMU has closed its end: it is about to exit and to say why.
		select {
		case <-vm.proc.exited:
		case <-time.After(exitGrace):
		}
		err = nil
	}
	vm.proc.kill()
	<-vm.console.drained
	vm.wires.close()
	vm.ram.close()
	switch {
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	case err == nil:
		err = vm.proc.exitError()
	}
	vm.die(err)
	return err
}

// exitGrace is how long a QEMU that has closed its QMP connection may take to
// exit.
const exitGrace = 3 * time.Second

// supervise waits for the end of QEMU and tells everyone. It ends QEMU when
// ctx ends, or when QMP is gone.
func (vm *VM) supervise(ctx context.Context) {
	select {
	case <-vm.proc.exited:
	case <-vm.mon.Done():
		select {
		case <-vm.proc.exited:
		case <-time.After(exitGrace):
			vm.proc.kill()
		}
	case <-ctx.Done():
		vm.proc.kill()
	}
	select {
	case <-vm.console.drained:
	case <-time.After(exitGrace): // Config.Console blocks
	}
	vm.mon.Close()
	vm.die(vm.obituary(ctx))
}

// obituary returns why QEMU has ended.
func (vm *VM) obituary(ctx context.Context) error {
	vm.mu.Lock()
	verdict, shutdown := vm.verdict, vm.shutdown
	vm.mu.Unlock()
	if verdict != nil {
		return verdict
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	complaints := vm.Complaints()
	if isTextPatching(vm.accel.Accel, complaints) {
		return &InfraError{
			What:    "the guest's kernel died of QEMU's translation of patched kernel text (Oops: int3)",
			Advice:  "run it again",
			Console: vm.Console(),
		}
	}
	if cause, ok := causeOfDeath(complaints); ok {
		return &GuestPanicError{Complaint: cause, Console: vm.Console()}
	}
	switch shutdown {
	case "guest-shutdown":
		return ErrPoweredOff
	case "guest-reset":
		return ErrReset
	}
	return vm.proc.exitError()
}

// gone turns the error of a call to QEMU into the VM's error, if the call
// failed because QEMU has ended.
func (vm *VM) gone(err error) error {
	if !errors.Is(err, qmp.ErrGone) {
		return err
	}
	<-vm.alive.Done()
	return vm.Err()
}
