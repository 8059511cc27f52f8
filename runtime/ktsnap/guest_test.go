package ktsnap_test

import (
	"encoding/binary"
	"math"

	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// This file makes the snapshot that tests of dynamic reads read: that of a
// guest with two CPUs that runs the scheduler mysched, after it ran another,
// oldsched, whose maps are still there.

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

func section(name string, size int, members ...ctype.Member) *ctype.Shape {
	return &ctype.Shape{Kind: ctype.KindSection, Name: name, Size: size, Members: members}
}

func member(offset int, name string, t *ctype.Shape) ctype.Member {
	return ctype.Member{Offset: offset, Name: name, Type: t}
}

func bitfield(offset, first, bits int, name string, t *ctype.Shape) ctype.Member {
	return ctype.Member{Offset: offset, BitOffset: uint8(first), Bits: uint8(bits), Name: name, Type: t}
}

var (
	u8     = integer("u8", 1, false)
	u32    = integer("u32", 4, false)
	s32    = integer("s32", 4, true)
	u64    = integer("u64", 8, false)
	s64    = integer("s64", 8, true)
	u128   = integer("unsigned __int128", 16, false)
	s128   = integer("__int128", 16, true)
	char   = &ctype.Shape{Kind: ctype.KindChar, Name: "char", Size: 1, Signed: true}
	boolT  = &ctype.Shape{Kind: ctype.KindBool, Name: "_Bool", Size: 1}
	single = &ctype.Shape{Kind: ctype.KindFloat, Name: "float", Size: 4}
	double = &ctype.Shape{Kind: ctype.KindFloat, Name: "double", Size: 8}
	long16 = &ctype.Shape{Kind: ctype.KindFloat, Name: "long double", Size: 16}
	void   = &ctype.Shape{Kind: ctype.KindVoid}

	policy = &ctype.Shape{Kind: ctype.KindEnum, Name: "policy", Size: 4, Values: []ctype.EnumValue{
		{Name: "POLICY_NORMAL", Value: 0}, {Name: "POLICY_BATCH", Value: 3},
	}}
	delta = &ctype.Shape{Kind: ctype.KindEnum, Name: "delta", Size: 4, Signed: true, Values: []ctype.EnumValue{
		{Name: "DELTA_DOWN", Value: math.MaxUint64}, {Name: "DELTA_UP", Value: 1},
	}}
	wide = &ctype.Shape{Kind: ctype.KindEnum, Name: "wide", Size: 8, Values: []ctype.EnumValue{
		{Name: "WIDE_TOP", Value: 1 << 63},
	}}
	state = &ctype.Shape{Kind: ctype.KindEnum, Name: "bpf_struct_ops_state", Size: 4, Values: []ctype.EnumValue{
		{Name: "BPF_STRUCT_OPS_STATE_INIT", Value: 0}, {Name: "BPF_STRUCT_OPS_STATE_INUSE", Value: 1},
		{Name: "BPF_STRUCT_OPS_STATE_TOBEFREE", Value: 2}, {Name: "BPF_STRUCT_OPS_STATE_READY", Value: 3},
	}}

	ctx = structure("ctx", 16,
		member(0, "weight", u32),
		member(4, "policy", policy),
		member(8, "", structure("", 8,
			member(0, "", &ctype.Shape{Kind: ctype.KindUnion, Size: 8, Members: []ctype.Member{
				member(0, "whole", u64), member(0, "", structure("", 8, member(0, "lo", u32), member(4, "hi", u32))),
			}}),
		)),
	)

	taskCtx = newTaskCtx()

	// scalars has one member of each type that a terminal can meet.
	scalars = structure("scalars", 168,
		member(0, "u", u64), member(8, "i", s64), member(16, "neg", s32), member(20, "e", policy),
		member(24, "neg_e", delta), member(28, "odd_e", policy), member(32, "top_e", wide),
		member(40, "b", boolT), member(41, "odd_b", boolT), member(42, "c", char),
		bitfield(43, 1, 3, "bits", u32), bitfield(43, 4, 3, "neg_bits", s32),
		member(44, "f32", single), member(48, "f64", double), member(56, "p", pointer(void)),
		member(64, "name", array(char, 8)), member(72, "bytes", array(u8, 8)),
		member(80, "big", u128), member(96, "neg_big", s128), member(112, "small_big", u128),
		member(128, "long", long16), member(144, "top", u64), member(152, "zero", u64), member(160, "s", structure("empty", 0)),
	)
)

func newTaskCtx() *ctype.Shape {
	s := structure("task_ctx", 96)
	self := pointer(s)
	s.Members = []ctype.Member{
		member(0, "tid", s64), member(8, "runtime_ns", u64), member(16, "ctx", ctx),
		member(32, "comm", array(char, 16)), member(48, "leader", self), member(56, "indirect", pointer(self)),
		member(64, "per_llc", array(u32, 4)), member(80, "rows", pointer(array(u32, 4))),
		member(88, "cgroup", pointer(&ctype.Shape{Kind: ctype.KindFwd, Name: "cgroup"})),
	}
	return s
}

// Addresses in the guest.
const (
	perTaskAddr = 0xffff_8880_0010_0000
	bssAddr     = 0xffff_8880_0020_0000
)

// taskAt is the address of CPU 1's entry i of scx_per_task.
func taskAt(i int) uint64 { return perTaskAddr + uint64(2*i+1)*96 }

type writer struct{ b []byte }

func (w writer) u32(at int, v uint32) { binary.LittleEndian.PutUint32(w.b[at:], v) }
func (w writer) u64(at int, v uint64) { binary.LittleEndian.PutUint64(w.b[at:], v) }

// task writes a struct task_ctx.
func (w writer) task(i int) {
	w.u64(0, uint64(1234+i))
	w.u64(8, uint64(1000*(i+1)))
	w.u32(16, uint32(100+i))
	w.u32(20, 3)
	w.u64(24, 0x2_0000_0001)
	copy(w.b[32:], "worker/7\x00junk")
	w.u64(48, taskAt(0)) // leader
	w.u64(56, bssAddr)   // indirect: .bss's head, which points to CPU 1's first task
	for llc := range 4 {
		w.u32(64+4*llc, uint32(10*llc+i))
	}
	w.u64(80, taskAt(i)+64) // rows: this task's per_llc
}

// newGuest makes the snapshot. Each call makes another.
func newGuest() *ktsnap.Snapshot {
	mysched, oldsched := &ktsnap.Program{BTFID: 7, Shapes: []*ctype.Shape{taskCtx, ctx}}, &ktsnap.Program{BTFID: 5}
	s := &ktsnap.Snapshot{
		Name: "after_spawn", Guest: ktsnap.Guest{CPUs: 2}, Programs: []*ktsnap.Program{oldsched, mysched},
	}
	s.Maps = []*ktsnap.Map{
		sectionMap("oldsched.bss", oldsched, 0, section(".bss", 8, member(0, "nr_cpus_onln", u32))),
		structOps("old_ops", oldsched, 2),
		perTask(mysched), perCPU(mysched), taskCtxs(mysched), byName(mysched), tasks(mysched), scalarsMap(mysched), untyped(),
		bss(mysched),
		sectionMap("mysched.data", mysched, 0, section(".data", 8, member(0, "slice", u64))),
		sectionMap("mysched.rodata", mysched, 0, section(".rodata", 8, member(0, "limit", u64))),
		sectionMap("mysched.data.tu", mysched, 0, section(".data.tuning", 8, member(0, "dispatch.count", u64))),
		structOps("ops", mysched, 1),
		{Name: "truncated", Type: ktsnap.MapTypeHash, KeySize: 4, ValueSize: 4, Key: u32, Value: u32, N: 1, Slots: 1, Stride: 4, Total: 9, Keys: make([]byte, 4), Values: make([]byte, 4), Status: ktsnap.Truncated, Reason: "a limit was reached"},
		{Name: "unsupported", Type: ktsnap.MapTypeLPMTrie, Status: ktsnap.Unsupported, Reason: "tries are not read"},
		{Name: "arena", Type: ktsnap.MapTypeArena, Extents: []ktsnap.Extent{{Addr: 1 << 44, Data: make([]byte, 4096)}}},
		{Name: "empty", Type: ktsnap.MapTypeHash, KeySize: 4, ValueSize: 4, Key: u32, Value: u32, Slots: 1},
	}
	for i, m := range s.Maps {
		m.ID = uint32(i + 1)
	}
	return s
}

func columns(m *ktsnap.Map, n, slots int) *ktsnap.Map {
	m.N, m.Total, m.MaxEntries, m.Slots = n, n, n, slots
	m.Stride = (m.ValueSize + 7) &^ 7
	m.Values = make([]byte, n*slots*m.Stride)
	return m
}

func perTask(p *ktsnap.Program) *ktsnap.Map {
	m := columns(&ktsnap.Map{Name: "scx_per_task", Type: ktsnap.MapTypePerCPUArray, KeySize: 4, ValueSize: 96, Value: taskCtx, Program: p, Base: perTaskAddr}, 3, 2)
	for i := range 3 {
		for cpu := range 2 {
			writer{m.Values[(2*i+cpu)*96:]}.task(i)
		}
	}
	return m
}

func perCPU(p *ktsnap.Program) *ktsnap.Map {
	m := columns(&ktsnap.Map{Name: "scx_pcpu", Type: ktsnap.MapTypePerCPUArray, KeySize: 4, ValueSize: 8, Value: u64, Program: p}, 1, 2)
	writer{m.Values}.u64(8, 42)
	m.Addrs = []uint64{0, 0xffff_8880_0030_0000} // CPU 0 was never brought up
	return m
}

func taskCtxs(p *ktsnap.Program) *ktsnap.Map {
	m := columns(&ktsnap.Map{Name: "task_ctxs", Type: ktsnap.MapTypeHash, KeySize: 4, ValueSize: 96, Key: s32, Value: taskCtx, Program: p}, 4, 1)
	for i := range 4 {
		m.Keys = binary.LittleEndian.AppendUint32(m.Keys, uint32(1234+i))
		writer{m.Values[i*96:]}.task(i)
	}
	return m
}

func byName(p *ktsnap.Program) *ktsnap.Map {
	m := columns(&ktsnap.Map{Name: "a_rather_long_n", Type: ktsnap.MapTypeHash, KeySize: 8, ValueSize: 4, Key: array(char, 8), Value: policy, Program: p}, 2, 1)
	m.Keys = []byte("first\x00\x00\x00second\x00\x00")
	return m
}

func tasks(p *ktsnap.Program) *ktsnap.Map {
	m := columns(&ktsnap.Map{Name: "tasks", Type: ktsnap.MapTypeTaskStorage, KeySize: 4, ValueSize: 96, Key: s32, Value: taskCtx, Program: p}, 2, 1)
	for i := range 2 {
		m.Owners = append(m.Owners, ktsnap.Owner{PID: int32(50 + i), Comm: "worker"})
		writer{m.Values[i*96:]}.task(i)
	}
	return m
}

func scalarsMap(p *ktsnap.Program) *ktsnap.Map {
	m := columns(&ktsnap.Map{Name: "scalars", Type: ktsnap.MapTypeArray, KeySize: 4, ValueSize: 168, Value: scalars, Program: p}, 1, 1)
	w := writer{m.Values}
	w.u64(0, 7)
	w.u64(8, 8)
	w.u32(16, ^uint32(2)) // -3
	w.u32(20, 3)
	w.u32(24, math.MaxUint32) // -1
	w.u32(28, 17)
	w.u64(32, 1<<63)
	m.Values[40], m.Values[41], m.Values[42] = 1, 2, 0xe4
	m.Values[43] = 5<<1 | 6<<4 // 5 and -2
	w.u32(44, math.Float32bits(1.5))
	w.u64(48, math.Float64bits(-2.25))
	w.u64(56, 0xdead_0000)
	copy(m.Values[64:], "ab\x00c")
	copy(m.Values[72:], "\x01\x02")
	w.u64(88, 1) // 2^64
	w.u64(96, ^uint64(4))
	w.u64(104, math.MaxUint64) // -5
	w.u64(112, 9)
	w.u64(144, 1<<63)
	return m
}

func untyped() *ktsnap.Map {
	m := columns(&ktsnap.Map{Name: "untyped", Type: ktsnap.MapTypeHash, KeySize: 4, ValueSize: 4}, 1, 1)
	m.Keys = []byte{1, 2, 3, 4}
	copy(m.Values, "abcd")
	return m
}

func sectionMap(name string, p *ktsnap.Program, base uint64, s *ctype.Shape) *ktsnap.Map {
	m := columns(&ktsnap.Map{Name: name, Type: ktsnap.MapTypeArray, KeySize: 4, ValueSize: s.Size, Value: s, Program: p, Base: base}, 1, 1)
	writer{m.Values}.u64(0, 2)
	return m
}

func bss(p *ktsnap.Program) *ktsnap.Map {
	m := sectionMap("mysched.bss", p, bssAddr, section(".bss", 32,
		member(0, "head", pointer(taskCtx)), member(8, "nr_cpus_onln", u32), member(12, "nr_dispatched", u32), member(16, "ctx", ctx)))
	w := writer{m.Values}
	w.u64(0, taskAt(0))
	w.u32(8, 2)
	w.u32(12, 500)
	w.u32(16, 77)
	return m
}

func structOps(name string, p *ktsnap.Program, inState uint32) *ktsnap.Map {
	return opsOf("bpf_struct_ops_sched_ext_ops", name, p, inState)
}

// opsOf is a struct_ops map whose value has that type.
func opsOf(typ, name string, p *ktsnap.Program, inState uint32) *ktsnap.Map {
	value := structure(typ, 16,
		member(0, "common", structure("bpf_struct_ops_common_value", 8, member(0, "refcnt", u32), member(4, "state", state))))
	m := columns(&ktsnap.Map{Name: name, Type: ktsnap.MapTypeStructOps, KeySize: 4, ValueSize: 16, Value: value, Program: p}, 1, 1)
	writer{m.Values}.u32(4, inState)
	return m
}
