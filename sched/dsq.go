package sched

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/ktsnap"
	"github.com/ktgen/ktgen/runtime/nearest"
)

// DSQ is a dispatch queue: struct scx_dispatch_q.
type DSQ struct {
	ID        uint64
	Addr      uint64
	CPU       int        // whose it is; -1 for one of none
	Node      int        // of a global queue, the NUMA node; -1 for others
	Scheduler *Scheduler // whose it is; nil for those of CPUs that serve all
	User      bool       // the BPF scheduler has made it
	Count     int        // how many tasks the kernel says it has
	Seq       uint64     // how many it has ever had, by order
	Locked    bool       // somebody holds its lock, and may be changing it

	s     *State
	tasks []*Task
}

func (s *State) loadQueues(t, queued *records) {
	if t == nil || queued == nil {
		return
	}
	for i := range t.N {
		r := t.record(i)
		d := &DSQ{
			ID: r.uint("id"), Addr: t.Addrs[i], CPU: int(r.int("cpu")), Node: int(r.int("node")), User: r.uint("is_user") != 0,
			Count: int(r.uint("nr")), Seq: r.uint("seq"), Locked: r.isLocked("lock"), s: s,
		}
		if n := r.int("scheduler"); n >= 0 && n < int64(len(s.schedulers)) {
			d.Scheduler = s.schedulers[n]
		}
		s.dsqs = append(s.dsqs, d)
		s.giveToCPU(d)
	}
	for i := range queued.N {
		r := queued.record(i)
		row := r.uint("queue")
		if row >= uint64(len(s.dsqs)) {
			continue
		}
		d := s.dsqs[row]
		task := s.byAddr[r.uint("task")]
		if task == nil {
			s.problems = append(s.problems, fmt.Sprintf("%s holds a task at %#x that is not in the list of all tasks", d, r.uint("task")))
			continue
		}
		d.tasks = append(d.tasks, task)
		if task.dsq == nil {
			task.dsq = d
		}
	}
}

func (s *State) giveToCPU(d *DSQ) {
	if d.CPU < 0 || d.CPU >= len(s.cpus) {
		return
	}
	c := s.cpus[d.CPU]
	if local, ok := s.enums["scx_dsq_id_flags"].value("SCX_DSQ_LOCAL"); ok && d.ID == local && c.local == nil {
		c.local = d
		return
	}
	c.dsqs = append(c.dsqs, d)
}

// DSQs returns all dispatch queues: those of the CPUs, of the NUMA nodes, and those that
// schedulers have made, these by ascending id.
func (s *State) DSQs() []*DSQ {
	sorted := slices.Clone(s.dsqs)
	slices.SortStableFunc(sorted, func(a, b *DSQ) int {
		switch {
		case a.User && b.User:
			return cmp.Compare(a.ID, b.ID)
		case a.User:
			return 1
		case b.User:
			return -1
		}
		return 0
	})
	return sorted
}

// UserDSQs returns the queues that schedulers have made, by ascending id.
func (s *State) UserDSQs() (dsqs []*DSQ) {
	for _, d := range s.DSQs() {
		if d.User {
			dsqs = append(dsqs, d)
		}
	}
	return dsqs
}

// DSQ returns the queue with an id, and fails if there is none. It is one that the BPF
// scheduler has made, or one of the kernel's, as scx_bpf_dsq_nr_queued finds it:
// SCX_DSQ_GLOBAL is that of the first NUMA node, and SCX_DSQ_LOCAL_ON|n the local queue of
// CPU n.
func (s *State) DSQ(id uint64) *DSQ {
	d, ok := s.LookupDSQ(id)
	if !ok {
		s.fail("DSQ", s.QueueName(id), errors.New("there is no such queue; "+s.haveQueues()))
	}
	return d
}

func (s *State) haveQueues() string {
	var names []string
	for _, d := range s.UserDSQs() {
		names = append(names, s.QueueName(d.ID))
	}
	if len(names) == 0 {
		return "the scheduler has made none"
	}
	const most = 12
	if len(names) > most {
		names = append(names[:most], fmt.Sprintf("%d more", len(names)-most))
	}
	return "the scheduler has made " + strings.Join(names, ", ")
}

// LookupDSQ is [State.DSQ]; ok is false if there is no such queue.
func (s *State) LookupDSQ(id uint64) (d *DSQ, ok bool) {
	ids := s.enums["scx_dsq_id_flags"]
	on, isThere := ids.value("SCX_DSQ_LOCAL_ON")
	if cpu := id &^ on; isThere && id&on == on && cpu < uint64(len(s.cpus)) {
		d = s.cpus[cpu].local
		return d, d != nil
	}
	for _, d := range s.dsqs {
		if d.ID == id && (d.User || d.CPU < 0) {
			return d, true
		}
	}
	return nil, false
}

// DSQCalled returns the queue of a BPF scheduler whose id has an enumerator of that name
// in the scheduler's BTF, of whatever enum, and fails if there is none. BTF has no macros, such as #define
// SHARED_DSQ 0, and no enums that nothing has as its type: for these see [State.DSQ].
func (s *State) DSQCalled(name string) *DSQ {
	var names []string
	for _, d := range s.UserDSQs() {
		if slices.Contains(s.names.all[d.ID], name) {
			return d
		}
		names = append(names, s.QueueName(d.ID))
	}
	s.fail("DSQCalled", name, errors.New("there is no such queue"+nearest.Advice(name, names)+"; "+s.haveQueues()))
	return nil
}

// Tasks returns the tasks in the queue, in the order in which it hands them out: by
// vtime where they were inserted so, and else first in, first out.
func (d *DSQ) Tasks() []*Task { return d.tasks }

// Len returns how many tasks are in the queue.
func (d *DSQ) Len() int { return len(d.tasks) }

// Position returns how many tasks are ahead of one; ok is false if it is not in the
// queue.
func (d *DSQ) Position(t *Task) (ahead int, ok bool) {
	i := slices.Index(d.tasks, t)
	return max(i, 0), i >= 0
}

// Name returns what the queue is called: "local queue of CPU 1", "global queue",
// "SHARED_DSQ (0)".
func (d *DSQ) Name() string {
	ids := d.s.enums["scx_dsq_id_flags"]
	if d.User {
		return "queue " + d.s.QueueName(d.ID)
	}
	kind := strings.ToLower(ids.text(d.ID, "SCX_DSQ_")) + " queue"
	switch {
	case d.CPU >= 0:
		return fmt.Sprintf("%s of CPU %d", kind, d.CPU)
	case d.Node > 0:
		return fmt.Sprintf("%s of node %d", kind, d.Node)
	}
	return kind
}

func (d *DSQ) String() string { return d.Name() }

// QueueName returns what an id is called: "SHARED_DSQ (0)" if the scheduler has an
// enumerator for it, "SCX_DSQ_GLOBAL", "SCX_DSQ_LOCAL_ON|1", or the number.
func (s *State) QueueName(id uint64) string {
	ids := s.enums["scx_dsq_id_flags"]
	if builtin, ok := ids.value("SCX_DSQ_FLAG_BUILTIN"); ok && id&builtin != 0 {
		if on, ok := ids.value("SCX_DSQ_LOCAL_ON"); ok && id&on == on {
			return fmt.Sprintf("SCX_DSQ_LOCAL_ON|%d", id&^on)
		}
		for _, v := range ids.values {
			if v.Value == id {
				return v.Name
			}
		}
	}
	number := fmt.Sprintf("%d", id)
	if id > 1<<32 {
		number = fmt.Sprintf("%#x", id)
	}
	if names := s.names.ids[id]; len(names) > 0 {
		return fmt.Sprintf("%s (%s)", strings.Join(names, "|"), number)
	}
	return number
}

// queueNames are the names that the enums of captured programs have for ids of queues: those
// of enumerators with "DSQ" in them that are not the kernel's. An id that several are of has
// them all.
type queueNames struct {
	all map[uint64][]string
	ids map[uint64][]string // without those that only have it in their name
}

func queueNamesOf(snap *ktsnap.Snapshot) queueNames {
	names := queueNames{make(map[uint64][]string), make(map[uint64][]string)}
	for _, p := range snap.Programs {
		if p == nil {
			continue
		}
		for _, shape := range p.Shapes {
			if shape != nil && shape.Kind == ctype.KindEnum && !isKernels(shape) {
				names.add(shape)
			}
		}
	}
	return names
}

func isKernels(s *ctype.Shape) bool {
	return slices.ContainsFunc(s.Values, func(v ctype.EnumValue) bool {
		return strings.HasPrefix(strings.TrimLeft(v.Name, "_"), "SCX_")
	})
}

func (n queueNames) add(s *ctype.Shape) {
	for _, v := range s.Values {
		if !isQueue(v.Name) {
			continue
		}
		for _, names := range []map[uint64][]string{n.all, n.ids} {
			if have := names[v.Value]; !slices.Contains(have, v.Name) {
				names[v.Value] = append(have, v.Name)
			}
			if counts(s, v.Value) {
				break
			}
		}
	}
}

func isQueue(name string) bool { return strings.Contains(strings.ToUpper(name), "DSQ") }

// counts tells whether a value of an enum is one of a list's, whose numbers say nothing but which:
// enumerators that name no queue come right before and after it, or next to it if the enum is a type
// with a name of its own that is not about queues.
func counts(s *ctype.Shape, value uint64) bool {
	other := func(value uint64) bool {
		return slices.ContainsFunc(s.Values, func(v ctype.EnumValue) bool { return v.Value == value && !isQueue(v.Name) })
	}
	before, after := other(value-1), other(value+1)
	if s.Name == "" || isQueue(s.Name) {
		return before && after
	}
	return before || after
}
