package vmm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/ktgen/ktgen/vmm/cache"
)

// Accel is a way for QEMU to run a guest's code.
type Accel string

const (
	AccelAuto Accel = "auto" // KVM where guests boot on it, else TCG
	TCG       Accel = "tcg"  // translation: slow, works everywhere
	KVM       Accel = "kvm"  // the host's /dev/kvm
)

// args returns QEMU's arguments for the accelerator.
//
// TCG runs all vCPUs in one thread. With a thread each, QEMU now and then
// executes the int3 instruction of a finished kernel text patching from a stale
// translation, which kills the guest ("Oops: int3"); sched_ext patches text a lot.
// One thread is no slower on the few CPUs of a CI machine.
func (a Accel) args() []string {
	if a == KVM {
		return []string{"-accel", "kvm"}
	}
	return []string{"-accel", "tcg,thread=single"}
}

// Accelerator is the accelerator that a VM runs on.
type Accelerator struct {
	Accel  Accel
	Reason string // why this one, for a person
}

func (a Accelerator) String() string { return string(a.Accel) + " (" + a.Reason + ")" }

// silenceOnKVM is how long a guest on a KVM that has not proved itself may take
// to its first output. On a KVM that works it takes well under a second.
const silenceOnKVM = 5 * time.Second

// withAccel calls launch with the accelerator to use.
//
// That /dev/kvm can be opened, and even makes vCPUs, does not say that a guest
// boots on it. So the first launch on a host is the probe: it tries KVM, and if the
// guest stays silent or is stopped it goes on with TCG. The outcome is remembered
// until the host reboots.
func withAccel(ctx context.Context, cfg Config, launch func(Config, Accelerator) (*VM, error)) (*VM, error) {
	if cfg.Accel != AccelAuto {
		return launch(cfg, Accelerator{cfg.Accel, "as configured"})
	}
	if err := openKVM(); err != nil {
		return launch(cfg, Accelerator{TCG, fmt.Sprintf("no KVM: %v", err)})
	}
	memo := filepath.Join(cfg.CacheDir, cache.Accels, accelKey(cfg))
	if known, ok := readAccel(memo); ok {
		return launchKnown(cfg, known, memo, launch)
	}
	unlock := lockProbe(ctx, cfg, memo)
	defer unlock()
	if known, ok := readAccel(memo); ok { // another launch has probed meanwhile
		unlock()
		return launchKnown(cfg, known, memo, launch)
	}
	return probeKVM(ctx, cfg, memo, launch)
}

// lockProbe keeps others from probing KVM at the same time, who would all wait
// in vain for its first output. Where that is impossible they do.
func lockProbe(ctx context.Context, cfg Config, memo string) (unlock func()) {
	ctx, cancel := context.WithTimeout(ctx, cfg.Timeouts.Boot)
	defer cancel()
	if os.MkdirAll(filepath.Dir(memo), 0o755) != nil {
		return func() {}
	}
	unlock, err := cache.Lock(ctx, filepath.Join(filepath.Dir(memo), ".lock"))
	if err != nil {
		return func() {}
	}
	return unlock
}

// launchKnown uses what an earlier launch has found out.
func launchKnown(cfg Config, known Accelerator, memo string, launch func(Config, Accelerator) (*VM, error)) (*VM, error) {
	vm, err := launch(cfg, known)
	if err != nil && known.Accel == KVM && neverRan(err) {
		os.Remove(memo) // the next launch probes anew
	}
	return vm, err
}

// probeKVM tries KVM, then TCG, and remembers which one it was.
func probeKVM(ctx context.Context, cfg Config, memo string, launch func(Config, Accelerator) (*VM, error)) (*VM, error) {
	probe := cfg
	probe.Timeouts.FirstOutput = min(cfg.Timeouts.FirstOutput, silenceOnKVM)
	works := Accelerator{KVM, "guests boot on it"}
	vm, err := launch(probe, works)
	if err == nil {
		writeAccel(memo, works)
		return vm, nil
	}
	if ctx.Err() != nil || !neverRan(err) {
		return nil, err
	}
	fails := Accelerator{TCG, "guests do not boot on this host's KVM: " + reason(err)}
	vm, err = launch(cfg, fails)
	if err == nil {
		// A guest that boots on neither says nothing about KVM.
		writeAccel(memo, fails)
	}
	return vm, err
}

// openKVM returns why /dev/kvm cannot be used, if that is plain to see.
func openKVM() error {
	f, err := os.OpenFile("/dev/kvm", os.O_RDWR, 0)
	if err != nil {
		if errors.Is(err, os.ErrPermission) {
			return fmt.Errorf("%w (be in the group kvm)", err)
		}
		return err
	}
	return f.Close()
}

// neverRan reports whether a launch failed in a way that an accelerator that
// does not work makes it fail.
func neverRan(err error) bool {
	var boot *BootError
	if !errors.As(err, &boot) {
		return false
	}
	return boot.Phase == PhaseStart || boot.Phase == PhaseSilent || is[*InfraError](err)
}

// reason returns what a launch failed of, in a few words.
func reason(err error) string {
	var boot *BootError
	if errors.As(err, &boot) {
		err = boot.Err
	}
	var infra *InfraError
	if errors.As(err, &infra) {
		return infra.What
	}
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

// accelKey identifies what an accelerator was found out for: this run of the
// host's kernel, and this QEMU.
func accelKey(cfg Config) string {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		boot = []byte(time.Now().String()) // never found again
	}
	qemu, _, err := fileIdentity(cfg.QEMU)
	if err != nil {
		qemu = cfg.QEMU
	}
	return hashText(string(boot) + qemu)
}

func readAccel(memo string) (Accelerator, bool) {
	var a Accelerator
	text, err := os.ReadFile(memo)
	if err != nil || json.Unmarshal(text, &a) != nil {
		return a, false
	}
	return a, a.Accel == KVM || a.Accel == TCG
}

// writeAccel remembers an accelerator. Where that fails the next launch probes
// again.
func writeAccel(memo string, a Accelerator) {
	text, err := json.Marshal(a)
	if err != nil {
		return
	}
	_ = writeFileAtomic(memo, text)
}
