package ktest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"sync"
	"testing"

	"github.com/ktgen/ktgen/ktest/internal/scx"
	"github.com/ktgen/ktgen/vmm"
	"github.com/ktgen/ktgen/vmm/guest"
	"github.com/ktgen/ktgen/vmm/kernel"
)

// VM is a guest that runs. Its methods may be called from any goroutine.
type VM struct {
	cfg     Config
	machine *vmm.VM
	image   *kernel.Kernel
	kernel  guest.Kernel
	agent   *guest.Client
	output  *output
	tb      testing.TB // nil without a test
	end     func()     // ends the machine, whatever it is doing

	freezing freezing
	taken    taken

	mu        sync.Mutex
	scheduler *scx.Scheduler // the latest; nil before the first
	observed  bool           // its exit has been returned to the caller
}

// Machine returns the virtual machine.
func (vm *VM) Machine() *vmm.VM { return vm.machine }

// Kernel describes the guest's kernel.
func (vm *VM) Kernel() guest.Kernel { return vm.kernel }

// Agent returns the connection with the agent in the guest.
func (vm *VM) Agent() *guest.Client { return vm.agent }

// Close ends the guest. It is for guests of [Start]; those of [Boot] end with
// their test.
func (vm *VM) Close() error {
	vm.end()
	err := vm.machine.Close()
	if vm.agent != nil {
		vm.agent.Close()
	}
	if s := vm.current(); s != nil {
		<-s.Done()
	}
	return err
}

// lend returns the agent's port of a machine. Closing it ends the machine,
// since nothing else makes those return who read from it.
func lend(machine *vmm.VM) net.Conn { return machine.Port(guest.Port) }

// because finds the reason of an error: if the guest is no more, it is why.
// Otherwise what the guest's kernel complains about is added.
func (vm *VM) because(err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, guest.ErrLost) {
		if death := vm.death(); death != nil {
			return fmt.Errorf("%w (while: %w)", death, err)
		}
		return err
	}
	if !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	for _, c := range vm.machine.Complaints() {
		if c.Kind != vmm.Warning {
			return &HungError{Complaint: c, Err: err}
		}
	}
	return err
}

// HungError is something that took too long in a guest whose kernel has
// complained: of a hung task, a lockup or a stall.
type HungError struct {
	Complaint vmm.Complaint // the first one
	Err       error
}

func (e *HungError) Error() string {
	return fmt.Sprintf("%v; the guest's kernel has reported a %s: %s", e.Err, e.Complaint.Kind, e.Complaint.Title)
}

func (e *HungError) Unwrap() error { return e.Err }

// death returns why the guest is no more, or nil if it lives. A guest whose
// connection is lost is about to end: QEMU takes a moment.
func (vm *VM) death() error {
	ctx, cancel := context.WithTimeout(context.Background(), vm.cfg.Timeouts.Close)
	defer cancel()
	select {
	case <-vm.machine.Done():
		return vm.machine.Err()
	case <-ctx.Done():
		return nil
	}
}

// Output is what a program in the guest wrote.
type Output struct {
	Stdout, Stderr []byte
}

// ExecError is a program in the guest that ended with another status than 0.
type ExecError struct {
	Args   []string
	Exit   guest.Exit
	Output Output
}

func (e *ExecError) Error() string {
	s := fmt.Sprintf("%q in the guest: %s", e.Args, e.Exit)
	if text := bytes.TrimSpace(e.Output.Stderr); len(text) > 0 {
		s += fmt.Sprintf(": %s", text)
	}
	return s
}

// Exec runs a program in the guest and waits for it. If its status is not 0 the
// error is an [*ExecError]. When ctx ends, the program is killed.
func (vm *VM) Exec(ctx context.Context, args ...string) (Output, error) {
	var stdout, stderr bytes.Buffer
	exit, err := vm.agent.Exec(ctx, guest.Command{Args: args}, guest.Streams{Out: &stdout, Err: &stderr})
	out := Output{Stdout: stdout.Bytes(), Stderr: stderr.Bytes()}
	if err != nil {
		return out, vm.because(err)
	}
	if exit != (guest.Exit{}) {
		return out, &ExecError{Args: args, Exit: exit, Output: out}
	}
	return out, nil
}

// ReadFile returns the contents of a file in the guest.
func (vm *VM) ReadFile(ctx context.Context, path string) ([]byte, error) {
	b, err := vm.agent.ReadFile(ctx, path)
	return b, vm.because(err)
}

// WriteFile writes a file in the guest, with the directories above it.
func (vm *VM) WriteFile(ctx context.Context, path string, contents []byte, mode fs.FileMode) error {
	return vm.because(vm.agent.WriteFile(ctx, path, contents, mode))
}
