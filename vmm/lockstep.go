package vmm

import (
	"fmt"
	"runtime"
	"strconv"
	"time"

	"github.com/ktgen/ktgen/vmm/mailbox"
)

// Lockstep describes a guest that runs only while somebody waits for it, and that does the same
// each time: two guests of one template, with equal Lockstep, that are asked the same
// in the same order, have the same memory, bit for bit.
//
// It runs on TCG, its clock counts instructions (QEMU's -icount), and its agent speaks
// through memory (package vmm/mailbox); see [Calls].
type Lockstep struct {
	// Quanta are periods of timers on the guest's clock that do nothing, except that
	// each time one expires the turn of the vCPU that runs ends. The guest does not see
	// them. Without any, turns end by the guest's own timers.
	Quanta []time.Duration
	// Preemption ends turns at instructions of some code; nil ends none.
	Preemption *Preemption
	// Rule names how the rest was chosen of a seed, and has another number if that changes: it is in
	// the key of seeds ([VM.SeedKey]).
	Rule int
	// Offset is how long the agent loops before it does anything, in turns of its loop.
	Offset uint32
	// Random is what QEMU's own random numbers, such as the guest's rdrand, are made of.
	Random uint32
	// Watched lets [VM.Watch] watch the guest, which is slower then and does the same.
	Watched bool
	// Told keeps all that the agent says, for [VM.Prepared].
	Told bool
}

// booting is what guests are booted with that a template is kept of: what differs
// from guest to guest begins after that.
var booting = &Lockstep{Random: 1}

// virtualStart is the date at which guests in lockstep boot.
const virtualStart = "2026-01-01"

// clockwork returns the arguments that are the same for all guests of a template.
func (c Config) clockwork() []string {
	if c.Lockstep == nil {
		return nil
	}
	note := fdPorts + len(c.Ports)
	return []string{
		"-name", "guest,debug-threads=on", // see ofVCPUs, hold/hold.c
		"-icount", "shift=1,sleep=off", // 2 ns for an instruction; idle time takes none
		"-rtc", "base=" + virtualStart + ",clock=vm",
		"-chardev", fmt.Sprintf("file,id=note,path=/proc/self/fd/%d", note),
		"-device", fmt.Sprintf("isa-debugcon,iobase=%#x,chardev=note", mailbox.PortNote),
		"-chardev", socketChardev("block", note+1),
		"-device", fmt.Sprintf("isa-debugcon,iobase=%#x,chardev=block", mailbox.PortBlock),
		// Without events, the kernel's own driver of the device has nothing to tell.
		"-device", fmt.Sprintf("pvpanic,ioport=%d,events=0", mailbox.PortStop), "-action", "panic=pause",
	}
}

// holdDigest says which library is in a QEMU, as it decides what runs are like.
func (c Config) holdDigest() string {
	if c.Lockstep == nil {
		return ""
	}
	return hashText(string(holdLibrary))
}

func (l *Lockstep) rule() int {
	if l == nil {
		return 0
	}
	return l.Rule
}

// startArgs returns the arguments for a guest that is booted. One in lockstep waits until QEMU has
// answered, so that nothing else is for QEMU to do while it boots.
func (c Config) startArgs() []string {
	if c.Lockstep == nil {
		return nil
	}
	return []string{"-S"}
}

// lockstepWires returns how many descriptors clockwork takes.
func (c Config) lockstepWires() int {
	if c.Lockstep == nil {
		return 0
	}
	return 4
}

// environment returns the variables for a QEMU that are not this process's.
func (c Config) environment() []string {
	if c.Lockstep == nil {
		return nil
	}
	note := fdPorts + len(c.Ports)
	return holdEnvironment(note+3, note+2, note)
}

// args returns the arguments that differ from guest to guest. A net filter without a
// card has nothing to filter, and a periodic timer.
func (l *Lockstep) args() []string {
	if l == nil {
		return nil
	}
	args := []string{"-seed", strconv.FormatUint(uint64(l.Random), 10)}
	for i, period := range l.Quanta {
		args = append(args,
			"-netdev", fmt.Sprintf("hubport,id=net%d,hubid=%d", i, i),
			"-object", fmt.Sprintf("filter-buffer,id=quantum%d,netdev=net%d,interval=%d", i, i, period.Microseconds()))
	}
	return args
}

// maxQuanta bounds the timers of a guest.
const maxQuanta = 16

func (c Config) checkLockstep() error {
	switch {
	case c.Lockstep == nil:
		return nil
	case c.Accel == KVM:
		return &ConfigError{"Lockstep", fmt.Sprintf("guests in lockstep count instructions, which %s cannot: leave Config.Accel (or $%s) empty, or %q", KVM, EnvAccel, TCG)}
	case runtime.GOARCH != "amd64":
		return &ConfigError{"Lockstep", fmt.Sprintf("guests in lockstep need a library in QEMU that is there for amd64, and this is %s: leave it nil", runtime.GOARCH)}
	case len(c.Ports) > 0:
		return &ConfigError{"Lockstep", "what comes through a port comes at a time of the host's, which is not repeated: leave Config.Ports empty, and use VM.Calls"}
	case len(c.Lockstep.Quanta) > maxQuanta:
		return &ConfigError{"Lockstep", fmt.Sprintf("%d quanta are more than %d: give fewer", len(c.Lockstep.Quanta), maxQuanta)}
	}
	for _, q := range c.Lockstep.Quanta {
		if q < time.Microsecond || q > time.Second {
			return &ConfigError{"Lockstep", fmt.Sprintf("a quantum of %v is not between 1 us and 1 s: choose one that is", q)}
		}
	}
	if err := c.Lockstep.Preemption.check(); err != nil {
		return err
	}
	if c.Lockstep.Watched {
		return c.checkWitness()
	}
	return nil
}
