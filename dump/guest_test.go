package dump_test

import (
	"encoding/binary"
	"time"

	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// This file makes the snapshot that tests show: that of a small scheduler, with
// one of everything that is shown in its own way.

func integer(name string, size int, signed bool) *ctype.Shape {
	return &ctype.Shape{Kind: ctype.KindInt, Name: name, Size: size, Signed: signed}
}

func array(elem *ctype.Shape, n int) *ctype.Shape {
	return &ctype.Shape{Kind: ctype.KindArray, Elem: elem, Len: n, Size: n * elem.Size}
}

func pointer(elem *ctype.Shape) *ctype.Shape {
	return &ctype.Shape{Kind: ctype.KindPointer, Elem: elem, Size: 8}
}

func structure(name string, size int, members ...ctype.Member) *ctype.Shape {
	return &ctype.Shape{Kind: ctype.KindStruct, Name: name, Size: size, Members: members}
}

func member(offset int, name string, t *ctype.Shape) ctype.Member {
	return ctype.Member{Offset: offset, Name: name, Type: t}
}

var (
	u32    = integer("u32", 4, false)
	s32    = integer("s32", 4, true)
	u64    = integer("u64", 8, false)
	char   = &ctype.Shape{Kind: ctype.KindChar, Name: "char", Size: 1, Signed: true}
	boolT  = &ctype.Shape{Kind: ctype.KindBool, Name: "_Bool", Size: 1}
	double = &ctype.Shape{Kind: ctype.KindFloat, Name: "double", Size: 8}
	policy = &ctype.Shape{Kind: ctype.KindEnum, Name: "policy", Size: 4, Values: []ctype.EnumValue{
		{Name: "POLICY_NORMAL", Value: 0}, {Name: "POLICY_BATCH", Value: 3},
	}}
	cpumask = structure("bpf_cpumask", 24, member(0, "cpumask", structure("cpumask", 16, member(0, "bits", array(u64, 2)))), member(16, "usage", u32))
)

// node is a list in the arena that ends where it began.
func node() *ctype.Shape {
	s := structure("node", 24, member(0, "next", nil), member(8, "load", u64), member(16, "owner", nil))
	s.Members[0].Type, s.Members[2].Type = pointer(s), pointer(taskCtx)
	return s
}

var taskCtx = structure("task_ctx", 56,
	member(0, "tid", s32), member(4, "policy", policy), member(8, "runtime_ns", u64),
	member(16, "ctx", structure("ctx", 8, member(0, "weight", u32), ctype.Member{Offset: 4, Bits: 3, Name: "level", Type: u32}, ctype.Member{Offset: 4, BitOffset: 3, Bits: 1, Name: "idle", Type: boolT})),
	member(24, "comm", array(char, 16)), member(40, "share", double), member(48, "odd", char))

const (
	tasksAddr = 0xffff_8880_0010_0000
	arenaAddr = 0x1000_0000_0000
)

type bytesOf struct{ b []byte }

func (w bytesOf) u32(at int, v uint32) bytesOf { binary.LittleEndian.PutUint32(w.b[at:], v); return w }
func (w bytesOf) u64(at int, v uint64) bytesOf { binary.LittleEndian.PutUint64(w.b[at:], v); return w }
func (w bytesOf) text(at int, s string) bytesOf {
	copy(w.b[at:], s)
	return w
}

// newMap makes a map with room for n entries.
func newMap(m ktsnap.Map, n int) *ktsnap.Map {
	m.N, m.Total, m.Slots = n, n, max(m.Slots, 1)
	m.MaxEntries = max(m.MaxEntries, n)
	if m.Value != nil {
		m.ValueSize = m.Value.Size
	}
	m.KeySize = 4
	m.Stride = (m.ValueSize + 7) &^ 7
	m.Values = make([]byte, n*m.Slots*m.Stride)
	if m.Key != nil {
		m.KeySize = m.Key.Size
		m.Keys = make([]byte, n*m.KeySize)
	}
	return &m
}

func (w bytesOf) at(n int) bytesOf { return bytesOf{w.b[n:]} }

// guest makes the snapshot; runtime says how long its tasks have run.
func guest(runtime uint64) *ktsnap.Snapshot {
	list := node()
	tasks := newMap(ktsnap.Map{Name: "task_ctxs", Type: ktsnap.MapTypeHash, Key: s32, Value: taskCtx, Base: tasksAddr}, 3)
	for i, comm := range []string{"init", "<b>worker</b>", "idle\x1b[31m"} {
		bytesOf{tasks.Keys}.u32(4*i, uint32(100+i))
		w := bytesOf{tasks.Values}.at(i * tasks.Stride)
		w.u32(0, uint32(100+i)).u64(8, runtime*uint64(i+1)).u32(16, 100).u32(20, uint32(8+i)).text(24, comm)
		w.u64(40, 0x3fe0000000000000).u32(4, uint32(3*i))
	}
	perCPU := newMap(ktsnap.Map{Name: "scx_per_task", Type: ktsnap.MapTypePerCPUArray, Value: taskCtx, Slots: 3}, 2)
	perCPU.Addrs = []uint64{1 << 40, 2 << 40, 0, 3 << 40, 4 << 40, 0} // CPU 2 was never brought up
	for cpu := range 2 {
		bytesOf{perCPU.Values}.at(cpu*perCPU.Stride).u32(0, uint32(7+cpu)).u64(8, runtime*uint64(cpu)).text(24, "a")
	}
	bss := newMap(ktsnap.Map{Name: "mysched.bss", Type: ktsnap.MapTypeArray, Value: &ctype.Shape{Kind: ctype.KindSection, Name: ".bss", Size: 640, Members: []ctype.Member{
		member(0, "nr_dispatched", u64), member(8, "allowed", cpumask), member(32, "head", pointer(list)),
		member(40, "current", pointer(taskCtx)), member(48, "lost", pointer(taskCtx)), member(56, "any", pointer(&ctype.Shape{Kind: ctype.KindVoid})),
		member(64, "buckets", array(u32, 64)), member(320, "table", array(u64, 40)),
	}}}, 1)
	w := bytesOf{bss.Values}
	w.u64(0, runtime/10).u64(8, 0xff0f).u64(16, 1).u64(32, arenaAddr).u64(40, tasksAddr+56).u64(48, 0xffff_9999_0000_0000).u64(56, 0xdead_0000)
	w.u32(64, 1).u32(68, 2)
	for i := range 40 {
		w.u64(320+8*i, uint64(i)<<40)
	}
	arena := &ktsnap.Map{Name: "arena", Type: ktsnap.MapTypeArena, Extents: []ktsnap.Extent{{Addr: arenaAddr, Data: make([]byte, 4096)}}, Slots: 1}
	a := bytesOf{arena.Extents[0].Data}
	a.u64(0, arenaAddr+64).u64(8, 11).u64(16, tasksAddr)
	a.at(64).u64(0, arenaAddr).u64(8, 12)
	truncated := newMap(ktsnap.Map{Name: "big", Type: ktsnap.MapTypeHash, Key: u32, Value: u32}, 2)
	truncated.Status, truncated.Total, truncated.Reason = ktsnap.Truncated, 9, "2 of 9 entries fit into MapBytes"
	bytesOf{truncated.Values}.u32(0, 5)
	untyped := newMap(ktsnap.Map{Name: "untyped", Type: ktsnap.MapTypeHash, ValueSize: 80, Key: u32}, 1)
	untyped.Key = nil
	untyped.Values[0] = 0xab
	s := &ktsnap.Snapshot{
		Name: "after <i>spawn</i>", Taken: time.Date(2026, 3, 1, 12, 0, 0, 250e6, time.UTC).Add(time.Duration(runtime)),
		Timing: ktsnap.Timing{Stop: 300 * time.Microsecond, Walk: 80 * time.Microsecond, Copy: 18 * time.Microsecond, Tables: 13 * time.Microsecond, Chase: 9 * time.Microsecond, Resume: 250 * time.Microsecond, Paused: 670 * time.Microsecond, Bytes: 361 << 10},
		Guest:  ktsnap.Guest{Release: "7.3.4", Arch: "amd64", PageSize: 4096, CPUs: 72, Online: []int{0, 1, 2, 3, 5}},
		Maps: []*ktsnap.Map{tasks, perCPU, bss, arena, truncated, untyped,
			{Name: "tries", Type: ktsnap.MapTypeLPMTrie, Slots: 1, Status: ktsnap.Unsupported, Reason: "tries of this kernel are not read"}},
		Programs: []*ktsnap.Program{{BTFID: 1, Name: "mysched", Shapes: []*ctype.Shape{taskCtx, list}}},
	}
	for i, m := range s.Maps {
		m.ID, m.Program = uint32(i+1), s.Programs[0]
	}
	return s
}
