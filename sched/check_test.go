package sched_test

import (
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/ktsnap"
	"github.com/ktgen/ktgen/sched"
)

// Members of the tables of a whole state, in which tests change single numbers.
var (
	taskMembers = []string{"pid", "on_rq", "class", "dsq", "ops_state", "flags", "runnable_at", "allowed", "cpu", "runtime", "comm", "holding", "slice", "vtime", "dsq_flags", "dsq_seq", "tgid", "weight"}
	cpuMembers  = []string{"curr", "idle", "is_online", "clock", "locked"}
)

// whole is a state of two CPUs. pid 1 waits in queue 5, pid 2 in the local queue of CPU 1,
// pid 3 with the BPF scheduler, and CPU 0 runs pid 4; CPU 1 idles.
type whole struct {
	tasks, cpus, queues, queued [][]uint64
	state                       string
	jiffies                     uint64
	bypass                      uint64

	// Of tasks by pid: their task group, who has the mutex that they wait for, when they ran
	// last, and since when they wait.
	groups, owners, arrivals, waits map[int]uint64

	maps []*ktsnap.Map
}

const (
	ext, idle, rt = 1, 2, 3 // of the enum of classes
	none, queued  = 0, 2    // SCX_OPSS_*
	local, global = 1<<63 + 2, 1<<63 + 1
	noCPU         = ^uint64(0)
	enabledState  = 4 << 8
	bothCPUs      = 3
	queueOf5      = 0x500
	localOf1      = 0x601
)

func newWhole() *whole {
	task := func(pid, class, dsq, ops, cpu uint64) []uint64 {
		return []uint64{0x1000 * pid, pid, 1, class, dsq, ops, enabledState, 900, bothCPUs, cpu, 50, 'a' + pid, noCPU, 5, 0, 0, 0, pid, 100}
	}
	return &whole{
		state: "enabled", jiffies: 1000,
		tasks: [][]uint64{
			task(1, ext, queueOf5, none, 0), task(2, ext, localOf1, none, 1), task(3, ext, 0, queued, 0), task(4, ext, 0, none, 0),
			{0x9000, 0, 1, idle, 0, 0, 0, 0, 2, 1, 0, 's', noCPU, 0, 0, 0, 0, 0, 0},
		},
		cpus:   [][]uint64{{0x10, 0x4000, 0x8000, 1, 70, 0}, {0x20, 0x9000, 0x9000, 1, 70, 0}},
		queues: [][]uint64{{queueOf5, 5, 1, 1, noCPU, 9}, {localOf1, local, 1, 0, 1, 3}, {0x700, global, 0, 0, noCPU, 0}},
		queued: [][]uint64{{0, 0, 0x1000}, {0, 1, 0x2000}},
	}
}

// snapshot makes a snapshot of it.
func (w *whole) snapshot() *ktsnap.Snapshot {
	enum := func(name string, size int, values ...ctype.EnumValue) *ctype.Shape {
		return &ctype.Shape{Kind: ctype.KindEnum, Name: name, Size: size, Values: values}
	}
	value := func(name string, v uint64) ctype.EnumValue { return ctype.EnumValue{Name: name, Value: v} }
	entity := &ctype.Shape{Kind: ctype.KindStruct, Name: "sched_ext_entity", Size: 8 * len(taskMembers)}
	at := func(name string, s *ctype.Shape) ctype.Member {
		for i, m := range taskMembers {
			if m == name {
				return ctype.Member{Name: name, Offset: 8 * i, Type: s}
			}
		}
		panic(name)
	}
	rename := func(m ctype.Member, name string) ctype.Member { m.Name = name; return m }
	s32 := &ctype.Shape{Kind: ctype.KindInt, Name: "int", Size: 4, Signed: true}
	counter := &ctype.Shape{Kind: ctype.KindStruct, Name: "atomic_long_t", Size: 8, Members: []ctype.Member{{Name: "counter", Type: u64}}}
	entity.Members = []ctype.Member{
		at("dsq", u64), rename(at("ops_state", counter), "ops_state"), at("flags", u64), at("runnable_at", u64),
		rename(at("holding", s32), "holding_cpu"), at("slice", u64), rename(at("vtime", u64), "dsq_vtime"), at("dsq_flags", u64), at("dsq_seq", u64), at("weight", u64),
	}
	text := &ctype.Shape{Kind: ctype.KindArray, Elem: &ctype.Shape{Kind: ctype.KindChar, Name: "char", Size: 1}, Len: 8, Size: 8}
	tasks := table("tasks", taskMembers, w.tasks...)
	tasks.Type.Members = []ctype.Member{
		at("pid", u64), at("tgid", u64), at("on_rq", u64), at("class", enum("sched_class", 8, value("unknown", 0), value("ext_sched_class", ext), value("idle_sched_class", idle), value("rt_sched_class", rt))),
		rename(at("allowed", &ctype.Shape{Kind: ctype.KindStruct, Name: "cpumask", Size: 8, Members: []ctype.Member{{Name: "bits", Type: u64}}}), "cpus_allowed"),
		at("comm", text), {Name: "scx", Type: entity},
		{Name: "thread_info", Offset: at("cpu", u64).Offset, Type: &ctype.Shape{Kind: ctype.KindStruct, Name: "thread_info", Size: 8, Members: []ctype.Member{{Name: "cpu", Type: u64}}}},
		{Name: "se", Offset: at("runtime", u64).Offset, Type: &ctype.Shape{Kind: ctype.KindStruct, Name: "sched_entity", Size: 8, Members: []ctype.Member{{Name: "sum_exec_runtime", Type: u64}}}},
	}
	tasks = w.withGroups(tasks)
	cpus := table("cpus", cpuMembers, w.cpus...)
	cpus.Type.Members[4].Name = "__lock"
	kernel := table("kernel", []string{"jiffies", "hz", "scx_ops_state", "scx_dsq_id_flags", "scx_ent_flags", "scx_exit_kind"}, []uint64{0, w.jiffies, 250, 0, 0, 0, 0})
	kernel.Type.Members[2].Type = enum("scx_ops_state", 8, value("SCX_OPSS_NONE", none), value("SCX_OPSS_QUEUED", queued), value("SCX_OPSS_QSEQ_SHIFT", 2))
	kernel.Type.Members[3].Type = enum("scx_dsq_id_flags", 8, value("SCX_DSQ_FLAG_BUILTIN", 1<<63), value("SCX_DSQ_LOCAL", local), value("SCX_DSQ_GLOBAL", global), value("SCX_DSQ_INVALID", 1<<63))
	kernel.Type.Members[4].Type = enum("scx_ent_flags", 8, value("SCX_TASK_STATE_MASK", 7<<8), value("SCX_TASK_ENABLED", enabledState))
	kernel.Type.Members[5].Type = enum("scx_exit_kind", 8, value("SCX_EXIT_NONE", 0))
	return &ktsnap.Snapshot{
		Maps: w.maps,
		Name: "made", Guest: ktsnap.Guest{CPUs: 2, Online: []int{0, 1}}, Scheduler: ktsnap.Scheduler{State: w.state, Name: "s"},
		Tables: []*ktsnap.Table{
			kernel, tasks, cpus, groupTables(),
			table("queues", []string{"id", "nr", "is_user", "cpu", "seq"}, w.queues...), table("queued", []string{"queue", "task"}, w.queued...),
			table("schedulers", []string{"is_root", "watchdog_timeout", "bypass_depth"}, []uint64{0xa00, 1, 7500, w.bypass}),
		},
	}
}

// withGroups adds members to the table of tasks, if any has them.
func (w *whole) withGroups(t *ktsnap.Table) *ktsnap.Table {
	if w.groups == nil && w.owners == nil && w.waits == nil {
		return t
	}
	old := t.Type.Size
	var data []byte
	for i := range t.N {
		pid := int(w.tasks[i][1])
		data = append(data, t.Record(i)...)
		for _, v := range []uint64{w.groups[pid], w.owners[pid], w.arrivals[pid], w.waits[pid]} {
			data = binary.LittleEndian.AppendUint64(data, v)
		}
	}
	t.Data, t.Type.Size = data, old+32
	info := &ctype.Shape{Kind: ctype.KindStruct, Name: "sched_info", Size: 16, Members: []ctype.Member{{Name: "last_arrival", Type: u64}, {Name: "last_queued", Offset: 8, Type: u64}}}
	t.Type.Members = append(t.Type.Members, ctype.Member{Name: "sched_task_group", Offset: old, Type: u64}, ctype.Member{Name: "blocked_on_owner", Offset: old + 8, Type: u64}, ctype.Member{Name: "sched_info", Offset: old + 16, Type: info})
	return t
}

// keep adds a map that is a queue, with room for so many pids.
func (w *whole) keep(name string, room int, pids ...uint32) {
	m := &ktsnap.Map{Name: name, Type: ktsnap.MapTypeQueue, ValueSize: 8, MaxEntries: room, N: len(pids), Slots: 1, Stride: 8}
	for _, pid := range pids {
		m.Values = binary.LittleEndian.AppendUint64(m.Values, uint64(pid)<<32|7) // the pid is behind some other number
	}
	w.maps = append(w.maps, m)
}

// take gives a task to the BPF scheduler.
func (w *whole) take(pid int) {
	w.set(pid, "dsq", 0)
	w.set(pid, "ops_state", queued)
	w.queued = slices.DeleteFunc(w.queued, func(row []uint64) bool { return row[2] == uint64(0x1000*pid) })
}

// groupTables is a root with two cgroups, /low and /high.
func groupTables() *ktsnap.Table {
	t := table("cgroups", []string{"id", "parent", "name"}, []uint64{0xc00, 1, 0, 0}, []uint64{0xc10, 2, 0xc00, 'l' | 'o'<<8 | 'w'<<16}, []uint64{0xc20, 3, 0xc00, 'h' | 'i'<<8 | 'g'<<16 | 'h'<<24})
	t.Type.Members[2].Type = &ctype.Shape{Kind: ctype.KindArray, Elem: &ctype.Shape{Kind: ctype.KindChar, Name: "char", Size: 1}, Len: 8, Size: 8}
	return t
}

// set changes a member of a task.
func (w *whole) set(pid int, member string, v uint64) {
	for i, name := range taskMembers {
		if name == member {
			w.tasks[pid-1][i+1] = v
		}
	}
}

func TestWhatHoldsForEverySchedulerIsChecked(t *testing.T) {
	for name, row := range map[string]struct {
		change func(*whole)
		want   string // empty if nothing is broken
	}{
		"nothing": {func(w *whole) { w.set(2, "runnable_at", 999) }, ""},
		"a task is in two queues": {func(w *whole) {
			w.set(1, "runnable_at", 999)
			w.queued, w.queues[2][2] = append(w.queued, []uint64{0, 2, 0x1000}), 1
		}, "one place: b[1] is in 2 queues: [queue 5 global queue]"},
		"a CPU runs a task of a queue": {func(w *whole) { w.cpus[0][1] = 0x1000; w.set(4, "on_rq", 0) }, "one place: CPU 0 runs b[1], which is in queue 5, too"},
		"a task is in another queue than it says": {func(w *whole) { w.set(1, "dsq", 0x700) },
			"one place: b[1] is in queue 5, and says that it is in the queue at 0x700"},
		"a task sleeps in a queue": {func(w *whole) { w.set(1, "on_rq", 0) }, "one place: b[1] is in queue 5, and is not runnable"},
		"a task is nowhere": {func(w *whole) { w.set(3, "ops_state", none) },
			"one place: d[3] is runnable for 400ms, and neither a CPU, nor a queue, nor the BPF scheduler has it"},
		"a queue counts wrongly":        {func(w *whole) { w.queues[0][2] = 4 }, "count: queue 5 says that it has 4 tasks, and has 1: b[1]"},
		"a CPU's queue counts wrongly":  {func(w *whole) { w.queues[1][2] = 0 }, "count: local queue of CPU 1 says that it has 0 tasks, and has 1: c[2]"},
		"a CPU's queue gets a task now": {func(w *whole) { w.queues[1][2], w.cpus[1][5] = 0, 1 }, ""},
		"a CPU idles beside its queue": {func(w *whole) { w.set(2, "runnable_at", 900) },
			"idle: CPU 1 idles, and local queue of CPU 1 has c[2] for it, which is runnable for 400ms"},
		"within the grace":             {func(w *whole) { w.set(2, "runnable_at", 980) }, ""},
		"it may not run there":         {func(w *whole) { w.set(2, "runnable_at", 900); w.set(2, "allowed", 1) }, ""},
		"the scheduler is being ended": {func(w *whole) { w.state = "disabling"; w.set(2, "runnable_at", 900) }, ""},
		"the scheduler is passed over": {func(w *whole) { w.bypass = 1; w.set(2, "runnable_at", 900) }, ""},
		"the CPU's lock is held":       {func(w *whole) { w.cpus[0][5] = 1; w.set(3, "ops_state", none) }, ""},
		"the task is on its way":       {func(w *whole) { w.set(3, "holding", 1); w.set(3, "ops_state", none) }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWhole()
			w.set(2, "runnable_at", 999)
			row.change(w)
			err := sched.Check(w.snapshot())
			if row.want == "" {
				require.NoError(t, err)
				return
			}
			var broken sched.ViolationsError
			require.ErrorAs(t, err, &broken)
			require.Len(t, broken, 1, "%v", err)
			require.Equal(t, row.want, broken[0].String())
			require.Contains(t, err.Error(), `snapshot "made"`)
		})
	}
}

func TestWithoutASchedulerThereIsNothingToCheck(t *testing.T) {
	require.ErrorContains(t, sched.Check(), "there is no snapshot, and so nothing to check: give those of the run")
	w := newWhole()
	w.set(2, "runnable_at", 999)
	without := w.snapshot()
	without.Tables = slices.DeleteFunc(without.Tables, func(t *ktsnap.Table) bool { return t.Name == "schedulers" })
	without.Scheduler.State = "disabled"
	require.EqualError(t, sched.Check(without, without), `snapshot "made" has nothing to check: no BPF scheduler is enabled in it, nor in those after it: capture while one runs`)
	require.NoError(t, sched.Check(w.snapshot(), without))
}

func TestTimesThatGoBackAreFound(t *testing.T) {
	before, later := newWhole(), newWhole()
	before.set(2, "runnable_at", 999)
	later.set(2, "runnable_at", 999)
	require.NoError(t, sched.Check(before.snapshot(), later.snapshot()))
	later.jiffies--
	later.cpus[1][4]--
	later.set(4, "runtime", 49)
	var broken sched.ViolationsError
	require.ErrorAs(t, sched.Check(before.snapshot(), later.snapshot()), &broken)
	require.Len(t, broken, 3)
	for _, v := range broken {
		require.Equal(t, "clock", v.Rule)
	}
	require.NoError(t, sched.Rules{Grace: time.Hour}.Check(before.snapshot()))
}
