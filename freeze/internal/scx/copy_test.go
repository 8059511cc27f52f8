package scx_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/runtime/ktsnap"
)

func TestTasksAndQueuesAreCopied(t *testing.T) {
	g := newGuest(t)
	queues := g.scheduler(5, 6, 7)
	var tasks []uint64
	for pid := range uint64(6) {
		tasks = append(tasks, g.task(10+pid))
	}
	for _, i := range []int{3, 1, 2} {
		g.enqueue(queues[1], tasks[i])
	}
	g.enqueue(g.local(1), tasks[5])
	tables := g.copy(t)
	all := tables["tasks"]
	require.Equal(t, ktsnap.Complete, all.Status, all.Reason)
	require.Equal(t, tasks, all.Addrs)
	for i := range tasks {
		require.EqualValues(t, 10+i, number(t, all, i, "pid"))
		require.EqualValues(t, 2, number(t, all, i, "cpus_allowed", "bits"))
	}
	require.Equal(t, queues[1], number(t, all, 2, "scx", "dsq"))
	require.Equal(t, []uint64{tasks[3], tasks[1], tasks[2]}, queuedIn(t, tables, 6))
	require.Equal(t, []uint64{tasks[5]}, queuedIn(t, tables, 101))
	require.Empty(t, queuedIn(t, tables, 5))
	require.Equal(t, 5, tables["queues"].N)
	require.Empty(t, tables["queues"].Faults)
	require.Equal(t, 2, tables["cpus"].N)
	require.EqualValues(t, 1, number(t, tables["cpus"], 0, "is_online"))
	require.Zero(t, number(t, tables["cpus"], 1, "is_online"))
}

func TestOwnersOfMutexesAreCopied(t *testing.T) {
	g := newGuest(t)
	a, b, stray := g.task(1), g.task(2), g.task(3)
	m := g.alloc(uint64(mutex.Size))
	g.put(m, a|7, 8) // with all flags of a mutex
	g.put(b+offset(task, "blocked_on"), m, 8)
	g.put(stray+offset(task, "blocked_on"), 0xdead_0000, 8)
	tasks := g.copy(t)["tasks"]
	for i, want := range []uint64{0, a, 0} {
		require.Equal(t, want, number(t, tasks, i, "blocked_on_owner"))
	}
	tasks = func() *ktsnap.Table { g := newGuest(t, "mutex"); g.task(1); return g.copy(t)["tasks"] }()
	require.Equal(t, 1, tasks.N, "a kernel that does not tell loses nothing else")
}

func TestMarksOfIteratorsAreNoTasks(t *testing.T) {
	g := newGuest(t)
	q := g.scheduler(5)[0]
	a, mark, b := g.task(1), g.alloc(64), g.task(2)
	g.enqueue(q, a)
	g.append(q+offset(dispatchQ, "list"), mark)
	g.put(mark+offset(queueList, "flags"), 1, 4)
	g.enqueue(q, b)
	cursor := g.task(3)
	g.put(cursor+offset(task, "scx", "flags"), 1<<31, 4)
	tables := g.copy(t)
	require.Equal(t, []uint64{a, b}, queuedIn(t, tables, 5))
	require.Equal(t, []uint64{a, b}, tables["tasks"].Addrs)
}

// A task that exits leaves the list, and its CPU runs it to its end.
func TestTasksThatCPUsRunAreCopiedThoughNoListHasThem(t *testing.T) {
	g := newGuest(t)
	a, idle, exiting := g.task(1), g.alloc(uint64(task.Size)), g.alloc(uint64(task.Size))
	g.put(exiting+offset(task, "pid"), 7, 4)
	for cpu, current := range []uint64{exiting, 0xdead_0000} {
		on := g.symbols["runqueues"] + 4096*uint64(cpu)
		g.put(on+offset(rq, "curr"), current, 8)
		g.put(on+offset(rq, "idle"), idle, 8)
	}
	tasks := g.copy(t)["tasks"]
	require.Equal(t, []uint64{a, idle, exiting}, tasks.Addrs)
	require.EqualValues(t, 7, number(t, tasks, 2, "pid"))
	g.put(g.symbols["runqueues"]+offset(rq, "curr"), a, 8)
	require.Equal(t, []uint64{a, idle}, g.copy(t)["tasks"].Addrs, "once each")
}

// An iterator's mark lies on a stack, and no task is around it.
func TestMarksAtTheEndOfMemoryArePassedOver(t *testing.T) {
	g := newGuest(t)
	a := g.task(1)
	mark := direct + uint64(len(g.ram)) - uint64(entity.Size)
	g.put(mark+offset(entity, "flags"), 1<<31, 4)
	g.append(g.symbols["scx_tasks"], mark+offset(entity, "tasks_node"))
	b := g.task(2)
	tables := g.copy(t)
	require.Equal(t, []uint64{a, b}, tables["tasks"].Addrs, tables["tasks"].Reason)
}

// A damaged list is said of its queue alone, and ends.
func TestDamagedListsAreBoundedAndSaid(t *testing.T) {
	for name, row := range map[string]struct {
		damage func(g *guest, node uint64)
		want   string
		tasks  int
	}{
		"returns to itself":      {func(g *guest, node uint64) { g.put(node, node, 8) }, "after 2 of them: the list returns to ", 2},
		"leads nowhere":          {func(g *guest, node uint64) { g.put(node, 0, 8) }, "does not return to its head after 2 nodes", 2},
		"leads out of memory":    {func(g *guest, node uint64) { g.put(node, 0xffff888fffffff00, 8) }, "after 2 of them: ", 2},
		"leads to user memory":   {func(g *guest, node uint64) { g.put(node, 4096, 8) }, "0x1000", 2},
		"leads to a small cycle": {func(g *guest, node uint64) { g.put(node, g.get(node+8), 8) }, "the list returns to ", 2},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGuest(t)
			queues := g.scheduler(5, 6)
			var tasks []uint64
			for pid := range uint64(6) {
				tasks = append(tasks, g.task(pid))
				g.enqueue(queues[pid%2], tasks[pid])
			}
			row.damage(g, tasks[2]+offset(task, "scx", "dsq_list"))
			tables := g.copy(t)
			q := tables["queues"]
			require.Len(t, q.Faults, 1)
			require.EqualValues(t, 5, number(t, q, q.Faults[0].Record, "id"))
			require.Contains(t, q.Faults[0].Reason, row.want)
			require.GreaterOrEqual(t, len(queuedIn(t, tables, 5)), row.tasks)
			require.Equal(t, []uint64{tasks[1], tasks[3], tasks[5]}, queuedIn(t, tables, 6), "the rest stays right")
			require.Equal(t, 6, tables["tasks"].N)
		})
	}
}

func TestDamagedListOfTasksIsSaidOfTheTable(t *testing.T) {
	g := newGuest(t)
	q := g.scheduler(5)[0]
	first, second, third := g.task(1), g.task(2), g.task(3)
	g.enqueue(q, third)
	g.put(second+offset(task, "scx", "tasks_node"), first+offset(task, "scx", "tasks_node"), 8)
	tables := g.copy(t)
	require.Equal(t, ktsnap.Failed, tables["tasks"].Status)
	require.Contains(t, tables["tasks"].Reason, "the list returns to ")
	require.Less(t, tables["tasks"].N, 10)
	require.Equal(t, []uint64{third}, queuedIn(t, tables, 5))
}

func TestLongQueuesAreCopiedWhole(t *testing.T) {
	g := newGuest(t)
	q := g.scheduler(5)[0]
	const n = 100_000
	for pid := range uint64(n) {
		g.enqueue(q, g.task(pid))
	}
	tables := g.copy(t)
	require.Len(t, queuedIn(t, tables, 5), n)
	require.Equal(t, n, tables["tasks"].N)
	require.Equal(t, ktsnap.Complete, tables["tasks"].Status)
}

func TestWhatAKernelLacksIsSaidOnce(t *testing.T) {
	for lacks, row := range map[string]struct{ table, want string }{
		"scx_sched":   {"schedulers", "the guest's kernel has no struct scx_sched or scx_root, which Linux has from 6.16 on"},
		"rq":          {"cpus", "the guest's kernel has no struct rq or runqueues"},
		"task_struct": {"tasks", "the guest's kernel has no task_struct.scx.tasks_node"},
	} {
		tables := newGuest(t, lacks).copy(t)
		require.Equal(t, ktsnap.Unsupported, tables[row.table].Status, lacks)
		require.Contains(t, tables[row.table].Reason, row.want)
		require.Zero(t, tables[row.table].N)
	}
	g := newGuest(t)
	delete(g.symbols, "scx_tasks")
	require.Contains(t, g.copy(t)["tasks"].Reason, "the guest's kernel has no scx_tasks")
}
