package ktest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/ktgen/ktgen/capture"
	"github.com/ktgen/ktgen/ktest/internal/scx"
	"github.com/ktgen/ktgen/scenario"
	"github.com/ktgen/ktgen/series"
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
	unsaid  []error    // warnings before the test had its guest
	end     func()     // ends the machine, whatever it is doing

	freezing freezing
	reads    reads // by the test, if it is one of a search
	clock    clock
	captures *capture.Store
	scenario *scenario.Guest
	begun    atomic.Bool // the guest of a search has come to where its seed begins

	enabledAt atomic.Int64 // the guest's time in which the latest scheduler was enabled, in ns; of guests in lockstep

	mourning  sync.WaitGroup // of who looks at a guest that has died
	unwatched sync.Once      // says that the moment before an end cannot be captured

	mu        sync.Mutex
	scheduler *scx.Scheduler // the latest; nil before the first
	starting  Scheduler      // the latest that was to be started
	failed    error          // why the latest attempt to start one failed; nil if it did not
	dismissed bool           // the latest was ended because the test had failed
	observed  bool           // its exit has been returned to the caller, or told
	unnoticed error          // why one before it has ended; nil if that was told
	unasked   error          // the first end that fails the test; nil if none does
	last      *lastMoment    // of the scheduler
	autopsy   chan struct{}  // closed when its end has been captured, or is none to capture
	attached  chan struct{}  // closed when the next scheduler is attached
	works     map[Work]int   // calls of Work
	recalled  map[string]int // how often something was done before begun, by recallKey
	verdicts  []series.Verdict
}

// Machine returns the virtual machine.
func (vm *VM) Machine() *vmm.VM { return vm.machine }

// Kernel describes the guest's kernel.
func (vm *VM) Kernel() guest.Kernel { return vm.kernel }

// Agent returns the connection with the agent in the guest.
func (vm *VM) Agent() *guest.Client { return vm.agent }

// Close ends the guest and closes its captures. It is for guests of [Start];
// those of [Boot] end with their test.
func (vm *VM) Close() error { return errors.Join(vm.shut(), vm.captures.Close()) }

// shut ends the guest. Its captures stay.
func (vm *VM) shut() error {
	vm.end()
	<-vm.machine.Done()
	vm.mourning.Wait()
	err := vm.machine.Close()
	if vm.agent != nil {
		vm.agent.Close()
	}
	if s := vm.current(); s != nil {
		<-s.Done()
		vm.awaitAutopsy()
	}
	return err
}

// because adds the reason to an error: why the guest is no more, or, for something that took
// too long, what the kernel of the guest complains about. It is called without mu.
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
		return vm.explainErrno(err)
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
	case <-ctx.Done():
		return nil
	}
	err := vm.toldOtherwise(vm.machine.Err())
	var panicked *vmm.GuestPanicError
	if errors.As(err, &panicked) && strings.Contains(panicked.Complaint.Title, "Attempted to kill init") {
		return &AgentError{LastWords: lastWords(panicked.Console), Err: err}
	}
	return err
}

// AgentError is the end of the agent, which is the end of the guest. It is a
// bug in this module, or in a handler or an init function of the test's program.
type AgentError struct {
	LastWords string // what the agent wrote to the console when it ended
	Err       error  // a *vmm.GuestPanicError
}

func (e *AgentError) Error() string {
	return fmt.Sprintf("the agent in the guest has died (it is the test's own program); its last words:\n%s", e.LastWords)
}

func (e *AgentError) Unwrap() error { return e.Err }

// lastWords returns what a Go program wrote to the console before its end:
// the lines from the last that begins a crash on, without those of the kernel.
func lastWords(console []byte) string {
	const limit = 60 // lines
	lines := strings.Split(string(console), "\n")
	begin := len(lines)
	for i, line := range lines {
		for _, crash := range []string{"panic: ", "fatal error: ", "SIGQUIT: ", "runtime: ", "ktgen agent: "} {
			if strings.HasPrefix(line, crash) {
				begin = min(begin, i)
			}
		}
	}
	var words []string
	for _, line := range lines[begin:] {
		if line = strings.TrimRight(line, "\r"); !strings.HasPrefix(line, "[") && len(words) < limit {
			words = append(words, line)
		}
	}
	return strings.TrimSpace(strings.Join(words, "\n"))
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
