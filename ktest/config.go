package ktest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/ktgen/ktgen/capture"
	"github.com/ktgen/ktgen/freeze"
	"github.com/ktgen/ktgen/runtime/ktsnap"
	"github.com/ktgen/ktgen/scenario"
	"github.com/ktgen/ktgen/vmm"
)

// Config describes a guest. The zero value is one with 2 CPUs, 512 MiB of
// memory, and no scheduler, on the kernel that `ktgen kernel fetch` gets.
type Config struct {
	CPUs     int
	Memory   vmm.Size
	Topology Topology

	// Kernel is the image to boot, a bzImage or an ELF vmlinux. If it is empty
	// the kernel is searched for; see package vmm/kernel.
	Kernel string
	// KASLR boots the kernel at a random address, which takes longer.
	KASLR bool
	// Modules are the names of modules of the kernel that are loaded before anything else
	// runs in the guest, with what they depend on: their functions can be attached to, and
	// called by programs, as those of the kernel. Those that ktgen's guests need for themselves
	// are loaded anyway.
	Modules []string
	// KernelArgs are added to the kernel's command line.
	KernelArgs []string

	// Seed puts the guest in lockstep, unless it is 0: its time moves only while the test waits for it, and
	// what happens in it is decided by the seed and by what the test does, down to the
	// last bit of its memory, however busy the host is. Another seed is another
	// interleaving of the vCPUs.
	//
	// Whenever the test's own code runs, the whole guest stands in the middle of one
	// instruction: captures, writes, and whatever time the test takes cost the guest no time. So
	// time passes only in calls that wait: [VM.Hold], [VM.Run], [VM.Await], [VM.Exec] and
	// their like; a test that sleeps on the host waits in vain. Times are the guest's.
	//
	// One goroutine of the test calls the VM: of calls at the same time the order is the
	// host's. Such guests run on QEMU's TCG, which must be linked dynamically, and have no watchpoints ([VM.Watch], [BeforeExit]);
	// [VM.Blame] tells who has written to a place.
	Seed     uint64
	seedKey  string // that the seed belongs to; empty for any
	searched bool   // the guest is one of a Search, which tells how its run is repeated

	// Scheduler is started once the guest is up.
	Scheduler Scheduler

	// Scenarios are what the test is going to perform. They are checked before
	// the boot, so that a mistake in them costs no guest; [VM.TryRun] performs them.
	Scenarios []scenario.Scenario

	// Objects are BPF objects, or programs with some inside, that something else
	// than ktest loads. Captures follow the pointers to objects of the kernel in
	// their data, also those that are declared as integers, as they do for
	// Scheduler.
	Objects []string

	// Casts say what pointers in the scheduler's data lead to where its instructions
	// do not tell, or something else. Dumps and reads by path go by them: what
	// ktgen -payload 'task_slot.data+8=struct task_ctx' says for generated code is
	// {In: "struct task_slot", Path: "data", To: "struct task_ctx", Behind: 8}.
	Casts []ktsnap.Cast

	// Files are put into the guest: path there to path here. Programs among
	// them come with the shared libraries that they need.
	Files map[string]string

	// NoTemplate boots the guest, where otherwise one that has booted before
	// is restored in a fraction of the time.
	NoTemplate bool

	// ExpectExit says that the test makes its scheduler end. Otherwise each end
	// that the test has not asked for, by [VM.Detach] or [VM.AwaitExit], fails it:
	// a scheduler that the kernel throws out, one that ends itself, a program
	// that ends. A program that starts its scheduler again goes on with it ([VM.Restarts]).
	ExpectExit bool

	// NoBeforeExit does without the capture of the moment in which the kernel
	// decides to end a scheduler ([BeforeExit]), for which a watchpoint is armed
	// while the scheduler runs. With it each capture stops the guest through QEMU's
	// gdbstub, which takes a little longer.
	NoBeforeExit bool

	// Output gets what a scheduler's own binary writes, as it is written.
	Output io.Writer

	// Capture limits what snapshots hold.
	Capture freeze.Options

	// Statistics is where the scheduler tells its own statistics. Each capture
	// comes with them.
	Statistics Statistics

	// Captures says how many of them are kept, and where.
	Captures capture.Options

	Timeouts Timeouts
}

// checkScenarios says what is wrong with the scenarios, and with the machine that
// they are for, as far as that can be told without a guest.
func (c Config) checkScenarios() error {
	arranged, err := c.arranged()
	if err != nil {
		return err
	}
	machine := scenario.Machine{CPUs: arranged.CPUs, Offline: c.Topology.Offline, Scheduler: c.Scheduler.path != ""}
	for i, s := range c.Scenarios {
		if err := s.Check(machine); err != nil {
			return fmt.Errorf("scenario %d of %d cannot be performed, and no guest was booted: %w", i+1, len(c.Scenarios), err)
		}
	}
	return nil
}

// Timeouts bound what takes time. Zero values stand for the defaults.
type Timeouts struct {
	Boot      time.Duration // from QEMU's start to the agent's answer; default 2 min and 5 s for each CPU
	Restore   time.Duration // the same for a guest that is restored; default 20 s
	Scheduler time.Duration // from a scheduler's start until it is enabled; default 1 min
	Capture   time.Duration // a snapshot; default 30 s
	Close     time.Duration // collecting the guest's log after a failure; default 5 s
}

func (t Timeouts) withDefaults() Timeouts {
	t.Scheduler = cmp.Or(t.Scheduler, time.Minute)
	t.Capture = cmp.Or(t.Capture, 30*time.Second)
	t.Close = cmp.Or(t.Close, 5*time.Second)
	return t
}

// Scheduler says which scheduler to run and how to start it. The zero value is
// none.
type Scheduler struct {
	path   string // on the host; empty for none
	binary bool
	ops    string
	args   []string
	env    []string
	loaded func(context.Context, *VM) error

	changes []ktsnap.Initial // of what the object starts with
}

// Object is a scheduler that is started from a BPF object, or from the only one that a
// program has inside: it is loaded and its
// struct_ops map is attached. What it starts with is what the file says, or what
// [Scheduler.Configure] makes of that. Objects that need more are started by their own
// program; see [Binary].
func Object(path string) Scheduler { return Scheduler{path: path} }

// Binary is a scheduler that is started by its own program, with arguments.
// The shared libraries that the program needs are taken from this machine. In the
// guest it is root, whose home is there, and finds /sys with the [Topology], cgroup2,
// bpffs, debugfs, tracefs, hugetlbfs (pages of which Config.KernelArgs reserves:
// "hugepages=64"), the kernel's configuration in /boot, users and hosts in /etc, and a
// loopback interface that is up. There is no terminal and no other network. A program
// that starts its scheduler again is followed; see [VM.Restarts].
func Binary(path string, args ...string) Scheduler {
	return Scheduler{path: path, binary: true, args: args}
}

// String returns the scheduler's file, with the arguments of a program.
func (s Scheduler) String() string { return strings.Join(append([]string{s.path}, s.args...), " ") }

// Check says what is wrong with the scheduler's file as far as that can be told
// without a guest.
func (s Scheduler) Check() error {
	if s.path == "" {
		return errors.New("it names no file: use ktest.Object or ktest.Binary")
	}
	return s.check(0)
}

// Ops names the struct_ops map to attach, for an object that has several.
func (s Scheduler) Ops(name string) Scheduler {
	s.ops = name
	return s
}

// Env adds "name=value" to the environment of a scheduler's program.
func (s Scheduler) Env(env ...string) Scheduler {
	s.env = append(s.env[:len(s.env):len(s.env)], env...)
	return s
}

// Loaded has f called when the object's programs and maps are in the guest, and
// before the scheduler is attached: no task has been scheduled by it. f can
// take snapshots and write ([Writing]); if it returns an error the scheduler is not
// attached.
// It is for schedulers that are started from an object.
func (s Scheduler) Loaded(f func(ctx context.Context, vm *VM) error) Scheduler {
	s.loaded = f
	return s
}
