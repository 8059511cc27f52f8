package dump_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/dump"
	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

const taskAddr = 0xffff_8880_0030_0000

// withTask makes a snapshot of two pointers to a task.
func withTask() *ktsnap.Snapshot {
	task := structure("task_struct", 48, member(0, "flags", u64), member(8, "pid", s32), member(12, "tgid", s32), member(16, "comm", array(char, 16)), member(32, "prio", s32))
	to := &ctype.Shape{Kind: ctype.KindPointer, Elem: &ctype.Shape{Kind: ctype.KindFwd, Name: "task_struct"}, Size: 8}
	bss := newMap(ktsnap.Map{Name: "mysched.bss", Type: ktsnap.MapTypeArray, Value: &ctype.Shape{Kind: ctype.KindSection, Name: ".bss", Size: 16, Members: []ctype.Member{
		member(0, "current", to), member(8, "last", to),
	}}}, 1)
	bytesOf{bss.Values}.u64(0, taskAddr).u64(8, taskAddr)
	data := bytesOf{make([]byte, task.Size)}.u64(0, 4096).u32(8, 42).u32(12, 41).text(16, "spin-0\x1b[31m").u32(32, 120)
	return &ktsnap.Snapshot{
		Guest: ktsnap.Guest{CPUs: 1}, Maps: []*ktsnap.Map{bss},
		Kernel: []ktsnap.KernelObject{{Addr: taskAddr, Name: "task_struct", Type: task, Data: data.b}},
	}
}

func TestTasksAreShownByWhatTellsThemApart(t *testing.T) {
	brief := text(t, withTask(), dump.Options{})
	require.Contains(t, brief, `current: 0xffff888000300000 → {pid: 42, tgid: 41, comm: "spin-0\x1b[31m", ...}`)
	require.Contains(t, brief, `last: 0xffff888000300000 → {pid: 42,`, "each pointer to it says what it is")
	require.NotContains(t, brief, "prio")
	require.Contains(t, brief, "-kernel")

	whole := text(t, withTask(), dump.Options{Kernel: true})
	require.Contains(t, whole, "prio: 120")
	require.Contains(t, whole, "shown elsewhere")
	require.NotContains(t, whole, "-kernel")
}
