package scx

import (
	"slices"

	"github.com/ktgen/ktgen/freeze/internal/kmem"
	"github.com/ktgen/ktgen/runtime/ctype"
)

// taskLayout is the table "tasks": all tasks, as the list scx_tasks has them, and those
// that CPUs run without being in it.
type taskLayout struct {
	p    *projection
	list kmem.Addr // scx_tasks
	node int       // task_struct.scx.tasks_node

	flags     kmem.Field // in a view: task_struct.flags
	scxFlags  kmem.Field // in a view: task_struct.scx.flags
	next      kmem.Field // in a view: task_struct.scx.tasks_node.next
	maskPtr   kmem.Field // in a view: task_struct.cpus_ptr
	mask      int        // task_struct.cpus_mask
	hasMask   bool
	class     kmem.Field // in a view: task_struct.sched_class
	hasClass  bool
	classes   []kmem.Addr // in the order of classSymbols
	words     int         // bytes of a mask
	allowed   int         // columns
	className int

	blockedOn  kmem.Field // in a view: task_struct.blocked_on
	owner      kmem.Field // struct mutex.owner
	hasOwner   bool
	blockedCol int

	lacks string
}

// taskMembers are what of task_struct tells why a task may run or not, beside what
// tells which it is.
var taskMembers = []string{
	"thread_info.flags", "thread_info.cpu", "__state", "flags", "on_cpu", "on_rq", "is_blocked",
	"recent_used_cpu", "wake_cpu", "prio", "static_prio", "normal_prio", "rt_priority",
	"se.sum_exec_runtime", "se.exec_start", "scx", "sched_class", "sched_task_group",
	"policy", "nr_cpus_allowed", "cpus_ptr", "migration_disabled",
	"sched_info.pcount", "sched_info.run_delay", "sched_info.last_arrival", "sched_info.last_queued",
	"exit_state", "pid", "tgid", "comm", "blocked_on",
}

// classSymbols are the scheduling classes by their number in the column "class".
var classSymbols = []string{"stop_sched_class", "dl_sched_class", "rt_sched_class", "fair_sched_class", "ext_sched_class", "idle_sched_class"}

func (l *taskLayout) resolve(r *Layout) {
	p, ok := r.types.project("task_struct", taskMembers...)
	l.list = r.symbol("scx_tasks")
	node, hasNode := r.offset("task_struct", "scx.tasks_node")
	switch {
	case l.list == 0:
		l.lacks = "scx_tasks"
	case !ok || !hasNode:
		l.lacks = "task_struct.scx.tasks_node"
	}
	if l.lacks != "" {
		return
	}
	l.p, l.node = p, node
	in := func(path string) (kmem.Field, bool) {
		f, ok := r.field("task_struct", path)
		f.Offset -= p.low
		return f, ok && f.Offset >= 0 && f.Offset+f.Size <= p.span
	}
	l.next = kmem.Field{Offset: node - p.low, Size: 8}
	var hasFlags, hasScx, hasPtr bool
	l.flags, hasFlags = in("flags")
	l.scxFlags, hasScx = in("scx.flags")
	if !hasFlags || !hasScx {
		l.lacks = "task_struct.flags or task_struct.scx.flags"
		return
	}
	l.maskPtr, hasPtr = in("cpus_ptr")
	mask, hasMask := r.offset("task_struct", "cpus_mask")
	l.mask, l.hasMask = mask, hasPtr && hasMask
	l.words = (r.cpus.Len() + 63) / 64 * 8
	l.allowed = p.column("cpus_allowed", r.mask())
	l.resolveClass(r, in)
	l.resolveOwner(r, in)
}

// resolveClass finds what tells the scheduling class of a task.
func (l *taskLayout) resolveClass(r *Layout, in func(string) (kmem.Field, bool)) {
	l.class, l.hasClass = in("sched_class")
	enum := &ctype.Shape{Kind: ctype.KindEnum, Name: "sched_class", Size: 4, Values: []ctype.EnumValue{{Name: "unknown"}}}
	for i, name := range classSymbols {
		l.classes = append(l.classes, r.symbol(name))
		enum.Values = append(enum.Values, ctype.EnumValue{Name: name, Value: uint64(i + 1)})
	}
	l.className = l.p.column("class", enum)
}

// resolveOwner finds who has the mutex that a task waits for. Its column is there only if
// the kernel tells.
func (l *taskLayout) resolveOwner(r *Layout, in func(string) (kmem.Field, bool)) {
	blockedOn, ok := in("blocked_on")
	owner, hasOwner := r.field("mutex", "owner.counter")
	l.blockedOn, l.owner, l.hasOwner = blockedOn, owner, ok && hasOwner && blockedOn.Size == 8 && owner.Size == 8
	if l.hasOwner {
		l.blockedCol = l.p.column("blocked_on_owner", u64)
	}
}

// cursor is SCX_TASK_CURSOR: an iterator's mark in the list of tasks, and no task.
const cursor = 1 << 31

// idler is PF_IDLE: a task that a CPU runs when there is nothing else to.
const idler = 2

// ahead is how many tasks are brought into the cache ahead of the one that is copied.
const ahead = 4

func (w *walk) allTasks() {
	l := &w.tasks
	t := w.begin("tasks", l.p, l.lacks)
	if t.missing() {
		return
	}
	var expected []kmem.Addr
	if w.warm != nil {
		expected = w.warm.order
		w.state.order = make([]kmem.Addr, 0, len(expected)+len(expected)/8)
	}
	n := 0
	err := w.list(l.list, func(node kmem.Addr) (kmem.Addr, error) {
		if at := n + ahead; at < len(expected) {
			w.mem.Prefetch(expected[at]+kmem.Addr(l.p.low), l.p.span, l.p.lines)
		}
		n++
		task := node - kmem.Addr(l.node)
		w.state.order = append(w.state.order, task)
		view, err := l.p.view(w.mem, task)
		if err != nil {
			return w.pastCursor(node, err)
		}
		next := l.next.Addr(view)
		if l.scxFlags.Uint(view)&cursor == 0 && l.flags.Uint(view)&idler == 0 {
			w.task(t, task, view)
		}
		return next, nil
	})
	t.failed(err)
	for _, task := range w.idle.tasks {
		w.extraTask(t, task)
	}
	for _, task := range w.running {
		if !slices.Contains(t.Addrs, uint64(task)) {
			w.extraTask(t, task)
		}
	}
}

// extraTask copies a task that the list of tasks does not have, if it can be read.
func (w *walk) extraTask(t *table, task kmem.Addr) {
	if view, err := w.Layout.tasks.p.view(w.mem, task); err == nil {
		w.task(t, task, view)
	}
}

// pastCursor returns what follows a node that no task is around: the mark of an iterator
// is a struct sched_ext_entity alone, on a stack (struct scx_task_iter). Of others it
// returns the error.
func (w *walk) pastCursor(node kmem.Addr, noTask error) (next kmem.Addr, err error) {
	flags := kmem.Field{Size: 4}
	entity := node - kmem.Addr(w.tasks.next.Offset-w.tasks.scxFlags.Offset)
	if v, err := w.mem.Fetch(entity, flags); err != nil || v&cursor == 0 {
		return 0, noTask
	}
	return w.mem.Addr(node)
}

// task adds a task of which a view is at hand.
func (w *walk) task(t *table, task kmem.Addr, view []byte) {
	l := &w.tasks
	record := t.add(task)
	l.p.copy(record, view)
	if l.hasClass {
		put32(record, l.className, uint32(1+slices.Index(l.classes, l.class.Addr(view))))
	}
	w.mutexOwner(record, view)
	if !l.hasMask {
		return
	}
	mask, allowed := l.maskPtr.Addr(view), record[l.allowed:l.allowed+l.words]
	if from := l.mask - l.p.low; mask == task+kmem.Addr(l.mask) && from >= 0 && from+l.words <= len(view) {
		copy(allowed, view[from:])
	} else if err := w.mem.Read(mask, allowed); err != nil {
		t.fault("read the CPUs that it may run on: %v", err)
	}
}

// mutexOwner notes who has the mutex that a task waits for, if it does. The kernel keeps
// flags in the low bits of the owner (MUTEX_FLAGS), and with proxy execution in those of
// blocked_on.
func (w *walk) mutexOwner(record, view []byte) {
	const flags = 7
	l := &w.tasks
	if !l.hasOwner {
		return
	}
	mutex := l.blockedOn.Addr(view) &^ flags
	if mutex == 0 {
		return
	}
	if owner, err := w.mem.Fetch(mutex, l.owner); err == nil {
		put64(record, l.blockedCol, owner&^flags)
	}
}
