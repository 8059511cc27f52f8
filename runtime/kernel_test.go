package runtime

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/internal/convert"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// The generated side: a map of a struct with a pointer to a task, and what is
// read of tasks.
type (
	kernelCtx struct {
		Task Ptr[kernelTaskStruct]
	}
	kernelTaskStruct struct {
		Pid  int32
		Gone uint32
		Prio uint64
		Scx  kernelEntity
	}
	kernelEntity struct {
		Weight uint32
		Slice  uint64
	}
)

func decodeKernelCtx(v *kernelCtx, b []byte, d *Decoder) {
	v.Task = PtrAt(d, binary.LittleEndian.Uint64(b), 1, decodeKernelTask)
}

func decodeKernelTask(v *kernelTaskStruct, b []byte, _ *Decoder) {
	v.Pid = int32(binary.LittleEndian.Uint32(b))
	v.Gone = binary.LittleEndian.Uint32(b[4:])
	v.Prio = binary.LittleEndian.Uint64(b[8:])
	v.Scx.Weight = binary.LittleEndian.Uint32(b[16:])
	v.Scx.Slice = binary.LittleEndian.Uint64(b[24:])
}

var kernelLayoutOfTest = Layout{
	Object: "x.bpf.o", Package: "x",
	Types:  []string{"struct ctx", "struct task_struct"},
	Kernel: []string{"struct task_struct"},
	Maps:   []MapLayout{{Name: "ctxs", Type: ktsnap.MapTypeArray.String(), Value: "struct ctx"}},
	Shapes: `
struct	ctx	8
	0	task	*(kernel cast "u64")fwd task_struct
fwd	task_struct
struct	task_struct	32
	0	pid	s32
	4	gone	u32
	8	prio	u64
	16	scx	struct sched_ext_entity
struct	sched_ext_entity	16
	0	weight	u32
	8	slice	u64
int	s32	4	signed
int	u32	4
int	u64	8
`,
}

// The guest's kernel: members elsewhere, one narrower, one of another kind,
// two missing.
const guestKernel = `
struct	task_struct	24
	0	usage	u32
	4	scx	struct sched_ext_entity
	12	prio	u16
	16	pid	s32
	20	parent	u32
struct	sched_ext_entity	8
	0	slice	[4]u8
	4	weight	u32
int	s32	4	signed
int	u32	4
int	u16	2
int	u8	1
`

const kernelAt = 0xffff888000100000

// kernelSnapshot has pointers to a task, to nothing, to a target of each fault
// and to one that was not followed.
func kernelSnapshot(t *testing.T) *ktsnap.Snapshot {
	t.Helper()
	table, err := ctype.Parse(guestKernel)
	require.NoError(t, err)
	task, err := table.Shape("struct task_struct")
	require.NoError(t, err)
	program, err := ctype.Parse(kernelLayoutOfTest.Shapes)
	require.NoError(t, err)
	ctx, err := program.Shape("struct ctx")
	require.NoError(t, err)
	data := convert.Words(0x0403_0201_0000_0001, 0xffff_ffff_0000_0064, 0x0000_0007_0000_002a)
	copy(data[12:], []byte{120, 0, 0, 0})
	return &ktsnap.Snapshot{
		Guest: ktsnap.Guest{CPUs: 1},
		Maps: []*ktsnap.Map{{
			ID: 1, Name: "ctxs", Type: ktsnap.MapTypeArray, KeySize: 4, ValueSize: 8, Value: ctx, N: 6, Total: 6, Slots: 1, Stride: 8,
			Base: 0xffffc90000000000, Values: convert.Words(kernelAt, 0, kernelAt+1, kernelAt+2, kernelAt+3, kernelAt+4),
		}},
		Kernel: []ktsnap.KernelObject{
			{Addr: kernelAt + 3, Name: "task_struct", Fault: ktsnap.FaultLimit, Reason: "the objects of the kernel reach 8 bytes"},
			{Addr: kernelAt + 2, Name: "task_struct", Fault: ktsnap.FaultContradiction, Reason: `the object there is of the slab cache "dentry"`},
			{Addr: kernelAt, Name: "task_struct", Type: task, Data: data},
			{Addr: kernelAt + 1, Name: "task_struct", Fault: ktsnap.FaultUnreadable, Reason: "not mapped"},
		},
	}
}

func TestMembersOfKernelTypesAreFoundByName(t *testing.T) {
	b, err := kernelLayoutOfTest.Open(kernelSnapshot(t))
	require.NoError(t, err)
	in := snap{b}
	ctxs := NewArray(b, 0, decodeKernelCtx)

	task := ctxs.At(0).Task.Deref()
	require.Equal(t, kernelTaskStruct{Pid: 0x2a, Prio: 120, Scx: kernelEntity{Weight: 100}}, *task)
	require.Same(t, task, ctxs.At(0).Task.Deref())

	require.False(t, Absent(in, &task.Pid))
	require.False(t, Absent(in, &task.Prio))
	require.True(t, Absent(in, &task.Gone))
	require.False(t, Absent(in, &task.Scx.Weight))
	require.True(t, Absent(in, &task.Scx.Slice), "of another kind")

	require.Equal(t, uint64(kernelAt+16), Addr(in, &task.Pid))
	require.Contains(t, Path(in, &task.Scx.Weight), "scx.weight")
	var absent *ktsnap.FieldAbsentError
	require.ErrorAs(t, Try(func() { Addr(in, &task.Gone) }), &absent)
	require.Equal(t, &ktsnap.FieldAbsentError{Field: "struct task_struct.gone", Reason: "it has no member of that name"}, absent)
}

func TestPointersToTheKernelSayWhyTheyLeadNowhere(t *testing.T) {
	s := kernelSnapshot(t)
	b, err := kernelLayoutOfTest.Open(s)
	require.NoError(t, err)
	for i, want := range map[int]error{
		1: &ktsnap.NullError{},
		2: &ktsnap.UnreadableError{Addr: kernelAt + 1},
		3: &ktsnap.ContradictionError{Addr: kernelAt + 2, Type: "struct task_struct", Found: `the object there is of the slab cache "dentry"`},
		4: &ktsnap.NotFollowedError{Addr: kernelAt + 3, Reason: "the objects of the kernel reach 8 bytes"},
		5: &ktsnap.NotCapturedError{Addr: kernelAt + 4, Type: "struct task_struct", Reason: "captures have the objects of the kernel that pointers in maps lead to; from those on they follow pointers to types that Chase.Follow names (ktest.Config.Capture), such as \"task_struct\""},
	} {
		p := NewArray(b, 0, decodeKernelCtx).At(i).Task
		_, err := p.Lookup()
		require.Equal(t, want, err)
		if i == 1 {
			require.Error(t, s.Map("ctxs").At(i).Get("task.pid").Err())
			continue
		}
		failed := Try(func() { p.Deref() })
		var asError *ktsnap.Error
		require.ErrorAs(t, failed, &asError)
		require.Equal(t, want, asError.Err)

		dynamic := s.Map("ctxs").At(i).Get("task.pid").Err()
		require.ErrorContains(t, dynamic, want.Error(), "by path")
		raw, err := s.Map("ctxs").At(i).Get("task").Uint64()
		require.NoError(t, err)
		require.Equal(t, p.Addr(), raw)
	}
	pid, err := s.Map("ctxs").At(0).Get("task.pid").Int64()
	require.NoError(t, err)
	require.EqualValues(t, 0x2a, pid)
	require.Equal(t, "cast→kernel", s.Map("ctxs").At(0).Get("task").Annotation())
}

// kernelNode is a type of the kernel that is generated as an address only.
type kernelNode struct{}

func TestPointersToTypesWithoutMembersSaySo(t *testing.T) {
	_, err := PtrTo[kernelNode](kernelAt).Lookup()
	require.ErrorContains(t, err, "kernelNode is generated without members, so only the address is read")
	_, err = PtrTo[kernelTaskStruct](kernelAt).Lookup()
	require.ErrorContains(t, err, "it was made of its address")
}

// Where the guest's layout was not captured with casts the bytes are the same,
// and what is known of the code's own layout counts.
func TestALayoutWithCastsBindsToAGuestWithout(t *testing.T) {
	s := kernelSnapshot(t)
	s.Maps[0].Value = &ctype.Shape{Kind: ctype.KindStruct, Name: "ctx", Size: 8, Members: []ctype.Member{{Name: "task", Type: &ctype.Shape{Kind: ctype.KindInt, Name: "u64", Size: 8}}}}
	b, err := kernelLayoutOfTest.Open(s)
	require.NoError(t, err)
	require.EqualValues(t, 0x2a, NewArray(b, 0, decodeKernelCtx).At(0).Task.Deref().Pid)
}
