package sched

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// This file finds tasks in what a BPF scheduler keeps itself: its maps that are queues or stacks.

// keeper is such a map, whose values have the pids of tasks, or the addresses of their task_structs.
type keeper struct {
	m     *ktsnap.Map
	tasks []*Task // by entry, first those that are popped first; nil for one of no task
}

func (k *keeper) has(t *Task) bool { return slices.Contains(k.tasks, t) }

func (k *keeper) isFull() bool { return k.m.MaxEntries > 0 && len(k.tasks) >= k.m.MaxEntries }

// queuesOf returns the maps of a snapshot that are queues or stacks and can be read.
func queuesOf(snap *ktsnap.Snapshot) (all []*ktsnap.Map) {
	for _, m := range snap.Maps {
		if m != nil && (m.Type == ktsnap.MapTypeQueue || m.Type == ktsnap.MapTypeStack) && m.Status != ktsnap.Unsupported && m.Check() == nil {
			all = append(all, m)
		}
	}
	return all
}

// readKeepers reads the maps that are queues. In which bytes of its values a map has tasks is not said
// anywhere: where most values name a task that no dispatch queue has, if those are most of all.
func (s *State) readKeepers(maps []*ktsnap.Map) (all []*keeper) {
	pids := make(map[uint64]*Task)
	for _, t := range s.tasks {
		if t.PID > 0 {
			pids[uint64(t.PID)] = t
		}
	}
	for _, m := range maps {
		k := &keeper{m: m}
		best := 0
		for _, by := range []struct {
			width int
			tasks map[uint64]*Task
		}{{4, pids}, {8, s.byAddr}} {
			for at := 0; at+by.width <= min(m.ValueSize, mostKept); at += by.width {
				if tasks := kept(m, at, by.width, by.tasks); waiting(tasks) > best && 2*waiting(tasks) > m.N {
					k.tasks, best = tasks, waiting(tasks)
				}
			}
		}
		if k.tasks == nil {
			k.tasks = make([]*Task, m.N)
		}
		all = append(all, k)
	}
	return all
}

// mostKept bounds how many bytes of a value are looked at.
const mostKept = 64

// kept returns the tasks that the numbers of a width at one place in the values are of.
func kept(m *ktsnap.Map, at, width int, of map[uint64]*Task) (tasks []*Task) {
	for i := range m.N {
		var b [8]byte
		copy(b[:width], m.Values[i*m.Stride+at:])
		tasks = append(tasks, of[binary.LittleEndian.Uint64(b[:])])
	}
	return tasks
}

// waiting counts the tasks that the BPF scheduler has.
func waiting(tasks []*Task) (n int) {
	for _, t := range tasks {
		if t != nil && t.isWithScheduler() {
			n++
		}
	}
	return n
}

// isWithScheduler tells whether the BPF scheduler has taken the task, and not dispatched it.
func (t *Task) isWithScheduler() bool {
	return t.Class == ClassExt && t.dsq == nil && t.Ext.OpsState == "QUEUED"
}

// keptBy says where the BPF scheduler keeps a task that it has: in which of its maps, or in none.
func (s *State) keptBy(v Starvation) string {
	for _, k := range s.keepers() {
		if i := slices.Index(k.tasks, v.Task); i >= 0 {
			return fmt.Sprintf(": its map %s has it%s%s", k.m.Name, keptBehind(k.tasks, i), s.keptMeanwhile(v, k))
		}
	}
	var names []string
	thread, leader := "", s.leader(v.Task)
	if leader != nil && leader != v.Task {
		thread = fmt.Sprintf("; it is a further thread of process %s", leader)
	}
	for _, k := range s.keepers() {
		text := fmt.Sprintf("%s, with %d of %d", k.m.Name, len(k.tasks), k.m.MaxEntries)
		switch {
		case len(k.tasks) == 0:
			text = k.m.Name + ", empty"
		case k.isFull():
			text += ", full"
		}
		names = append(names, text)
		if thread != "" && k.has(leader) {
			thread += fmt.Sprintf(", which %s has", k.m.Name)
		}
	}
	switch {
	case len(names) == 0:
		return ""
	case s.keepsOthers(v.Task):
		return fmt.Sprintf("; it has forgotten it: none of its maps that keep tasks has it any more (%s)%s", strings.Join(names, "; "), thread)
	}
	return fmt.Sprintf(", and none of its maps that are queues has it (%s)%s", strings.Join(names, "; "), thread)
}

// leader returns the first thread of a task's process.
func (s *State) leader(t *Task) *Task {
	i := slices.IndexFunc(s.tasks, func(other *Task) bool { return other.PID == t.TGID && t.TGID != 0 })
	if i < 0 {
		return nil
	}
	return s.tasks[i]
}

func keptBehind(tasks []*Task, i int) string {
	switch {
	case len(tasks) == 1:
		return " alone"
	case i == 0:
		return fmt.Sprintf(" as the first of %d", len(tasks))
	}
	ahead := slices.DeleteFunc(slices.Clone(tasks[:i]), func(t *Task) bool { return t == nil })
	return fmt.Sprintf(" behind %d: %s", i, names(ahead))
}

// keepsOthers tells whether the scheduler keeps tasks in maps that are queues: one of them is full, or has one
// that waits.
func (s *State) keepsOthers(but *Task) bool {
	return slices.ContainsFunc(s.keepers(), func(k *keeper) bool {
		return k.isFull() || slices.ContainsFunc(k.tasks, func(t *Task) bool { return t != nil && t != but && t.isWithScheduler() })
	})
}

// keptMeanwhile tells of tasks of other maps that have run since the starving one waits.
func (s *State) keptMeanwhile(v Starvation, in *keeper) string {
	for _, k := range s.keepers() {
		if ran := v.ranSince(k.tasks); k != in && len(ran) > 0 {
			return fmt.Sprintf(", and while it waits there, CPUs have run tasks of map %s (%s)", k.m.Name, names(ran))
		}
	}
	return ""
}

// ranSince returns those of the tasks that a CPU has run since the starving one waits.
func (v Starvation) ranSince(tasks []*Task) (ran []*Task) {
	for _, t := range tasks {
		if t != nil && v.hasRun(t) {
			ran = append(ran, t)
		}
	}
	return ran
}

// hasRun tells whether a CPU has run a task since the starving one waits.
func (v Starvation) hasRun(t *Task) bool {
	return v.Task.LastQueued != 0 && t.LastRun > v.Task.LastQueued
}
