package chase_test

import (
	"context"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/cilium/ebpf/btf"
	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/freeze"
	"github.com/ktgen/ktgen/freeze/internal/fakeguest"
	"github.com/ktgen/ktgen/freeze/internal/memimage"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// struct heads { head list contains item.link; root tree contains item.branch; }
// struct item { u64 number; struct bpf_list_node link; struct bpf_rb_node branch; }
const (
	itemSize   = 64
	itemLink   = 8
	itemBranch = 32
)

// heads makes the BTF of a program with a list and a tree, the tree first or second, or with an array of two lists.
func heads(t testing.TB, array, treeFirst bool) (raw []byte, typ uint32) {
	t.Helper()
	u64 := &btf.Int{Name: "u64", Size: 8}
	words := func(name string, n uint32) *btf.Struct {
		return &btf.Struct{Name: name, Size: 8 * n, Members: []btf.Member{{Name: "__opaque", Type: &btf.Array{Index: u64, Type: u64, Nelems: n}}}}
	}
	b, err := btf.NewBuilder([]btf.Type{
		&btf.Struct{Name: "item", Size: itemSize, Members: []btf.Member{
			{Name: "number", Type: u64},
			{Name: "link", Type: words("bpf_list_node", 3), Offset: 8 * itemLink},
			{Name: "branch", Type: words("bpf_rb_node", 4), Offset: 8 * itemBranch},
		}},
	}, nil)
	require.NoError(t, err)
	list := words("bpf_list_head", 2)
	members := []btf.Member{
		{Name: "list", Type: list, Tags: []string{"contains:item:link"}},
		{Name: "tree", Type: words("bpf_rb_root", 2), Offset: 8 * 16, Tags: []string{"contains:item:branch"}},
	}
	if treeFirst {
		members[0].Offset, members[1].Offset = members[1].Offset, members[0].Offset
		slices.Reverse(members)
	}
	if array {
		members = []btf.Member{{Name: "lists", Type: &btf.Array{Index: u64, Type: list, Nelems: 2}, Tags: []string{"contains:item:link"}}}
	}
	id, err := b.Add(&btf.Struct{Name: "heads", Size: 32, Members: members})
	require.NoError(t, err)
	raw, err = b.Marshal(nil, nil)
	require.NoError(t, err)
	return raw, uint32(id)
}

// graph is a guest with objects for lists and trees, and a map with the heads.
type graph struct {
	*fakeguest.Guest
	items []uint64
	heads []byte
	array bool // of two lists are the heads

	treeFirst bool
}

func newGraph(n int) *graph {
	g := &graph{Guest: fakeguest.New(), heads: make([]byte, 32)}
	for i := range n {
		item := g.Alloc(itemSize)
		g.Put(item, uint64(i), 8)
		g.items = append(g.items, item)
	}
	return g
}

func (g *graph) link(i int) uint64   { return g.items[i] + itemLink }
func (g *graph) branch(i int) uint64 { return g.items[i] + itemBranch }

// list links all items, and the head with the first and the last.
func (g *graph) list() {
	for i := range g.items {
		next := uint64(0) // the head's address, which only reading needs
		if i+1 < len(g.items) {
			next = g.link(i + 1)
		}
		g.Put(g.link(i), next, 8)
	}
	binary.LittleEndian.PutUint64(g.heads, g.link(0))
	binary.LittleEndian.PutUint64(g.heads[8:], g.link(len(g.items)-1))
}

// tree makes a tree of items[from:to], and returns its root.
func (g *graph) tree(from, to int) uint64 {
	if from == to {
		return 0
	}
	middle := (from + to) / 2
	g.Put(g.branch(middle)+8, g.tree(middle+1, to), 8)
	g.Put(g.branch(middle)+16, g.tree(from, middle), 8)
	return g.branch(middle)
}

func (g *graph) capture(t *testing.T, o freeze.Options) *ktsnap.Snapshot {
	t.Helper()
	raw, typ := heads(t, g.array, g.treeFirst)
	g.Add(1, g.Array(memimage.Map{ID: 1, Type: 2, Name: "heads", KeySize: 4, ValueSize: 32, MaxEntries: 1, BTF: g.BTF(12, "p", raw), ValueType: typ}, [][]byte{g.heads}))
	snap, err := g.Freezer(t, o).Capture(context.Background(), "now")
	require.NoError(t, err)
	g.RequireResumed(t)
	return snap
}

// requireNumbers reads a list or tree up to where it ends, or to its error.
func requireNumbers(t *testing.T, list ktsnap.Value, n int) (failed error) {
	t.Helper()
	for i := range list.Len() {
		_, item := list.At(i)
		if item.Err() != nil {
			require.Equal(t, n, i, "%v", item.Err())
			return item.Err()
		}
		number, err := item.Get("number").Uint64()
		require.NoError(t, err)
		require.EqualValues(t, i, number)
	}
	require.Equal(t, n, list.Len())
	return nil
}

func TestObjectsInListsAndTreesAreCopied(t *testing.T) {
	g := newGraph(100)
	g.list()
	binary.LittleEndian.PutUint64(g.heads[16:], g.tree(0, 100))
	snap := g.capture(t, freeze.Options{})
	require.Len(t, snap.Kernel, 100, "once each, though they are in both")
	entry := snap.Map("heads").At(0)
	require.NoError(t, requireNumbers(t, entry.Get("list"), 100))
	require.NoError(t, requireNumbers(t, entry.Get("tree"), 100))
}

func TestObjectsInAListAndATreeLeadOnInBoth(t *testing.T) {
	for _, treeFirst := range []bool{false, true} {
		g := newGraph(7)
		g.treeFirst = treeFirst
		g.list()
		g.Put(g.link(3), 0, 8) // the tree's root ends the list
		binary.LittleEndian.PutUint64(g.heads[8:], g.link(3))
		binary.LittleEndian.PutUint64(g.heads[16:], g.tree(0, 7))
		if treeFirst {
			g.heads = append(slices.Clone(g.heads[16:32]), g.heads[:16]...)
		}
		snap := g.capture(t, freeze.Options{})
		require.Len(t, snap.Kernel, 7)
		entry := snap.Map("heads").At(0)
		require.NoError(t, requireNumbers(t, entry.Get("list"), 4), "tree first: %v", treeFirst)
		require.NoError(t, requireNumbers(t, entry.Get("tree"), 7), "tree first: %v", treeFirst)
	}
}

func TestObjectsInArraysOfListsAreCopied(t *testing.T) {
	g := newGraph(10)
	g.array = true
	g.list()
	g.heads = append(make([]byte, 16), g.heads[:16]...)
	snap := g.capture(t, freeze.Options{})
	require.Len(t, snap.Kernel, 10)
	entry := snap.Map("heads").At(0)
	require.NoError(t, requireNumbers(t, entry.Get("lists[0]"), 0))
	require.NoError(t, requireNumbers(t, entry.Get("lists[1]"), 10))
}

func TestListsAndTreesThatLieAreBounded(t *testing.T) {
	const n = 10
	for name, c := range map[string]struct {
		damage func(g *graph)
		chase  freeze.Chase
		want   error // of both
		list   int
		tree   int
	}{
		"a circle":    {func(g *graph) { g.Put(g.link(4), g.link(1), 8); g.Put(g.branch(7)+8, g.branch(5), 8) }, freeze.Chase{}, new(ktsnap.ContradictionError), 5, 8},
		"to nowhere":  {func(g *graph) { g.Put(g.link(4), 1<<63|0x1003, 8); g.Put(g.branch(7)+8, 1<<63|0x1003, 8) }, freeze.Chase{}, new(ktsnap.UnreadableError), 5, 8},
		"to user":     {func(g *graph) { g.Put(g.link(4), 0x1234, 8); g.Put(g.branch(7)+8, 0x1234, 8) }, freeze.Chase{}, new(ktsnap.ContradictionError), 5, 8},
		"the limit":   {func(*graph) {}, freeze.Chase{Objects: 6}, new(ktsnap.NotCapturedError), 6, 0},
		"bytes":       {func(*graph) {}, freeze.Chase{Bytes: 6 * itemSize}, new(ktsnap.NotFollowedError), 6, 0},
		"not allowed": {func(*graph) {}, freeze.Chase{Off: true}, new(ktsnap.NotCapturedError), 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGraph(n)
			g.list()
			binary.LittleEndian.PutUint64(g.heads[16:], g.tree(0, n))
			c.damage(g)
			snap := g.capture(t, freeze.Options{Chase: c.chase})
			entry := snap.Map("heads").At(0)
			var e *ktsnap.Error
			require.ErrorAs(t, requireNumbers(t, entry.Get("list"), c.list), &e)
			require.IsType(t, c.want, e.Err)
			require.LessOrEqual(t, len(snap.Kernel), n+2)
			tree := entry.Get("tree")
			require.Positive(t, tree.Len())
			_, last := tree.At(tree.Len() - 1)
			require.Error(t, last.Err())
			if c.tree > 0 {
				require.Equal(t, c.tree+1, tree.Len())
			}
		})
	}
}
