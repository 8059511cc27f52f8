package scx

import (
	"encoding/binary"
	"fmt"

	ebtf "github.com/cilium/ebpf/btf"

	"github.com/ktgen/ktgen/freeze/internal/kmem"
	"github.com/ktgen/ktgen/freeze/internal/kwalk"
)

// queueLayout is the tables "queues", of all struct scx_dispatch_q, and "queued", of
// the tasks in them: those of a queue follow one another in the order in which it would
// hand them out. Tasks ordered by vtime are in the list of their queue, too, so that
// the list has the order of both (dispatch_enqueue).
type queueLayout struct {
	p      *projection
	lacks  string
	queued *projection

	list       int // scx_dispatch_q.list
	count      kmem.Field
	hashNode   int // scx_dispatch_q.hash_node
	taskNode   int // task_struct.scx.dsq_list.node
	cursorFlag kmem.Field
	hasCursor  bool

	inRQ, inCPU, inNode []int // offsets of queues in struct rq, scx_sched_pcpu, scx_sched_pnode
	pcpu, pnode         kmem.Field
	hasPCPU, hasPNode   bool
	globals             kmem.Field // scx_sched.global_dsqs, before there were nodes' structs
	hasGlobals          bool
	hash                kwalk.RHash
	table               kmem.Field
	hashAt              int // scx_sched.dsq_hash
	hasHash             bool

	cpu, node, sched, user int // columns
	queueRow, taskCol      int
}

func (l *queueLayout) resolve(r *Layout) {
	p, ok := r.types.project("scx_dispatch_q", "lock", "first_task", "nr", "seq", "id")
	list, hasList := r.offset("scx_dispatch_q", "list")
	count, hasCount := r.field("scx_dispatch_q", "nr")
	task, hasTask := r.offset("task_struct", "scx.dsq_list.node")
	if !ok || !hasList || !hasCount || !hasTask {
		l.lacks = "struct scx_dispatch_q with list and nr, or task_struct.scx.dsq_list.node"
		return
	}
	l.p, l.list, l.count, l.taskNode = p, list, count, task
	l.cpu, l.node, l.sched, l.user = p.column("cpu", s32), p.column("node", s32), p.column("scheduler", s32), p.column("is_user", s32)
	l.queued = columnsOnly("queued")
	l.queueRow, l.taskCol = l.queued.column("queue", u32), l.queued.column("task", u64)

	if flag, ok := r.offset("scx_dsq_list_node", "flags"); ok {
		l.cursorFlag, l.hasCursor = kmem.Field{Offset: flag, Size: 4}, true
	} else if flag, ok := r.offset("scx_dsq_list_node", "is_bpf_iter_cursor"); ok {
		l.cursorFlag, l.hasCursor = kmem.Field{Offset: flag, Size: 1}, true
	}
	l.inRQ = r.types.queuesIn("rq")
	l.inCPU, l.inNode = r.types.queuesIn("scx_sched_pcpu"), r.types.queuesIn("scx_sched_pnode")
	l.pcpu, l.hasPCPU = r.field("scx_sched", "pcpu")
	l.pnode, l.hasPNode = r.field("scx_sched", "pnode")
	l.globals, l.hasGlobals = r.field("scx_sched", "global_dsqs")
	l.resolveHash(r)
}

func (l *queueLayout) resolveHash(r *Layout) {
	at, hasHash := r.offset("scx_sched", "dsq_hash")
	node, hasNode := r.offset("scx_dispatch_q", "hash_node")
	hash, table, ok := r.hash()
	l.hashAt, l.hashNode, l.hash, l.table, l.hasHash = at, node, hash, table, hasHash && hasNode && ok
}

// maxQueueDepth is how many structs deep queues are looked for in others.
const maxQueueDepth = 4

// queuesIn returns where a struct of the kernel holds dispatch queues by value,
// ascending: kernels differ in which they have.
func (t *types) queuesIn(name string) []int {
	var s *ebtf.Struct
	if t.spec.TypeByName(name, &s) != nil {
		return nil
	}
	return appendQueues(nil, s, 0, maxQueueDepth)
}

func appendQueues(found []int, s *ebtf.Struct, at, depth int) []int {
	if s.Name == "scx_dispatch_q" {
		return append(found, at)
	}
	if depth == 0 {
		return found
	}
	for _, m := range s.Members {
		if inner, ok := ebtf.UnderlyingType(m.Type).(*ebtf.Struct); ok {
			found = appendQueues(found, inner, at+int(m.Offset/8), depth-1)
		}
	}
	return found
}

// origin says whose a queue is; -1 is no CPU, node or scheduler.
type origin struct {
	cpu, node, sched int
	user             bool
}

func (w *walk) allQueues() {
	l := &w.queues
	t, queued := w.begin("queues", l.p, l.lacks), w.begin("queued", l.queued, l.lacks)
	if t.missing() {
		return
	}
	for cpu := range w.cpus.Len() {
		if rq, possible := w.cpus.PerCPU(w.rqs.runqueues, cpu); possible && w.rqs.runqueues != 0 {
			for _, offset := range l.inRQ {
				w.queue(t, queued, rq+kmem.Addr(offset), origin{cpu: cpu, node: -1, sched: -1})
			}
		}
	}
	scheds := w.state.named("schedulers")
	for i, sched := range scheds.Addrs {
		w.queuesOf(t, queued, kmem.Addr(sched), i)
	}
}

// queuesOf copies the queues of a scheduler: of CPUs, of nodes, and those that it has
// made.
func (w *walk) queuesOf(t, queued *table, sched kmem.Addr, i int) {
	l := &w.queues
	if pcpu, err := w.mem.Fetch(sched, l.pcpu); l.hasPCPU && err == nil && pcpu != 0 {
		for cpu := range w.cpus.Len() {
			if at, possible := w.cpus.PerCPU(kmem.Addr(pcpu), cpu); possible {
				for _, offset := range l.inCPU {
					w.queue(t, queued, at+kmem.Addr(offset), origin{cpu: cpu, node: -1, sched: i})
				}
			}
		}
	}
	w.globalQueues(t, queued, sched, i)
	if !l.hasHash {
		return
	}
	table, err := w.mem.Fetch(sched+kmem.Addr(l.hashAt), l.table)
	if err != nil || table == 0 {
		return
	}
	seen := make(map[kmem.Addr]bool)
	err = l.hash.Walk(w.mem, kmem.Addr(table), w.check, func(node kmem.Addr, _ bool) (kmem.Addr, error) {
		queue := node - kmem.Addr(l.hashNode)
		if !seen[queue] {
			seen[queue] = true
			w.queue(t, queued, queue, origin{cpu: -1, node: -1, sched: i, user: true})
		}
		return w.mem.Addr(node)
	})
	if err != nil {
		t.failed(fmt.Errorf("go through the queues that scheduler %d has made: %w", i, err))
	}
}

// globalQueues copies the queues of the NUMA nodes.
func (w *walk) globalQueues(t, queued *table, sched kmem.Addr, i int) {
	l := &w.queues
	array, offsets, ok := l.pnode, l.inNode, l.hasPNode
	if !ok {
		array, offsets, ok = l.globals, []int{0}, l.hasGlobals
	}
	if !ok {
		return
	}
	nodes, err := w.mem.Fetch(sched, array)
	if err != nil || nodes == 0 {
		return
	}
	for node := range w.nodes() {
		at, err := w.mem.Addr(kmem.Addr(nodes) + kmem.Addr(8*node))
		if err != nil || at == 0 {
			continue
		}
		for _, offset := range offsets {
			w.queue(t, queued, at+kmem.Addr(offset), origin{cpu: -1, node: node, sched: i})
		}
	}
}

// queue copies a queue and the tasks in it.
func (w *walk) queue(t, queued *table, a kmem.Addr, o origin) {
	l := &w.queues
	record, _, err := w.copyAt(t, a)
	if err != nil {
		t.failed(fmt.Errorf("read struct scx_dispatch_q at %v: %w", a, err))
		return
	}
	put32(record, l.cpu, uint32(o.cpu))
	put32(record, l.node, uint32(o.node))
	put32(record, l.sched, uint32(o.sched))
	put32(record, l.user, bool32(o.user))
	row := t.N - 1
	first := queued.N
	err = w.list(a+kmem.Addr(l.list), func(node kmem.Addr) (kmem.Addr, error) {
		if queued.N >= maxQueued {
			return 0, fmt.Errorf("all queues together have more than %d tasks", maxQueued)
		}
		next, marker, err := w.queueNode(node)
		if err == nil && !marker {
			entry := queued.add(node)
			put32(entry, l.queueRow, uint32(row))
			put64(entry, l.taskCol, uint64(node)-uint64(l.taskNode))
		}
		return next, err
	})
	if err != nil {
		t.fault("its list of tasks, after %d of them: %v", queued.N-first, err)
	}
}

// maxQueued bounds the tasks in queues.
const maxQueued = 1 << 20

// queueNode reads a node of a queue's list. A marker is an iterator's place, and no
// task.
func (w *walk) queueNode(node kmem.Addr) (next kmem.Addr, marker bool, err error) {
	const flag = 1 // SCX_DSQ_LNODE_ITER_CURSOR
	var words [24]byte
	n := 8
	if f := w.queues.cursorFlag; w.queues.hasCursor && f.Offset+f.Size <= len(words) {
		n = f.Offset + f.Size
	}
	if err := w.mem.Read(node, words[:n]); err != nil {
		return 0, false, err
	}
	if n > 8 {
		marker = w.queues.cursorFlag.Uint(words[:])&flag != 0
	}
	return kmem.Addr(binary.LittleEndian.Uint64(words[:])), marker, nil
}
