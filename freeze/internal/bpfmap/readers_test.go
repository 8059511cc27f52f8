package bpfmap_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	"github.com/ktgen/ktgen/freeze"
	"github.com/ktgen/ktgen/freeze/internal/fakeguest"
	"github.com/ktgen/ktgen/freeze/internal/memimage"
	"github.com/ktgen/ktgen/runtime/ktsnap"
	"github.com/stretchr/testify/require"
)

func TestArrays(t *testing.T) {
	for name, c := range map[string]struct{ size, count int }{
		"one section of globals":                   {100, 1},
		"values that fill their slot":              {8, 1000},
		"values that do not":                       {13, 777},
		"values larger than pages":                 {5000, 10},
		"more than is copied at once":              {64, 3000},
		"more than is copied by one worker":        {1 << 20, 6},
		"a section mostly zero and not page sized": {3<<20 + 4097, 1},
	} {
		t.Run(name, func(t *testing.T) {
			g := fakeguest.New()
			var values [][]byte
			for range c.count {
				v := fakeguest.Random(c.size)
				if c.size > 1<<20 {
					clear(v[4097 : 2<<20])
				}
				values = append(values, v)
			}
			g.Add(7, g.Array(memimage.Map{
				ID: 7, Name: "arr", Type: 2, KeySize: 4, ValueSize: uint32(c.size), MaxEntries: uint32(c.count), Flags: 1 << 10, Extra: 5,
			}, values))
			m := fakeguest.MapOf(t, g.Capture(t, freeze.Options{}), 7)
			require.Equal(t, ktsnap.Complete, m.Status, m.Reason)
			require.Equal(t, "arr", m.Name)
			require.EqualValues(t, 1<<10, m.Flags)
			require.EqualValues(t, 5, m.Extra)
			require.Equal(t, c.count, m.N)
			require.Equal(t, c.count, m.Total)
			require.Nil(t, m.Keys)
			require.Nil(t, m.Addrs)
			for i := range values {
				require.True(t, bytes.Equal(values[i], fakeguest.Value(m, i, 0)), "value %d", i)
			}
			require.Equal(t, g.Maps[7]+memimage.Offset("bpf_array", "value"), m.Base)
		})
	}
}

func TestArraysOfInstructions(t *testing.T) {
	values := [][]byte{fakeguest.Random(16), fakeguest.Random(16), fakeguest.Random(16)}
	header := memimage.Map{ID: 7, Name: "insns", Type: 34, KeySize: 4, ValueSize: 16, MaxEntries: 3}
	for name, c := range map[string]struct {
		damage func(h *memimage.Map)
		held   int
		want   string
	}{
		"all":                      {func(*memimage.Map) {}, 3, ""},
		"values of another size":   {func(h *memimage.Map) { h.ValueSize = 8 }, 0, "key_size is 4 and value_size 8"},
		"four billion of them":     {func(h *memimage.Map) { h.MaxEntries = 1<<32 - 1 }, -1, "of 4294967295"},
		"keys that are no indices": {func(h *memimage.Map) { h.KeySize = 8 }, 0, "key_size is 8 and value_size 16"},
	} {
		t.Run(name, func(t *testing.T) {
			g, h := fakeguest.New(), header
			c.damage(&h)
			g.Add(7, g.InsnArray(h, values))
			m := fakeguest.MapOf(t, g.Capture(t, freeze.Options{}), 7)
			require.Contains(t, m.Reason, c.want)
			require.Equal(t, c.want == "", m.Status == ktsnap.Complete, m.Reason)
			if c.held >= 0 {
				require.Equal(t, c.held, m.N)
			}
			if m.N > 0 {
				require.Equal(t, "bpf_insn_array_value", m.Value.Name)
			}
			for i := range min(m.N, len(values)) {
				require.Equal(t, values[i], fakeguest.Value(m, i, 0))
			}
		})
	}
}

func TestPerCPUArrays(t *testing.T) {
	g := fakeguest.New()
	var values [][][]byte
	for range 50 {
		values = append(values, [][]byte{fakeguest.Random(13), fakeguest.Random(13), fakeguest.Random(13)})
	}
	g.Add(1, g.PerCPUArray(memimage.Map{ID: 1, Name: "parr", Type: 6, KeySize: 4, ValueSize: 13, MaxEntries: 50}, values))
	m := fakeguest.MapOf(t, g.Capture(t, freeze.Options{}), 1)
	require.Equal(t, ktsnap.Complete, m.Status, m.Reason)
	require.Equal(t, memimage.CPUs, m.Slots)
	require.Equal(t, 16, m.Stride)
	for i := range values {
		for cpu := range values[i] {
			require.Equal(t, values[i][cpu], fakeguest.Value(m, i, cpu))
			require.NotZero(t, m.Addrs[i*m.Slots+cpu])
		}
	}
}

func TestPerCPUValuesOfImpossibleCPUsAreMarked(t *testing.T) {
	g := fakeguest.New()
	g.Put(g.Symbols["__cpu_possible_mask"], 0b101, 8)
	g.Add(1, g.PerCPUArray(memimage.Map{ID: 1, Type: 6, KeySize: 4, ValueSize: 8, MaxEntries: 1},
		[][][]byte{{fakeguest.Random(8), fakeguest.Random(8), fakeguest.Random(8)}}))
	m := fakeguest.MapOf(t, g.Capture(t, freeze.Options{}), 1)
	require.Equal(t, ktsnap.Complete, m.Status, m.Reason)
	require.NotZero(t, m.Addrs[0])
	require.Zero(t, m.Addrs[1])
	require.NotZero(t, m.Addrs[2])
	require.Equal(t, make([]byte, 8), fakeguest.Value(m, 0, 1))
}

func TestHashes(t *testing.T) {
	for name, c := range map[string]struct {
		typ                               uint32
		key, value, count, buckets, slots int
	}{
		"empty":               {1, 4, 8, 0, 16, 1},
		"hash":                {1, 11, 13, 500, 64, 1},
		"one bucket":          {1, 4, 8, 100, 1, 1},
		"LRU":                 {9, 4, 48, 300, 512, 1},
		"per-CPU":             {5, 12, 13, 200, 64, memimage.CPUs},
		"LRU per-CPU":         {10, 4, 8, 100, 64, memimage.CPUs},
		"values over pages":   {1, 500, 9000, 40, 64, 1},
		"many, mostly unused": {1, 4, 8, 100, 1 << 15, 1},
	} {
		t.Run(name, func(t *testing.T) {
			g := fakeguest.New()
			want := fakeguest.Entries(c.count, c.key, c.value, c.slots)
			g.Add(3, g.Hash(memimage.Map{
				ID: 3, Name: "hash", Type: c.typ, KeySize: uint32(c.key), ValueSize: uint32(c.value), MaxEntries: 100_000,
			}, c.buckets, want))
			m := fakeguest.MapOf(t, g.Capture(t, freeze.Options{}), 3)
			require.Equal(t, ktsnap.Complete, m.Status, m.Reason)
			require.Equal(t, c.slots, m.Slots)
			require.Equal(t, c.count, m.Total)
			require.Equal(t, fakeguest.Ordered(want), fakeguest.Captured(m))
		})
	}
}

func TestHashEntryThatIsBeingReplacedIsTakenOnce(t *testing.T) {
	g := fakeguest.New()
	old, other := fakeguest.Entries(1, 4, 8, 1)[0], fakeguest.Entries(2, 4, 8, 1)[1]
	replacing := memimage.Entry{Key: old.Key, Values: [][]byte{fakeguest.Random(8)}}
	// An update puts the new element before the old one, then removes that.
	g.Add(3, g.Hash(memimage.Map{ID: 3, Type: 1, KeySize: 4, ValueSize: 8, MaxEntries: 9}, 1,
		[]memimage.Entry{old, other, replacing}))
	m := fakeguest.MapOf(t, g.Capture(t, freeze.Options{}), 3)
	require.Equal(t, ktsnap.Complete, m.Status, m.Reason)
	require.Equal(t, []memimage.Entry{replacing, other}, fakeguest.Captured(m))
}

func TestTaskStorageNamesItsOwners(t *testing.T) {
	g := fakeguest.New()
	var elements []memimage.Stored
	want := make(map[int32][]byte)
	for pid := int32(1); pid < 40; pid++ {
		v := fakeguest.Random(24)
		want[pid] = v
		elements = append(elements, memimage.Stored{Owner: g.Task(pid, pid/2, "worker"), Value: v})
	}
	elements = append(elements, memimage.Stored{Owner: g.Task(99, 99, "gone"), Value: fakeguest.Random(24), Unlinked: true})
	g.Add(4, g.Storage(memimage.Map{ID: 4, Type: 29, KeySize: 4, ValueSize: 24}, 2, elements))
	m := fakeguest.MapOf(t, g.Capture(t, freeze.Options{}), 4)
	require.Equal(t, ktsnap.Complete, m.Status, m.Reason)
	require.Equal(t, len(want), m.N)
	require.Len(t, m.Owners, m.N)
	for i, o := range m.Owners {
		require.Equal(t, want[o.PID], fakeguest.Value(m, i, 0))
		require.Equal(t, o.PID/2, o.TGID)
		require.Equal(t, "worker", o.Comm)
		delete(want, o.PID)
	}
	require.Empty(t, want)
}

func TestOtherStorageHasItsOwnersAddress(t *testing.T) {
	for _, typ := range []uint32{24, 28, 32} {
		g := fakeguest.New()
		owner, v := g.Alloc(1024), fakeguest.Random(13)
		g.Add(4, g.Storage(memimage.Map{ID: 4, Type: typ, KeySize: 4, ValueSize: 13}, 3,
			[]memimage.Stored{{Owner: owner, Value: v}}))
		m := fakeguest.MapOf(t, g.Capture(t, freeze.Options{}), 4)
		require.Equal(t, ktsnap.Complete, m.Status, m.Reason)
		require.Equal(t, []ktsnap.Owner{{Addr: owner}}, m.Owners)
		require.Equal(t, v, fakeguest.Value(m, 0, 0))
	}
}

// Elements are listed in the reverse order of those of the image.
func TestAnOwnerIsOnceInAStorage(t *testing.T) {
	wrong, right := fakeguest.Random(24), fakeguest.Random(24)
	for _, typ := range []uint32{24, 28, 29, 32} {
		for name, c := range map[string]struct {
			elements func(owner uint64) []memimage.Stored
			unknown  bool // which storage is the owner's, for inodes
		}{
			"replaced": {elements: func(owner uint64) []memimage.Stored {
				return []memimage.Stored{{Owner: owner, Value: wrong}, {Owner: owner, Value: right, Again: true}}
			}},
			"about to be replaced": {elements: func(owner uint64) []memimage.Stored {
				return []memimage.Stored{{Owner: owner, Value: right}, {Owner: owner, Value: wrong, Again: true, Pending: true}}
			}},
			"made twice, one listed first": {elements: func(owner uint64) []memimage.Stored {
				return []memimage.Stored{{Owner: owner, Value: right}, {Owner: owner, Value: wrong, Rejected: true}}
			}, unknown: true},
			"made twice, one listed last": {elements: func(owner uint64) []memimage.Stored {
				return []memimage.Stored{{Owner: owner, Value: wrong, Rejected: true}, {Owner: owner, Value: right}}
			}, unknown: true},
		} {
			for log := range 3 {
				t.Run(fmt.Sprintf("%d/%s/%d", typ, name, log), func(t *testing.T) {
					g := fakeguest.New()
					owner, other := g.Task(1, 1, "a"), g.Task(2, 2, "b")
					elements := append(c.elements(owner), memimage.Stored{Owner: other, Value: fakeguest.Random(24)})
					g.Add(4, g.Storage(memimage.Map{ID: 4, Type: typ, KeySize: 4, ValueSize: 24}, log, elements))
					m := fakeguest.MapOf(t, g.Capture(t, freeze.Options{}), 4)
					require.Equal(t, ktsnap.Complete, m.Status, m.Reason)
					require.Equal(t, 2, m.N)
					at := slices.IndexFunc(m.Owners, func(o ktsnap.Owner) bool { return o.Addr == owner })
					require.GreaterOrEqual(t, at, 0)
					require.NotEqual(t, m.Owners[0].Addr, m.Owners[1].Addr)
					if typ == 28 && c.unknown {
						return
					}
					require.Equal(t, right, fakeguest.Value(m, at, 0))
					held := make([]byte, 24)
					_, err := g.ReadAt(held, int64(g.Phys(m.Addrs[at])))
					require.NoError(t, err)
					require.Equal(t, right, held, "the address is that of the value")
				})
			}
		}
	}
}

func TestArenasHaveTheirPopulatedPages(t *testing.T) {
	const user = 0x1000_4000_0000
	g := fakeguest.New()
	pages := map[int][]byte{10: memimage.ArenaScratch, 600: memimage.ArenaScratch}
	for _, n := range []int{0, 1, 2, 511, 512, 100_000, 786_431} {
		pages[n] = fakeguest.Random(memimage.PageSize)
	}
	g.Add(5, g.Arena(memimage.Map{ID: 5, Type: 33, MaxEntries: 786_432}, user, pages))
	f := g.Freezer(t, freeze.Options{})
	for range 2 { // the second time with the buffers of the first
		snap, err := f.Capture(t.Context(), "x")
		require.NoError(t, err)
		m := fakeguest.MapOf(t, snap, 5)
		require.Equal(t, ktsnap.Complete, m.Status, m.Reason)
		var want []ktsnap.Extent
		for _, run := range [][]int{{0, 1, 2}, {511, 512}, {100_000}, {786_431}} {
			e := ktsnap.Extent{Addr: user + uint64(run[0])*memimage.PageSize}
			for _, n := range run {
				e.Data = append(e.Data, pages[n]...)
			}
			want = append(want, e)
		}
		require.Equal(t, want, m.Extents)
		area := g.Get(memimage.Addr(g.Get(memimage.Addr(g.Maps[5], "bpf_arena", "kern_vm")), "vm_struct", "addr"))
		require.Equal(t, area+1<<15, m.Base, "the kernel's address for a user address whose low 32 bits are 0")
	}
}

// The kernel changes its page table and its count one after another.
func TestArenasAreHeldAgainstTheKernelsCount(t *testing.T) {
	for name, c := range map[string]struct {
		count  uint64
		status ktsnap.Status
		reason string
	}{
		"as many are mapped":            {3, ktsnap.Complete, ""},
		"one more is mapped":            {2, ktsnap.Complete, ""},
		"nothing is counted":            {0, ktsnap.Complete, ""},
		"one that is counted is absent": {4, ktsnap.Truncated, "the kernel counts 4 pages, and 3 are mapped"},
	} {
		t.Run(name, func(t *testing.T) {
			g := fakeguest.New()
			pages := map[int][]byte{0: fakeguest.Random(4096), 1000: fakeguest.Random(4096), 1<<20 - 1: fakeguest.Random(4096)}
			g.Add(5, g.Arena(memimage.Map{ID: 5, Type: 33, MaxEntries: 1 << 20}, 1<<44, pages))
			g.Put(memimage.Addr(g.Maps[5], "bpf_arena", "nr_pages"), c.count, 8)
			f := g.Freezer(t, freeze.Options{})
			for range 2 { // the second time with what the first one has found
				snap, err := f.Capture(t.Context(), "x")
				require.NoError(t, err)
				m := fakeguest.MapOf(t, snap, 5)
				require.Equal(t, c.status, m.Status, m.Reason)
				require.Contains(t, m.Reason, c.reason)
				require.Equal(t, len(pages), len(m.Extents))
				for i, number := range []int{0, 1000, 1<<20 - 1} {
					require.Equal(t, ktsnap.Extent{Addr: 1<<44 + uint64(number)*4096, Data: pages[number]}, m.Extents[i])
				}
			}
		})
	}
}

// A pointer into it is told apart from others.
func TestArenasThatAreNotCopiedSayWhereTheyAre(t *testing.T) {
	for name, o := range map[string]freeze.Options{
		"not selected": {Select: func(*ktsnap.Map) bool { return false }},
		"no room":      {MapBytes: 1},
	} {
		g := fakeguest.New()
		g.Add(5, g.Arena(memimage.Map{ID: 5, Type: 33, MaxEntries: 100}, 1<<44+4096, map[int][]byte{3: {1}}))
		m := fakeguest.MapOf(t, g.Capture(t, o), 5)
		require.Equal(t, ktsnap.Truncated, m.Status, name)
		require.Empty(t, m.Extents, name)
		w, ok := m.Window()
		require.True(t, ok, name)
		require.EqualValues(t, 1<<44, w.User, name)
		require.NotZero(t, w.Kernel, name)
	}
}

func TestArenaWithoutPages(t *testing.T) {
	g := fakeguest.New()
	g.Add(5, g.Arena(memimage.Map{ID: 5, Type: 33, MaxEntries: 100}, 0, nil))
	m := fakeguest.MapOf(t, g.Capture(t, freeze.Options{}), 5)
	require.Equal(t, ktsnap.Complete, m.Status, m.Reason)
	require.Empty(t, m.Extents)
}

func TestStructOpsAreTheKernelsCopy(t *testing.T) {
	g := fakeguest.New()
	v := fakeguest.Random(100)
	g.Add(6, g.StructOps(memimage.Map{ID: 6, Name: "ops", Type: 26, KeySize: 4, ValueSize: 100, MaxEntries: 1}, v))
	m := fakeguest.MapOf(t, g.Capture(t, freeze.Options{}), 6)
	require.Equal(t, ktsnap.Complete, m.Status, m.Reason)
	require.Equal(t, 1, m.N)
	require.Equal(t, v, fakeguest.Value(m, 0, 0))
}

func TestQueuesAndStacksAreInTheOrderOfPopping(t *testing.T) {
	for typ, reverse := range map[uint32]bool{22: false, 23: true} {
		g := fakeguest.New()
		want := [][]byte{fakeguest.Random(13), fakeguest.Random(13), fakeguest.Random(13), fakeguest.Random(13)}
		g.Add(8, g.Queue(memimage.Map{ID: 8, Type: typ, ValueSize: 13, MaxEntries: 5}, want))
		m := fakeguest.MapOf(t, g.Capture(t, freeze.Options{}), 8)
		require.Equal(t, ktsnap.Complete, m.Status, m.Reason)
		if reverse {
			slices.Reverse(want)
		}
		for i := range want {
			require.Equal(t, want[i], fakeguest.Value(m, i, 0))
		}
	}
}

// Values 0 to 3 are in slots 0 to 3 of 4, in that order. The kernel increments an
// index before it wraps it around.
func TestQueuesThatAreBeingChanged(t *testing.T) {
	for name, c := range map[string]struct {
		head, tail uint64
		want       []byte // by age
		corrupt    bool
	}{
		"at rest":                       {head: 0, tail: 1, want: []byte{1, 2, 3}},
		"pushed":                        {head: 4, tail: 1, want: []byte{1, 2, 3}},
		"popped":                        {head: 2, tail: 4, want: []byte{0, 1}},
		"popped the last":               {head: 0, tail: 4},
		"pushed one more than there is": {head: 4, tail: 0, corrupt: true},
		"both":                          {head: 4, tail: 4, corrupt: true},
		"head beyond":                   {head: 5, tail: 1, corrupt: true},
		"tail beyond":                   {head: 1, tail: 5, corrupt: true},
	} {
		for typ, reverse := range map[uint32]bool{22: false, 23: true} {
			t.Run(fmt.Sprintf("%s/%d", name, typ), func(t *testing.T) {
				g := fakeguest.New()
				queue := g.Queue(memimage.Map{ID: 8, Type: typ, ValueSize: 1, MaxEntries: 3}, [][]byte{{2}, {3}, {0}, {1}})
				g.SetQueue(queue, c.head, c.tail)
				g.Add(8, queue)
				m := fakeguest.MapOf(t, g.Capture(t, freeze.Options{}), 8)
				if c.corrupt {
					require.Equal(t, ktsnap.Failed, m.Status)
					require.Contains(t, m.Reason, "of 4 slots: the guest's memory is corrupted")
					return
				}
				require.Equal(t, ktsnap.Complete, m.Status, m.Reason)
				want := slices.Clone(c.want)
				if reverse {
					slices.Reverse(want)
				}
				require.Equal(t, string(want), string(m.Values))
				require.Equal(t, len(want), m.Total)
			})
		}
	}
}

func TestTriesHoldPrefixesWithTheirLength(t *testing.T) {
	prefix := func(bits int, data string, children ...*memimage.Prefix) *memimage.Prefix {
		p := &memimage.Prefix{Bits: bits, Data: []byte(data), Value: fakeguest.Random(5)}
		copy(p.Children[:], children)
		return p
	}
	a, b := prefix(16, "\x0a\x01\x00\x00"), prefix(32, "\x0a\x81\x02\x03")
	ten := prefix(8, "\x0a\x00\x00\x00", a, b)
	other := prefix(24, "\xc0\xa8\x01\x00")
	root := prefix(0, "\x00\x00\x00\x00", ten, other)
	root.Branch = true

	g := fakeguest.New()
	g.Add(1, g.Trie(memimage.Map{ID: 1, Type: 11, KeySize: 8, ValueSize: 5, MaxEntries: 10}, root))
	m := fakeguest.MapOf(t, g.Capture(t, freeze.Options{}), 1)
	require.Equal(t, ktsnap.Complete, m.Status, m.Reason)
	want := []*memimage.Prefix{ten, a, b, other}
	require.Equal(t, len(want), m.N)
	for i, p := range want {
		require.Equal(t, append(fakeguest.U32(p.Bits), p.Data...), m.Keys[i*8:(i+1)*8])
		require.Equal(t, p.Value, fakeguest.Value(m, i, 0))
	}
}

func TestMapsOfReferencesHoldIDs(t *testing.T) {
	g := fakeguest.New()
	inner := []uint64{g.Other(memimage.Map{ID: 11, Type: 200}), g.Other(memimage.Map{ID: 12, Type: 200})}
	h := memimage.Map{KeySize: 4, ValueSize: 4, MaxEntries: 4}
	h.ID, h.Type = 1, 3
	g.Add(1, g.References(h, []uint64{0, g.Prog(77), 0, g.Prog(78)}))
	h.ID, h.Type = 2, 12
	g.Add(2, g.References(h, []uint64{inner[1], 0, inner[0], 0}))
	h.ID, h.Type = 3, 13
	linked := []memimage.Entry{{Key: fakeguest.U32(5), Values: [][]byte{fakeguest.U32(1)}}, {Key: fakeguest.U32(6), Values: [][]byte{fakeguest.U32(0)}}}
	g.Add(3, g.Hash(h, 2, linked))
	g.LinkMaps(g.Maps[3], 4, inner)

	snap := g.Capture(t, freeze.Options{})
	for id, want := range map[uint32][]int{1: {0, 77, 0, 78}, 2: {12, 0, 11, 0}} {
		m := fakeguest.MapOf(t, snap, id)
		require.Equal(t, ktsnap.Complete, m.Status, m.Reason)
		for i := range want {
			require.Equal(t, fakeguest.U32(want[i]), fakeguest.Value(m, i, 0))
		}
	}
	m := fakeguest.MapOf(t, snap, 3)
	require.Equal(t, ktsnap.Complete, m.Status, m.Reason)
	require.Equal(t, []memimage.Entry{
		{Key: fakeguest.U32(5), Values: [][]byte{fakeguest.U32(12)}}, {Key: fakeguest.U32(6), Values: [][]byte{fakeguest.U32(11)}},
	}, fakeguest.Captured(m))
}

func TestAMapOfAHashThatCannotBeReadIsNone(t *testing.T) {
	g := fakeguest.New()
	inner := []uint64{g.Reserve(memimage.PageSize), g.Other(memimage.Map{ID: 11, Type: 200})}
	h := memimage.Map{ID: 3, Type: 13, KeySize: 4, ValueSize: 4, MaxEntries: 4}
	g.Add(3, g.Hash(h, 2, []memimage.Entry{{Key: fakeguest.U32(5), Values: [][]byte{fakeguest.U32(1)}}, {Key: fakeguest.U32(6), Values: [][]byte{fakeguest.U32(0)}}}))
	g.LinkMaps(g.Maps[3], 4, inner)

	m := fakeguest.MapOf(t, g.Capture(t, freeze.Options{}), 3)
	require.Equal(t, ktsnap.Failed, m.Status)
	require.Contains(t, m.Reason, "1 entries have a value that cannot be read; the last: read the id of struct bpf_map at 0x")
	require.Equal(t, []memimage.Entry{
		{Key: fakeguest.U32(5), Values: [][]byte{fakeguest.U32(11)}}, {Key: fakeguest.U32(6), Values: [][]byte{fakeguest.U32(0)}},
	}, fakeguest.Captured(m))
	require.NotZero(t, m.Addrs[0])
	require.Zero(t, m.Addrs[1])
}

func TestStacksHaveTheirIDsForKeys(t *testing.T) {
	for frameSize, flags := range map[int]uint32{8: 0, 32: 1 << 5} {
		g := fakeguest.New()
		stacks := map[int][]byte{3: fakeguest.Random(2 * frameSize), 15: fakeguest.Random(4 * frameSize)}
		g.Add(1, g.Stacks(memimage.Map{ID: 1, Type: 7, KeySize: 4, ValueSize: uint32(4 * frameSize), MaxEntries: 16, Flags: flags}, 16, frameSize, stacks))
		m := fakeguest.MapOf(t, g.Capture(t, freeze.Options{}), 1)
		require.Equal(t, ktsnap.Complete, m.Status, m.Reason)
		require.Equal(t, []memimage.Entry{
			{Key: fakeguest.U32(3), Values: [][]byte{append(stacks[3], make([]byte, 2*frameSize)...)}},
			{Key: fakeguest.U32(15), Values: [][]byte{stacks[15]}},
		}, fakeguest.Captured(m))
	}
}

// ring makes a ring buffer that starts near the end of its data, for it to wrap
// around.
func ring(g *fakeguest.Guest, h memimage.Map, records ...memimage.Record) {
	h.ID, h.MaxEntries = 1, 4096
	g.Add(1, g.RingBuf(h, 5*4096-40, records))
}

func TestRingsHaveWhatWasNotConsumed(t *testing.T) {
	for _, typ := range []uint32{27, 31} {
		g := fakeguest.New()
		records := []memimage.Record{
			{Data: fakeguest.Random(13)}, {Data: fakeguest.Random(1000)}, {Data: fakeguest.Random(8), Bits: memimage.RecordBusy},
			{Data: nil}, {Data: fakeguest.Random(24), Bits: memimage.RecordDiscarded}, {Data: fakeguest.Random(1)},
		}
		ring(g, memimage.Map{Type: typ}, records...)
		f := g.Freezer(t, freeze.Options{})
		for range 2 { // the second time into the buffers of a rehearsal
			snap, err := f.Capture(t.Context(), "now")
			require.NoError(t, err)
			m := fakeguest.MapOf(t, snap, 1)
			require.Equal(t, ktsnap.Complete, m.Status, m.Reason)
			require.Equal(t, len(records), m.Total)
			require.Len(t, m.Extents, len(records))
			for i, e := range m.Extents {
				require.EqualValues(t, len(records[i].Data)|int(records[i].Bits), binary.LittleEndian.Uint32(e.Data))
				require.Equal(t, string(records[i].Data), string(e.Data[8:]))
				require.Zero(t, e.Addr%8)
			}
		}
	}
}

func TestRingsThatOverwriteBeginWithWhatIsLeft(t *testing.T) {
	g := fakeguest.New()
	records := []memimage.Record{{Data: fakeguest.Random(8)}, {Data: fakeguest.Random(16)}, {Data: fakeguest.Random(24)}}
	ring(g, memimage.Map{Type: 27}, records...)
	g.Overwrite(g.Maps[1], 5*4096-40+16)
	m := fakeguest.MapOf(t, g.Capture(t, freeze.Options{}), 1)
	require.Equal(t, ktsnap.Complete, m.Status, m.Reason)
	require.Len(t, m.Extents, 2)
	require.Equal(t, records[1].Data, m.Extents[0].Data[8:])
}

func TestRingsWithinALimitHaveTheirOldestRecords(t *testing.T) {
	g := fakeguest.New()
	ring(g, memimage.Map{Type: 27}, memimage.Record{Data: fakeguest.Random(100)}, memimage.Record{Data: fakeguest.Random(100)}, memimage.Record{Data: fakeguest.Random(100)})
	m := fakeguest.MapOf(t, g.Capture(t, freeze.Options{MapBytes: 230}), 1)
	require.Equal(t, ktsnap.Truncated, m.Status)
	require.Contains(t, m.Reason, "2 records reach the limit")
	require.Len(t, m.Extents, 2)
}

// User space writes the position of a ring's consumer, or the records.
func TestRingsThatLieFail(t *testing.T) {
	const start = 5*4096 - 40
	for name, c := range map[string]struct {
		damage func(*fakeguest.Guest)
		want   string
	}{
		"a consumer before what is there": {func(g *fakeguest.Guest) { g.SetRing(g.Maps[1], 0, start+16) }, "the consumer is at 0"},
		"a consumer behind the producer":  {func(g *fakeguest.Guest) { g.SetRing(g.Maps[1], start+32, start+16) }, "the consumer is at"},
		"a consumer between records":      {func(g *fakeguest.Guest) { g.SetRing(g.Maps[1], start+1, start+16) }, "the consumer is at"},
		"a producer within a record":      {func(g *fakeguest.Guest) { g.SetRing(g.Maps[1], start, start+8) }, "a record of 8 bytes"},
		"a size that is no power of two":  {func(g *fakeguest.Guest) { g.Put(g.Maps[1]+memimage.Offset("bpf_map", "max_entries"), 5000, 4) }, "a ring of 5000 bytes"},
		"no ring":                         {func(g *fakeguest.Guest) { g.Put(g.Maps[1]+memimage.Offset("bpf_ringbuf_map", "rb"), 0, 8) }, "read struct bpf_ringbuf"},
	} {
		t.Run(name, func(t *testing.T) {
			g := fakeguest.New()
			ring(g, memimage.Map{Type: 27}, memimage.Record{Data: fakeguest.Random(8)})
			c.damage(g)
			m := fakeguest.MapOf(t, g.Capture(t, freeze.Options{}), 1)
			require.Equal(t, ktsnap.Failed, m.Status)
			require.Contains(t, m.Reason, c.want)
		})
	}
}

func TestMapsAreFoundAtAnyDepthAndInOrder(t *testing.T) {
	g := fakeguest.New()
	ids := []uint32{1, 63, 64, 4095, 4096, 300_000, 1<<31 - 1}
	for _, id := range ids {
		g.Add(id, g.Other(memimage.Map{ID: id, Type: 200}))
	}
	g.Add(77, g.Other(memimage.Map{ID: 77, Type: 2, Freed: true}))
	var got []uint32
	for _, m := range g.Capture(t, freeze.Options{}).Maps {
		got = append(got, m.ID)
	}
	require.Equal(t, ids, got, "a map that is being freed is left out")
}

func TestUnreadMapTypesSayTheyAre(t *testing.T) {
	g := fakeguest.New()
	g.Add(1, g.Other(memimage.Map{ID: 1, Name: "bloom", Type: 30, KeySize: 8, ValueSize: 4, MaxEntries: 3}))
	m := fakeguest.MapOf(t, g.Capture(t, freeze.Options{}), 1)
	require.Equal(t, ktsnap.Unsupported, m.Status)
	require.Contains(t, m.Reason, "a bloom filter keeps bits of hashes")
	require.Equal(t, "bloom", m.Name)
	require.Equal(t, 3, m.MaxEntries)
}
