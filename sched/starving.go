package sched

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// This file says which tasks wait for a CPU, and why none runs them.

// Starvation is a task of the BPF scheduler that is runnable and does not run.
type Starvation struct {
	Task  *Task
	For   time.Duration
	Limit time.Duration // after which the watchdog ends the scheduler; 0 without one

	DSQ   *DSQ    // that holds it; nil if none does
	Ahead []*Task // of it in the queue
	CPUs  []*CPU  // that are online and that its affinity lets it run on

	Cause string // in a sentence's end, for a person
}

func (v Starvation) String() string {
	of := ""
	if v.Limit > 0 {
		of = fmt.Sprintf(" of %v", v.Limit)
	}
	return fmt.Sprintf("%s has been runnable for %v%s without running: %s", v.Task, v.For, of, v.Cause)
}

// Starving returns the tasks that have been runnable without running for a tenth of the
// time that the watchdog allows, or for three seconds if there is no watchdog; those
// that wait longest first.
func (s *State) Starving() []Starvation {
	const part, without = 10, 3 * time.Second
	atLeast := without
	if c := s.Scheduler(); c != nil && c.Timeout > 0 {
		atLeast = c.Timeout / part
	}
	return s.StarvingFor(atLeast)
}

// StarvingFor returns the tasks that have been runnable without running for at least some
// time, those that wait longest first.
func (s *State) StarvingFor(atLeast time.Duration) (starving []Starvation) {
	for _, t := range s.tasks {
		if t.Class == ClassExt && t.IsWaiting() && t.RunnableFor() >= atLeast {
			starving = append(starving, s.starvation(t))
		}
	}
	slices.SortStableFunc(starving, func(a, b Starvation) int {
		return cmp.Or(cmp.Compare(b.For, a.For), cmp.Compare(len(a.Ahead), len(b.Ahead)))
	})
	return starving
}

func (s *State) starvation(t *Task) Starvation {
	v := Starvation{Task: t, For: t.RunnableFor(), DSQ: t.dsq}
	if c := s.Scheduler(); c != nil {
		v.Limit = c.Timeout
	}
	for _, c := range s.cpus {
		if c.Online && t.MayRunOn(c.ID) {
			v.CPUs = append(v.CPUs, c)
		}
	}
	if t.dsq != nil {
		ahead, _ := t.dsq.Position(t)
		v.Ahead = t.dsq.tasks[:ahead]
	}
	v.Cause = s.inversion(v) + s.starvingGroup(v) + s.cause(v) + s.offline(v) + v.place()
	return v
}

// inversion tells of the tasks that cannot run until the starving one does.
func (s *State) inversion(v Starvation) string {
	waiting := v.Task.Blocks()
	if len(waiting) == 0 {
		return ""
	}
	who := "they"
	if len(waiting) == 1 {
		who = waiting[0].String()
	}
	return fmt.Sprintf("it has a mutex of the kernel that %s for, so that %s cannot run either; ", countText(waiting, "waits", "wait"), who)
}

func countText(tasks []*Task, one, many string) string {
	if len(tasks) == 1 {
		return fmt.Sprintf("%s %s", tasks[0], one)
	}
	return fmt.Sprintf("%d tasks (%s) %s", len(tasks), names(tasks), many)
}

// starvingGroup tells whether it is not the task alone that starves but all that its cgroup
// has: two or more tasks are runnable, a CPU has taken none of the cgroup's for half of the
// time, and CPUs run tasks of others, of which some are runnable.
func (s *State) starvingGroup(v Starvation) string {
	g := v.Task.Group
	if g == nil || g.ID == 0 || g.Path == "/" {
		return ""
	}
	n := 0
	for _, t := range s.tasks {
		if t.Group != g || t.Class != ClassExt || !t.IsRunnable() {
			continue
		}
		if t.IsCurrent() || !s.restsFor(t, v.For/2) {
			return ""
		}
		n++
	}
	favoured := s.favoured(v)
	if n < 2 || favoured == nil {
		return ""
	}
	return fmt.Sprintf("its cgroup %s starves: CPUs run none of its %d runnable tasks, and run others, as %s of cgroup %s; ", g.Path, n, favoured, favoured.Group.Path)
}

// restsFor tells whether no CPU has taken a task for some time. Of a kernel that does not
// note when one does, that is not known.
func (s *State) restsFor(t *Task, d time.Duration) bool {
	if slices.Contains(s.absent, "task_struct.sched_info.last_arrival") {
		return false
	}
	var now time.Duration
	for _, c := range s.cpus {
		now = max(now, c.Clock)
	}
	return time.Duration(t.LastRun) <= now-d
}

// favoured returns a task of another cgroup that has run where the starving one may since
// that one waits.
func (s *State) favoured(v Starvation) *Task {
	for _, t := range s.tasks {
		if t.Class != ClassExt || t.Group == nil || t.Group.ID == 0 || t.Group == v.Task.Group || t.IsIdle() {
			continue
		}
		if t.IsCurrent() || t.IsRunnable() && v.hasRun(t) {
			return t
		}
	}
	return nil
}

// offline tells of the CPUs that are offline, of those that a task in a queue may run on:
// if others idle, or take nothing from the queue, that can be meant for one of them.
func (s *State) offline(v Starvation) string {
	if v.DSQ == nil || v.DSQ.CPU >= 0 {
		return ""
	}
	if _, still := v.standsStill(); !still && !slices.ContainsFunc(v.CPUs, (*CPU).IsIdle) {
		return ""
	}
	var off []int
	for _, c := range s.cpus {
		if !c.Online && c.Addr != 0 && v.Task.MayRunOn(c.ID) {
			off = append(off, c.ID)
		}
	}
	if len(off) == 0 {
		return ""
	}
	return fmt.Sprintf("; %s, which the queue may be for, %s offline", cpuText(ktsnap.CPUMaskOf(off...)), oneOrMany(len(off), "is", "are"))
}

func idleText(g *Cgroup) string {
	if g.Idle {
		return ", idle"
	}
	return ""
}

// cause says why a task does not run: first what alone keeps it, then who has it, and
// what the CPUs do that could run it.
func (s *State) cause(v Starvation) string {
	t := v.Task
	switch {
	case len(v.CPUs) == 0:
		return fmt.Sprintf("it may run on %s only, and none of them is online (%s are)%s", cpuText(t.Allowed), cpuText(ktsnap.CPUMaskOf(s.online...)), held(v))
	case v.DSQ == nil && t.Ext.OpsState == "QUEUED":
		return "the BPF scheduler has taken it in ops.enqueue and not dispatched it" + s.keptBy(v) + "; " + v.doing(v.CPUs)
	case v.DSQ == nil && t.Ext.OpsState == "NONE":
		return "it is lost: no queue has it, and neither has the BPF scheduler; " + v.doing(v.CPUs)
	case v.DSQ == nil:
		return fmt.Sprintf("it is on its way to a queue (ops_state %s); %s", t.Ext.OpsState, v.doing(v.CPUs))
	case v.DSQ.CPU >= 0:
		return s.causeOnCPU(v)
	}
	return s.causeInQueue(v)
}

func held(v Starvation) string {
	if v.DSQ == nil {
		return ""
	}
	return fmt.Sprintf("; %s has it", v.DSQ)
}

// causeOnCPU is of a task in a CPU's own queue.
func (s *State) causeOnCPU(v Starvation) string {
	c := s.cpus[v.DSQ.CPU]
	switch {
	case !c.Online:
		return fmt.Sprintf("it is in the %s, which is offline", v.DSQ)
	case !v.Task.MayRunOn(c.ID):
		return fmt.Sprintf("it is in the %s, which it may not run on: its affinity is %s", v.DSQ, cpuText(v.Task.Allowed))
	}
	idle := slices.DeleteFunc(slices.Clone(v.CPUs), func(other *CPU) bool { return other == c || !other.IsIdle() })
	text := fmt.Sprintf("it is in the %s%s%s%s; %s", v.DSQ, behind(v), v.order(), v.zeroSlices(), v.doing([]*CPU{c}))
	if len(idle) > 0 && !c.IsIdle() {
		text += fmt.Sprintf(", while %s idle and may run it: only CPU %d takes from its local queue", cpusText(idle), c.ID)
	}
	return text
}

// causeInQueue is of a task in a queue that schedulers take from.
func (s *State) causeInQueue(v Starvation) string {
	text := fmt.Sprintf("%s has it%s", v.DSQ, behind(v))
	isFree := func(c *CPU) bool { return !v.isHeld(c) }
	if slices.ContainsFunc(v.CPUs, isFree) {
		text += v.order() + v.distinct()
	}
	text += v.zeroSlices() + v.lastCPU()
	idle := slices.DeleteFunc(slices.Clone(v.CPUs), func(c *CPU) bool { return !c.IsIdle() })
	busy := slices.DeleteFunc(slices.Clone(v.CPUs), (*CPU).IsIdle)
	switch asleep := v.asleep(idle); {
	case len(idle) > 0 && len(asleep) == len(idle):
		return fmt.Sprintf("%s; %s idle and may run it, and %s been since before it came: nobody has kicked %s (scx_bpf_kick_cpu)%s", text, cpusText(idle), oneOrMany(len(idle), "has", "have"), oneOrMany(len(idle), "it", "them"), v.others(busy))
	case len(busy) == 0 && v.isPinned():
		return fmt.Sprintf("%s; %s idle, the only one%s that may run it, and %s not take from this queue", text, cpusText(idle), oneOrMany(len(idle), "", "s"), oneOrMany(len(idle), "does", "do"))
	case len(busy) == 0:
		return fmt.Sprintf("%s, and %s idle and may run it: %s", text, cpusText(idle), v.nobodyTakes())
	case len(idle) > 0:
		return fmt.Sprintf("%s; %s idle and may run it, and %s not take from this queue%s", text, cpusText(idle), oneOrMany(len(idle), "does", "do"), v.others(busy))
	}
	return text + "; " + v.doing(busy) + s.meanwhile(v)
}

// others says what the CPUs do that do not idle.
func (v Starvation) others(busy []*CPU) string {
	if len(busy) == 0 {
		return ""
	}
	return "; " + v.doing(busy)
}

// nobodyTakes tells whether anybody ever has.
func (v Starvation) nobodyTakes() string {
	if v.DSQ.Seq > uint64(v.DSQ.Len()) {
		return "nobody takes from this queue any more"
	}
	return "nobody takes from this queue"
}

func behind(v Starvation) string {
	if len(v.Ahead) == 0 {
		return " as its first task"
	}
	return fmt.Sprintf(" behind %d: %s", len(v.Ahead), names(v.Ahead))
}

// doing says what CPUs do.
func (v Starvation) doing(cpus []*CPU) (text string) {
	const most = 4
	for i, c := range cpus {
		if i > 0 {
			text += ", "
		}
		if i == most {
			return text + fmt.Sprintf("and so on for %d more", len(cpus)-most)
		}
		text += fmt.Sprintf("CPU %d %s", c.ID, v.doingOf(c)) + v.renewed(c) + v.before(c)
	}
	return text
}

// doingOf says what a CPU does, and, where that is a task of another class that runs for a moment, what that
// one has interrupted.
func (v Starvation) doingOf(c *CPU) string {
	t := v.interrupted(c)
	switch {
	case t == nil && v.isPassing(c):
		return fmt.Sprintf("runs %s of class %s for a moment", c.Current(), c.Current().Class)
	case t == nil:
		return c.Doing()
	}
	return fmt.Sprintf("%s, and %s of class %s for a moment", runs(t), c.Current(), c.Current().Class)
}

// endless is SCX_SLICE_INF: the slice of a task that runs until something else ends it.
const endless = time.Duration(-1)

// Doing says in some words what the CPU does: "is idle", "runs spin[17] with 3ms of its
// slice left".
func (c *CPU) Doing() string {
	t := c.Current()
	switch {
	case !c.Online:
		return "is offline"
	case c.IsIdle():
		return "is idle"
	case t == nil:
		return "runs a task that is not known"
	case t.Class != ClassExt:
		return fmt.Sprintf("runs %s of class %s, which goes before the BPF scheduler's", t, t.Class)
	}
	return runs(t)
}

// runs says how long a task of the BPF scheduler may run on.
func runs(t *Task) string {
	if t.Ext.Slice == endless {
		return fmt.Sprintf("runs %s, whose slice has no end", t)
	}
	return fmt.Sprintf("runs %s with %v of its slice left", t, t.Ext.Slice)
}

func cpuText(m ktsnap.CPUMask) string {
	switch {
	case m.IsEmpty():
		return "no CPU"
	case m.Count() == 1:
		return "CPU " + m.String()
	}
	return "CPUs " + m.String()
}

// cpusText is the beginning of a sentence about CPUs.
func cpusText(cpus []*CPU) string {
	var ids []int
	for _, c := range cpus {
		ids = append(ids, c.ID)
	}
	return cpuText(ktsnap.CPUMaskOf(ids...)) + " " + oneOrMany(len(ids), "is", "are")
}

// oneOrMany chooses a word by how many things it is about.
func oneOrMany(n int, one, many string) string {
	if n > 1 {
		return many
	}
	return one
}
