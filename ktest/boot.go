package ktest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/ktgen/ktgen/capture"
	"github.com/ktgen/ktgen/ktest/internal/scx"
	"github.com/ktgen/ktgen/scenario"
	"github.com/ktgen/ktgen/vmm"
	"github.com/ktgen/ktgen/vmm/guest"
	"github.com/ktgen/ktgen/vmm/kernel"
)

// Boot starts a guest, and the scheduler that cfg names, for the length of a
// test. It skips the test where no guest can boot (but not in CI), and fails it
// if something goes wrong.
//
// When the test has failed, the guest's console, its kernel's log, the
// scheduler's output and the latest snapshots are written to a directory that
// the test's log names.
func Boot(t testing.TB, cfg Config) *VM {
	t.Helper()
	ctx, cancel := startContext(t)
	defer cancel()
	cfg, err := cfg.seeded()
	if err != nil {
		noteRefusal(t, err)
		t.Fatalf("%v", err)
	}
	if err := cfg.ignoresSeed(); err != nil {
		t.Logf("warning: %v", err)
	}
	vm, err := start(ctx, cfg)
	if unable(err) && !inCI() {
		t.Skipf("no guest can boot here: %v", err)
	}
	if vm != nil {
		vm.tb = t
		vm.noteSeed(t)
		noteRefusal(t, err)
		t.Cleanup(vm.finish)
		for _, err := range vm.unsaid {
			vm.warn(err)
		}
	}
	if err != nil && vm == nil {
		reportLaunch(t, err)
	}
	if err != nil {
		t.Fatalf("%v", err)
	}
	return vm
}

// deadlineMargin is how long before a test's deadline a start is given up.
const deadlineMargin = 5 * time.Second

// startContext ends shortly before the test binary would be killed for taking
// too long, so that there is a message of what took the time.
func startContext(t testing.TB) (context.Context, context.CancelFunc) {
	withDeadline, ok := t.(interface{ Deadline() (time.Time, bool) })
	if !ok {
		return context.WithCancel(context.Background())
	}
	deadline, ok := withDeadline.Deadline()
	if !ok {
		return context.WithCancel(context.Background())
	}
	return context.WithDeadline(context.Background(), deadline.Add(-deadlineMargin))
}

// unable reports whether err says that this machine cannot boot any guest. A
// kernel or QEMU that was asked for and is not there is a mistake, which a skip
// would hide.
func unable(err error) bool {
	var noQEMU *vmm.NoQEMUError
	return errors.As(err, &noQEMU) && os.Getenv(vmm.EnvQEMU) == "" ||
		errors.Is(err, kernel.ErrNoKernel) && os.Getenv(kernel.Env) == ""
}

// inCI reports whether tests must run, as the environment variable CI says.
func inCI() bool {
	ci, err := strconv.ParseBool(os.Getenv("CI"))
	return err == nil && ci
}

// Start starts a guest, and the scheduler that cfg names. The caller closes
// it. ctx bounds the start only.
//
// The error may be one of package vmm, of package vmm/kernel, of package object
// for a file that is no BPF object, of package scenario, or of a scheduler: [*RejectedError],
// [*LoaderError], [*ExitedError], [*AttachError].
func Start(ctx context.Context, cfg Config) (*VM, error) {
	vm, err := start(ctx, cfg)
	if err != nil && vm != nil {
		vm.Close()
		return nil, err
	}
	return vm, err
}

// start is Start, but for a guest that was booted in vain: it comes with the
// error, as it can tell more of the reason.
func start(ctx context.Context, cfg Config) (*VM, error) {
	if err := cfg.Scheduler.check(cfg.CPUs); err != nil {
		return nil, fmt.Errorf("start scheduler %s: %w", cfg.Scheduler.path, err)
	}
	if err := cfg.checkScenarios(); err != nil {
		return nil, err
	}
	vm, err := launch(ctx, cfg)
	if err != nil {
		return vm, err
	}
	if cfg.Scheduler.path == "" {
		return vm, vm.useCasts(ctx, cfg.Scheduler)
	}
	return vm, vm.Attach(ctx, cfg.Scheduler)
}

// errNoAgent says what is missing in a program that wants to boot guests.
var errNoAgent = errors.New("this program cannot be a guest's init: add `func TestMain(m *testing.M) { ktest.Main(m) }` to the tests of this package, or `ktest.Init()` as the first line of main")

// launch boots a guest. One that boots, and cannot be used, comes with the error.
func launch(ctx context.Context, cfg Config) (*VM, error) {
	if !agentReady {
		return nil, errNoAgent
	}
	machine, k, err := cfg.machine(ctx)
	if err != nil {
		return nil, err
	}
	vm := &VM{cfg: cfg, image: k, output: newOutput(cfg.Output), captures: capture.New(cfg.Captures), attached: make(chan struct{})}
	vm.cfg.Timeouts = cfg.Timeouts.withDefaults()

	// The context of a launch bounds the life of the machine, which outlives
	// this function.
	life, end := context.WithCancelCause(context.Background())
	stop := context.AfterFunc(ctx, func() { end(context.Cause(ctx)) })
	go func() { _, _ = typesOf(k) }() // who needs them waits for them; the guest boots meanwhile
	vm.machine, err = vmm.Launch(life, machine, vmm.Hooks{Ready: cfg.greet, Restored: cfg.wake})
	if err != nil {
		end(nil)
		return nil, err
	}
	vm.end = func() { end(vmm.ErrClosed) }
	if err := vm.connect(ctx); err != nil {
		return vm, err
	}
	if vm.cfg.preparation == nil {
		if err := vm.checkSeed(); err != nil {
			return vm, err
		}
	}
	if !stop() {
		return vm, fmt.Errorf("start a guest: %w", context.Cause(ctx))
	}
	vm.StartClock()
	vm.mourning.Go(vm.awaitDeath) // ends with the guest
	return vm, nil
}

// machine returns the virtual machine to launch, and its kernel.
func (c Config) machine(ctx context.Context) (vmm.Config, *kernel.Kernel, error) {
	k, err := c.findKernel(ctx)
	if err != nil {
		return vmm.Config{}, nil, err
	}
	arranged, err := c.arranged()
	if err == nil {
		err = c.Topology.built(k, arranged)
	}
	if err != nil {
		return vmm.Config{}, nil, err
	}
	boot := k.Fastest()
	if c.KASLR {
		if boot, err = k.Randomized(); err != nil {
			return vmm.Config{}, nil, err
		}
	}
	archive, err := c.initramfs(ctx, k)
	if err != nil {
		return vmm.Config{}, nil, err
	}
	return c.booting(boot.Path, archive, arranged), k, nil
}

// booting returns the virtual machine that boots an image with an initramfs.
func (c Config) booting(image, archive string, arranged vmm.Config) vmm.Config {
	machine := vmm.Config{
		Kernel:    image,
		Initramfs: archive,
		Args:      append([]string{guest.KernelArg}, c.KernelArgs...),
		CPUs:      arranged.CPUs,
		Memory:    arranged.Memory,
		Topology:  arranged.Topology,
		Ports:     []string{guest.Port},
		Timeouts:  vmm.Timeouts{Boot: c.Timeouts.Boot, Restore: c.Timeouts.Restore, Call: c.Timeouts.Call},
		Lockstep:  c.lockstep(),
	}
	if c.preparation != nil {
		machine.Prepared = c.preparation.machine
	}
	if machine.Lockstep != nil {
		machine.Ports, machine.Args[0] = nil, guest.CallsArg
	}
	if len(c.Topology.Offline) > 0 {
		machine.Setup = fmt.Sprintf("CPUs %v are offline", c.Topology.Offline)
	}
	if c.NoTemplate {
		machine.Start = vmm.StartCold
	}
	return machine
}

// initramfs returns the path of the archive with the agent and what the guest's programs need.
func (c Config) initramfs(ctx context.Context, k *kernel.Kernel) (string, error) {
	files, err := c.guestFiles(ctx, k)
	if err != nil {
		return "", err
	}
	program, note, err := c.initProgram()
	if err != nil {
		return "", err
	}
	if note != "" {
		agentNote.Do(func() { fmt.Fprintln(os.Stderr, "ktest:", note) })
	}
	return image(program, files)
}

// agentNote has what there is to say of agents said once.
var agentNote sync.Once

func (c Config) findKernel(ctx context.Context) (*kernel.Kernel, error) {
	if c.Kernel == "" {
		return kernel.Find(ctx)
	}
	k, err := kernel.Open(ctx, c.Kernel)
	if err != nil {
		return nil, err
	}
	return k, k.Fit()
}

// greet waits for the agent of a guest that boots, and asks it about the
// kernel. The answer is kept with the template.
func (c Config) greet(ctx context.Context, machine *vmm.VM) ([]byte, error) {
	client, err := guest.Connect(ctx, lend(machine))
	if err != nil {
		return nil, err
	}
	var k guest.Kernel
	if err = c.Topology.setUp(ctx, client, machine); err == nil {
		k, err = client.Kernel(ctx)
	}
	if err == nil && c.Seed != 0 {
		err = keepSymbolsAnew(ctx, client, k)
	} else if err == nil {
		err = keepSymbols(ctx, client, k)
	}
	if err == nil && !c.NoTemplate {
		err = scx.Warm(ctx, client) // whose effect is in the template
	}
	if err != nil {
		client.Close()
		return nil, err
	}
	if err := client.Quiesce(ctx); err != nil {
		return nil, err
	}
	return json.Marshal(k)
}

// wake greets a guest that has been restored.
func (c Config) wake(ctx context.Context, machine *vmm.VM) error {
	client, err := guest.Connect(ctx, lend(machine))
	if err != nil {
		return err
	}
	wake := client.Wake
	if c.Seed != 0 {
		wake = func(ctx context.Context) error { return c.wakeInStep(ctx, client) }
	}
	if err := wake(ctx); err != nil {
		client.Close()
		return err
	}
	return client.Quiesce(ctx)
}

// connect begins the session that lasts as long as the VM.
func (vm *VM) connect(ctx context.Context) error {
	var err error
	if vm.agent, err = guest.Connect(ctx, lend(vm.machine)); err != nil {
		return vm.because(err)
	}
	if err := json.Unmarshal(vm.machine.State(), &vm.kernel); err != nil {
		return fmt.Errorf("read what the guest said of its kernel when it booted: %w", err)
	}
	if calls := vm.machine.Calls(); calls != nil {
		vm.clock.virtual = calls.Now
	}
	vm.scenario = scenario.NewGuest(vm.agent, vm.hooks())
	return nil
}
