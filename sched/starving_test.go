package sched_test

import (
	"testing"
	"time"

	"github.com/ktgen/ktgen/sched"
	"github.com/stretchr/testify/require"
)

func TestWhyTasksStarveIsSaid(t *testing.T) {
	for name, row := range map[string]struct {
		change func(*whole)
		pid    int
		want   string
	}{
		"in a queue": {func(*whole) {}, 1,
			"b[1] has been runnable for 400ms of 30s without running: queue 5 has it as its first task; CPU 1 is idle and may run it, and does not take from this queue; CPU 0 runs e[4] with 5ns of its slice left"},
		"with the scheduler": {func(*whole) {}, 3,
			"the BPF scheduler has taken it in ops.enqueue and not dispatched it; CPU 0 runs e[4] with 5ns of its slice left, CPU 1 is idle"},
		"nobody may run it": {func(w *whole) { w.set(1, "allowed", 4) }, 1,
			"it may run on CPU 2 only, and none of them is online (CPUs 0-1 are); queue 5 has it"},
		"in the queue of a CPU that it may not run on": {func(w *whole) { w.set(2, "allowed", 1) }, 2,
			"it is in the local queue of CPU 1, which it may not run on: its affinity is CPU 0"},
		"in the queue of a CPU that is offline": {func(w *whole) { w.cpus[1][3] = 0 }, 2,
			"it is in the local queue of CPU 1, which is offline"},
		"behind one that never ends": {func(w *whole) { w.set(4, "slice", ^uint64(0)); w.set(1, "allowed", 1) }, 1,
			"queue 5 has it as its first task; CPU 0 runs e[4], whose slice has no end"},
		"lost": {func(w *whole) { w.set(3, "ops_state", none) }, 3, "it is lost: no queue has it, and neither has the BPF scheduler"},
		"all idle": {func(w *whole) { w.cpus[0][1] = 0x8000; w.cpus[0][2] = 0x8000 }, 1,
			"queue 5 has it as its first task, and CPUs 0-1 are idle and may run it: nobody takes from this queue any more"},
		"nobody has ever taken": {func(w *whole) { w.cpus[0][1], w.cpus[0][2], w.queues[0][5] = 0x8000, 0x8000, 1 }, 1, "and may run it: nobody takes from this queue"},
		"its CPU has not been kicked": {func(w *whole) { w.cpus[1][4] = 1e9 - 1; w.waits = map[int]uint64{1: 1e9} }, 1,
			"CPU 1 is idle and may run it, and has been since before it came: nobody has kicked it (scx_bpf_kick_cpu); CPU 0 runs"},
		"others are put in front": {func(w *whole) {
			w.queued = append([][]uint64{{0, 0, 0x3000}}, w.queued...)
			w.set(3, "dsq_seq", 9)
			w.set(1, "dsq_seq", 4)
		}, 1, "queue 5 has it behind 1: d[3]; 4 tasks that came after it have left before it, and of those ahead d[3] did: they are put in front (SCX_ENQ_HEAD); CPU 1 is idle"},
		"others pass it": {func(w *whole) { w.set(1, "dsq_seq", 8); w.set(1, "allowed", 2) }, 1,
			"queue 5 has it as its first task; 1 task that came after it has left before it: CPUs that it may not run on pass it over, or others are put in front (SCX_ENQ_HEAD); CPU 1 is idle, the only one that may run it, and does not take from this queue (affinity CPU 1)"},
		"its slice is zero": {func(w *whole) { w.set(1, "slice", 1) }, 1, "as its first task; its own slice is zero; CPU 1 is idle"},
		"its vtime is behind": {func(w *whole) {
			w.queued = append([][]uint64{{0, 0, 0x3000}}, w.queued...)
			w.set(3, "vtime", 7)
			w.set(1, "vtime", 1007)
			w.set(1, "dsq_flags", 1)
		}, 1, "behind 1: d[3]; the queue goes by vtime, and its vtime of 1007 is 1000 above the first's; nobody seems to take from this queue: all of its 2 tasks have waited for 400ms or longer; CPU 1 is idle"},
		"others have run meanwhile": {func(w *whole) {
			w.queues[2][2], w.queued = 1, append(w.queued, []uint64{0, 2, 0x3000})
			w.set(1, "allowed", 1)
			w.waits, w.arrivals = map[int]uint64{1: 1e9}, map[int]uint64{3: 2e9}
		}, 1, "CPU 0 runs e[4] with 5ns of its slice left; while it waits here, CPUs have run tasks of global queue (d[3]) (affinity CPU 0)"},
		"its queue may be for an offline CPU": {func(w *whole) { w.cpus[1][3] = 0; w.cpus[0][1] = 0x8000; w.cpus[0][2] = 0x8000 }, 1,
			"queue 5 has it as its first task, and CPU 0 is idle and may run it: nobody takes from this queue any more; CPU 1, which the queue may be for, is offline"},
		"its cgroup starves": {func(w *whole) { w.cpus[0][4] = 1e9; w.groups = map[int]uint64{1: 0xc10, 3: 0xc10, 4: 0xc20} }, 1,
			"its cgroup /low starves: CPUs run none of its 2 runnable tasks, and run others, as e[4] of cgroup /high; queue 5 has it"},
		"its cgroup runs": {func(w *whole) { w.cpus[0][4] = 1e9; w.groups = map[int]uint64{1: 0xc10, 3: 0xc10, 4: 0xc10} }, 1,
			"without running: queue 5 has it"},
		"its cgroup ran a moment ago": {func(w *whole) {
			w.cpus[0][4] = 1e9
			w.groups, w.arrivals = map[int]uint64{1: 0xc10, 3: 0xc10, 4: 0xc20}, map[int]uint64{3: 9e8}
		}, 1, "without running: queue 5 has it"},
		"others wait for its mutex": {func(w *whole) { w.owners = map[int]uint64{2: 0x1000, 3: 0x1000} }, 1,
			"it has a mutex of the kernel that 2 tasks (c[2], d[3]) wait for, so that they cannot run either; queue 5 has it"},
		"in a map of the scheduler's": {func(w *whole) { w.take(1); w.keep("late", 8, 1, 3) }, 3,
			"has taken it in ops.enqueue and not dispatched it: its map late has it behind 1: b[1]; CPU 0 runs"},
		"in a map that others are looked at before": {func(w *whole) {
			w.take(1)
			w.keep("ready", 8, 1)
			w.keep("late", 8, 3)
			w.waits, w.arrivals = map[int]uint64{3: 1e9}, map[int]uint64{1: 2e9}
		}, 3, "its map late has it alone, and while it waits there, CPUs have run tasks of map ready (b[1]); CPU 0 runs"},
		"in none of the scheduler's maps": {func(w *whole) { w.take(1); w.keep("ready", 8, 1); w.keep("late", 8) }, 3,
			"not dispatched it; it has forgotten it: none of its maps that keep tasks has it any more (ready, with 1 of 8; late, empty); CPU 0 runs"},
		"in none, and one is full": {func(w *whole) { w.take(1); w.keep("ready", 1, 1) }, 3,
			"; it has forgotten it: none of its maps that keep tasks has it any more (ready, with 1 of 1, full); CPU 0"},
		"in none, and all are empty": {func(w *whole) { w.keep("ready", 8) }, 3,
			"not dispatched it, and none of its maps that are queues has it (ready, empty); CPU 0"},
		"in a map by its process": {func(w *whole) { w.take(1); w.set(3, "tgid", 1); w.keep("ready", 8, 1) }, 3,
			"has it any more (ready, with 1 of 8); it is a further thread of process b[1], which ready has; CPU 0"},
		"maps of other numbers say nothing": {func(w *whole) { w.keep("numbers", 8, 77, 78) }, 3,
			"not dispatched it, and none of its maps that are queues has it (numbers, with 2 of 8); CPU 0"},
		"its CPU runs something else for a moment": {func(w *whole) {
			w.tasks = append(w.tasks, append([]uint64{0x6000, 6, 1, rt}, w.tasks[3][4:]...))
			w.cpus[1][1] = 0x6000
			w.set(1, "allowed", 2)
			w.set(2, "slice", ^uint64(0))
			w.waits, w.arrivals = map[int]uint64{1: 1e9}, map[int]uint64{2: 2e9}
		}, 1, "CPU 1 runs c[2], whose slice has no end, and e[6] of class rt for a moment (affinity CPU 1)"},
		"the local queue goes before its own": {func(w *whole) {
			w.cpus[0][1], w.cpus[0][2], w.cpus[1][1] = 0x8000, 0x8000, 0x4000
			w.set(1, "allowed", 2)
		}, 1, "as its first task; CPU 1 runs e[4] with 5ns of its slice left, and before all others those of its local queue (c[2]), while CPU 0 is idle and may run some of them, of which c[2] has waited for 400ms itself (affinity CPU 1)"},
		"others are put in front in the local queue": {func(w *whole) {
			w.queued = append([][]uint64{{0, 1, 0x3000}}, w.queued...)
			w.queues[1][5] = 9
			w.set(3, "dsq_seq", 9)
			w.set(2, "dsq_seq", 4)
		}, 2, "local queue of CPU 1 behind 1: d[3]; 4 tasks that came after it have left before it, and of those ahead d[3] did: they are put in front (SCX_ENQ_HEAD, or by the kernel if a higher class has interrupted them); CPU 1"},
		"its CPU is busy, and others idle": {func(w *whole) {
			w.cpus[0][1], w.cpus[0][2], w.cpus[1][1] = 0x8000, 0x8000, 0x4000
		}, 2, "local queue of CPU 1 as its first task; CPU 1 runs e[4] with 5ns of its slice left, while CPU 0 is idle and may run it: only CPU 1 takes from its local queue"},
		"its queue stands still": {func(w *whole) {
			w.queued = append(w.queued, []uint64{0, 0, 0x3000})
			w.set(1, "allowed", 1)
		}, 1, "as its first task; nobody seems to take from this queue: all of its 2 tasks have waited for 400ms or longer; CPU 0"},
		"somebody takes from its queue": {func(w *whole) {
			w.queued = append(w.queued, []uint64{0, 0, 0x3000})
			w.set(3, "runnable_at", 990)
			w.set(1, "allowed", 1)
		}, 1, "as its first task; CPU 0"},
		"all in its queue come from a CPU that is offline": {func(w *whole) { w.cpus[1][3] = 0; w.set(1, "cpu", 1) }, 1,
			"as its first task; all in this queue were on CPU 1 last, which is offline; CPU 0 runs e[4]"},
		"it has another weight than those that go before it": {func(w *whole) {
			w.set(1, "dsq_seq", 6)
			w.set(1, "weight", 300)
			w.waits, w.arrivals = map[int]uint64{1: 1e9}, map[int]uint64{2: 2e9, 3: 0, 4: 3e9}
		}, 1, "out of their order; it is of weight 300, and all that have run since are of 100; CPU 1 is idle"},
		"those ahead by vtime have run for longer": {func(w *whole) {
			w.queued = append([][]uint64{{0, 0, 0x3000}}, w.queued...)
			for pid, vtime := range map[int]uint64{3: 7, 1: 1007} {
				w.set(pid, "vtime", vtime)
				w.set(pid, "dsq_flags", 1)
			}
			w.set(3, "dsq_seq", 9)
			w.set(3, "runtime", 500)
			w.set(1, "dsq_seq", 4)
			w.waits, w.arrivals = map[int]uint64{1: 1e9}, map[int]uint64{3: 2e9}
		}, 1, "is 1000 above the first's (d[3], of the same weight, has run for 500ns and is ahead, and it for 50ns: vtimes do not grow by what tasks run); 4 tasks"},
		"vtime that wrapped around": {func(w *whole) {
			w.queued = append([][]uint64{{0, 0, 0x3000}}, w.queued...)
			w.set(3, "vtime", 7)
			w.set(1, "vtime", 1<<62)
			w.set(1, "dsq_flags", 1)
		}, 1, "queue 5 has it behind 1: d[3]; its vtime of 4611686018427387904 is out of reach of the first's, 7"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWhole()
			row.change(w)
			for _, v := range sched.Bind(t, w.snapshot()).StarvingFor(time.Millisecond) {
				if v.Task.PID == row.pid {
					require.Contains(t, v.String(), row.want)
					return
				}
			}
			t.Fatalf("pid %d does not starve", row.pid)
		})
	}
}
