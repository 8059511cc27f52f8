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
			"b[1] has been runnable for 400ms of 30s without running: queue 5 has it as its first task; CPU 1 is idle, which may run it and do not take from this queue, and CPU 0 runs e[4] with 5ns of its slice left"},
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
			"queue 5 has it as its first task, and CPUs 0-1 are idle, which may run it: nobody takes from this queue"},
		"its queue may be for an offline CPU": {func(w *whole) { w.cpus[1][3] = 0; w.cpus[0][1] = 0x8000; w.cpus[0][2] = 0x8000 }, 1,
			"queue 5 has it as its first task, and CPU 0 is idle, which may run it: nobody takes from this queue; CPU 1, which the queue may be for, is offline"},
		"its cgroup starves": {func(w *whole) { w.cpus[0][4] = 1e9; w.groups = map[int]uint64{1: 0xc10, 3: 0xc10, 4: 0xc20} }, 1,
			"its cgroup /low starves: none of its 2 runnable tasks runs, while CPU 0 runs e[4] of cgroup /high; queue 5 has it"},
		"its cgroup runs": {func(w *whole) { w.cpus[0][4] = 1e9; w.groups = map[int]uint64{1: 0xc10, 3: 0xc10, 4: 0xc10} }, 1,
			"without running: queue 5 has it"},
		"its cgroup ran a moment ago": {func(w *whole) {
			w.cpus[0][4] = 1e9
			w.groups, w.arrivals = map[int]uint64{1: 0xc10, 3: 0xc10, 4: 0xc20}, map[int]uint64{3: 9e8}
		}, 1, "without running: queue 5 has it"},
		"others wait for its mutex": {func(w *whole) { w.owners = map[int]uint64{2: 0x1000, 3: 0x1000} }, 1,
			"it has a mutex of the kernel that 2 tasks (c[2], d[3]) wait for, so that they cannot run either; queue 5 has it"},
		"vtime that wrapped around": {func(w *whole) {
			w.queued = append([][]uint64{{0, 0, 0x3000}}, w.queued...)
			w.set(3, "vtime", 7)
			w.set(1, "vtime", 1<<62)
			w.set(1, "dsq_flags", 1)
		}, 1, "queue 5 has it behind 1: d[3]; its vtime of 4611686018427387904 is out of reach of theirs, which begins at 7"},
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
