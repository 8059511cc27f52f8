package freeze_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/cilium/ebpf/btf"
	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/freeze"
	"github.com/ktgen/ktgen/freeze/internal/fakeguest"
	"github.com/ktgen/ktgen/freeze/internal/memimage"
	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// definer makes the BTF of a program with array maps of u64 values, as libbpf's
// macros define them, and returns it with the id of the u64.
func definer(t testing.TB, names ...string) (raw []byte, u64 uint32) {
	t.Helper()
	integer, value := &btf.Int{Name: "int", Size: 4, Encoding: btf.Signed}, &btf.Int{Name: "u64", Size: 8}
	spell := func(n uint32) btf.Type {
		return &btf.Pointer{Target: &btf.Array{Type: integer, Index: integer, Nelems: n}}
	}
	section := &btf.Datasec{Name: ".maps", Size: uint32(24 * len(names))}
	for i, name := range names {
		section.Vars = append(section.Vars, btf.VarSecinfo{Offset: uint32(24 * i), Size: 24, Type: &btf.Var{
			Name: name, Linkage: btf.GlobalVar,
			Type: &btf.Struct{Size: 24, Members: []btf.Member{
				{Name: "type", Type: spell(2)}, {Name: "key_size", Type: spell(4), Offset: 64}, {Name: "value", Type: &btf.Pointer{Target: value}, Offset: 128},
			}},
		}})
	}
	b, err := btf.NewBuilder(nil, nil)
	require.NoError(t, err)
	_, err = b.Add(section)
	require.NoError(t, err)
	id, err := b.Add(value)
	require.NoError(t, err)
	raw, err = b.Marshal(nil, nil)
	require.NoError(t, err)
	return bytes.Clone(raw), uint32(id)
}

// Names whose first 15 letters agree: the kernel keeps no more.
const tasksSum, tasksMax = "tasks_per_domain_sum", "tasks_per_domain_max"

// twoLongNames makes maps of these names with one value each.
func twoLongNames(g *fakeguest.Guest, t testing.TB, sum, most uint64) {
	raw, u64 := definer(t, tasksSum, tasksMax)
	at := g.BTF(12, "sched", raw)
	for i, v := range []uint64{sum, most} {
		id := uint32(i + 1)
		g.Add(id, g.Array(memimage.Map{
			ID: id, Type: 2, Name: tasksSum[:15], KeySize: 4, ValueSize: 8, MaxEntries: 1, BTF: at, ValueType: u64,
		}, [][]byte{binary.LittleEndian.AppendUint64(nil, v)}))
	}
}

func selectMax(m *ktsnap.Map) bool { return m.Name == tasksMax }

// waysToCapture are by what the guest does.
var waysToCapture = map[string]func(f *freeze.Freezer, ctx context.Context, name string) (*ktsnap.Snapshot, error){
	"a guest that runs":         (*freeze.Freezer).Capture,
	"a guest that stands still": (*freeze.Freezer).CaptureStopped,
}

func TestSelectTellsLongNamesApart(t *testing.T) {
	for name, capture := range waysToCapture {
		t.Run(name, func(t *testing.T) {
			g := fakeguest.New()
			twoLongNames(g, t, 11, 22)
			snap, err := capture(g.Freezer(t, freeze.Options{Select: selectMax}), t.Context(), "now")
			require.NoError(t, err)
			require.Equal(t, "not selected", fakeguest.MapOf(t, snap, 1).Reason)
			require.Equal(t, ktsnap.Complete, fakeguest.MapOf(t, snap, 2).Status)
			most, err := snap.Map(tasksMax).At(0).Get("").Uint64()
			require.NoError(t, err)
			require.EqualValues(t, 22, most)
		})
	}
}

// A map that is made while a capture rehearses is selected by its name, too.
func TestSelectKnowsTheNameOfAMapThatIsNew(t *testing.T) {
	g := fakeguest.New()
	twoLongNames(g, t, 11, 22)
	all := g.Maps
	g.Maps = map[uint32]uint64{}
	f := g.Freezer(t, freeze.Options{Select: selectMax})
	g.WhilePaused = func() { g.Publish(all) }
	snap, err := f.Capture(t.Context(), "now")
	require.NoError(t, err)
	require.Equal(t, "not selected", fakeguest.MapOf(t, snap, 1).Reason)
	require.Equal(t, ktsnap.Complete, fakeguest.MapOf(t, snap, 2).Status)
}

func TestMapsWithLongNamesAreFollowedByTheirOwnCasts(t *testing.T) {
	for name, capture := range waysToCapture {
		t.Run(name, func(t *testing.T) {
			g := fakeguest.New()
			first, second := g.TaskAt(g.Alloc(2048), 7), g.TaskAt(g.Alloc(2048), 8)
			twoLongNames(g, t, first, second)
			f := g.Freezer(t, freeze.Options{})
			require.NoError(t, f.Casts(t.Context(), []ktsnap.Cast{{In: "map " + tasksMax, To: "struct task_struct", Space: ctype.SpaceKernel}}))
			snap, err := capture(f, t.Context(), "now")
			require.NoError(t, err)

			pid, err := snap.Map(tasksMax).At(0).Get("pid").Int64()
			require.NoError(t, err)
			require.EqualValues(t, 8, pid)
			sum, err := snap.Map(tasksSum).At(0).Get("").Uint64()
			require.NoError(t, err, "an integer")
			require.Equal(t, first, sum)
			require.Len(t, snap.Kernel, 1)
		})
	}
}

// A loader that leaves the definitions out leaves the kernel's names: what a
// cast says of a longer one counts for it, if it can be no other's.
func TestMapsWhoseNamesStayCutAreFollowedByTheOnlyCastThatFits(t *testing.T) {
	cast := func(name, to string) ktsnap.Cast {
		return ktsnap.Cast{In: "map " + name, To: "struct " + to, Space: ctype.SpaceKernel}
	}
	for name, row := range map[string]struct {
		casts []ktsnap.Cast
		found int
	}{
		"one":  {[]ktsnap.Cast{cast(tasksMax, "task_struct")}, 1},
		"two":  {[]ktsnap.Cast{cast(tasksMax, "task_struct"), cast(tasksSum, "cgroup")}, 0},
		"none": {nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			g := fakeguest.New()
			raw, u64 := definer(t)
			g.Add(1, g.Array(memimage.Map{
				ID: 1, Type: 2, Name: tasksSum[:15], KeySize: 4, ValueSize: 8, MaxEntries: 1, BTF: g.BTF(12, "sched", raw), ValueType: u64,
			}, [][]byte{binary.LittleEndian.AppendUint64(nil, g.TaskAt(g.Alloc(2048), 7))}))
			f := g.Freezer(t, freeze.Options{})
			require.NoError(t, f.Casts(t.Context(), row.casts))
			snap, err := f.Capture(t.Context(), "now")
			require.NoError(t, err)
			require.Len(t, snap.Kernel, row.found)
		})
	}
}

// tornRAM has no memory for a while where the BTF of maps is.
type tornRAM struct {
	*fakeguest.Guest
	size int // of the BTF in bytes, by which its reads are known
	torn bool
}

func (r *tornRAM) ReadAt(p []byte, pa int64) (int, error) {
	if r.torn && len(p) == r.size {
		return 0, errors.New("torn")
	}
	return r.Guest.ReadAt(p, pa)
}

func TestTypesThatCouldNotBeReadOnceAreReadTheNextTime(t *testing.T) {
	g := fakeguest.New()
	twoLongNames(g, t, 11, 22)
	raw, _ := definer(t, tasksSum, tasksMax)
	ram := &tornRAM{Guest: g, size: len(raw), torn: true}
	g.Through = struct{ freeze.RAM }{ram} // no Slicer
	f := g.Freezer(t, freeze.Options{})
	snap, err := f.Capture(t.Context(), "torn")
	require.NoError(t, err)
	require.Contains(t, fakeguest.MapOf(t, snap, 1).Reason, "its types are unknown: read")
	require.Nil(t, fakeguest.MapOf(t, snap, 1).Value)

	ram.torn = false
	snap, err = f.Capture(t.Context(), "whole")
	require.NoError(t, err)
	require.Empty(t, fakeguest.MapOf(t, snap, 1).Reason)
	require.Equal(t, tasksSum, fakeguest.MapOf(t, snap, 1).Name)
}
