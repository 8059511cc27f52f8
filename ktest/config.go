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
	CPUs     int      // 2 if 0, unless Topology says it
	Memory   vmm.Size // 512 MiB if 0
	Topology Topology

	// Kernel is the image to boot, a bzImage or an ELF vmlinux. If it is empty, that is
	// the kernel that `ktgen kernel` marks.
	Kernel string
	// KASLR boots the kernel at a random address, which takes longer.
	KASLR bool
	// Modules are the names of modules of the kernel that the guest loads before anything
	// else runs, with what they depend on. BPF programs can then call their kfuncs, and be
	// attached to their functions. The modules that each guest needs are loaded anyway.
	Modules []string
	// KernelArgs are added to the kernel's command line.
	KernelArgs []string

	// Seed puts the guest in lockstep, unless it is 0: the seed and the test's calls decide
	// what happens in it, down to the last bit of its memory, however busy the host is.
	// Another seed is another interleaving of the vCPUs.
	//
	// While the test's own code runs, the guest stands inside one instruction. Captures,
	// writes and the test's own work take none of its time. Time passes only in calls that
	// wait, such as [VM.Hold], [VM.Run], [VM.Await] and [VM.Exec], and not while the test
	// sleeps on the host. Times are the guest's.
	//
	// Only one goroutine of the test may call the VM: the host would decide the order of
	// calls of several. Such guests run on TCG, in a QEMU that is linked dynamically.
	// [VM.Blame] tells who wrote to a place.
	Seed uint64
	// Watches gives a guest in lockstep watchpoints ([VM.Watch], [BeforeExit]), which others
	// have anyway. Its runs stay as they are without, and take longer: a plugin in its
	// QEMU looks at each store.
	Watches  bool
	seedKeys []string // that the seed belongs to, one of them; empty for any
	searched bool     // the guest is one of a Search, which tells how its run is repeated

	preparation *preparation // where the guests of a Search begin; nil for others

	// Scheduler is started once the guest is up.
	Scheduler Scheduler

	// Scenarios are what the test is going to perform. They are checked before
	// the boot, so that a mistake in them costs no guest; [VM.TryRun] performs them.
	Scenarios []scenario.Scenario

	// Objects are files with BPF objects that something else than ktest loads. In their
	// data, as in Scheduler's, captures follow pointers to objects of the kernel, also those
	// that are declared as integers.
	Objects []string

	// Casts say what pointers in the scheduler's data lead to if its instructions do not,
	// or say something else. Dumps and reads by path go by them. The equivalent of
	// ktgen -payload 'task_slot.data+8=struct task_ctx', which is for generated code, is
	// {In: "struct task_slot", Path: "data", To: "struct task_ctx", Behind: 8}.
	Casts []ktsnap.Cast

	// Files are put into the guest, by their paths there; the values are paths on the host.
	// Programs among them come with their shared libraries.
	Files map[string]string

	// NoTemplate boots the guest. Otherwise one that has booted before is restored, in a
	// fraction of the time.
	NoTemplate bool

	// ExpectExit says that the test makes its scheduler end. Otherwise each end
	// that the test has not asked for, by [VM.Detach] or [VM.AwaitExit], fails it:
	// a scheduler that the kernel throws out, one that ends itself, a program
	// that ends. A program that starts its scheduler again goes on with it ([VM.Restarts]).
	ExpectExit bool

	// NoBeforeExit does without the capture of the moment in which the kernel decides to
	// end a scheduler ([BeforeExit]). That capture needs a watchpoint while the scheduler
	// runs, with which each capture stops the guest through QEMU's gdbstub.
	NoBeforeExit bool

	// Output gets what a scheduler's own binary writes, as it is written.
	Output io.Writer

	// Capture limits what snapshots hold.
	Capture freeze.Options

	// Statistics says where the scheduler reports its own statistics. Each capture has
	// them.
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
	Call      time.Duration // of a guest with a seed, until it next calls the host; default 1 min
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

// Binary is a scheduler that is started by its own program, with arguments. ktest puts the
// program into the guest, with the shared libraries that it needs of this machine. A
// program that starts its scheduler again is followed; see [VM.Restarts]. One that goes into
// the background (its first process ends with status 0) runs until the children that it leaves
// behind have ended, which are known by $KTGEN_PROGRAM in their environment.
//
// The program is root. It finds /sys with the [Topology], cgroup2, bpffs, debugfs,
// tracefs, hugetlbfs, the kernel's configuration in /boot, a home, users and hosts in
// /etc, and a loopback interface that is up. Config.KernelArgs reserves huge pages:
// "hugepages=64". There is no terminal and no other network.
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

// Ops names the struct sched_ext_ops to attach, for an object that has several.
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
