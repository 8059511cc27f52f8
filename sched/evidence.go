package sched

import (
	"fmt"
	"slices"
	"time"
)

// This file reads out of one snapshot what has happened to a task since it waits: who
// went before it, and what CPUs have run instead.

// overtaken returns how many tasks that came to the queue after the starving one have left
// it before.
func (v Starvation) overtaken() int {
	const most = 1 << 31 // numbers are of 32 bits, and wrap around
	mine := uint32(v.Task.Ext.DSQSeq)
	gone := uint32(v.DSQ.Seq) - mine
	if mine == 0 || gone >= most {
		return 0 // of a kernel that does not count
	}
	return max(0, int(gone)-len(v.later(v.DSQ.tasks)))
}

// later returns those tasks of the queue that came after the starving one.
func (v Starvation) later(tasks []*Task) (later []*Task) {
	for _, t := range tasks {
		if int32(uint32(t.Ext.DSQSeq)-uint32(v.Task.Ext.DSQSeq)) > 0 {
			later = append(later, t)
		}
	}
	return later
}

// byVTime is SCX_TASK_DSQ_ON_PRIQ: the task is in its queue by its vtime.
const byVTime = 1

// farAhead is how far the vtime of a task is from that of the queue's first one that no
// scheduler means it to be.
const farAhead = 1 << 60

// order says why others go before the starving task in its queue, if they do.
func (v Starvation) order() string {
	n, first := v.overtaken(), v.DSQ.tasks[0]
	gap := v.Task.Ext.VTime - first.Ext.VTime
	switch {
	case v.Task.Ext.DSQFlags&byVTime != 0 && first != v.Task && gap >= farAhead:
		return fmt.Sprintf("; its vtime of %d is out of reach of the first's, %d: it has wrapped around, or was never set", v.Task.Ext.VTime, first.Ext.VTime)
	case v.Task.Ext.DSQFlags&byVTime != 0 && first != v.Task:
		return fmt.Sprintf("; the queue goes by vtime, and its vtime of %d is %d above the first's%s%s%s", v.Task.Ext.VTime, gap, v.uncharged(), before(n), v.still(n))
	case v.Task.Ext.DSQFlags&byVTime != 0:
		return before(n) + v.still(n)
	case n > 0 && len(v.later(v.Ahead)) > 0:
		return before(n) + ", and of those ahead " + countText(v.later(v.Ahead), "did", "did") + ": " + v.inFront()
	case n > 0 && v.DSQ.CPU < 0 && v.isPinned():
		return before(n) + ": CPUs that it may not run on pass it over, or others are put in front (SCX_ENQ_HEAD)"
	case n > 0:
		return before(n) + ": " + v.inFront() + ", or taken out of their order"
	}
	return v.still(n)
}

// inFront says who puts tasks in front.
func (v Starvation) inFront() string {
	if v.DSQ.CPU >= 0 {
		return "they are put in front (SCX_ENQ_HEAD, or by the kernel if a higher class has interrupted them)"
	}
	return "they are put in front (SCX_ENQ_HEAD)"
}

// still tells of a queue that stands still.
func (v Starvation) still(overtaken int) string {
	least, stands := v.standsStill()
	if overtaken > 0 || v.DSQ.Len() < 2 || !stands {
		return ""
	}
	return fmt.Sprintf("; nobody seems to take from this queue: all of its %d tasks have waited for %v or longer", v.DSQ.Len(), least)
}

// standsStill tells whether all tasks of the queue have waited nearly as long as the starving one. Tasks that run
// come back, so a queue that CPUs take from has some that have come lately.
func (v Starvation) standsStill() (least time.Duration, stands bool) {
	least = v.For
	for _, t := range v.DSQ.tasks {
		least = min(least, t.RunnableFor())
	}
	return least, least >= v.For-v.For/4
}

// uncharged tells of a task ahead by vtime that has run for longer than the starving one, weight for weight.
func (v Starvation) uncharged() string {
	const much = 2
	t := v.Task
	for _, a := range v.later(v.Ahead) {
		if a.Ext.Weight == t.Ext.Weight && v.hasRun(a) && a.Runtime > much*t.Runtime && t.Runtime > 0 {
			return fmt.Sprintf(" (%s, of the same weight, has run for %v and is ahead, and it for %v: vtimes do not grow by what tasks run)", a, a.Runtime, t.Runtime)
		}
	}
	return ""
}

// distinct tells what the starving task has that none of those has that came to its queue after it and went
// before it: whoever takes from the queue may choose by that. They are those that have run since, where it
// may run, too.
func (v Starvation) distinct() string {
	if v.overtaken() == 0 || len(v.Ahead) > 0 {
		return ""
	}
	t := v.Task
	const part = 2 // of the time: others that wait so long share the lot of the starving one
	var ran []*Task
	for _, other := range t.s.tasks {
		if other.Class == ClassExt && other.IsRunnable() && other.RunnableFor() < v.For/part && v.hasRun(other) && t.MayRunOn(other.CPU) {
			ran = append(ran, other)
		}
	}
	if len(ran) == 0 {
		return ""
	}
	for _, of := range []struct {
		name string
		is   func(*Task) string
	}{
		{"weight", func(t *Task) string { return fmt.Sprint(t.Ext.Weight) }},
		{"policy", func(t *Task) string { return fmt.Sprint(t.Policy) }},
		{"cgroup", func(t *Task) string {
			if t.Group == nil {
				return ""
			}
			return t.Group.Path
		}},
	} {
		theirs := of.is(ran[0])
		if theirs != of.is(t) && !slices.ContainsFunc(ran, func(other *Task) bool { return of.is(other) != theirs }) {
			return fmt.Sprintf("; it is of %s %s, and all that have run since are of %s", of.name, of.is(t), theirs)
		}
	}
	return ""
}

// lastCPU tells that the starving task was on a CPU last that is offline, and so are all in its queue.
func (v Starvation) lastCPU() string {
	cpus := v.Task.s.cpus
	n := v.Task.CPU
	if !v.DSQ.User || n < 0 || n >= len(cpus) || cpus[n].Online || slices.ContainsFunc(v.DSQ.tasks, func(t *Task) bool { return t.CPU != n }) {
		return ""
	}
	return fmt.Sprintf("; all in this queue were on CPU %d last, which is offline", n)
}

// aMoment is about a tick: how late the kernel counts for how long a task has run.
const aMoment = 10 * time.Millisecond

// isPassing tells whether a CPU runs a task of another class that has it for a moment: that has run on end for a
// small part of the time that the starving one waits.
func (v Starvation) isPassing(c *CPU) bool {
	const small = 4
	t := c.Current()
	return t != nil && !c.IsIdle() && t.Class != ClassExt && t.LastRun != 0 && t.execStart != 0 && c.runsFor() <= v.For/small
}

// interrupted returns the task of the BPF scheduler that a CPU runs but for one that passes. It is then first
// in the CPU's local queue, with what is left of its slice.
func (v Starvation) interrupted(c *CPU) *Task {
	t := c.Current()
	if t == nil || c.IsIdle() || t.Class == ClassExt || c.local == nil || c.local.Len() == 0 || t.execStart != 0 && !v.isPassing(c) {
		return nil
	}
	first := c.local.tasks[0]
	ranUntil := first.execStart + c.Clock - c.clockTask
	if first == v.Task || first.Class != ClassExt || !v.hasRun(first) && (first.execStart == 0 || ranUntil < c.Clock-c.runsFor()-aMoment) {
		return nil
	}
	return first
}

// before tells of the tasks in a CPU's local queue, if the starving one is not among them: the CPU looks at
// others once that is empty.
func (v Starvation) before(c *CPU) string {
	if c.local == nil || v.DSQ == c.local || !v.Task.MayRunOn(c.ID) {
		return ""
	}
	local := slices.DeleteFunc(slices.Clone(c.local.tasks), func(t *Task) bool { return t == v.interrupted(c) })
	if len(local) == 0 {
		return ""
	}
	text := fmt.Sprintf(", and before all others those of its local queue (%s)", names(local))
	var idle []*CPU
	for _, other := range v.Task.s.cpus {
		if other != c && other.Online && other.IsIdle() && local[0].MayRunOn(other.ID) {
			idle = append(idle, other)
		}
	}
	if len(idle) > 0 {
		text += fmt.Sprintf(", while %s idle and may run some of them", cpusText(idle))
	}
	const part = 2
	if first := local[0]; first.RunnableFor() >= v.For/part {
		other := Starvation{Task: first, For: first.RunnableFor(), DSQ: c.local}
		text += fmt.Sprintf(", of which %s has waited for %v itself%s", first, other.For, other.order())
	}
	return text
}

func before(n int) string {
	switch n {
	case 0:
		return ""
	case 1:
		return "; 1 task that came after it has left before it"
	}
	return fmt.Sprintf("; %d tasks that came after it have left before it", n)
}

// isPinned tells whether the task may run on some of the CPUs only that are online.
func (v Starvation) isPinned() bool {
	return len(v.CPUs) > 0 && slices.ContainsFunc(v.Task.s.cpus, func(c *CPU) bool { return c.Online && !v.Task.MayRunOn(c.ID) })
}

// zeroSlices tells of slices of zero, of which the kernel makes 1 ns, among the tasks up to
// the starving one.
func (v Starvation) zeroSlices() string {
	var zero []*Task
	for _, t := range v.Ahead {
		if t.Ext.Slice == 0 || t.Ext.Slice == 1 {
			zero = append(zero, t)
		}
	}
	text := ""
	if len(zero) > 0 {
		text = "; " + countText(zero, "has", "have") + " a slice of zero"
	}
	if s := v.Task.Ext.Slice; s == 0 || s == 1 {
		text += "; its own slice is zero"
	}
	return text
}

// meanwhile tells of the tasks of other queues that CPUs have run since the starving one
// waits.
func (s *State) meanwhile(v Starvation) string {
	if v.Task.LastQueued == 0 {
		return ""
	}
	for _, d := range s.DSQs() {
		if d == v.DSQ || d.CPU >= 0 {
			continue
		}
		if ran := v.ranSince(d.tasks); len(ran) > 0 {
			return fmt.Sprintf("; while it waits here, CPUs have run tasks of %s (%s)", d, names(ran))
		}
	}
	return ""
}

// runsFor returns for how long the CPU had run its current task on end when it looked at
// its slice last, 0 if it idles or the kernel does not note it.
func (c *CPU) runsFor() time.Duration {
	t := c.Current()
	if t == nil || t.LastRun == 0 || t.execStart == 0 || c.IsIdle() {
		return 0
	}
	return max(0, t.execStart+c.Clock-c.clockTask-time.Duration(t.LastRun))
}

// renewed tells of a CPU that has run its task for several of the slices that the starving
// one is to have.
func (v Starvation) renewed(c *CPU) string {
	const several = 3
	t, ran := c.Current(), c.runsFor()
	if t == nil || t.Class != ClassExt || t.Ext.Slice <= 0 || v.Task.Ext.Slice <= 0 || ran < several*max(t.Ext.Slice, v.Task.Ext.Slice, time.Millisecond) {
		return ""
	}
	return fmt.Sprintf(", which has run for %v on end, %d times the slice of who waits: its slice is renewed, or is that long", ran, ran/v.Task.Ext.Slice)
}

// isHeld tells whether what a CPU runs is why it runs nobody else.
func (v Starvation) isHeld(c *CPU) bool {
	t := c.Current()
	if other := v.interrupted(c); other != nil {
		return other.Ext.Slice == endless
	}
	if v.isPassing(c) {
		return false
	}
	return !c.IsIdle() && t != nil && (t.Class != ClassExt || t.Ext.Slice == endless || v.renewed(c) != "")
}

// asleep returns those idle CPUs that have slept since before the task came to wait.
func (v Starvation) asleep(idle []*CPU) (asleep []*CPU) {
	for _, c := range idle {
		if v.Task.LastQueued != 0 && c.Clock != 0 && uint64(c.Clock) < v.Task.LastQueued {
			asleep = append(asleep, c)
		}
	}
	return asleep
}

// place tells where the starving task may run, and whose it is, where that is special.
func (v Starvation) place() string {
	text, t := "", v.Task
	if v.isPinned() {
		text = "affinity " + cpuText(t.Allowed)
		if t.MigrationDisabled > 0 {
			text += " with migration disabled"
		}
	}
	if g := t.Group; g != nil && g.ID != 0 && g.Path != "/" {
		if text != "" {
			text += ", "
		}
		text += fmt.Sprintf("cgroup %s, weight %d%s", g.Path, g.Weight, idleText(g))
	}
	if text != "" {
		text = " (" + text + ")"
	}
	return text
}
