package freeze_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/freeze"
	"github.com/ktgen/ktgen/freeze/internal/memimage"
	"github.com/ktgen/ktgen/runtime"
)

// weightIsATask is a cast of the member of the ctx that program makes.
var weightIsATask = []runtime.Cast{{In: "struct ctx", Path: "weight", To: "struct task_struct", Space: runtime.SpaceKernel}}

// taskAt makes a task of a pid at an address.
func (g *guest) taskAt(a uint64, pid uint64) uint64 {
	g.Put(memimage.Addr(a, "task_struct", "pid"), pid, 4)
	g.Write(memimage.Addr(a, "task_struct", "comm"), fmt.Appendf(nil, "task-%d", pid))
	return a
}

// followed captures an array of pointers to tasks.
func (g *guest) followed(t *testing.T, o freeze.Options, casts []runtime.Cast, pointers ...uint64) *runtime.Snapshot {
	t.Helper()
	raw, _, ctx := program(t)
	var values [][]byte
	for _, p := range pointers {
		values = append(values, binary.LittleEndian.AppendUint64(nil, p))
	}
	g.add(1, g.Array(memimage.Map{
		ID: 1, Type: 2, Name: "tasks", KeySize: 4, ValueSize: 8, MaxEntries: uint32(len(values)), BTF: g.BTF(12, "sched", raw), ValueType: ctx,
	}, values))
	f := g.freezer(t, o)
	require.NoError(t, f.Casts(t.Context(), casts))
	snap, err := f.Capture(context.Background(), "now")
	require.NoError(t, err)
	g.requireResumed(t)
	return snap
}

func requirePID(t *testing.T, snap *runtime.Snapshot, i int, want int64) {
	t.Helper()
	got, err := snap.Map("tasks").At(i).Get("weight.pid").Int64()
	require.NoError(t, err)
	require.Equal(t, want, got)
	comm, err := snap.Map("tasks").At(i).Get("weight.comm").Bytes()
	require.NoError(t, err)
	require.Equal(t, fmt.Sprintf("task-%d", want), runtime.String(comm))
}

func TestObjectsOfTheKernelAreCopiedOnceWhole(t *testing.T) {
	g := newGuest()
	direct := g.taskAt(g.Alloc(4096), 7)
	// The second one lies across two pages that are not neighbours in memory.
	straddling := g.taskAt(g.Vmalloc(2*memimage.PageSize)+memimage.PageSize-1200, 8)
	snap := g.followed(t, freeze.Options{}, weightIsATask, direct, 0, straddling, direct)

	require.Len(t, snap.Kernel, 2)
	for _, o := range snap.Kernel {
		require.Equal(t, "task_struct", o.Name)
		require.Len(t, o.Data, o.Type.Size)
	}
	requirePID(t, snap, 0, 7)
	requirePID(t, snap, 2, 8)
	requirePID(t, snap, 3, 7)
	require.ErrorAs(t, snap.Map("tasks").At(1).Get("weight.pid").Err(), new(*runtime.Null))
}

func TestTargetsThatAreNoObjectsOfTheKernelAreReported(t *testing.T) {
	g := newGuest()
	unmapped := g.Reserve(memimage.PageSize)
	snap := g.followed(t, freeze.Options{}, weightIsATask, unmapped, 0x7fff_0000_1000)

	require.Equal(t, []runtime.KernelObject{
		{Addr: unmapped, Name: "task_struct", Fault: runtime.FaultUnreadable, Reason: snap.Kernel[0].Reason},
		{Addr: 0x7fff_0000_1000, Name: "task_struct", Fault: runtime.FaultContradiction, Reason: "it is no address of the kernel"},
	}, snap.Kernel)
	require.ErrorAs(t, snap.Map("tasks").At(0).Get("weight.pid").Err(), new(*runtime.Unreadable))
	require.ErrorAs(t, snap.Map("tasks").At(1).Get("weight.pid").Err(), new(*runtime.Contradiction))
}

func TestChasesEndAtTheirLimits(t *testing.T) {
	pointers := func(g *guest) (all []uint64) {
		for pid := range uint64(5) {
			all = append(all, g.taskAt(g.Alloc(2048), pid+1))
		}
		return all
	}
	for name, tc := range map[string]struct {
		chase  freeze.Chase
		whole  int
		faulty int
	}{
		"none":    {freeze.Chase{}, 5, 0},
		"objects": {freeze.Chase{Objects: 2}, 2, 0},
		"bytes":   {freeze.Chase{Bytes: 3*2048 + 1}, 3, 2},
		"off":     {freeze.Chase{Off: true}, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGuest()
			snap := g.followed(t, freeze.Options{Chase: tc.chase}, weightIsATask, pointers(g)...)
			whole, faulty := 0, 0
			for _, o := range snap.Kernel {
				switch o.Fault {
				case runtime.FaultNone:
					whole++
				case runtime.FaultLimit:
					faulty++
				}
			}
			require.Equal(t, tc.whole, whole)
			require.Equal(t, tc.faulty, faulty)
		})
	}
}

func TestIntegersAreNotFollowedWithoutACast(t *testing.T) {
	g := newGuest()
	snap := g.followed(t, freeze.Options{}, nil, g.taskAt(g.Alloc(2048), 7))
	require.Empty(t, snap.Kernel)
	require.Equal(t, runtime.KindInt, mapOf(t, snap, 1).Value.Members[0].Type.Kind)
}
