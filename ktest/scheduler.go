package ktest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/ktgen/ktgen/freeze"
	"github.com/ktgen/ktgen/ktest/internal/bpfload"
	"github.com/ktgen/ktgen/ktest/internal/scx"
	"github.com/ktgen/ktgen/object"
	"github.com/ktgen/ktgen/runtime/ktsnap"
	"github.com/ktgen/ktgen/runtime/nearest"
	"github.com/ktgen/ktgen/vmm/guest"
	"github.com/ktgen/ktgen/vmm/initramfs"
)

// What becomes of schedulers. The types are those of the loader, whose fields are told here.
type (
	// Exit is how a scheduler ended.
	//
	//	Scheduler string         // its name, sched_ext_ops.name
	//	Kind      ExitKind       // ExitNone: the kernel never had it enabled
	//	Reason    string         // the kernel's words for the kind
	//	Message   string         // what the kernel or the scheduler adds; often empty
	//	Code      int64          // what it called scx_bpf_exit with, or bits of enum scx_exit_code
	//	Dump      string         // the state of CPUs and tasks, as the kernel dumps it for an error
	//	Process   *guest.Exit    // how its own program ended; nil if there is none, or it lived on
	//
	// Its method Err returns an [*ExitedError] if the kernel has thrown the scheduler out, and nil
	// if the scheduler was told to end, or ended itself without an error.
	Exit = scx.Exit
	// ExitKind is why the kernel ended a scheduler: the kernel's enum scx_exit_kind, a uint32.
	// From [ExitError] on the scheduler did something wrong.
	ExitKind = scx.ExitKind
	// ExitedError is a scheduler that the kernel threw out, for a stall
	// among other reasons, or that ended although nobody had asked it to.
	//
	//	Exit Exit
	//
	// Its method Stalled reports whether the scheduler left a runnable task waiting for longer
	// than the kernel's watchdog allows.
	ExitedError = scx.ExitedError
	// RejectedError is a scheduler that the verifier rejects.
	//
	//	Program string
	//	Reason  string    // the line of the log that has the complaint
	//	Log     string    // the verifier's whole log
	RejectedError = scx.RejectedError
	// LoaderError is a scheduler's own program that ended too early.
	//
	//	Args    []string
	//	Exit    guest.Exit
	//	Enabled bool            // its scheduler was enabled before
	//	Output  string          // what it wrote; of more than 1 MiB the beginning and the end
	//	Kernel  string          // what the kernel wrote to its log meanwhile
	//	Missed  []guest.Miss    // files that it could not open before it enabled a scheduler
	LoaderError = scx.LoaderError
	// AttachError is a scheduler that could not be loaded or enabled.
	//
	//	Reason string
	//	Kernel string    // what the kernel wrote to its log meanwhile
	AttachError = scx.AttachError
	// BusyError is an attempt to attach a second scheduler.
	//
	//	Scheduler string    // that is enabled
	BusyError = scx.BusyError
	// UnsupportedError is a kernel without sched_ext.
	//
	//	Release string    // of the kernel
	UnsupportedError = scx.UnsupportedError
)

// Kinds of exits: those of the kernel's enum scx_exit_kind.
const (
	ExitNone       = scx.ExitNone
	ExitUnreg      = scx.ExitUnreg      // unregistered by user space: its link was closed
	ExitUnregBPF   = scx.ExitUnregBPF   // it called scx_bpf_exit
	ExitUnregKern  = scx.ExitUnregKern  // the kernel ended it, such as for CPU hotplug
	ExitSysRq      = scx.ExitSysRq      // somebody pressed SysRq-S
	ExitError      = scx.ExitError      // an error that the kernel found
	ExitErrorBPF   = scx.ExitErrorBPF   // it called scx_bpf_error
	ExitErrorStall = scx.ExitErrorStall // a runnable task did not run for too long
	ExitErrorOther = scx.ExitErrorOther // an error of a kind that ktest does not know
)

// ErrNoScheduler says that the guest runs no scheduler of ours.
var ErrNoScheduler = errors.New("no scheduler is attached")

// Attach starts a scheduler in the guest, and returns when the kernel says that
// it is enabled. There can be one at a time.
func (vm *VM) Attach(ctx context.Context, s Scheduler) error {
	err := vm.attach(ctx, s)
	if err != nil {
		err = fmt.Errorf("start scheduler %s: %w", s.path, vm.because(err))
	}
	vm.mu.Lock()
	defer vm.mu.Unlock()
	vm.failed = err
	return err
}

func (vm *VM) attach(ctx context.Context, s Scheduler) error {
	ctx, cancel := vm.startLimit(ctx)
	defer cancel()
	source, object, err := vm.prepare(ctx, s)
	if err != nil {
		return err
	}
	vm.mu.Lock()
	vm.starting = s
	vm.mu.Unlock()
	vm.output.lines.reset()
	if err := vm.useCasts(ctx, s); err != nil {
		return err
	}
	source.Root = vm.symbol(ctx, "scx_root")
	var loaded func(context.Context) error
	if s.loaded != nil {
		loaded = func(ctx context.Context) error { return s.loaded(ctx, vm) }
	}
	started, err := scx.Start(ctx, vm.agent, source, object, vm.output, loaded)
	if err != nil {
		return err
	}
	vm.adopt(started)
	return nil
}

// adopt makes a scheduler that has been started the guest's.
func (vm *VM) adopt(started *scx.Scheduler) {
	for _, p := range started.Left() {
		vm.warn(notAttached(p))
	}
	if before := vm.current(); before != nil {
		vm.awaitReport(before)
	}
	if calls := vm.machine.Calls(); calls != nil {
		vm.enabledAt.Store(int64(calls.Now()))
	}
	last := vm.awaitLastMoment(started)
	unnoticed := vm.unexpectedExit() // of the scheduler before
	vm.mu.Lock()
	defer vm.mu.Unlock()
	vm.unnoticed = unnoticed
	vm.scheduler, vm.observed, vm.autopsy = started, false, make(chan struct{})
	close(vm.attached)
	vm.attached = make(chan struct{})
	vm.last = last
	aside, task := vm.agent.Aside(context.Background(), true)
	started.AtEnd(task.Act)
	started.OnRestart(func() { go vm.restarted(started) }) // which asks the guest
	go vm.awaitExit(aside, task, started, vm.autopsy)      // ends with the scheduler
}

// startLimit bounds the start of a scheduler by the host's time and, in a guest in lockstep, by the
// guest's: while nothing runs there, minutes pass in a second of the host's.
func (vm *VM) startLimit(ctx context.Context) (context.Context, context.CancelFunc) {
	limit := vm.cfg.Timeouts.Scheduler
	late := func(whose string) error {
		return fmt.Errorf("it is not, within %v of the %s time (Config.Timeouts.Scheduler): %w", limit, whose, context.DeadlineExceeded)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, limit, late("host's"))
	calls := vm.machine.Calls()
	if calls == nil {
		return ctx, cancel
	}
	ctx, end := context.WithCancelCause(ctx)
	rang, stop := calls.After(limit)
	go func() { // ends with ctx
		select {
		case stands := <-rang:
			end(late("guest's"))
			stands()
		case <-ctx.Done():
		}
	}()
	return ctx, func() { end(context.Canceled); cancel(); stop() }
}

// notAttached says why a program of an object does not run, and what to do.
func notAttached(p bpfload.Unattached) error {
	return fmt.Errorf("program %s is loaded, and nothing calls it: its section %q does not say what to attach it to, and ktest attaches what a skeleton on libbpf does. "+
		"A program of the scheduler's own can attach it (ktest.Binary); Scheduler.Load(false, %q) leaves it out", p.Program, p.Section, p.Program)
}

// check says what is wrong with a scheduler's file, and with what it is to start with,
// as far as that can be told without a guest. cpus is how many CPUs the guest will have.
func (s Scheduler) check(cpus int) error {
	if s.binary && s.loaded != nil {
		return errors.New("Scheduler.Loaded is for schedulers that are started from an object (ktest.Object): a program of its own does not tell when it has loaded")
	}
	if s.binary && len(s.changes) > 0 {
		return errors.New("Scheduler.Configure, Set, Resize and Load are for schedulers that are started from an object (ktest.Object): a program of its own configures its object itself, give it arguments")
	}
	if s.path == "" {
		return nil
	}
	if s.binary {
		return checkProgram(s.path)
	}
	obj, err := object.Open(s.path)
	if err != nil {
		return err
	}
	ops, err := s.opsIn(obj)
	if err != nil {
		return err
	}
	config, err := s.config(obj, cpus)
	if err != nil {
		return err
	}
	return checkName(obj, ops, config)
}

// opsIn returns the name of the struct_ops map that is the scheduler.
func (s Scheduler) opsIn(obj *object.Object) (string, error) {
	var all []string
	for i := range obj.Maps {
		m := &obj.Maps[i]
		if ktsnap.MapType(m.Type) == ktsnap.MapTypeStructOps && !strings.HasPrefix(m.Section, "?") && bpfload.IsScheduler(m.Value.TypeName()) {
			all = append(all, m.Name)
		}
	}
	switch {
	case len(all) == 0:
		return "", fmt.Errorf("%s is no scheduler: it has no struct sched_ext_ops in a section .struct_ops.link or .struct_ops", s.path)
	case s.ops == "" && len(all) > 1:
		return "", fmt.Errorf("%s has %d schedulers: name one of %s with Scheduler.Ops", s.path, len(all), strings.Join(all, ", "))
	case s.ops == "":
		return all[0], nil
	case !slices.Contains(all, s.ops):
		return "", fmt.Errorf("%s has no scheduler %q%s: those that it has are %s", s.path, s.ops, nearest.Hint(s.ops, all), strings.Join(all, ", "))
	}
	return s.ops, nil
}

// source reads an object, and what it is to start with.
func (s Scheduler) source(cpus int) (scx.Source, []byte, error) {
	obj, err := object.Open(s.path)
	if err != nil {
		return scx.Source{}, nil, err
	}
	ops, err := s.opsIn(obj)
	if err != nil {
		return scx.Source{}, nil, err
	}
	config, err := s.config(obj, cpus)
	if err != nil {
		return scx.Source{}, nil, err
	}
	contents, err := objectIn(s.path)
	return scx.Source{Object: s.path, Ops: ops, Config: config}, contents, err
}

// prepare reads an object, or puts a program into the guest that is not there.
func (vm *VM) prepare(ctx context.Context, s Scheduler) (scx.Source, []byte, error) {
	if err := s.check(vm.cfg.CPUs); err != nil {
		return scx.Source{}, nil, err
	}
	if !s.binary {
		return s.source(vm.cfg.CPUs)
	}
	source := scx.Source{Args: append([]string{s.programPath()}, s.args...), Env: s.env}
	if vm.cfg.Scheduler.binary && vm.cfg.Scheduler.path == s.path {
		return source, nil, nil // it was packed
	}
	return source, nil, vm.upload(ctx, s.programPath(), s.path)
}

// upload writes a program and the libraries that it needs to the guest.
func (vm *VM) upload(ctx context.Context, path, host string) error {
	needed, err := initramfs.Libraries(path, host)
	if err != nil {
		return err
	}
	needed = append(needed, initramfs.File{Guest: path, Host: host})
	for _, file := range needed {
		contents, err := os.ReadFile(file.Host)
		if err != nil {
			return err
		}
		// What is there already comes from this machine, too.
		if info, err := vm.agent.Stat(ctx, file.Guest); err == nil && info.Size == int64(len(contents)) {
			continue
		}
		if err := vm.agent.InstallFile(ctx, file.Guest, contents, 0o755); err != nil {
			return fmt.Errorf("copy %s into the guest: %w", file.Host, err)
		}
	}
	return nil
}

// Detach ends the scheduler and says how it ended. If it had ended by itself before, that
// is the end that is returned, and the test fails. The error is [ErrNoScheduler] if no
// scheduler has been attached.
func (vm *VM) Detach(ctx context.Context) (Exit, error) {
	s := vm.current()
	if s == nil {
		return Exit{}, ErrNoScheduler
	}
	exit, err := s.Stop(ctx)
	return exit, vm.because(err)
}

// AwaitExit waits until the scheduler ends by itself, and its end is captured
// ([SchedulerExit]), and says how it ended. Such an end is one that the test has asked for.
func (vm *VM) AwaitExit(ctx context.Context) (Exit, error) {
	vm.mu.Lock()
	s, captured := vm.scheduler, vm.autopsy
	vm.mu.Unlock()
	if s == nil {
		return Exit{}, ErrNoScheduler
	}
	defer vm.until(ctx, captured)()
	select {
	case <-captured:
	case <-ctx.Done():
	}
	if !isClosed(s.Done()) {
		return Exit{}, vm.because(fmt.Errorf("wait until scheduler %q ends: %w", s.Name(), context.Cause(ctx)))
	}
	exit, err := vm.exitOf(s)
	return vm.observe(s, exit, vm.because(err))
}

// Exited is closed when the scheduler has ended. It is nil if none has been
// attached.
func (vm *VM) Exited() <-chan struct{} {
	s := vm.current()
	if s == nil {
		return nil
	}
	return s.Done()
}

func (vm *VM) current() *scx.Scheduler {
	vm.mu.Lock()
	defer vm.mu.Unlock()
	return vm.scheduler
}

// observe notes that the caller knows how the scheduler ended.
func (vm *VM) observe(s *scx.Scheduler, exit Exit, err error) (Exit, error) {
	vm.mu.Lock()
	defer vm.mu.Unlock()
	if vm.scheduler == s {
		vm.observed = true
	}
	return exit, err
}

// tell notes that the test fails because of how the scheduler ended.
func (vm *VM) tell() {
	vm.mu.Lock()
	defer vm.mu.Unlock()
	vm.observed = true
}

// unexpectedExit returns why a scheduler has ended that nobody has asked to. It
// tells so once.
func (vm *VM) unexpectedExit() error {
	err := vm.untoldExit()
	if err != nil {
		vm.mu.Lock()
		vm.unasked = cmp.Or(vm.unasked, err)
		vm.mu.Unlock()
	}
	return err
}

func (vm *VM) untoldExit() error {
	s, err := vm.ended()
	if s == nil {
		return err
	}
	exit, err := vm.exitOf(s)
	switch {
	case err != nil:
		return vm.because(err)
	case s.Asked():
		return nil
	}
	return &ExitedError{Exit: exit}
}

// ended returns the scheduler if it has ended and that was not told yet, or else
// what was found of one before it.
func (vm *VM) ended() (*scx.Scheduler, error) {
	vm.mu.Lock()
	defer vm.mu.Unlock()
	if err := vm.unnoticed; err != nil {
		vm.unnoticed = nil
		return nil, err
	}
	if vm.scheduler == nil || vm.observed || vm.cfg.ExpectExit {
		return nil, nil
	}
	select {
	case <-vm.scheduler.Done():
		vm.observed = true
		return vm.scheduler, nil
	default:
		return nil, nil
	}
}

// endReason returns why there is no scheduler any more: an error that is
// [ErrNoScheduler] and, if the last one was not asked to end, how it ended.
func (vm *VM) endReason() error {
	s := vm.current()
	if s == nil {
		return ErrNoScheduler
	}
	select {
	case <-s.Done():
	default:
		return ErrNoScheduler
	}
	exit, err := vm.exitOf(s)
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", ErrNoScheduler, vm.because(err))
	case s.Asked():
		return ErrNoScheduler
	}
	return fmt.Errorf("%w: %w", ErrNoScheduler, &ExitedError{Exit: exit})
}

// died reports whether the scheduler has ended without having been asked to, in a
// guest that lives on.
func (vm *VM) died() bool {
	s := vm.current()
	if s == nil {
		return false
	}
	select {
	case <-s.Done():
	default:
		return false
	}
	_, err := s.Exit()
	return !s.Asked() && !errors.Is(err, guest.ErrLost)
}

// awaitVerdict waits for the report of a scheduler that the kernel does not have
// enabled any more, or will not have: it comes a moment after that.
func (vm *VM) awaitVerdict() {
	s := vm.current()
	if s == nil || vm.machine.Err() != nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), vm.cfg.Timeouts.Close)
	defer cancel()
	if runs, err := s.Runs(ctx); err != nil || runs && !vm.isEnding(ctx) {
		return
	}
	vm.awaitReport(s)
}

// isEnding tells whether the kernel has noted that it will end the scheduler. What the
// scheduler was asked fails from then on; that it is enabled is said for some time yet.
func (vm *VM) isEnding(ctx context.Context) bool {
	ending, _ := recall(vm, "look whether the scheduler ends", func() (bool, error) { return vm.noteOfEnd(ctx), nil })
	return ending
}

func (vm *VM) noteOfEnd(ctx context.Context) bool {
	f, err := vm.hitFreezer(ctx)
	if err != nil {
		return false
	}
	addr, size, err := f.ExitKind()
	if err != nil {
		return errors.Is(err, freeze.ErrNoScheduler)
	}
	noted, _ := isNoted(f, addr, size)
	return noted
}

// reportTime bounds the wait for a report. The agent gives a program that has let
// go of its scheduler some seconds to end.
const reportTime = 30 * time.Second

func (vm *VM) awaitReport(s *scx.Scheduler) {
	defer vm.until(context.Background(), s.Done())()
	select {
	case <-s.Done():
	case <-vm.machine.Done():
	case <-time.After(reportTime):
	}
}
