package vmm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"time"

	"golang.org/x/sync/errgroup"
)

// This file starts guests from templates, and makes templates of booted
// guests.

// launchFast starts a guest from its template. If there is none, or it cannot be
// started from, it boots and keeps a template.
func launchFast(ctx context.Context, cfg Config, accel Accelerator, hooks Hooks) (*VM, error) {
	store, key, err := findTemplate(cfg, accel.Accel)
	if err != nil {
		return bootWithout(ctx, cfg, accel, hooks, fmt.Sprintf("no templates: %v", err))
	}
	vm, err := restore(ctx, cfg, accel, hooks, store, key)
	if err == nil || ctx.Err() != nil {
		return vm, err
	}
	unlock, lockErr := store.lock(ctx, key, cfg.Timeouts.Boot)
	if lockErr != nil {
		if ctx.Err() != nil {
			return nil, lockErr
		}
		return bootWithout(ctx, cfg, accel, hooks, fmt.Sprintf("no template: %v", lockErr))
	}
	defer unlock()
	// Another launch may have made a template meanwhile.
	vm, again := restore(ctx, cfg, accel, hooks, store, key)
	if again == nil || ctx.Err() != nil {
		return vm, again
	}
	if cfg.Lockstep != nil {
		return viaTemplate(ctx, cfg, accel, hooks, store, key)
	}
	if vm, err = bootWithout(ctx, cfg, accel, hooks, restoreNote(err, again)); err != nil {
		return nil, err
	}
	if err = vm.keep(store, key); err == nil {
		return vm, nil
	}
	vm.Close()
	if ctx.Err() != nil {
		return nil, fmt.Errorf("%s: %w", PhaseKeep, context.Cause(ctx))
	}
	return bootWithout(ctx, cfg, accel, hooks, fmt.Sprintf("no template: the guest did not survive the making of one: %v", err))
}

// viaTemplate boots a guest to make a template of it, and starts another one from that: the
// first has not begun by its own Lockstep.
func viaTemplate(ctx context.Context, cfg Config, accel Accelerator, hooks Hooks, store *templateStore, key string) (*VM, error) {
	first := cfg
	first.Lockstep = booting
	vm, err := boot(ctx, first, accel, hooks)
	if err != nil {
		return nil, err
	}
	err = vm.keepParked(store, key)
	vm.Close()
	if err != nil {
		return nil, fmt.Errorf("%s: %w (a guest in lockstep starts from one; Config.Start = StartCold boots)", PhaseKeep, err)
	}
	return restore(ctx, cfg, accel, hooks, store, key)
}

// keepParked makes a template of a guest in lockstep, which is of no use afterwards.
func (vm *VM) keepParked(store *templateStore, key string) error {
	ctx, cancel := context.WithTimeoutCause(vm.alive, keepTimeout, fmt.Errorf("not done within %v: %w", keepTimeout, context.DeadlineExceeded))
	defer cancel()
	if err := vm.park(ctx); err != nil {
		return err
	}
	return vm.saveTo(ctx, store, key)
}

// park stops a guest in lockstep where QEMU can save it.
func (vm *VM) park(ctx context.Context) error {
	if err := vm.calls.Park(ctx); err != nil {
		return err
	}
	vm.pause.parked = true
	return nil
}

// bootWithout boots a guest without a template, for the reason that note
// gives.
func bootWithout(ctx context.Context, cfg Config, accel Accelerator, hooks Hooks, note string) (*VM, error) {
	vm, err := boot(ctx, cfg, accel, hooks)
	if err != nil {
		return nil, err
	}
	vm.origin.Note = note
	return vm, nil
}

// restoreNote says why a guest was not restored. That there is no template is
// nothing to talk about.
func restoreNote(errs ...error) string {
	for _, err := range errs {
		if !errors.Is(err, fs.ErrNotExist) {
			return err.Error()
		}
	}
	return ""
}

// findTemplate returns the store and the key of the template for cfg.
func findTemplate(cfg Config, accel Accel) (*templateStore, string, error) {
	store, err := openStore(cfg.CacheDir)
	if err != nil {
		return nil, "", err
	}
	key, err := templateKey(cfg, accel)
	return store, key, err
}

// templateKey returns the hash of everything that a guest's state after boot
// depends on.
func templateKey(cfg Config, accel Accel) (string, error) {
	kernel, err := digestFile(cfg.CacheDir, cfg.Kernel)
	if err != nil {
		return "", err
	}
	initramfs, err := digestFile(cfg.CacheDir, cfg.Initramfs)
	if err != nil {
		return "", err
	}
	qemu, _, err := fileIdentity(cfg.QEMU)
	if err != nil {
		return "", err
	}
	cfg.Kernel, cfg.Initramfs = kernel, initramfs
	text, err := json.Marshal(struct {
		Format    int
		QEMU      string
		CPU       string
		Arguments []string
		Setup     string `json:",omitempty"`
		Hold      string `json:",omitempty"`
	}{templateFormat, qemu, hostCPU(accel), cfg.arguments(accel), cfg.Setup, cfg.holdDigest()})
	if err != nil {
		return "", err
	}
	return hashText(string(text)), nil
}

var cpuIdentity = regexp.MustCompile(`(?m)^(vendor_id|cpu family|model|model name|stepping|microcode|flags)\s*:.*$`)

// hostCPU describes the host's first CPU if guests see it.
func hostCPU(accel Accel) string {
	if accel != KVM {
		return ""
	}
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return ""
	}
	const lines = 7
	return fmt.Sprintf("%q", cpuIdentity.FindAll(text, lines))
}

// restore starts a guest from its template. The error is fs.ErrNotExist if there
// is none. A template that does not work is removed.
func restore(ctx context.Context, cfg Config, accel Accelerator, hooks Hooks, store *templateStore, key string) (*VM, error) {
	t, err := store.open(key, cfg.Memory)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var vm *VM
	if err == nil {
		vm, err = t.start(ctx, cfg, accel, hooks)
		t.close()
	}
	if err == nil {
		return vm, nil
	}
	if ctx.Err() != nil {
		return nil, fmt.Errorf("%s: %w", PhaseRestore, context.Cause(ctx))
	}
	store.remove(key)
	return nil, &RestoreError{Template: store.path(key), Err: err}
}

// start starts a guest from the template and waits for Hooks.Restored.
func (t *template) start(ctx context.Context, cfg Config, accel Accelerator, hooks Hooks) (*VM, error) {
	vm, devices, err := t.prepare(ctx, cfg, accel)
	if err != nil {
		return nil, err
	}
	err = vm.within(vm.began, cfg.Timeouts.Restore, func(ctx context.Context) error {
		if err := vm.awake(ctx, devices); err != nil {
			return err
		}
		if hooks.Restored == nil {
			return nil
		}
		return hooks.Restored(ctx, vm)
	})
	if err != nil {
		vm.Close()
		return nil, err
	}
	vm.origin.Restored = true
	vm.timing.Restored = time.Since(vm.began)
	return vm, nil
}

// prepare starts a QEMU that waits for the state of its devices, and copies
// the RAM meanwhile.
func (t *template) prepare(ctx context.Context, cfg Config, accel Accelerator) (*VM, []byte, error) {
	vm, err := spawn(cfg, accel, incomingArgs...)
	if err != nil {
		return nil, nil, err
	}
	var s still
	var g errgroup.Group
	g.Go(func() error { return vm.copyFrom(t) })
	g.Go(func() (err error) {
		s, err = t.still()
		return err
	})
	err = vm.connect(ctx)
	copyErr := g.Wait()
	if err != nil {
		return nil, nil, err
	}
	if copyErr != nil {
		vm.Close()
		return nil, nil, copyErr
	}
	vm.state, vm.boxAt = s.state, s.mailbox
	vm.console.recall(s.console)
	return vm, s.devices, nil
}

// copyFrom takes the guest's RAM from a template.
func (vm *VM) copyFrom(t *template) error {
	began := time.Now()
	defer func() { vm.timing.Copy = time.Since(began) }()
	return t.copyRAM(vm.ram)
}

// awake loads the devices of a guest whose RAM is complete, and lets it run.
func (vm *VM) awake(ctx context.Context, devices []byte) error {
	began := time.Now()
	if err := vm.loadDevices(ctx, devices); err != nil {
		return err
	}
	vm.timing.Devices = time.Since(began)
	if err := vm.wake(); err != nil || vm.calls == nil {
		return err
	}
	go vm.calls.run() // ends with the guest
	return nil
}

// wake lets a guest run whose devices are loaded.
func (vm *VM) wake() error {
	if vm.calls != nil {
		vm.witness.begin(vm.boxAt)
		if err := vm.calls.unpark(vm.boxAt, vm.cfg.Lockstep.Offset); err != nil {
			return err
		}
	}
	return vm.cont()
}

// keepTimeout bounds the making of a template. It takes a fraction of a second
// on an idle machine, and as long as the disk wants on a busy one.
const keepTimeout = time.Minute

// keep makes a template of the guest. That no template could be made is noted
// in the VM's origin. It is an error only if the guest is no more.
func (vm *VM) keep(store *templateStore, key string) error {
	began := time.Now()
	ctx, cancel := context.WithTimeoutCause(vm.alive, keepTimeout, fmt.Errorf("not done within %v: %w", keepTimeout, context.DeadlineExceeded))
	defer cancel()
	err := vm.saveTo(ctx, store, key)
	vm.timing.Keep = time.Since(began)
	if err == nil {
		return nil
	}
	vm.settle()
	if vm.Err() != nil {
		return vm.Err()
	}
	vm.origin.Note = fmt.Sprintf("no template was kept: %v", err)
	return nil
}

// saveTo adds a template of the guest to the store.
func (vm *VM) saveTo(ctx context.Context, store *templateStore, key string) error {
	return vm.save(ctx, func(s still) error {
		return store.put(key, func(f *os.File) error { return writeTemplate(ctx, f, vm.ram, s) })
	})
}

// save has the guest be written while it is paused.
func (vm *VM) save(ctx context.Context, write func(still) error) (err error) {
	if err := vm.Pause(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, vm.Resume()) }()
	devices, err := vm.saveDevices(ctx)
	if err != nil {
		return err
	}
	return write(still{state: vm.state, console: vm.Console(), devices: devices, mailbox: vm.boxAt})
}
