package graphs_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/dump"
	"github.com/ktgen/ktgen/gen/internal/graphs"
	"github.com/ktgen/ktgen/ktest"
	ktrt "github.com/ktgen/ktgen/runtime"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

func TestMain(m *testing.M) { ktest.Main(m) }

func TestListsAndTreesOfAGuestAreReadInOrder(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{CPUs: 2, Scheduler: ktest.Object("testdata/graphs.bpf.o")})
	frozen := vm.Freeze("filled")
	requireGraphs(t, frozen)
	t.Run("from a file", func(t *testing.T) {
		var file bytes.Buffer
		_, err := frozen.WriteTo(&file)
		require.NoError(t, err)
		read, err := ktsnap.Read(&file)
		require.NoError(t, err)
		requireGraphs(t, read)
	})
	require.Len(t, frozen.Kernel, 5+1+3+40+2*(1+2), "each object is copied once, and nothing else is")
}

// requireGraphs holds a snapshot against what graphs.bpf.c does.
func requireGraphs(t *testing.T, frozen *ktsnap.Snapshot) {
	t.Helper()
	snap := graphs.Bind(t, frozen)
	require.Zero(t, snap.Bss().NrFailed)
	for key, length := range map[uint32]int{1: 5, 2: 1, 3: 0} {
		queue := snap.Queues().Get(key)
		require.EqualValues(t, length, queue.Length)
		require.Equal(t, length, queue.Parcels.Len())
		require.Equal(t, length == 0, queue.Parcels.IsEmpty())
		i := 0
		for parcel := range queue.Parcels.All() {
			require.EqualValues(t, 100*int(key)+i, parcel.Number)
			require.Equal(t, string(rune('a'+i)), parcel.What)
			require.EqualValues(t, 1000-i, parcel.Cost)
			require.True(t, parcel.Link.IsLinked())
			i++
		}
		require.Equal(t, "u", queue.Urgent.What)
		require.False(t, queue.Urgent.Link.IsLinked())
	}
	requireMeters(t, snap)
	require.Equal(t, wantBalances(), balances(snap))
	require.True(t, snap.DataA().Drained.IsEmpty())
	require.NotZero(t, snap.DataA().Drained.Next, "its head leads to itself")
	require.True(t, snap.DataA().Untouched.IsEmpty())
	require.Zero(t, snap.DataA().Untouched.Next)
	requireByPath(t, frozen)
}

// requireMeters reads what was allocated for each CPU.
func requireMeters(t *testing.T, snap graphs.Snap) {
	t.Helper()
	for key := range uint32(2) {
		meters := snap.Queues().Get(key + 1).Meters
		for cpu := range 2 {
			require.Equal(t, &graphs.Meter{Key: key + 1, Count: uint64(key+1)*10 + uint64(cpu)}, meters.CPU(cpu))
		}
		require.Same(t, meters.CPU(1), meters.CPU(1))
		require.EqualValues(t, (key+1)*20+1, meters.Sum(func(m *graphs.Meter) uint64 { return m.Count }))
		require.ErrorAs(t, ktrt.Try(func() { unbound(t, snap).Queues().Get(key + 1).Meters.CPU(2) }), new(*ktsnap.PerCPUSlotError))
	}
	require.True(t, snap.Queues().Get(3).Meters.IsNull())
	require.ErrorAs(t, ktrt.Try(func() { unbound(t, snap).Queues().Get(3).Meters.CPU(0) }), new(*ktsnap.NullError))
}

// unbound is a snapshot whose reads panic.
func unbound(t *testing.T, snap graphs.Snap) graphs.Snap {
	t.Helper()
	open, err := graphs.Open(snap.Binding().Snapshot())
	require.NoError(t, err)
	return open
}

func balances(snap graphs.Snap) (list []uint64) {
	for account := range snap.DataA().Accounts.All() {
		list = append(list, account.Balance)
	}
	return list
}

func wantBalances() (list []uint64) {
	for i := range uint64(40) {
		list = append(list, i*37%101)
	}
	slices.Sort(list)
	return list
}

// requireByPath reads the same without generated code, and as text.
func requireByPath(t *testing.T, frozen *ktsnap.Snapshot) {
	t.Helper()
	queue := frozen.Map("queues").Lookup(1)
	got, err := queue.Get("parcels[4].cost").Uint64()
	require.NoError(t, err)
	require.EqualValues(t, 996, got)
	require.ErrorAs(t, queue.Get("parcels[5]").Err(), new(*ktsnap.IndexOutOfRangeError))
	what, err := queue.Get("urgent.what").Str()
	require.NoError(t, err)
	require.Equal(t, "u", what)

	count, err := queue.Get("meters[1].count").Uint64()
	require.NoError(t, err)
	require.EqualValues(t, 11, count)

	accounts := frozen.Var("accounts")
	require.NoError(t, accounts.Err())
	require.Equal(t, 40, accounts.Len())
	for i, want := range wantBalances() {
		got, err := accounts.Get(fmt.Sprintf("[%d].balance", i)).Uint64()
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	drained := frozen.Var("drained")
	require.Zero(t, drained.Len())

	var text bytes.Buffer
	require.NoError(t, dump.Text(&text, frozen, dump.Options{}))
	require.Contains(t, text.String(), "number: 104")
	require.Contains(t, text.String(), "balance: 57")
	require.Regexp(t, `(?s)meters: 0x\w+ →.{1,60}→ \{key: 1, count: 10\}.{1,60}→ \{key: 1, count: 11\}`, text.String())
	require.Contains(t, text.String(), `{number: 200, what: "a", link: linked, cost: 1000}`)
}
