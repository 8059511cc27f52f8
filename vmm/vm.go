package vmm

import (
	"context"
	"fmt"
	"net"
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
	watches   watches
	migration migration
	calls     *Calls   // nil unless in lockstep
	boxAt     int64    // physical address of its mailbox
	witness   *witness // nil unless accesses are watched

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

// Config returns the configuration that the VM was launched with, complete.
func (vm *VM) Config() Config { return vm.cfg }

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
// [*GuestPanicError], an [*InfraError], an [*ExitError], [ErrPoweredOff], [ErrReset], [ErrClosed],
// or the cause of the context that Launch was called with.
func (vm *VM) Err() error { return context.Cause(vm.alive) }

// Close ends QEMU, waits until it is reaped, and frees everything. Further
// calls do nothing.
func (vm *VM) Close() error {
	vm.fail(ErrClosed)
	if vm.cfg.replay != nil {
		<-vm.witness.done
	}
	vm.closeOnce.Do(func() {
		vm.ram.close()
		vm.wires.close()
	})
	return nil
}

// RunState is QEMU's state of a machine, such as "running" or "paused"
// (RunState in the QEMU QMP Reference Manual).
type RunState string

// Status asks QEMU for the state of the machine.
func (vm *VM) Status(ctx context.Context) (RunState, error) {
	defer vm.wires.hold.opened()()
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
	defer vm.wires.hold.opened()()
	var out string
	if err := vm.mon.Do(ctx, "human-monitor-command", args, &out); err != nil {
		return "", fmt.Errorf("monitor command %q: %w", command, vm.gone(err))
	}
	return out, nil
}
