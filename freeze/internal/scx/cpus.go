package scx

import (
	"encoding/binary"
	"slices"

	"github.com/ktgen/ktgen/freeze/internal/kmem"
)

// cpuLayout is the table "cpus": the runqueue of each CPU, by its number.
type cpuLayout struct {
	p         *projection
	runqueues kmem.Addr
	idle      kmem.Field
	hasIdle   bool
	curr      kmem.Field
	hasCurr   bool

	idleCPU, idleCore int // columns
	offline           int

	global, nodes   kmem.Addr // scx_idle_global_masks, scx_idle_node_masks
	nodeCount       kmem.Addr // nr_node_ids
	cpuMask, smt    kmem.Field
	masks, pointers bool // are known; are pointers
}

var cpuMembers = []string{
	"nr_running", "ttwu_pending", "cpu_capacity", "curr", "idle", "stop", "nr_switches", "__lock", "next_class",
	"scx.flags", "scx.nr_running", "scx.nr_immed", "scx.clock", "scx.cpu_released", "scx.in_select_cpu",
	"scx.cpuperf_target", "scx.kick_sync", "scx.pnt_seq", "scx.ops_qseq", "scx.extra_enq_flags",
	"clock_task", "clock", "clock_update_flags", "idle_stamp", "last_seen_need_resched_ns", "cpu", "online", "nr_pinned",
}

func (l *cpuLayout) resolve(r *Layout) {
	l.runqueues = r.symbol("runqueues")
	p, ok := r.types.project("rq", cpuMembers...)
	if !ok || l.runqueues == 0 {
		return
	}
	l.p = p
	l.idle, l.hasIdle = p.member("idle")
	l.curr, l.hasCurr = p.member("curr")
	l.idleCPU, l.idleCore = p.column("in_idle_mask", s32), p.column("in_idle_smt_mask", s32)
	l.offline = p.column("is_online", s32)

	l.global, l.nodes, l.nodeCount = r.symbol("scx_idle_global_masks"), r.symbol("scx_idle_node_masks"), r.symbol("nr_node_ids")
	cpu, hasCPU := r.offset("scx_idle_cpus", "cpu")
	smt, hasSMT := r.offset("scx_idle_cpus", "smt")
	l.cpuMask, l.smt = kmem.Field{Offset: cpu, Size: 8}, kmem.Field{Offset: smt, Size: 8}
	l.masks, l.pointers = hasCPU && hasSMT && l.global != 0, r.isPointer("scx_idle_cpus", "cpu")
}

// masks are the sets of idle CPUs that sched_ext keeps, and the tasks that CPUs run
// when they idle.
type masks struct {
	known    bool
	cpu, smt []byte
	tasks    []kmem.Addr
}

func (w *walk) allCPUs() {
	l := &w.rqs
	lacks := ""
	if l.p == nil {
		lacks = "struct rq or runqueues"
	}
	t := w.begin("cpus", l.p, lacks)
	if t.missing() {
		return
	}
	w.idleMasks()
	online := w.onlineCPUs()
	for cpu := range w.cpus.Len() {
		rq, possible := w.cpus.PerCPU(l.runqueues, cpu)
		if !possible {
			t.add(0)
			t.fault("the guest can have no such CPU")
			continue
		}
		record, _, err := w.copyAt(t, rq)
		if err != nil {
			record = t.add(0)
			t.fault("read its struct rq: %v", err)
		} else {
			w.noteTasks(record)
		}
		put32(record, l.idleCPU, bit(w.idle.cpu, cpu, w.idle.known))
		put32(record, l.idleCore, bit(w.idle.smt, cpu, w.idle.known))
		put32(record, l.offline, bit(online, cpu, online != nil))
	}
}

// onlineCPUs returns the bits of the CPUs that are online, nil if that cannot be
// told.
func (w *walk) onlineCPUs() []byte {
	cpus, err := w.cpus.Online(w.mem)
	if err != nil {
		return nil
	}
	mask := make([]byte, w.cpus.Len()/8+1)
	for _, cpu := range cpus {
		mask[cpu/8] |= 1 << (cpu % 8)
	}
	return mask
}

// noteTasks notes what a CPU runs, now and when it idles: no list has a task of the
// latter kind, nor one that has exited and runs to its end.
func (w *walk) noteTasks(record []byte) {
	var idle kmem.Addr
	if w.rqs.hasIdle {
		if idle = w.rqs.idle.Addr(record); !slices.Contains(w.idle.tasks, idle) {
			w.idle.tasks = append(w.idle.tasks, idle)
		}
	}
	if !w.rqs.hasCurr {
		return
	}
	if curr := w.rqs.curr.Addr(record); curr != idle {
		w.running = append(w.running, curr)
	}
}

// bit returns 1, 0 or, if it is not known, all ones.
func bit(mask []byte, i int, known bool) uint32 {
	if !known || i/8 >= len(mask) {
		return ^uint32(0)
	}
	return uint32(mask[i/8] >> (i % 8) & 1)
}

// maxNodes bounds the NUMA nodes of a guest: MAX_NUMNODES of x86.
const maxNodes = 1 << 10

// idleMasks joins the sets of all NUMA nodes, of which those exist that the scheduler
// has asked for.
func (w *walk) idleMasks() {
	l := &w.rqs
	if !l.masks {
		return
	}
	size := (w.cpus.Len() + 63) / 64 * 8
	w.idle.cpu, w.idle.smt = make([]byte, size), make([]byte, size)
	w.idle.known = w.join(l.global)
	if l.nodes == 0 {
		return
	}
	nodes, err := w.mem.Addr(l.nodes)
	if err != nil || nodes == 0 {
		return
	}
	for node := range w.nodes() {
		if at, err := w.mem.Addr(nodes + kmem.Addr(8*node)); err == nil && at != 0 {
			w.join(at)
		}
	}
}

// nodes returns how many NUMA nodes there can be, at least one.
func (w *walk) nodes() int {
	n, err := w.mem.Fetch(w.rqs.nodeCount, kmem.Field{Size: 4})
	if w.rqs.nodeCount == 0 || err != nil || n < 1 || n > maxNodes {
		return 1
	}
	return int(n)
}

// join adds the CPUs of the struct scx_idle_cpus at a.
func (w *walk) join(a kmem.Addr) bool {
	ok := true
	for to, f := range map[*[]byte]kmem.Field{&w.idle.cpu: w.rqs.cpuMask, &w.idle.smt: w.rqs.smt} {
		at := a + kmem.Addr(f.Offset)
		if w.rqs.pointers {
			at, _ = w.mem.Addr(at)
		}
		words := make([]byte, len(*to))
		if w.mem.Read(at, words) != nil {
			ok = false
			continue
		}
		for i := 0; i+8 <= len(words); i += 8 {
			put64(*to, i, binary.LittleEndian.Uint64((*to)[i:])|binary.LittleEndian.Uint64(words[i:]))
		}
	}
	return ok
}
