package bpfmap_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/freeze"
	"github.com/ktgen/ktgen/freeze/internal/fakeguest"
	"github.com/ktgen/ktgen/freeze/internal/memimage"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// rhashHeader is a resizable hash, id 5, with keys of 11 bytes and values of 13.
var rhashHeader = memimage.Map{ID: 5, Name: "rhash", Type: 35, KeySize: 11, ValueSize: 13, MaxEntries: 1000}

func TestResizableHashes(t *testing.T) {
	list := fakeguest.Entries(300, 11, 13, 1)
	for name, c := range map[string]struct {
		want   []memimage.Entry
		tables []memimage.RTable
	}{
		"empty":                        {nil, []memimage.RTable{fakeguest.RTable(4, 0, nil)}},
		"empty and nested":             {nil, []memimage.RTable{fakeguest.RTable(1024, 1, nil)}},
		"one table":                    {list, []memimage.RTable{fakeguest.RTable(64, 0, list)}},
		"nested two levels":            {list, []memimage.RTable{fakeguest.RTable(4096, 3, list)}},
		"nested three levels":          {list, []memimage.RTable{fakeguest.RTable(1<<19, 1, list)}},
		"half moved to a larger table": {list, []memimage.RTable{fakeguest.RTable(16, 0, list[:100]), fakeguest.RTable(32, 0, list[100:])}},
		"overtaken by a third table":   {list, []memimage.RTable{fakeguest.RTable(16, 0, list[:100]), fakeguest.RTable(32, 0, nil), fakeguest.RTable(1024, 1, list[100:])}},
	} {
		t.Run(name, func(t *testing.T) {
			g := fakeguest.New()
			g.Add(5, g.RHash(rhashHeader, c.tables...))
			m := fakeguest.MapOf(t, g.Capture(t, freeze.Options{}), 5)
			require.Equal(t, ktsnap.Complete, m.Status, m.Reason)
			require.Equal(t, fakeguest.Ordered(c.want), fakeguest.Captured(m))
			require.Len(t, m.Addrs, m.N)
			for i, a := range m.Addrs {
				require.EqualValues(t, fakeguest.Value(m, i, 0)[0], g.RAM[g.Phys(a)])
			}
		})
	}
}

// The last element of a list is put at the head of its new one, and leaves the
// old one after that.
func TestElementOfAResizableHashThatIsBeingMovedIsTakenOnce(t *testing.T) {
	g := fakeguest.New()
	list := fakeguest.Entries(6, 11, 13, 1)
	a := g.RHash(rhashHeader, fakeguest.RTable(1, 0, list[:2]), fakeguest.RTable(1, 0, list[2:]))
	_, old := g.RBucket(a, 0)
	future := g.Get(memimage.Addr(g.Get(memimage.Addr(a, "bpf_rhtab", "ht.tbl")), "bucket_table", "future_tbl"))
	bucket := memimage.Addr(future, "bucket_table", "buckets")
	g.Put(old[1], g.Get(bucket), 8)
	g.Put(bucket, old[1], 8)
	g.Add(5, a)
	m := fakeguest.MapOf(t, g.Capture(t, freeze.Options{}), 5)
	require.Equal(t, ktsnap.Complete, m.Status, m.Reason)
	require.Equal(t, fakeguest.Ordered(list), fakeguest.Captured(m))
}

func TestResizableHashWithinALimitSaysHowManyEntriesThereAre(t *testing.T) {
	g := fakeguest.New()
	g.Add(5, g.RHash(rhashHeader, fakeguest.RTable(64, 0, fakeguest.Entries(300, 11, 13, 1))))
	m := fakeguest.MapOf(t, g.Capture(t, freeze.Options{MapBytes: 100 * (11 + 13 + 8)}), 5)
	require.Equal(t, ktsnap.Truncated, m.Status)
	require.Equal(t, 100, m.N)
	require.Equal(t, 300, m.Total)
}

func TestDamagedResizableHashesFail(t *testing.T) {
	const table = "bucket_table"
	for name, c := range map[string]struct {
		damage func(g *fakeguest.Guest, rhash, table uint64)
		want   string
	}{
		"list that returns": {func(g *fakeguest.Guest, a, _ uint64) {
			_, nodes := g.RBucket(a, 3)
			g.Put(nodes[len(nodes)-1], nodes[0], 8)
		}, "the list returns to 0x"},
		"end of another bucket": {func(g *fakeguest.Guest, a, _ uint64) {
			_, nodes := g.RBucket(a, 3)
			other, _ := g.RBucket(a, 4)
			g.Put(nodes[len(nodes)-1], other|1, 8)
		}, "its list ends as that of the bucket at 0x"},
		"null in a list": {func(g *fakeguest.Guest, a, _ uint64) {
			_, nodes := g.RBucket(a, 3)
			g.Put(nodes[0], 0, 8)
		}, "read struct rhtab_elem at 0x"},
		"no table": {func(g *fakeguest.Guest, a, _ uint64) {
			g.Put(memimage.Addr(a, "bpf_rhtab", "ht.tbl"), 8, 8)
		}, "read struct bucket_table at 0x8"},
		"tables in a circle": {func(g *fakeguest.Guest, _, t uint64) {
			g.Put(memimage.Addr(t, table, "future_tbl"), t, 8)
		}, "more than 32 tables succeed one another"},
		"four billion buckets": {func(g *fakeguest.Guest, _, t uint64) {
			g.Put(memimage.Addr(t, table, "size"), 1<<32-1, 4)
		}, "of 4294967295 buckets: address 0x"},
		"nested deeper than a page": {func(g *fakeguest.Guest, _, t uint64) {
			g.Put(memimage.Addr(t, table, "nest"), 10, 4)
		}, "8 buckets are nested below 10 bits"},
		"nested table that contains itself": {func(g *fakeguest.Guest, _, t uint64) {
			page := g.Vmalloc(memimage.PageSize)
			for at := uint64(0); at < memimage.PageSize; at += 8 {
				g.Put(page+at, page, 8)
			}
			g.Put(memimage.Addr(t, table, "nest"), 4, 4)
			g.Put(memimage.Addr(t, table, "size"), 1<<31, 4)
			g.Put(memimage.Addr(t, table, "buckets"), page, 8)
		}, "of 2147483648 buckets: bucket at 0x"},
		"nested table without an end": {func(g *fakeguest.Guest, _, t uint64) {
			page, leaf := g.Vmalloc(memimage.PageSize), g.Vmalloc(memimage.PageSize)
			middle := g.Vmalloc(memimage.PageSize)
			for at := uint64(0); at < memimage.PageSize; at += 8 {
				g.Put(page+at, middle, 8)
				g.Put(middle+at, leaf, 8)
			}
			g.Put(memimage.Addr(t, table, "nest"), 9, 4)
			g.Put(memimage.Addr(t, table, "size"), 1<<27, 4)
			g.Put(memimage.Addr(t, table, "buckets"), page, 8)
		}, "the nested table has more than 65536 pages"},
	} {
		t.Run(name, func(t *testing.T) {
			g := fakeguest.New()
			g.Add(1, g.Array(memimage.Map{ID: 1, Name: "healthy", Type: 2, KeySize: 4, ValueSize: 8, MaxEntries: 1}, [][]byte{fakeguest.Random(8)}))
			a := g.RHash(rhashHeader, fakeguest.RTable(8, 0, fakeguest.Entries(30, 11, 13, 1)))
			g.Add(5, a)
			c.damage(g, a, g.Get(memimage.Addr(a, "bpf_rhtab", "ht.tbl")))
			snap := g.Capture(t, freeze.Options{MaxPause: 20e9})
			require.Equal(t, ktsnap.Complete, fakeguest.MapOf(t, snap, 1).Status)
			m := fakeguest.MapOf(t, snap, 5)
			require.Equal(t, ktsnap.Failed, m.Status)
			require.Contains(t, m.Reason, c.want)
			require.LessOrEqual(t, m.N*m.Stride, len(m.Values))
		})
	}
}
