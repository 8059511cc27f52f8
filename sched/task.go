package sched

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// Task is a struct task_struct, with its struct sched_ext_entity.
type Task struct {
	Addr      uint64
	PID, TGID int
	Comm      string

	State     uint64 // __state: TASK_RUNNING is 0
	ExitState uint64
	Flags     uint64 // PF_*
	CPU       int    // whose runqueue it is on or was last (task_cpu)
	OnCPU     bool   // a CPU executes it
	OnRQ      int    // on_rq: 1 is queued, 2 is migrating
	Policy    int    // SCHED_*: 0 is NORMAL, 7 is EXT
	Class     string // of scheduling: "ext", "fair", "rt", "dl", "stop", "idle"
	Prio      int
	Nice      int

	Allowed           ktsnap.CPUMask // CPUs that it may run on (cpus_ptr)
	MigrationDisabled int            // how many times migrate_disable is in force
	BlockedOn         uint64         // address of the mutex that it waits for

	Runtime    time.Duration // se.sum_exec_runtime
	WaitTime   time.Duration // sched_info.run_delay: all time spent waiting on a runqueue
	Runs       uint64        // sched_info.pcount
	LastQueued uint64        // sched_info.last_queued: rq clock in ns; 0 if it does not wait
	LastRun    uint64        // sched_info.last_arrival: rq clock in ns when a CPU took it last; 0 is never

	Group *Cgroup // of the cpu controller; nil if it is not known

	Ext Entity

	s       *State
	dsq     *DSQ
	current bool
	owner   uint64 // of BlockedOn

	execStart time.Duration // se.exec_start: rq clock_task when its time was counted last
}

// Entity is a struct sched_ext_entity: what sched_ext keeps of a task.
type Entity struct {
	State        string // of the task in sched_ext: "NONE", "INIT", "READY", "ENABLED"
	Flags        uint64 // enum scx_ent_flags, with the state's bits
	OpsState     string // of the task in the BPF scheduler: "NONE", "QUEUEING", "QUEUED", "DISPATCHING"
	OpsSeq       uint64 // which time that is
	DSQFlags     uint64 // enum scx_ent_dsq_flags
	DSQSeq       uint64
	Queue        uint64 // address of the queue that it is in; 0 is none
	Slice        time.Duration
	VTime        uint64
	Weight       uint64
	RunnableAt   uint64 // jiffies
	StickyCPU    int    // -1 is none
	HoldingCPU   int    // -1 is none
	SelectedCPU  int
	Disallow     bool   // it may not be made SCHED_EXT
	DirectDSQ    uint64 // ddsp_dsq_id: where it is dispatched to directly; SCX_DSQ_INVALID is nowhere
	DirectFlags  uint64
	RunnableList bool // it is on its runqueue's list of runnable tasks
}

// ClassExt is the Class of the tasks of BPF schedulers.
const ClassExt = "ext"

func (s *State) loadTasks(t *records) {
	groups := make(map[uint64]*Cgroup)
	for _, c := range s.cgroups {
		groups[c.Addr] = c
	}
	for i := range t.N {
		task := s.task(t.record(i), t.Addrs[i])
		task.Group = groups[t.record(i).uint("sched_task_group")]
		s.tasks = append(s.tasks, task)
		s.byAddr[task.Addr] = task
	}
	slices.SortStableFunc(s.tasks, func(a, b *Task) int { return a.PID - b.PID })
}

func (s *State) task(r record, addr uint64) *Task {
	const maxRTPrio, niceZero = 100, 120
	t := &Task{
		s: s, Addr: addr,
		PID: int(r.int("pid")), TGID: int(r.int("tgid")), Comm: r.text("comm"),
		State: r.uint("__state"), ExitState: r.uint("exit_state"), Flags: r.uint("flags"),
		CPU: int(r.uint("thread_info.cpu")), OnCPU: r.uint("on_cpu") != 0, OnRQ: int(r.uint("on_rq")),
		Policy: int(r.uint("policy")), Prio: int(r.int("prio")), Nice: int(r.int("static_prio")) - niceZero,
		MigrationDisabled: int(r.uint("migration_disabled")), BlockedOn: r.uint("blocked_on"),
		owner:   r.uint("blocked_on_owner"),
		Runtime: time.Duration(r.uint("se.sum_exec_runtime")), execStart: time.Duration(r.uint("se.exec_start")),
		WaitTime: time.Duration(r.uint("sched_info.run_delay")), Runs: r.uint("sched_info.pcount"), LastQueued: r.uint("sched_info.last_queued"),
		LastRun: r.uint("sched_info.last_arrival"),
		Allowed: ktsnap.Bitmap(r.bytes("cpus_allowed")),
	}
	t.Class = strings.TrimSuffix(className(r), "_sched_class")
	t.Ext = s.entity(r, addr)
	return t
}

func className(r record) string {
	p := r.place("class")
	if p.shape == nil {
		return ""
	}
	return enum{values: p.shape.Underlying().Values}.text(r.uint("class"), "")
}

// maxTaskSize bounds the size of a task_struct in bytes.
const maxTaskSize = 1 << 15

func (s *State) entity(r record, addr uint64) Entity {
	flags := r.uint("scx.flags")
	mask, _ := s.enums["scx_ent_flags"].value("SCX_TASK_STATE_MASK")
	ops := r.uint("scx.ops_state.counter")
	shift, _ := s.enums["scx_ops_state"].value("SCX_OPSS_QSEQ_SHIFT")
	if shift > 63 {
		shift = 0
	}
	node := r.uint("scx.runnable_node.next")
	return Entity{
		State: s.taskState(flags & mask), Flags: flags,
		OpsState: s.enums["scx_ops_state"].text(ops&(1<<shift-1), "SCX_OPSS_"), OpsSeq: ops >> shift,
		DSQFlags: r.uint("scx.dsq_flags"), DSQSeq: r.uint("scx.dsq_seq"), Queue: r.uint("scx.dsq"),
		Slice: time.Duration(r.uint("scx.slice")), VTime: r.uint("scx.dsq_vtime"), Weight: r.uint("scx.weight"),
		RunnableAt: r.uint("scx.runnable_at"),
		StickyCPU:  int(r.int("scx.sticky_cpu")), HoldingCPU: int(r.int("scx.holding_cpu")), SelectedCPU: int(r.int("scx.selected_cpu")),
		Disallow: r.uint("scx.disallow") != 0, DirectDSQ: r.uint("scx.ddsp_dsq_id"), DirectFlags: r.uint("scx.ddsp_enq_flags"),
		// A list_head that is in no list leads to itself, in both directions.
		RunnableList: node != 0 && (node != r.uint("scx.runnable_node.prev") || node-addr >= maxTaskSize),
	}
}

// taskState names the state bits of scx.flags. Enumerators of other flags have the same
// prefix, and none of these numbers but 0 that of a single state.
func (s *State) taskState(bits uint64) string {
	for _, name := range []string{"NONE", "INIT_BEGIN", "INIT", "READY", "ENABLED", "DEAD"} {
		if v, ok := s.enums["scx_ent_flags"].value("SCX_TASK_" + name); ok && v == bits {
			return name
		}
	}
	return fmt.Sprintf("%#x", bits)
}

// Tasks returns all tasks, by ascending pid. Those that CPUs run when they idle have
// pid 0.
func (s *State) Tasks() []*Task { return s.tasks }

// Task returns the task (thread) with a pid, and fails if there is none.
func (s *State) Task(pid int) *Task {
	task, ok := s.LookupTask(pid)
	if !ok {
		s.fail("Task", fmt.Sprintf("pid %d", pid), errors.New(s.noTask(pid)))
	}
	return task
}

func (s *State) noTask(pid int) string {
	text := fmt.Sprintf("no such task when the snapshot was taken: it had ended, or not begun; there are %d", len(s.tasks))
	if i := slices.IndexFunc(s.tasks, func(t *Task) bool { return t.PID >= pid }); i > 0 {
		text += fmt.Sprintf(", of which %s and %s are the nearest", s.tasks[i-1], s.tasks[i])
	}
	return text
}

// LookupTask returns the task with a pid; ok is false if there is none.
func (s *State) LookupTask(pid int) (task *Task, ok bool) {
	for _, t := range s.tasks {
		if t.PID == pid {
			return t, true
		}
	}
	return nil, false
}

// TasksCalled returns the tasks with a name (comm), by ascending pid.
func (s *State) TasksCalled(comm string) (tasks []*Task) {
	for _, t := range s.tasks {
		if t.Comm == comm {
			tasks = append(tasks, t)
		}
	}
	return tasks
}

func (t *Task) String() string { return fmt.Sprintf("%s[%d]", t.Comm, t.PID) }

// IsRunnable tells whether the task runs or waits for a CPU.
func (t *Task) IsRunnable() bool { return t.OnRQ != 0 }

// IsIdle tells whether it is what a CPU runs when there is nothing else to.
func (t *Task) IsIdle() bool { return t.Class == "idle" }

// IsWaiting tells whether the task is runnable and no CPU runs it.
func (t *Task) IsWaiting() bool { return t.OnRQ != 0 && !t.IsCurrent() }

// IsCurrent tells whether a CPU runs the task.
func (t *Task) IsCurrent() bool { return t.current }

// RunnableFor returns for how long a task of the BPF scheduler has been runnable
// without running, as the watchdog counts it: 0 if it runs or sleeps.
func (t *Task) RunnableFor() time.Duration {
	if t.Class != ClassExt || !t.IsWaiting() {
		return 0
	}
	return max(0, t.s.Since(t.Ext.RunnableAt))
}

// DSQ returns the dispatch queue that holds the task, nil if none does: the BPF
// scheduler has it then, if it waits.
func (t *Task) DSQ() *DSQ { return t.dsq }

// BlockedBy returns the task that holds the mutex of the kernel that this one waits for.
// It is nil if the task waits for none, or if the holder is not known.
func (t *Task) BlockedBy() *Task {
	if t.owner == 0 {
		return nil
	}
	return t.s.byAddr[t.owner]
}

// Blocks returns the tasks that wait for a mutex of the kernel that this one has.
func (t *Task) Blocks() (waiting []*Task) {
	for _, other := range t.s.tasks {
		if other.owner == t.Addr && t.Addr != 0 {
			waiting = append(waiting, other)
		}
	}
	return waiting
}

// MayRunOn tells whether the task's affinity lets it run on a CPU.
func (t *Task) MayRunOn(cpu int) bool { return t.Allowed.Has(cpu) }
