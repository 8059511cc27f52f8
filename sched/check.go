package sched

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// This file has what holds for every scheduler. The guest can have been stopped in the
// middle of a change, so that what a held lock protects is not judged.

// Violation is a rule that a state breaks.
type Violation struct {
	Snapshot string // its name
	Rule     string // which: "one place", "count", "idle", "clock"
	Text     string // what is so, and what should be
}

func (v Violation) String() string { return fmt.Sprintf("%s: %s", v.Rule, v.Text) }

// ViolationsError is the error of [Check].
type ViolationsError []Violation

func (v ViolationsError) Error() string {
	const most = 10
	var b strings.Builder
	fmt.Fprintf(&b, "the kernel's scheduling in snapshot %q contradicts itself (%d rules broken):", v[0].Snapshot, len(v))
	for i, one := range v {
		if i == most {
			fmt.Fprintf(&b, "\n  and %d more", len(v)-most)
			break
		}
		fmt.Fprintf(&b, "\n  %s", one)
	}
	return b.String()
}

// Rules are what [Check] judges by.
type Rules struct {
	// Grace is how long a CPU may idle while its local queue or the global one has a
	// task for it; 0 is 100 ms. A CPU takes a moment to wake up, and longer under emulation.
	Grace time.Duration
}

const defaultGrace = 100 * time.Millisecond

// Check checks the snapshots of a run, in their order, for what is true of every scheduler:
//
//   - one place: each task of the BPF scheduler that is runnable is run by one CPU, in one
//     queue, or with the BPF scheduler, and in the queue that it says it is in;
//   - count: a queue has as many tasks as it says;
//   - idle: no CPU idles while its local queue, or the global one, has a task that may run
//     there, for longer than a grace;
//   - clock: the times of the kernel, of CPUs and of tasks never go back.
//
// The error is [ViolationsError], or a [*NoStateError] if a snapshot has nothing to judge, or
// none of them a scheduler. A snapshot of a scheduler that is being enabled, bypassed or
// disabled is checked for the first two only.
func Check(snaps ...*ktsnap.Snapshot) error { return Rules{}.Check(snaps...) }

// Check is [Check] by other rules.
func (r Rules) Check(snaps ...*ktsnap.Snapshot) error {
	var found ViolationsError
	var before *State
	enabled := false
	for _, snap := range snaps {
		s, err := Open(snap)
		if err != nil {
			return err
		}
		c := checker{State: s, grace: r.Grace, snapshot: snap.Name}
		if c.grace == 0 {
			c.grace = defaultGrace
		}
		c.places()
		c.idle()
		c.clocks(before)
		found = append(found, c.found...)
		before, enabled = s, enabled || s.Scheduler() != nil || s.Enabled.State == "enabled"
	}
	switch {
	case len(found) > 0:
		return found
	case before == nil:
		return &NoStateError{Reason: "give those of the run", lacks: "nothing to check"}
	case !enabled:
		return &NoStateError{Snapshot: snaps[0].Name, Release: snaps[0].Guest.Release, Reason: "no BPF scheduler is enabled in it, nor in those after it: capture while one runs", lacks: "nothing to check"}
	}
	return nil
}

type checker struct {
	*State
	grace    time.Duration
	snapshot string
	found    ViolationsError
}

func (c *checker) broken(rule, format string, args ...any) {
	c.found = append(c.found, Violation{c.snapshot, rule, fmt.Sprintf(format, args...)})
}

// changing tells whether somebody may be changing where a task is.
func (c *checker) changing(t *Task) bool {
	const migrating = 2 // TASK_ON_RQ_MIGRATING
	e := &t.Ext
	return t.OnRQ == migrating || e.HoldingCPU >= 0 || e.OpsState == "QUEUEING" || e.OpsState == "DISPATCHING" || c.isDirect(e.DirectDSQ) ||
		t.CPU < 0 || t.CPU >= len(c.cpus) || c.isLocked(t.CPU)
}

// isLocked tells whether somebody holds the lock of a CPU's runqueue.
func (c *checker) isLocked(cpu int) bool { return cpu >= 0 && cpu < len(c.cpus) && c.cpus[cpu].Locked }

// isDirect tells whether a task is on its way to a queue that ops.select_cpu or
// ops.enqueue has chosen.
func (c *checker) isDirect(dsq uint64) bool {
	none, ok := c.enums["scx_dsq_id_flags"].value("SCX_DSQ_INVALID")
	return ok && dsq != none && dsq != 0
}

func (c *checker) places() {
	holders := make(map[*Task][]*DSQ)
	for _, d := range c.dsqs {
		if d.Locked || c.isLocked(d.CPU) { // the lock of a CPU is its local queue's, too
			continue
		}
		if d.Count != d.Len() && len(c.problems) == 0 {
			c.broken("count", "%s says that it has %d tasks, and has %d: %s", d, d.Count, d.Len(), names(d.tasks))
		}
		for _, t := range d.tasks {
			holders[t] = append(holders[t], d)
		}
	}
	for _, t := range c.tasks {
		if t.Class == ClassExt && !c.changing(t) {
			c.place(t, holders[t])
		}
	}
}

func (c *checker) place(t *Task, holders []*DSQ) {
	switch {
	case len(holders) > 1:
		c.broken("one place", "%s is in %d queues: %v", t, len(holders), holders)
	case len(holders) == 1 && t.IsCurrent():
		c.broken("one place", "CPU %d runs %s, which is in %s, too", t.CPU, t, holders[0])
	case len(holders) == 1 && holders[0].Addr != t.Ext.Queue:
		c.broken("one place", "%s is in %s, and says that it is in the queue at %#x", t, holders[0], t.Ext.Queue)
	case len(holders) == 1 && !t.IsRunnable():
		c.broken("one place", "%s is in %s, and is not runnable", t, holders[0])
	case len(holders) == 0 && t.IsWaiting() && t.Ext.OpsState == "NONE" && t.Ext.Queue == 0 && t.Ext.State == "ENABLED" && c.inUse():
		c.broken("one place", "%s is runnable for %v, and neither a CPU, nor a queue, nor the BPF scheduler has it", t, t.RunnableFor())
	}
}

// inUse tells whether the BPF scheduler decides: it is enabled, and not passed over.
func (c *checker) inUse() bool {
	s := c.Scheduler()
	return s != nil && c.Enabled.State == "enabled" && s.BypassDepth == 0 && !c.Enabled.Ends()
}

func (c *checker) idle() {
	if !c.inUse() {
		return
	}
	for _, cpu := range c.cpus {
		if !cpu.Online || !cpu.IsIdle() || cpu.Locked || cpu.Pending {
			continue
		}
		for _, d := range c.dsqs {
			if global := !d.User && d.CPU < 0; d != cpu.local && !global {
				continue
			}
			if i := slices.IndexFunc(d.tasks, func(t *Task) bool { return t.MayRunOn(cpu.ID) && t.RunnableFor() > c.grace }); i >= 0 {
				c.broken("idle", "CPU %d idles, and %s has %s for it, which is runnable for %v", cpu.ID, d, d.tasks[i], d.tasks[i].RunnableFor())
			}
		}
	}
}

func (c *checker) clocks(before *State) {
	if before == nil {
		return
	}
	if c.Jiffies < before.Jiffies {
		c.broken("clock", "jiffies went back from %d to %d", before.Jiffies, c.Jiffies)
	}
	for i, cpu := range c.cpus {
		if i >= len(before.cpus) {
			break
		}
		if was := before.cpus[i]; cpu.Clock < was.Clock || cpu.Switches < was.Switches {
			c.broken("clock", "CPU %d went back from %v and %d switches to %v and %d", i, was.Clock, was.Switches, cpu.Clock, cpu.Switches)
		}
	}
	for _, t := range c.tasks {
		if was := before.byAddr[t.Addr]; was != nil && was.PID == t.PID && was.Comm == t.Comm && t.Runtime < was.Runtime {
			c.broken("clock", "%s had run for %v, and has for %v", t, was.Runtime, t.Runtime)
		}
	}
}

// names lists tasks for a person.
func names(tasks []*Task) string {
	const most = 5
	var list []string
	for i, t := range tasks {
		if i == most {
			list = append(list, fmt.Sprintf("%d more", len(tasks)-most))
			break
		}
		list = append(list, t.String())
	}
	if len(list) == 0 {
		return "none"
	}
	return strings.Join(list, ", ")
}
