package vmm

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"github.com/ktgen/ktgen/vmm/qmp"
)

// VM is a virtual machine whose guest runs, or has run. Its methods may be
// called from any goroutine.
type VM struct {
	cfg    Config
	accel  Accelerator
	origin Origin
	timing Timing
	state  []byte // what Hooks.Ready returned
	began  time.Time

	proc      *process
	mon       *qmp.Client
	connected chan struct{} // closed when mon is set
	ram       *RAM
	wires     *wires
	console   *console

	// alive ends when QEMU is reaped and the console is drained, with the
	// VM's error as cause.
	alive context.Context
	die   context.CancelCauseFunc

	pause     pauseState
	migration migration

	mu        sync.Mutex
	verdict   error // why this process ended QEMU; nil if it did not
	shutdown  string
	closeOnce sync.Once
}

// Origin says where a VM's guest came from.
type Origin struct {
	Restored bool
	// Note says why a guest was booted and not restored, or why no template
	// was kept of it, if that is not what was asked for. It is empty if all
	// went well.
	Note string
}

func (o Origin) String() string {
	s := "booted"
	if o.Restored {
		s = "restored"
	}
	if o.Note != "" {
		s += " (" + o.Note + ")"
	}
	return s
}

// Timing says how long the phases of a launch took. A phase that did not
// happen took 0.
type Timing struct {
	QEMU        time.Duration // from the start of QEMU until it answered
	FirstOutput time.Duration // boot: from the start of QEMU until the console's first byte
	Ready       time.Duration // boot: from the start of QEMU until Hooks.Ready had returned
	Keep        time.Duration // boot: keeping the template
	Copy        time.Duration // restore: copying the RAM; overlaps with QEMU
	Devices     time.Duration // restore: loading the devices' state
	Restored    time.Duration // restore: from the start of QEMU until Hooks.Restored had returned
	Total       time.Duration // all of Launch
}

// Accel returns the accelerator that the guest runs on.
func (vm *VM) Accel() Accelerator { return vm.accel }

// Origin returns whether the guest was booted or restored.
func (vm *VM) Origin() Origin { return vm.origin }

// Timing returns how long the launch took.
func (vm *VM) Timing() Timing { return vm.timing }

// State returns what [Hooks.Ready] returned for this guest, or for the one
// whose template it was started from.
func (vm *VM) State() []byte { return vm.state }

// RAM returns the guest's memory. It stays readable until the VM is closed.
func (vm *VM) RAM() *RAM { return vm.ram }

// QEMUVersion returns the version of the QEMU that runs the guest.
func (vm *VM) QEMUVersion() string { return vm.mon.Version().String() }

// PID returns the process id of QEMU.
func (vm *VM) PID() int { return vm.proc.cmd.Process.Pid }

// Port returns the host's end of the virtio-serial port of the name, or nil if
// Config.Ports does not have it. It belongs to the VM, which closes it. A read returns
// io.EOF when QEMU has ended.
func (vm *VM) Port(name string) net.Conn {
	conn, ok := vm.wires.ports[name]
	if !ok {
		return nil
	}
	return conn
}

// Console returns the last MiB of what the guest has written to its serial
// console since it was booted, its time before a template included.
func (vm *VM) Console() []byte { return vm.console.kept.Bytes() }

// Complaints returns what the guest's kernel has reported on its console about
// its own state, in order: warnings, stalls, oopses, its panic.
func (vm *VM) Complaints() []Complaint { return vm.console.complaints.list() }

// Done returns a channel that is closed when the guest is no more: it died or
// switched itself off, QEMU ended, or the VM was closed.
func (vm *VM) Done() <-chan struct{} { return vm.alive.Done() }

// Err returns why the guest is no more, or nil while it lives. It is a
// [*GuestPanicError], an [*InfraError], an [*ExitError], [ErrPoweredOff], [ErrClosed],
// or the cause of the context that Launch was called with.
func (vm *VM) Err() error { return context.Cause(vm.alive) }

// Close ends QEMU, waits until it is reaped, and frees everything. Further
// calls do nothing.
func (vm *VM) Close() error {
	vm.fail(ErrClosed)
	vm.closeOnce.Do(func() {
		vm.ram.close()
		vm.wires.close()
	})
	return nil
}

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
	vm, err := spawn(cfg, accel)
	if err != nil {
		return nil, err
	}
	if err := vm.connect(ctx); err != nil {
		return nil, err
	}
	return vm, nil
}

// spawn makes the guest's memory and starts QEMU. The VM must be connected
// next.
func spawn(cfg Config, accel Accelerator, extra ...string) (*VM, error) {
	vm := &VM{
		cfg:       cfg,
		accel:     accel,
		console:   newConsole(cfg.Console),
		connected: make(chan struct{}),
		began:     time.Now(),
	}
	vm.pause.init()
	vm.migration.init()
	vm.alive, vm.die = context.WithCancelCause(context.Background())

	var err error
	if vm.ram, err = newRAM(cfg.Memory); err != nil {
		return nil, err
	}
	if vm.wires, err = wire(cfg); err != nil {
		vm.ram.close()
		return nil, err
	}
	defer vm.wires.closeTheirs()
	args := append(cfg.arguments(accel.Accel), extra...)
	files := append([]*os.File{vm.ram.file}, vm.wires.theirs...)
	if vm.proc, err = startProcess(cfg.QEMU, args, files); err != nil {
		vm.wires.close()
		vm.ram.close()
		return nil, err
	}
	go vm.console.record(vm.wires.console)
	return vm, nil
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
	if shutdown == "guest-shutdown" || shutdown == "guest-reset" {
		return ErrPoweredOff
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

// RunState is QEMU's state of a machine, such as "running" or "paused"
// (RunState in the QEMU QMP Reference Manual).
type RunState string

// Status asks QEMU for the state of the machine.
func (vm *VM) Status(ctx context.Context) (RunState, error) {
	var out struct {
		Status RunState `json:"status"`
	}
	if err := vm.mon.Do(ctx, "query-status", nil, &out); err != nil {
		return "", fmt.Errorf("asking for the machine's state: %w", vm.gone(err))
	}
	return out.Status, nil
}

// Monitor runs a command of QEMU's human monitor, such as "info registers",
// and returns what it prints.
func (vm *VM) Monitor(ctx context.Context, command string) (string, error) {
	args := struct {
		Line string `json:"command-line"`
	}{command}
	var out string
	if err := vm.mon.Do(ctx, "human-monitor-command", args, &out); err != nil {
		return "", fmt.Errorf("monitor command %q: %w", command, vm.gone(err))
	}
	return out, nil
}
