package vmm

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"
)

// Hooks are the caller's part of a launch. Both are optional.
//
// Their context ends when the guest is no more or the phase has taken too
// long; the guest is then ended, and reads from its ports return.
type Hooks struct {
	// Ready waits until a booted guest is ready for use. What it returns is
	// kept with the template, for [VM.State]. When it returns, no data may be on its way
	// through a port, in either direction: templates do not have it.
	Ready func(ctx context.Context, vm *VM) ([]byte, error)

	// Restored greets a guest that was started from a template, which has
	// been standing still since Ready returned for another VM, maybe long ago: its wall
	// clock is that old, and it shares its random numbers to come with all
	// guests from this template. An error makes Launch drop the template and
	// boot.
	Restored func(ctx context.Context, vm *VM) error
}

// Launch starts a guest and returns it when it is ready: from a template if
// there is one for exactly this configuration, else by a boot. [VM.Origin] says which.
//
// ctx bounds the life of the VM, not only the launch: when it ends, the guest
// is killed. The caller closes the VM.
//
// The error is a [*ConfigError], [*FileError], [*NoQEMUError], [*MemoryError],
// [*BootError], or the cause of ctx.
func Launch(ctx context.Context, cfg Config, hooks Hooks) (*VM, error) {
	began := time.Now()
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	if err := checkHostMemory(cfg.Memory); err != nil {
		return nil, err
	}
	vm, err := launch(ctx, cfg, hooks)
	if err != nil {
		return nil, err
	}
	vm.timing.Total = time.Since(began)
	return vm, nil
}

// launch starts a guest of a complete configuration.
func launch(ctx context.Context, cfg Config, hooks Hooks) (*VM, error) {
	return withAccel(ctx, cfg, func(cfg Config, accel Accelerator) (*VM, error) {
		if cfg.Prepared != nil {
			return cfg.Prepared.start(ctx, cfg, accel, hooks)
		}
		if cfg.Start == StartCold {
			return boot(ctx, cfg, accel, hooks)
		}
		return launchFast(ctx, cfg, accel, hooks)
	})
}

// errSilent is why a guest is ended that does not write anything.
var errSilent = errors.New("no output")

// boot starts a guest from its kernel and waits until it is ready.
func boot(ctx context.Context, cfg Config, accel Accelerator, hooks Hooks) (*VM, error) {
	vm, err := start(ctx, cfg, accel)
	if err != nil {
		return nil, bootError(ctx, PhaseStart, &VM{cfg: cfg, accel: accel}, err)
	}

	silence := time.AfterFunc(cfg.Timeouts.FirstOutput-time.Since(vm.began), func() {
		if !vm.console.hasSpoken() {
			vm.fail(fmt.Errorf("%w within %v", errSilent, cfg.Timeouts.FirstOutput))
		}
	})
	defer silence.Stop()
	err = vm.within(vm.began, cfg.Timeouts.Boot, func(ctx context.Context) error {
		if hooks.Ready == nil {
			return nil
		}
		var err error
		vm.state, err = hooks.Ready(ctx, vm)
		return err
	})
	vm.timing.Ready = time.Since(vm.began)
	if vm.console.hasSpoken() {
		vm.timing.FirstOutput = vm.console.spokeAt.Sub(vm.began)
	}
	if err == nil {
		return vm, nil
	}
	vm.Close()
	phase := PhaseReady
	if errors.Is(err, errSilent) {
		phase = PhaseSilent
	}
	return nil, bootError(ctx, phase, vm, err)
}

// bootError describes a boot that failed. The end of the caller's context is
// passed on as it is.
func bootError(ctx context.Context, phase Phase, vm *VM, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", phase, context.Cause(ctx))
	}
	e := &BootError{Phase: phase, Accel: vm.accel.Accel, Err: err}
	if vm.console != nil {
		e.Console = vm.Console()
	}
	e.Advice = advice(e, vm.cfg)
	return e
}

// shortOfMemory are what kernels print that have too little.
var shortOfMemory = regexp.MustCompile(`System is deadlocked on memory|Initramfs unpacking failed: write error|Out of memory: Killed process`)

// advice says what to do about a boot that failed, where that can be told.
func advice(e *BootError, cfg Config) string {
	switch {
	case e.Phase == PhaseStart && cfg.Accel == KVM:
		return fmt.Sprintf("KVM was asked for by name (Config.Accel or $%s); %q takes it only where it works", EnvAccel, AccelAuto)
	case e.Phase == PhaseSilent:
		return fmt.Sprintf("check that the kernel has CONFIG_SERIAL_8250_CONSOLE=y and the accelerator works (try $%s=%s)", EnvAccel, TCG)
	case shortOfMemory.Match(e.Console):
		return fmt.Sprintf("give the guest more memory than %v (Config.Memory)", cfg.Memory)
	}
	return ""
}

// within calls f with a context that ends when the guest is no more. A guest for
// which f has not returned when the limit since began is over is ended. If the guest
// is no more when f returns, the VM's error is returned, since it is the reason of f's.
func (vm *VM) within(began time.Time, limit time.Duration, f func(context.Context) error) error {
	late := time.AfterFunc(limit-time.Since(began), func() {
		vm.fail(fmt.Errorf("not done within %v: %w", limit, context.DeadlineExceeded))
	})
	err := f(vm.alive)
	if !late.Stop() {
		<-vm.Done()
	}
	if err != nil {
		vm.settle()
	}
	if vm.Err() != nil {
		return vm.Err()
	}
	return err
}

// settle waits until it is clear whether the guest lives: a QEMU that is just
// ending does not answer any more.
func (vm *VM) settle() {
	ctx, cancel := context.WithTimeout(vm.alive, exitGrace)
	defer cancel()
	_, _ = vm.Status(ctx)
}
