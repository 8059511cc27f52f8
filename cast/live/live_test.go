package live_test

import (
	"encoding/binary"
	"testing"

	"github.com/cilium/ebpf/btf"
	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/cast"
	"github.com/ktgen/ktgen/cast/live"
	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

const (
	arenaAddr = 0x1000_0000_0000
	taskAddr  = 0xffff_8880_0010_0000
)

var (
	u64  = &ctype.Shape{Kind: ctype.KindInt, Name: "u64", Size: 8}
	void = &ctype.Shape{Kind: ctype.KindVoid}
)

func pointer(elem *ctype.Shape) *ctype.Shape {
	return &ctype.Shape{Kind: ctype.KindPointer, Elem: elem, Size: 8}
}

// state is a snapshot of a scheduler with a list in an arena: words of its .bss, and of two nodes.
func state(bss [8]uint64, nodes ...[4]uint64) *ktsnap.Snapshot {
	node := &ctype.Shape{Kind: ctype.KindStruct, Name: "node", Size: 32}
	task := &ctype.Shape{Kind: ctype.KindStruct, Name: "task_struct", Size: 8, Members: []ctype.Member{{Name: "secret", Type: u64}}}
	node.Members = []ctype.Member{
		{Offset: 0, Name: "next", Type: pointer(node)}, {Offset: 8, Name: "task", Type: pointer(task)},
		{Offset: 16, Name: "load", Type: u64}, {Offset: 24, Name: "cgrp", Type: u64},
	}
	timer := &ctype.Shape{Kind: ctype.KindStruct, Name: "bpf_timer", Size: 16, Members: []ctype.Member{{Name: "__opaque", Type: &ctype.Shape{Kind: ctype.KindArray, Elem: u64, Len: 2, Size: 16}}}}
	section := &ctype.Shape{Kind: ctype.KindSection, Name: ".bss", Size: 64, Members: []ctype.Member{
		{Offset: 0, Name: "head", Type: pointer(node)}, {Offset: 8, Name: "anything", Type: pointer(void)},
		{Offset: 16, Name: "slots", Type: &ctype.Shape{Kind: ctype.KindArray, Elem: u64, Len: 2, Size: 16}},
		{Offset: 32, Name: "timer", Type: timer}, {Offset: 48, Name: "guess", Type: u64}, {Offset: 56, Name: "err", Type: u64},
	}}
	data := &ktsnap.Map{Name: "s.bss", Type: ktsnap.MapTypeArray, N: 1, Total: 1, Slots: 1, KeySize: 4, MaxEntries: 1, Value: section, ValueSize: 64, Stride: 64}
	for _, w := range bss {
		data.Values = binary.LittleEndian.AppendUint64(data.Values, w)
	}
	page := make([]byte, 0, 4096)
	for _, n := range nodes {
		for _, w := range n {
			page = binary.LittleEndian.AppendUint64(page, w)
		}
	}
	arena := &ktsnap.Map{Name: "arena", Type: ktsnap.MapTypeArena, Slots: 1, Extents: []ktsnap.Extent{{Addr: arenaAddr, Data: page[:4096]}}}
	return &ktsnap.Snapshot{Name: "now", Maps: []*ktsnap.Map{data, arena}, Kernel: []ktsnap.KernelObject{
		{Addr: taskAddr, Name: "task_struct", Type: task, Data: []byte("\x00\x00\x10\x00\x80\x88\xff\xff")},
		{Addr: taskAddr + 64, Name: "task_struct", Fault: ktsnap.FaultContradiction, Reason: "an object of cred_jar is there"},
		{Addr: taskAddr + 128, Name: "task_struct", Fault: ktsnap.FaultLimit, Reason: "the limit is 1 object"},
	}}
}

// findings say what the pointers of state are, and one that none is.
func findings() *cast.Result {
	bss, node := &btf.Datasec{Name: ".bss"}, &btf.Struct{Name: "node"}
	task := &btf.Struct{Name: "task_struct"}
	return &cast.Result{Findings: []cast.Finding{
		{Container: bss, Path: "head", Target: node, Space: ctype.SpaceArena},
		{Container: node, Path: "next", Target: node, Space: ctype.SpaceArena},
		{Container: node, Path: "task", Target: task, Space: ctype.SpaceKernel, Class: cast.Likely},
		{Container: bss, Path: "guess", Target: node, Space: ctype.SpaceArena, Class: cast.Guessed},
	}}
}

func TestFindingsAreHeldAgainstWhatIsThere(t *testing.T) {
	r := live.Check(findings(), state(
		[8]uint64{arenaAddr, taskAddr, 0, arenaAddr + 8, taskAddr, taskAddr, 5, ^uint64(0)},
		[4]uint64{arenaAddr + 32, taskAddr, 7, taskAddr}, [4]uint64{arenaAddr + 64, taskAddr + 64, 8, 0}, [4]uint64{0, taskAddr + 128, 9, 0},
	))
	require.Len(t, r.Claims, 4)
	head, next, task, guess := r.Claims[0], r.Claims[1], r.Claims[2], r.Claims[3]
	require.Equal(t, []int{0, 1, 1, 0}, []int{head.Null, head.Addresses, head.Led, head.Wrong})
	require.Equal(t, []int{1, 2, 2, 0}, []int{next.Null, next.Addresses, next.Led, next.Wrong})
	require.Equal(t, []int{0, 2, 1, 1}, []int{task.Null, task.Addresses, task.Led, task.Wrong}, "one could not be followed")
	require.Equal(t, "an object of cred_jar is there", task.Examples[0].Why)
	require.Equal(t, uint64(taskAddr+64), task.Examples[0].Value)
	require.Equal(t, 1, guess.Wrong)
	require.Equal(t, live.Wrong{Snapshot: "now", Path: "s.bss", Value: 5, Why: "it is no address"}, guess.Examples[0])
	require.True(t, guess.Seen())

	var silent []string
	for _, p := range r.Silent {
		silent = append(silent, p.Name)
	}
	require.Equal(t, []string{"section .bss.slots[]", "struct node.cgrp"}, silent, "timers are the kernel's, and -1 is no address")
}

// An integer that also holds a number is none that was missed; so are those in the kernel's objects.
func TestNumbersAreNotSilent(t *testing.T) {
	r := live.Check(findings(), state([8]uint64{}, [4]uint64{}), state([8]uint64{2: arenaAddr, 3: 12, 6: arenaAddr}))
	require.Empty(t, r.Silent)
	require.Equal(t, 2, r.Claims[0].Null)
	require.False(t, r.Claims[0].Seen())
	require.Equal(t, 1, r.Claims[3].Addresses, "a guess is not followed")
	require.Zero(t, r.Claims[3].Wrong)
}
