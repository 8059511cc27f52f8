package scx

import (
	"bytes"
	"fmt"

	"github.com/ktgen/ktgen/freeze/internal/kmem"
	"github.com/ktgen/ktgen/runtime/ctype"
)

// schedLayout is the tables "schedulers", of struct scx_sched, and "scheduler_cpus", of
// what that keeps for each CPU.
type schedLayout struct {
	p     *projection
	lacks string

	root, all kmem.Addr // scx_root, scx_sched_all
	node      int       // scx_sched.all
	hasAll    bool

	info               kmem.Field // scx_sched.exit_info
	kind, code, cpu    kmem.Field // struct scx_exit_info
	hasInfo, hasCPU    bool
	isRoot             int // columns
	exitKind, exitCode int
	exitCPU            int

	statics []static

	perCPU   *projection
	pointer  kmem.Field // scx_sched.pcpu, or before .event_stats_cpu
	schedRow int        // columns
	cpuRow   int
}

var schedMembers = []string{
	"ops.name", "ops.flags", "ops.timeout_ms", "ops.dispatch_max_batch", "ops.exit_dump_len", "ops.hotplug_seq", "ops.sub_cgroup_id",
	"is_cid_type", "dead", "slice_dfl", "bypass_timestamp", "bypass_depth", "aborting", "dsp_max_batch", "level", "id", "cgrp",
	"watchdog_timeout", "exit_kind",
}

// static is a variable of the kernel that became a member of struct scx_sched later: before that, there
// was one scheduler. Its column has the member's name.
type static struct {
	at     kmem.Addr
	column int
	size   int // of both
}

// schedStatics are those of Linux 6.16 and 6.18 (kernel/sched/ext.c).
var schedStatics = []struct {
	symbol, member string
	shape          *ctype.Shape
}{
	{"scx_watchdog_timeout", "watchdog_timeout", ulong},
	{"scx_bypass_depth", "bypass_depth", s32},
	{"scx_dsp_max_batch", "dsp_max_batch", u32},
}

func (l *schedLayout) resolve(r *Layout) {
	l.root, l.all = r.symbol("scx_root"), r.symbol("scx_sched_all")
	p, ok := r.types.project("scx_sched", schedMembers...)
	if !ok || l.root == 0 {
		l.lacks = "struct scx_sched or scx_root, which Linux has from 6.16 on"
		return
	}
	l.p = p
	node, ok := r.offset("scx_sched", "all")
	l.node, l.hasAll = node, ok && l.all != 0

	info, hasInfo := r.field("scx_sched", "exit_info")
	kind, hasKind := r.field("scx_exit_info", "kind")
	code, hasCode := r.field("scx_exit_info", "exit_code")
	l.info, l.kind, l.code, l.hasInfo = info, kind, code, hasInfo && hasKind && hasCode
	l.cpu, l.hasCPU = r.field("scx_exit_info", "exit_cpu")
	l.isRoot = p.column("is_root", s32)
	l.exitKind, l.exitCode, l.exitCPU = p.column("exit_info_kind", u32), p.column("exit_code", s64), p.column("exit_cpu", s32)
	for _, v := range schedStatics {
		_, isMember := r.offset("scx_sched", v.member)
		if at := r.symbol(v.symbol); at != 0 && !isMember {
			l.statics = append(l.statics, static{at, p.column(v.member, v.shape), v.shape.Size})
		}
	}
	l.resolveCPUs(r)
}

// resolveCPUs finds what there is for each CPU: a struct scx_sched_pcpu, and before it
// was there the event counters alone.
func (l *schedLayout) resolveCPUs(r *Layout) {
	if pointer, ok := r.field("scx_sched", "pcpu"); ok {
		l.perCPU, _ = r.types.project("scx_sched_pcpu", "flags", "event_stats")
		l.pointer = pointer
	}
	if pointer, ok := r.field("scx_sched", "event_stats_cpu"); ok && l.perCPU == nil {
		if whole, ok := r.types.whole("scx_event_stats"); ok {
			l.perCPU = newProjection("scx_sched_pcpu", []place{{0, whole.Size, ctype.Member{Name: "event_stats", Type: whole}}})
			l.pointer = pointer
		}
	}
	if l.perCPU != nil {
		l.schedRow, l.cpuRow = l.perCPU.column("scheduler", u32), l.perCPU.column("cpu", s32)
	}
}

// whole returns the shape of a struct of the kernel.
func (t *types) whole(name string) (*ctype.Shape, bool) {
	types, err := t.spec.AnyTypesByName(name)
	if err != nil || len(types) == 0 {
		return nil, false
	}
	s, err := t.shapes.Of(types[0])
	return s, err == nil && s.Kind == ctype.KindStruct && s.Size > 0
}

// maxSchedulers bounds the schedulers of one guest.
const maxSchedulers = 1 << 10

// schedulers copies the root scheduler first.
func (w *walk) schedulers() {
	l := &w.scheds
	t := w.begin("schedulers", l.p, l.lacks)
	perCPU := w.begin("scheduler_cpus", l.perCPU, l.lacks)
	if t.missing() {
		return
	}
	root, err := w.mem.Addr(l.root)
	if err != nil {
		t.failed(fmt.Errorf("read scx_root: %w", err))
		return
	}
	if root != 0 {
		w.scheduler(t, perCPU, root)
	}
	if !l.hasAll {
		return
	}
	t.failed(w.list(l.all, func(node kmem.Addr) (kmem.Addr, error) {
		if sched := node - kmem.Addr(l.node); sched != root && t.N < maxSchedulers {
			w.scheduler(t, perCPU, sched)
		}
		return w.mem.Addr(node)
	}))
}

func (w *walk) scheduler(t, perCPU *table, sched kmem.Addr) {
	l := &w.scheds
	record, _, err := w.copyAt(t, sched)
	if err != nil {
		t.failed(fmt.Errorf("read struct scx_sched at %v: %w", sched, err))
		return
	}
	put32(record, l.isRoot, bool32(t.N == 1))
	w.exitInfo(record, sched)
	for _, v := range l.statics {
		if err := w.mem.Read(v.at, record[v.column:v.column+v.size]); err != nil {
			t.fault("read a variable of the scheduler's at %v: %v", v.at, err)
		}
	}
	if perCPU.missing() {
		return
	}
	pointer, err := w.mem.Fetch(sched, l.pointer)
	if err != nil || pointer == 0 {
		return
	}
	for cpu := range w.cpus.Len() {
		at, possible := w.cpus.PerCPU(kmem.Addr(pointer), cpu)
		if !possible {
			continue
		}
		record, _, err := w.copyAt(perCPU, at)
		if err != nil {
			perCPU.failed(err)
			return
		}
		put32(record, l.schedRow, uint32(t.N-1))
		put32(record, l.cpuRow, uint32(cpu))
	}
}

func (w *walk) exitInfo(record []byte, sched kmem.Addr) {
	l := &w.scheds
	put32(record, l.exitCPU, ^uint32(0))
	info, err := w.mem.Fetch(sched, l.info)
	if !l.hasInfo || err != nil || info == 0 {
		return
	}
	if kind, err := w.mem.Fetch(kmem.Addr(info), l.kind); err == nil {
		put32(record, l.exitKind, uint32(kind))
	}
	if code, err := w.mem.Fetch(kmem.Addr(info), l.code); err == nil {
		put64(record, l.exitCode, code)
	}
	if cpu, err := w.mem.Fetch(kmem.Addr(info), l.cpu); err == nil && l.hasCPU {
		put32(record, l.exitCPU, uint32(cpu))
	}
}

func bool32(b bool) uint32 {
	if b {
		return 1
	}
	return 0
}

// cString copies a string of the kernel's as far as it fits, with a zero behind.
func (w *walk) cString(dst []byte, at kmem.Addr) {
	for n := len(dst) - 1; n > 0; n /= 2 { // the string may be the last thing on its page
		if at == 0 || w.mem.Read(at, dst[:n]) != nil {
			continue
		}
		if end := bytes.IndexByte(dst[:n], 0); end >= 0 {
			clear(dst[end:])
			return
		}
		dst[n] = 0
		return
	}
	clear(dst)
}
