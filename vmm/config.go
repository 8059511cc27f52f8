package vmm

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/ktgen/ktgen/vmm/cache"
)

// Environment variables that fill what a [Config] leaves open.
const (
	EnvQEMU  = "KTGEN_QEMU"  // Config.QEMU
	EnvAccel = "KTGEN_ACCEL" // Config.Accel
	EnvCache = cache.DirEnv  // Config.CacheDir
)

// Defaults of a [Config].
const (
	DefaultCPUs   = 2
	DefaultMemory = 512 * MiB

	maxCPUs = 255 // of QEMU's q35 without an IOMMU
)

// Config describes a virtual machine. The zero value of each field but Kernel
// and Initramfs stands for a default.
type Config struct {
	Kernel    string   // file: an uncompressed vmlinux with a PVH note, or a bzImage
	Initramfs string   // file: a cpio archive, compressed or not
	Args      []string // kernel arguments, after "console=ttyS0 panic=-1 oops=panic no_timer_check cryptomgr.notests"

	CPUs     int
	Topology Topology
	Memory   Size // guest RAM

	// Ports are the names of virtio-serial ports, such as "org.example.agent",
	// which the guest finds in /sys/class/virtio-ports. There, a port is either read
	// by calls that block or waited for by poll, never both: data that a poll sees
	// first wakes no blocked reader.
	Ports []string

	// Setup says what Hooks.Ready does to the guest beside waiting for it. It means
	// nothing here but that guests of different setups have no template in common.
	Setup string

	// Console gets a copy of what the guest writes to its serial console. A
	// Write that blocks while the guest writes more than a MiB loses output.
	Console io.Writer

	// Lockstep makes the guest's time move only while somebody waits for the guest. It
	// does without Ports.
	Lockstep *Lockstep

	// Prepared begins the guest where another one stood, which is all that else decides
	// what is in it. See [Calls.Begin].
	Prepared *Prepared

	Accel Accel
	QEMU  string // file or name of the QEMU binary

	Start    Start
	Timeouts Timeouts
	CacheDir string // for templates and what was learned about accelerators

	replay *replay // of another guest's run; nil for a run of its own
}

// Start says how a launch may start a guest.
type Start uint8

const (
	// StartFast starts from a template if there is one, and else boots and
	// keeps a template.
	StartFast Start = iota
	// StartCold boots, and neither uses nor keeps a template.
	StartCold
)

// Timeouts bound the phases of a launch.
type Timeouts struct {
	// FirstOutput is how long a boot may stay silent on the console. Default
	// 20 s, and 5 s while it is unknown whether KVM works.
	FirstOutput time.Duration
	// Boot is the time from the start of QEMU until Hooks.Ready returns.
	// Default 2 min and 5 s for each CPU: emulated ones take turns.
	Boot time.Duration
	// Restore is the time from the start of QEMU until Hooks.Restored
	// returns. Default 20 s.
	Restore time.Duration
	// Call is how long a guest in lockstep may run without a call to the host,
	// which it makes every Beat of its own time. Default 1 min, and ten times as
	// much in a run under watches.
	Call time.Duration
}

// withDefaults returns the configuration with every field set.
func (c Config) withDefaults() (Config, error) {
	c.Accel = cmp.Or(c.Accel, Accel(os.Getenv(EnvAccel)), AccelAuto)
	c.Timeouts.FirstOutput = cmp.Or(c.Timeouts.FirstOutput, 20*time.Second)
	c.Timeouts.Restore = cmp.Or(c.Timeouts.Restore, 20*time.Second)
	c.Timeouts.Call = cmp.Or(c.Timeouts.Call, time.Minute)
	c.Ports = slices.Clone(c.Ports)
	c.Args = slices.Clone(c.Args)
	if c.Lockstep != nil && c.Accel == AccelAuto {
		c.Accel = TCG
	}
	if c.Console == nil {
		c.Console = io.Discard
	}

	var err error
	if c.QEMU, err = findQEMU(cmp.Or(c.QEMU, os.Getenv(EnvQEMU))); err != nil {
		return c, err
	}
	if c.CacheDir, err = findCache(c.CacheDir); err != nil {
		return c, err
	}
	if c, err = c.Complete(); err != nil {
		return c, err
	}
	c.Timeouts.Boot = cmp.Or(c.Timeouts.Boot, 2*time.Minute+time.Duration(c.CPUs)*5*time.Second)
	return c, c.validate()
}

var portName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// validate looks for what QEMU would refuse with a riddle, or not at all.
func (c Config) validate() error {
	switch {
	case c.CPUs < 1 || c.CPUs > maxCPUs:
		return &ConfigError{"CPUs", fmt.Sprintf("%d is not between 1 and %d", c.CPUs, maxCPUs)}
	case c.Memory <= 0 || c.Memory%MiB != 0:
		return &ConfigError{"Memory", fmt.Sprintf("%v is not a multiple of %v: round it", c.Memory, MiB)}
	case !slices.Contains([]Accel{AccelAuto, TCG, KVM}, c.Accel):
		return &ConfigError{"Accel", fmt.Sprintf("%q is none of %q, %q, %q (it may come from $%s)", c.Accel, AccelAuto, TCG, KVM, EnvAccel)}
	}
	if err := c.checkLockstep(); err != nil {
		return err
	}
	for i, name := range c.Ports {
		if !portName.MatchString(name) {
			return &ConfigError{"Ports", fmt.Sprintf("%q is no port name: letters, digits, dots, dashes and underscores, 64 at most", name)}
		}
		if slices.Contains(c.Ports[:i], name) {
			return &ConfigError{"Ports", fmt.Sprintf("%q is there twice: give each port a name of its own", name)}
		}
	}
	for _, arg := range c.Args {
		if strings.ContainsAny(arg, "\x00\n") {
			return &ConfigError{"Args", fmt.Sprintf("%q has a zero byte or a line end in it: leave them out", arg)}
		}
	}
	return c.checkFiles()
}

// commandLine returns the kernel's command line.
func (c Config) commandLine() string {
	return strings.Join(append(slices.Clone(baseArgs), c.Args...), " ")
}

// baseArgs make the kernel write to the serial console, and end the machine
// (with QEMU's -no-reboot) when it panics, for which an oops is reason enough. The
// check of timer interrupts (arch/x86/kernel/apic/io_apic.c) counts them in a
// time that a busy host may not give the guest, and panics. The kernel's tests of its
// cryptography (crypto/testmgr.c) are half of what distributions' kernels execute while
// they boot. They go on for a second or two after the agent has answered.
var baseArgs = []string{"console=ttyS0", "panic=-1", "oops=panic", "no_timer_check", "cryptomgr.notests"}

// findQEMU returns the path of the QEMU binary.
func findQEMU(name string) (string, error) {
	candidates := []string{name}
	if name == "" {
		candidates = []string{"qemu-system-x86_64", "/usr/libexec/qemu-kvm"}
	}
	var first error
	for _, candidate := range candidates {
		path, err := exec.LookPath(candidate)
		if err == nil {
			return filepath.Abs(path)
		}
		first = cmp.Or(first, err)
	}
	return "", &NoQEMUError{Err: first}
}

// findCache returns the directory for what outlives a process.
func findCache(dir string) (string, error) {
	if dir != "" {
		return filepath.Abs(dir)
	}
	return cache.Dir()
}
