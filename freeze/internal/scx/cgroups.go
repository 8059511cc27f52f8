package scx

import (
	"github.com/ktgen/ktgen/freeze/internal/kmem"
)

// cgroupLayout is the table "cgroups": the task groups of the cpu controller, and the
// cgroup behind each.
type cgroupLayout struct {
	p     *projection
	lacks string
	list  kmem.Addr // task_groups
	node  int       // task_group.list

	cgroup, kn    kmem.Field // task_group.css.cgroup, cgroup.kn
	id, name      kmem.Field // struct kernfs_node
	level         kmem.Field // cgroup.level
	hasCgroup     bool
	idCol, nameAt int // columns
	levelCol      int
	cgroupCol     int
}

// maxCgroupName bounds the name of a cgroup that is kept, in bytes.
const maxCgroupName = 64

func (l *cgroupLayout) resolve(r *Layout) {
	l.list = r.symbol("task_groups")
	p, ok := r.types.project("task_group", "scx", "scx_flags", "scx_weight", "idle", "shares", "parent")
	node, hasNode := r.offset("task_group", "list")
	if !ok || !hasNode || l.list == 0 {
		l.lacks = "task_groups or struct task_group"
		return
	}
	l.p, l.node = p, node
	l.hasCgroup = true
	for f, at := range map[*kmem.Field][2]string{
		&l.cgroup: {"task_group", "css.cgroup"}, &l.kn: {"cgroup", "kn"}, &l.level: {"cgroup", "level"},
		&l.id: {"kernfs_node", "id"}, &l.name: {"kernfs_node", "name"},
	} {
		found, ok := r.field(at[0], at[1])
		*f, l.hasCgroup = found, l.hasCgroup && ok
	}
	l.cgroupCol, l.idCol, l.levelCol = p.column("cgroup", u64), p.column("id", u64), p.column("level", s32)
	l.nameAt = p.column("name", text(maxCgroupName))
}

func (w *walk) allCgroups() {
	l := &w.cgroups
	t := w.begin("cgroups", l.p, l.lacks)
	if t.missing() {
		return
	}
	t.failed(w.list(l.list, func(node kmem.Addr) (kmem.Addr, error) {
		group := node - kmem.Addr(l.node)
		record, _, err := w.copyAt(t, group)
		if err != nil {
			return 0, err
		}
		w.cgroupOf(t, record, group)
		return w.mem.Addr(node)
	}))
}

// cgroupOf fills in the cgroup of a task group. The groups of sessions (autogroup) have
// none.
func (w *walk) cgroupOf(t *table, record []byte, group kmem.Addr) {
	l := &w.cgroups
	if !l.hasCgroup {
		return
	}
	cgroup, err := w.mem.Fetch(group, l.cgroup)
	if err != nil || cgroup == 0 {
		return
	}
	put64(record, l.cgroupCol, cgroup)
	if level, err := w.mem.Fetch(kmem.Addr(cgroup), l.level); err == nil {
		put32(record, l.levelCol, uint32(level))
	}
	kn, err := w.mem.Fetch(kmem.Addr(cgroup), l.kn)
	if err != nil || kn == 0 {
		t.fault("read its name: %v", err)
		return
	}
	if id, err := w.mem.Fetch(kmem.Addr(kn), l.id); err == nil {
		put64(record, l.idCol, id)
	}
	if name, err := w.mem.Fetch(kmem.Addr(kn), l.name); err == nil {
		w.cString(record[l.nameAt:l.nameAt+maxCgroupName], kmem.Addr(name))
	}
}
