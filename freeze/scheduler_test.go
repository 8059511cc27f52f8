package freeze_test

import (
	"context"
	"strings"
	"testing"

	"github.com/cilium/ebpf/btf"
	"github.com/stretchr/testify/require"

	ktbtf "github.com/ktgen/ktgen/btf"
	"github.com/ktgen/ktgen/freeze"
	"github.com/ktgen/ktgen/freeze/internal/fakeguest"
	"github.com/ktgen/ktgen/freeze/internal/memimage"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// Where struct scx_sched and struct scx_exit_info have what is read of them.
const (
	schedName, schedExitKind, schedExitInfo = 24, 200, 208
	infoKind, infoReason, infoText          = 4, 16, 24
)

// withSchedulers adds sched_ext to the types of the kernel.
func withSchedulers(t testing.TB) []byte {
	t.Helper()
	spec, err := ktbtf.Parse(memimage.KernelBTF())
	require.NoError(t, err)
	b, err := btf.NewBuilder(nil, nil)
	require.NoError(t, err)
	for typ, err := range spec.All() {
		require.NoError(t, err)
		if _, void := typ.(*btf.Void); !void {
			_, err = b.Add(typ)
			require.NoError(t, err)
		}
	}
	integer, char := &btf.Int{Name: "int", Size: 4, Encoding: btf.Signed}, &btf.Int{Name: "char", Size: 1}
	at := func(offset int, name string, t btf.Type) btf.Member {
		return btf.Member{Name: name, Offset: btf.Bits(8 * offset), Type: t}
	}
	info := &btf.Struct{Name: "scx_exit_info", Size: 32, Members: []btf.Member{
		at(infoKind, "kind", integer), at(infoReason, "reason", &btf.Pointer{Target: char}), at(infoText, "msg", &btf.Pointer{Target: char}),
	}}
	ops := &btf.Struct{Name: "sched_ext_ops", Size: 136, Members: []btf.Member{at(8, "name", &btf.Array{Index: integer, Type: char, Nelems: 128})}}
	counter := &btf.Struct{Name: "atomic_t", Size: 4, Members: []btf.Member{at(0, "counter", integer)}}
	for _, typ := range []btf.Type{
		&btf.Struct{Name: "scx_sched", Size: 216, Members: []btf.Member{
			at(schedName-8, "ops", ops), at(schedExitKind, "exit_kind", counter), at(schedExitInfo, "exit_info", &btf.Pointer{Target: info}),
		}},
		&btf.Enum{Name: "scx_enable_state", Size: 4, Values: []btf.EnumValue{
			{Name: "SCX_ENABLING", Value: 0}, {Name: "SCX_ENABLED", Value: 1}, {Name: "SCX_DISABLING", Value: 2}, {Name: "SCX_DISABLED", Value: 3},
		}},
		&btf.Enum{Name: "scx_exit_kind", Size: 4, Values: []btf.EnumValue{
			{Name: "SCX_EXIT_NONE", Value: 0}, {Name: "SCX_EXIT_UNREG", Value: 64}, {Name: "SCX_EXIT_ERROR_STALL", Value: 1026},
		}},
	} {
		_, err = b.Add(typ)
		require.NoError(t, err)
	}
	raw, err := b.Marshal(nil, nil)
	require.NoError(t, err)
	return raw
}

// schedulers is a guest with sched_ext.
type schedulers struct {
	*fakeguest.Guest
	state, root, sched, info uint64
}

func newSchedulers() schedulers {
	g := schedulers{Guest: fakeguest.New()}
	g.state, g.root, g.sched, g.info = g.Alloc(4), g.Alloc(8), g.Alloc(216), g.Alloc(32)
	g.Symbols["scx_enable_state_var"], g.Symbols["scx_root"] = g.state, g.root
	g.Publish(g.Maps)
	return g
}

func (g schedulers) text(s string) uint64 {
	at := g.Alloc(len(s) + 1)
	g.Write(at, []byte(s+"\x00"))
	return at
}

func (g schedulers) freezer(t testing.TB) *freeze.Freezer {
	t.Helper()
	f, err := freeze.New(g.Guest, g.Guest, g.Kernel(t, withSchedulers(t)), freeze.Options{})
	require.NoError(t, err)
	return f
}

func (g schedulers) read(t testing.TB) ktsnap.Scheduler {
	t.Helper()
	snap, err := g.freezer(t).Capture(context.Background(), "now")
	require.NoError(t, err)
	return snap.Scheduler
}

// What the kernel notes of a scheduler's life and end is told as far as it is
// there: the kernel writes the kind first, and its words a moment later.
func TestSchedulersAreToldAsFarAsTheKernelHasNoted(t *testing.T) {
	g := newSchedulers()
	g.Put(g.state, 3, 4)
	require.Equal(t, ktsnap.Scheduler{State: "disabled"}, g.read(t))
	g.Put(g.state, 1, 4)
	require.Equal(t, ktsnap.Scheduler{State: "enabled"}, g.read(t), "nothing in scx_root")

	g.Write(g.sched+schedName, []byte("tally\x00"))
	g.Put(g.root, g.sched, 8)
	running := ktsnap.Scheduler{State: "enabled", Name: "tally"}
	require.Equal(t, running, g.read(t))
	g.Put(g.sched+schedExitInfo, g.info, 8)
	g.Put(g.info+infoReason, g.text("of the last one"), 8)
	require.Equal(t, running, g.read(t), "it runs as long as it has no kind of an end")

	g.Put(g.sched+schedExitInfo, 0, 8)
	g.Put(g.info+infoReason, 0, 8)
	g.Put(g.sched+schedExitKind, 1026, 4)
	stalled := ktsnap.Scheduler{State: "enabled", Name: "tally", Reason: "SCX_EXIT_ERROR_STALL"}
	require.Equal(t, stalled, g.read(t), "no scx_exit_info")
	g.Put(g.sched+schedExitInfo, g.info, 8)
	g.Put(g.info+infoText, g.text("of the last one"), 8)
	require.Equal(t, stalled, g.read(t), "no words yet")

	g.Put(g.info+infoKind, 1026, 4)
	g.Put(g.info+infoText, 0, 8)
	require.Equal(t, stalled, g.read(t), "neither reason nor message")
	g.Put(g.info+infoText, g.text("worker[7] failed to run"), 8)
	stalled.Message = "worker[7] failed to run"
	require.Equal(t, stalled, g.read(t))
	g.Put(g.info+infoReason, g.text("runnable task stall"), 8)
	stalled.Reason = "runnable task stall"
	require.Equal(t, stalled, g.read(t))
	g.Put(g.info+infoReason, 0xffff_c900_dead_0000, 8)
	stalled.Reason = "SCX_EXIT_ERROR_STALL"
	require.Equal(t, stalled, g.read(t), "a reason at an address that is none")
	g.Put(g.state, 9, 4)
	require.Equal(t, ktsnap.Scheduler{}, g.read(t), "a state that the kernel does not have")
}

func TestNamesAndMessagesOfSchedulersHaveABound(t *testing.T) {
	g := newSchedulers()
	g.Put(g.state, 1, 4)
	g.Put(g.root, g.sched, 8)
	g.Write(g.sched+schedName, []byte(strings.Repeat("n", 127)+"\x00"))
	g.Put(g.sched+schedExitKind, 64, 4)
	g.Put(g.sched+schedExitInfo, g.info, 8)
	g.Put(g.info+infoKind, 64, 4)
	g.Put(g.info+infoText, g.text(strings.Repeat("m", 1023)), 8)
	s := g.read(t)
	require.Equal(t, strings.Repeat("n", 127), s.Name)
	require.Equal(t, strings.Repeat("m", 1023), s.Message)
	last := g.Vmalloc(4096) + 4096 - 16 // of mapped memory
	g.Write(last, []byte("at the very end\x00"))
	g.Put(g.info+infoText, last, 8)
	require.Equal(t, "at the very end", g.read(t).Message)
	g.Put(g.info+infoText, g.text("\xffbad"), 8)
	require.Equal(t, "?bad", g.read(t).Message)
}

func TestTheKindOfTheEndIsWhereTheSchedulerHasIt(t *testing.T) {
	g := newSchedulers()
	f := g.freezer(t)
	_, _, err := f.ExitKind()
	require.ErrorIs(t, err, freeze.ErrNoScheduler)
	g.Put(g.root, g.sched, 8)
	addr, size, err := f.ExitKind()
	require.NoError(t, err)
	require.Equal(t, g.sched+schedExitKind, addr, "no scx_exit_info")
	require.Equal(t, 4, size)
	g.Put(g.sched+schedExitInfo, g.info, 8)
	addr, size, err = f.ExitKind()
	require.NoError(t, err)
	require.Equal(t, g.info+infoKind, addr)
	require.Equal(t, 4, size)
	g.Put(g.sched+schedExitInfo, ^uint64(0), 8)
	addr, _, err = f.ExitKind()
	require.NoError(t, err)
	require.Equal(t, g.sched+schedExitKind, addr, "a scx_exit_info at an address that is none")
	g.Put(g.root, ^uint64(0), 8)
	_, _, err = f.ExitKind()
	require.ErrorIs(t, err, freeze.ErrNoScheduler)
	require.NotErrorIs(t, err, freeze.ErrExitKindUnknown)
}

// The kernel counts a scheduler when it is enabled; one that is about to be is the next.
func TestInstancesOfSchedulersAreCounted(t *testing.T) {
	g := newSchedulers()
	seq := g.Alloc(8)
	g.Symbols["scx_enable_seq"] = seq
	g.Publish(g.Maps)
	for _, row := range []struct {
		state, seq uint64
		want       int
	}{{3, 0, 0}, {0, 0, 1}, {1, 1, 1}, {2, 1, 1}, {3, 1, 1}, {0, 1, 2}, {1, 1 << 40, 0}} {
		g.Put(g.state, row.state, 4)
		g.Put(seq, row.seq, 8)
		require.Equal(t, row.want, g.read(t).Instance, "%+v", row)
	}
}
