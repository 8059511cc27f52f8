package graphs_test

import (
	"encoding/binary"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/dump"
	"github.com/ktgen/ktgen/gen/internal/graphs"
	"github.com/ktgen/ktgen/ktest"
	ktrt "github.com/ktgen/ktgen/runtime"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

type (
	account = graphs.Account
	parcel  = graphs.Parcel
)

// fixture has a list of three, a tree of n and an empty list.
func fixture(n int) graphs.Fixture {
	var accounts []*account
	for i := range n {
		accounts = append(accounts, &account{Balance: uint64(i)})
	}
	return graphs.Fixture{
		DataA: graphs.DataA{Accounts: ktrt.TreeOf(accounts...), Drained: ktrt.ListOf[parcel]()},
		Queues: map[uint32]*graphs.Queue{7: {
			Length:  3,
			Parcels: ktrt.ListOf(&parcel{Number: 1}, &parcel{Number: 2, What: "two"}, &parcel{Number: 3}),
			Urgent:  &parcel{Number: 4},
			Meters:  ktrt.PerCPUOf(&graphs.Meter{Count: 5}, &graphs.Meter{Count: 6}),
		}},
	}
}

func TestFixturesHaveListsAndTrees(t *testing.T) {
	for _, n := range []int{0, 1, 2, 3, 10, 1000} {
		snap := fixture(n).Bind(t)
		require.Equal(t, n, snap.DataA().Accounts.Len())
		i := uint64(0)
		for a := range snap.DataA().Accounts.All() {
			require.Equal(t, i, a.Balance)
			require.True(t, a.Branch.IsLinked())
			i++
		}
		require.True(t, snap.DataA().Drained.IsEmpty())
	}
	snap := fixture(0).Bind(t)
	queue := snap.Queues().Get(7)
	var numbers []uint32
	for p := range queue.Parcels.All() {
		numbers = append(numbers, p.Number)
		require.Equal(t, ktrt.Addr(snap, &queue.Parcels), uint64(p.Link.Owner))
	}
	require.Equal(t, []uint32{1, 2, 3}, numbers)
	require.EqualValues(t, 4, queue.Urgent.Number)
	require.EqualValues(t, 6, queue.Meters.CPU(1).Count)
	require.EqualValues(t, 11, queue.Meters.Sum(func(m *graphs.Meter) uint64 { return m.Count }))
	require.ErrorAs(t, ktrt.Try(func() { unbound(t, snap).Queues().Get(7).Meters.CPU(2) }), new(*ktsnap.PerCPUSlotError))
	given := fixture(0).Queues[7].Meters
	require.EqualValues(t, 6, given.CPU(1).Count)
	require.EqualValues(t, 11, given.Sum(func(m *graphs.Meter) uint64 { return m.Count }))
	require.False(t, given.IsNull())
}

// A program fills its lists when it runs: a fixture leaves them, and has no objects to give.
func TestObjectsAreConfiguredBesideTheirLists(t *testing.T) {
	check := func(configure func(*graphs.Fixture)) error {
		return ktest.Object("testdata/graphs.bpf.o").Configure(graphs.Initial(configure)).Check()
	}
	require.NoError(t, check(func(c *graphs.Fixture) { c.MaxEntries.Queues = 8 }))
	require.ErrorContains(t, check(func(c *graphs.Fixture) { c.DataA.Drained = ktrt.ListOf(&parcel{}) }), "set .data.A.drained: a runtime.List")
	require.ErrorContains(t, check(func(c *graphs.Fixture) { c.DataA.Accounts.Root = 1 }), "set .data.A.accounts: a runtime.Tree")
}

func TestListsOfLiteralsAreRangedOverWithoutASnapshot(t *testing.T) {
	list := fixture(5).DataA.Accounts
	require.Equal(t, 5, list.Len())
	require.False(t, list.IsEmpty())
	require.Zero(t, graphs.Queue{}.Parcels.Len())
}

func TestDifferencesOfListsAreThoseOfTheirObjects(t *testing.T) {
	before := fixture(2).Bind(t)
	changed := fixture(3)
	changed.Queues[7].Parcels = ktrt.ListOf(&parcel{Number: 1}, &parcel{Number: 20}, &parcel{Number: 3})
	after := changed.Bind(t)
	var paths []string
	for c := range dump.DiffValues(*before.Queues().Get(7), *after.Queues().Get(7), "*.Link.*") {
		paths = append(paths, c.String())
	}
	require.Equal(t, []string{"~ Parcels[1].Number: 2 -> 20", "~ Parcels[1].What: two -> "}, paths)
}

func TestObjectsOfFixturesAreInOneListOnly(t *testing.T) {
	twice := &parcel{Number: 1}
	for name, c := range map[string]struct {
		f    graphs.Fixture
		want string
	}{
		"twice in a list": {graphs.Fixture{DataA: graphs.DataA{Drained: ktrt.ListOf(twice, twice)}}, ".data.A.drained[1]: it is in a list or tree twice"},
		"in two lists":    {graphs.Fixture{DataA: graphs.DataA{Drained: ktrt.ListOf(twice), Untouched: ktrt.ListOf(twice)}}, ".data.A.untouched[0]: it is in a list or tree twice"},
		"nil":             {graphs.Fixture{DataA: graphs.DataA{Drained: ktrt.ListOf[parcel](nil)}}, ".data.A.drained[0]: it is nil"},
		"nil of a CPU":    {graphs.Fixture{Queues: map[uint32]*graphs.Queue{2: {Meters: ktrt.PerCPUOf(&graphs.Meter{}, nil)}}}, "queues[2].meters[1]: it is nil: give each CPU an object"},
		"more CPUs": {graphs.Fixture{CPUs: 1, Queues: map[uint32]*graphs.Queue{2: {Meters: ktrt.PerCPUOf(&graphs.Meter{}, &graphs.Meter{})}}},
			"queues[2]: it is given values of 2 CPUs, and the guest has 1: give fewer, or raise CPUs"},
		"nil in an entry": {graphs.Fixture{Queues: map[uint32]*graphs.Queue{2: {Parcels: ktrt.ListOf(twice, nil)}}}, "queues[2].parcels[1]: it is nil"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := c.f.Open()
			require.EqualError(t, err, "fixture: "+c.want)
		})
	}
}

// Links that lead around or nowhere end a range with an error, after what could
// be reached.
func TestDamagedLinksEndARange(t *testing.T) {
	snap := fixture(0).Bind(t)
	var links []uint64 // addresses of nodes
	for p := range snap.Queues().Get(7).Parcels.All() {
		links = append(links, ktrt.Addr(snap, &p.Link))
	}
	for name, c := range map[string]struct {
		next    uint64 // of the second node
		reached int
		want    error
	}{
		"to itself":             {links[1], 2, new(ktsnap.ContradictionError)},
		"to the one before":     {links[0], 2, new(ktsnap.ContradictionError)},
		"to NULL":               {0, 2, new(ktsnap.ContradictionError)},
		"to nowhere":            {0xffff_8881_2345_6780, 2, new(ktsnap.NotCapturedError)},
		"to the end of memory":  {^uint64(0) - 3, 2, new(ktsnap.NotCapturedError)},
		"below the first byte":  {3, 2, new(ktsnap.NotCapturedError)},
		"past the one after it": {ktrt.Addr(snap, &snap.Queues().Get(7).Parcels), 2, nil}, // to the head, as if it were the last
	} {
		t.Run(name, func(t *testing.T) {
			frozen := fixture(0).Snapshot(t)
			poke(t, frozen, links[1], c.next)
			snap, err := graphs.Open(frozen)
			require.NoError(t, err)
			reached := 0
			err = ktrt.Try(func() {
				for range snap.Queues().Get(7).Parcels.All() {
					reached++
				}
			})
			require.Equal(t, c.reached, reached)
			list := frozen.Map("queues").Lookup(7).Get("parcels")
			if c.want == nil {
				require.NoError(t, err)
				require.Equal(t, reached, list.Len())
				return
			}
			require.IsType(t, c.want, unwrapAll(err))
			require.Equal(t, reached+1, list.Len(), "the last one is the error")
			require.IsType(t, c.want, unwrapAll(list.Get("[2]").Err()))
			_, last := list.At(2)
			require.IsType(t, c.want, unwrapAll(last.Err()))
			text, err := list.Rendered()
			require.NoError(t, err)
			require.Contains(t, text.String(), "!! ")

			tb := new(failing)
			bound := graphs.Bind(tb, frozen)
			require.Panics(t, func() {
				for range bound.Queues().Get(7).Parcels.All() {
				}
			})
			require.Regexp(t, `^fixture_test\.go:\d+: A(ll|t) `, tb.text.String())
		})
	}
}

// failing is a test of which it is looked at how it fails.
type failing struct{ text strings.Builder }

func (f *failing) Output() io.Writer { return &f.text }
func (f *failing) FailNow()          { panic(f) }
func (f *failing) Cleanup(func())    {}

func TestATreeThatIsACircleIsAnError(t *testing.T) {
	frozen := fixture(3).Snapshot(t)
	snap, err := graphs.Open(frozen)
	require.NoError(t, err)
	root := uint64(snap.DataA().Accounts.Root)
	const right, left = 8, 16
	for _, at := range []uint64{right, left} {
		frozen := fixture(3).Snapshot(t)
		poke(t, frozen, root+at, root)
		snap, err := graphs.Open(frozen)
		require.NoError(t, err)
		err = ktrt.Try(func() { snap.DataA().Accounts.Len() })
		require.IsType(t, new(ktsnap.ContradictionError), unwrapAll(err))
	}
}

// poke writes a word into an arena of a snapshot.
func poke(t *testing.T, s *ktsnap.Snapshot, addr, word uint64) {
	t.Helper()
	for _, m := range s.Maps {
		for _, e := range m.Extents {
			if addr-e.Addr < uint64(len(e.Data)) {
				binary.LittleEndian.PutUint64(e.Data[addr-e.Addr:], word)
				return
			}
		}
	}
	require.Fail(t, "no memory there")
}

func unwrapAll(err error) error {
	for {
		inner, ok := err.(interface{ Unwrap() error })
		if !ok {
			return err
		}
		err = inner.Unwrap()
	}
}
