package sched_test

import (
	"cmp"
	"context"
	"io"
	"os"
	"regexp"
	goruntime "runtime"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ktgen/ktgen/ktest"
	"github.com/ktgen/ktgen/scenario"
	"github.com/ktgen/ktgen/sched"
)

// fightEnv makes a process of this binary, in a guest, one of threads that read a file that
// they share.
const fightEnv = "SCHED_FIGHT"

// fightForAFile has two threads read a large file through one descriptor: who reads has
// the mutex of its position (f_pos_lock), and the other waits for that.
func fightForAFile() {
	const size = 32 << 20
	f, err := os.CreateTemp("", "fight")
	if err != nil || f.Truncate(size) != nil {
		os.Exit(1)
	}
	fight := func() {
		goruntime.LockOSThread()
		name := [16]byte{'s', 'p', 'i', 'n'}
		_ = unix.Prctl(unix.PR_SET_NAME, uintptr(unsafe.Pointer(&name)), 0, 0, 0)
		for whole := make([]byte, size); ; {
			_, _ = unix.Seek(int(f.Fd()), 0, io.SeekStart)
			_, _ = unix.Read(int(f.Fd()), whole)
		}
	}
	go fight()
	fight()
}

// spin are workers that the scheduler knows as such.
func spin(n int, cpus ...int) scenario.Workers {
	return scenario.Workers{Name: "spin", Kind: scenario.Spin, Count: n, CPUs: cpus}
}

// faults are those of testdata/faults.bpf.c, with what the autopsy's first line says of each.
var faults = []struct {
	name    string
	fault   uint64
	offline int // a CPU; 0 is none
	workers []scenario.Workers
	want    string
}{
	{"a queue that nobody drains", 1, 0, []scenario.Workers{spin(3)}, `queue FORGOTTEN_DSQ \(1\) has it .*idle and may run it.*(nobody takes|do(es)? not take) from this queue`},
	{"a wakeup that is lost", 2, 0, []scenario.Workers{spin(2)}, `the BPF scheduler has taken it in ops\.enqueue and not dispatched it; CPU 0 .*, CPU 1 `},
	{"a queue for a CPU that the task may not run on", 3, 0, []scenario.Workers{spin(2, 1)}, `queue FIRST_CPU_DSQ \(2\) has it .*; CPU 1 is idle, the only one that may run it, and does not take from this queue \(affinity CPU 1\)`},
	{"a slice that never ends", 4, 0, []scenario.Workers{spin(2, 1)}, `queue SHARED_DSQ \(0\) has it .*CPU 1 runs spin\S*\[\d+\], whose slice has no end`},
	{"a vtime out of reach", 5, 0, []scenario.Workers{spin(3, 1)}, `queue VTIME_DSQ \(3\) has it behind 1: spin\S*\[\d+\]; its vtime of 4611686018427387904 is out of reach of the first's, 7`},
	{"one CPU's own queue", 6, 0, []scenario.Workers{spin(3)}, `.*CPU 1 runs spin\S*\[\d+\], whose slice has no end`},
	{"a cgroup that starves", 8, 0, []scenario.Workers{
		{Name: "spinlow", Kind: scenario.Spin, Count: 2, Cgroup: "low"}, {Name: "spinhigh", Kind: scenario.Spin, Count: 4, Cgroup: "high"},
	}, `its cgroup /\S*/low starves: CPUs run none of its 2 runnable tasks, and run others, as .* of cgroup .*; queue LOW_DSQ \(5\) has it .*`},
	{"a mutex", 9, 0, []scenario.Workers{{Name: "fight", Payload: &scenario.Payload{Args: []string{"/init"}, Env: []string{fightEnv + "=1"}}}},
		`it has a mutex of the kernel that spin\[\d+\] waits for, so that spin\[\d+\] cannot run either; queue FORGOTTEN_DSQ`},
	{"a slice of zero", 10, 0, []scenario.Workers{spin(3, 1)}, `queue VTIME_DSQ \(3\) has it behind (1: \S+|2: \S+, \S+); the queue goes by vtime, and its vtime of 1000 is 993 above the first's( \(.*vtimes do not grow by what tasks run\))?; .*(\S+ has|2 tasks \(\S+, \S+\) have) a slice of zero; CPU 1 runs`},
	{"a task that goes on and on", 11, 0, []scenario.Workers{spin(2, 1)}, `queue SHARED_DSQ \(0\) has it .*; CPU 1 runs spin\S* with .* of its slice left, which has run for \S+ on end, \d+ times the slice of who waits`},
	{"a queue that goes backwards", 12, 0, []scenario.Workers{spin(3, 1)}, `queue SHARED_DSQ \(0\) has it behind .*: spin.*; \d+ tasks that came after it have left before it, and of those ahead .* did: they are put in front`},
	{"nothing is dispatched any more", 13, 0, []scenario.Workers{spin(2)}, `queue SHARED_DSQ \(0\) has it .* idle.*(nobody takes from this queue any more|does not take from this queue)`},
	{"a vtime that grows too fast", 14, 0, []scenario.Workers{spin(3, 1)}, `queue VTIME_DSQ \(3\) has it behind 1: .*; the queue goes by vtime, and its vtime of \d{13,} is \d{13,} above the first's( \(\S+, of the same weight, has run for \S+ and is ahead, and it for \S+: vtimes do not grow by what tasks run\))?; \d+ tasks that came after it have left before it`},
	{"a queue for a CPU that is offline", 7, 1, []scenario.Workers{spin(2)}, `queue SECOND_CPU_DSQ \(4\) has it .*CPU 0 is idle and may run it: nobody takes from this queue; CPU 1, which the queue may be for, is offline`},
}

// Each fault is switched on while workers run, and an autopsy names it in its first line.
func TestAutopsyNamesTheFault(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{CPUs: 2})
	ctx := bound(t, 5*time.Minute)
	for _, name := range []string{"low", "high"} {
		require.NoError(t, vm.Cgroup(ctx, scenario.Cgroup{Name: name}))
	}
	for _, row := range faults {
		t.Run(row.name, func(t *testing.T) {
			if row.offline != 0 {
				require.NoError(t, vm.Do(ctx, scenario.SetOnline{CPU: row.offline}))
			}
			require.NoError(t, vm.Attach(ctx, ktest.Object("testdata/faults.bpf.o")))
			var victim int
			for _, w := range row.workers {
				r, err := vm.Spawn(ctx, w)
				require.NoError(t, err)
				victim = cmp.Or(victim, r.PIDs[0])
				defer func() {
					_, err := r.Stop(ctx)
					require.NoError(t, err)
				}()
			}
			defer func() { // lets the workers run, and end
				_, err := vm.Detach(ctx)
				require.NoError(t, err)
			}()
			snap := vm.Freeze("well")
			require.NoError(t, vm.Write(ctx, ktest.SetOf(snap.Var("victim"), uint64(victim)), ktest.SetOf(snap.Var("fault"), row.fault)))
			requireAutopsy(ctx, t, vm, row.want)
		})
	}
}

// requireAutopsy waits until a task starves, and holds what is said first of it. What the
// CPUs do instead, and what is in front, is that of the moment.
func requireAutopsy(ctx context.Context, t *testing.T, vm *ktest.VM, want string) {
	const lead = `^\S+\[\d+\] has been runnable for \S+ of 30s without running: `
	said := ""
	for {
		snap, err := vm.TryFreeze(ctx, "ill")
		require.NoError(t, err, "it said at last: %s", said)
		starving := sched.Bind(t, snap).StarvingFor(time.Second)
		if len(starving) == 0 {
			continue
		}
		said = starving[0].String()
		require.Regexp(t, lead, said)
		if regexp.MustCompile(lead + want).MatchString(said) {
			t.Log(said)
			return
		}
		if starving[0].For > 10*time.Second {
			require.Regexp(t, lead+want, said)
		}
	}
}
