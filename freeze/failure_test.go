package freeze_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/freeze"
	"github.com/ktgen/ktgen/freeze/internal/fakeguest"
	"github.com/ktgen/ktgen/freeze/internal/memimage"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// twoMaps is a guest with a healthy array, id 1, and a hash, id 2.
func twoMaps() (g *fakeguest.Guest, hash uint64) {
	g = fakeguest.New()
	g.Add(1, g.Array(memimage.Map{ID: 1, Name: "healthy", Type: 2, KeySize: 4, ValueSize: 8, MaxEntries: 1}, [][]byte{fakeguest.Random(8)}))
	hash = g.Hash(memimage.Map{ID: 2, Name: "sick", Type: 1, KeySize: 4, ValueSize: 8, MaxEntries: 100}, 4, fakeguest.Entries(20, 4, 8, 1))
	g.Add(2, hash)
	return g, hash
}

func TestBrokenMapCostsOnlyItself(t *testing.T) {
	for name, c := range map[string]struct {
		damage func(g *fakeguest.Guest, hash uint64)
		want   string
	}{
		"cycle in a bucket": {func(g *fakeguest.Guest, hash uint64) {
			e := g.HashElements(hash, 1)
			g.Put(memimage.Addr(e[len(e)-1], "htab_elem", "hash_node.next"), memimage.Addr(e[0], "htab_elem", "hash_node.next"), 8)
		}, "bucket 1: the list returns to 0x"},
		"element that is its own successor": {func(g *fakeguest.Guest, hash uint64) {
			e := g.HashElements(hash, 0)
			next := memimage.Addr(e[0], "htab_elem", "hash_node.next")
			g.Put(next, next, 8)
		}, "bucket 0: the list returns to 0x"},
		"end of another bucket": {func(g *fakeguest.Guest, hash uint64) {
			e := g.HashElements(hash, 2)
			g.Put(memimage.Addr(e[len(e)-1], "htab_elem", "hash_node.next"), 7, 8)
		}, "the list of bucket 2 ends as that of bucket 3"},
		"pointer to user space": {func(g *fakeguest.Guest, hash uint64) {
			e := g.HashElements(hash, 2)
			g.Put(memimage.Addr(e[1], "htab_elem", "hash_node.next"), 0x7f0000001000, 8)
		}, "0x7f0000000ff8 is not a kernel address"},
		"null in a list": {func(g *fakeguest.Guest, hash uint64) {
			e := g.HashElements(hash, 2)
			g.Put(memimage.Addr(e[1], "htab_elem", "hash_node.next"), 0, 8)
		}, "bucket 2: read struct htab_elem at 0x"},
		"four billion buckets": {func(g *fakeguest.Guest, hash uint64) {
			g.Put(memimage.Addr(hash, "bpf_htab", "n_buckets"), 0xffffffff, 4)
		}, "bucket 4: read struct htab_elem at 0x"},
		"key of 4 GiB": {func(g *fakeguest.Guest, hash uint64) {
			g.Put(memimage.Addr(hash, "bpf_map", "key_size"), 0xffffffff, 4)
		}, "key_size is 4294967295"},
		"value of 4 GiB": {func(g *fakeguest.Guest, hash uint64) {
			g.Put(memimage.Addr(hash, "bpf_map", "value_size"), 0xffffffff, 4)
		}, "value_size is 4294967295"},
		"id of another map": {func(g *fakeguest.Guest, hash uint64) {
			g.Put(memimage.Addr(hash, "bpf_map", "id"), 9, 4)
		}, "has id 9 and is found under id 2"},
		"array of 4 GiB elements": {func(g *fakeguest.Guest, hash uint64) {
			g.Put(memimage.Addr(hash, "bpf_map", "map_type"), 2, 4)
			g.Put(memimage.Addr(hash, "bpf_map", "value_size"), 0xfffffff8, 4)
			g.Put(memimage.Addr(hash, "bpf_array", "elem_size"), 0xfffffff8, 4)
		}, "limit on bytes"},
		"array larger than RAM": {func(g *fakeguest.Guest, hash uint64) {
			g.Put(memimage.Addr(hash, "bpf_map", "map_type"), 2, 4)
			g.Put(memimage.Addr(hash, "bpf_map", "max_entries"), 8<<20, 4)
			g.Put(memimage.Addr(hash, "bpf_array", "elem_size"), 8, 4)
		}, "outside the guest's RAM"},
		"arena across 4 GiB": {func(g *fakeguest.Guest, hash uint64) {
			g.Put(memimage.Addr(hash, "bpf_map", "map_type"), 33, 4)
			g.Put(memimage.Addr(hash, "bpf_map", "max_entries"), 1<<20, 4)
			g.Put(memimage.Addr(hash, "bpf_arena", "user_vm_start"), 0x1000, 8)
			g.Put(memimage.Addr(hash, "bpf_arena", "kern_vm"), hash, 8)
		}, "user address 0x1000"},
		"array with room for larger values": {func(g *fakeguest.Guest, hash uint64) {
			g.Put(memimage.Addr(hash, "bpf_map", "map_type"), 2, 4)
			g.Put(memimage.Addr(hash, "bpf_array", "elem_size"), 16, 4)
		}, "elem_size is 16 for values of 8 bytes"},
		"array of values without bytes": {func(g *fakeguest.Guest, hash uint64) {
			g.Put(memimage.Addr(hash, "bpf_map", "map_type"), 2, 4)
			g.Put(memimage.Addr(hash, "bpf_map", "value_size"), 0, 4)
			g.Put(memimage.Addr(hash, "bpf_array", "elem_size"), 0, 4)
		}, "elem_size is 0 for values of 0 bytes"},
		"arena that begins inside a page": {func(g *fakeguest.Guest, hash uint64) {
			g.Put(memimage.Addr(hash, "bpf_map", "map_type"), 33, 4)
			g.Put(memimage.Addr(hash, "bpf_arena", "user_vm_start"), 1<<44+1, 8)
			g.Put(memimage.Addr(hash, "bpf_arena", "kern_vm"), hash, 8)
		}, "user address 0x100000000001"},
		"arena whose pages are nowhere": {func(g *fakeguest.Guest, hash uint64) {
			g.Put(memimage.Addr(hash, "bpf_map", "map_type"), 33, 4)
			g.Put(memimage.Addr(hash, "bpf_arena", "kern_vm"), 16, 8)
		}, "read struct bpf_arena: "},
		"storage with 2^31 buckets": {func(g *fakeguest.Guest, hash uint64) {
			g.Put(memimage.Addr(hash, "bpf_map", "map_type"), 29, 4)
			g.Put(memimage.Addr(hash, "bpf_local_storage_map", "bucket_log"), 31, 4)
		}, "bucket_log is 31"},
		"trie that loops": {func(g *fakeguest.Guest, hash uint64) {
			g.Put(memimage.Addr(hash, "bpf_map", "map_type"), 11, 4)
			g.Put(memimage.Addr(hash, "bpf_map", "key_size"), 8, 4)
			node := g.Alloc(64)
			g.Put(memimage.Addr(hash, "lpm_trie", "root"), node, 8)
			g.Put(memimage.Addr(node, "lpm_trie_node", "child"), node, 8)
		}, "has a prefix of 0 bits of 32, below one of 0"},
		"stack longer than its value": {func(g *fakeguest.Guest, hash uint64) {
			g.Put(memimage.Addr(hash, "bpf_map", "map_type"), 7, 4)
			g.Put(memimage.Addr(hash, "bpf_stack_map", "n_buckets"), 1, 4)
			bucket := g.Alloc(64)
			g.Put(memimage.Addr(hash, "bpf_stack_map", "buckets"), bucket, 8)
			g.Put(memimage.Addr(bucket, "stack_map_bucket", "nr"), 1<<31, 4)
		}, "stack 0 of 1: 2147483648 frames in a value of 8 bytes"},
		"slot that points nowhere": {func(g *fakeguest.Guest, hash uint64) {
			g.Put(memimage.Addr(hash, "bpf_map", "map_type"), 12, 4)
			g.Put(memimage.Addr(hash, "bpf_map", "value_size"), 4, 4)
			g.Put(memimage.Addr(hash, "bpf_array", "ptrs"), 16, 8)
		}, "slot 0 of 100: read the id of struct bpf_map at 0x10"},
		"queue of values of 4 GiB": {func(g *fakeguest.Guest, hash uint64) {
			g.Put(memimage.Addr(hash, "bpf_map", "map_type"), 22, 4)
			g.Put(memimage.Addr(hash, "bpf_map", "value_size"), 0xffffffff, 4)
			g.Put(memimage.Addr(hash, "bpf_queue_stack", "size"), 5, 4)
		}, "value_size is 4294967295"},
		"queue with its head outside": {func(g *fakeguest.Guest, hash uint64) {
			g.Put(memimage.Addr(hash, "bpf_map", "map_type"), 22, 4)
			g.Put(memimage.Addr(hash, "bpf_queue_stack", "head"), 5, 4)
			g.Put(memimage.Addr(hash, "bpf_queue_stack", "size"), 5, 4)
		}, "head 5"},
	} {
		t.Run(name, func(t *testing.T) {
			g, hash := twoMaps()
			c.damage(g, hash)
			snap := g.Capture(t, freeze.Options{})
			require.Equal(t, ktsnap.Complete, fakeguest.MapOf(t, snap, 1).Status)
			sick := fakeguest.MapOf(t, snap, 2)
			require.NotEqual(t, ktsnap.Complete, sick.Status)
			require.Contains(t, sick.Reason, c.want)
			require.LessOrEqual(t, sick.N*sick.Slots*sick.Stride, len(sick.Values))
		})
	}
}

func TestEntriesBeforeTheDamageAreKept(t *testing.T) {
	g, hash := twoMaps()
	e := g.HashElements(hash, 3)
	g.Put(memimage.Addr(e[2], "htab_elem", "hash_node.next"), 0, 8)
	m := fakeguest.MapOf(t, g.Capture(t, freeze.Options{}), 2)
	require.Equal(t, ktsnap.Failed, m.Status)
	require.Equal(t, 5*3+3, m.N)
	require.Len(t, m.Keys, m.N*m.KeySize)
}

func TestWhatLiesOutsideRAMIsCutOff(t *testing.T) {
	const count = 20_000 // more than is copied while walking
	g := fakeguest.New()
	var values [][]byte
	for range count {
		values = append(values, fakeguest.Random(16))
	}
	arr := g.Array(memimage.Map{ID: 1, Type: 2, KeySize: 4, ValueSize: 16, MaxEntries: count}, values)
	g.Add(1, arr)
	g.Map((arr+200_000)&^4095, 1<<40)
	pages := map[int][]byte{3: fakeguest.Random(4096), 4: fakeguest.Random(4096), 8: fakeguest.Random(4096), 9: fakeguest.Random(4096)}
	arena := g.Arena(memimage.Map{ID: 2, Type: 33, MaxEntries: 100}, 0, pages)
	g.Add(2, arena)
	g.Map(g.Get(g.Get(memimage.Addr(arena, "bpf_arena", "kern_vm"))+memimage.Offset("vm_struct", "addr"))+1<<15+9*4096, 1<<40)

	snap := g.Capture(t, freeze.Options{})
	m := fakeguest.MapOf(t, snap, 1)
	require.Equal(t, ktsnap.Failed, m.Status)
	require.Contains(t, m.Reason, "outside the guest's RAM")
	require.Less(t, m.N, count)
	require.Greater(t, m.N, 10_000)
	require.Len(t, m.Values, m.N*m.Stride)
	require.Equal(t, count, m.Total)
	require.Equal(t, values[m.N-1], fakeguest.Value(m, m.N-1, 0))

	m = fakeguest.MapOf(t, snap, 2)
	require.Equal(t, ktsnap.Failed, m.Status)
	require.Contains(t, m.Reason, "outside the guest's RAM")
	require.Equal(t, []ktsnap.Extent{
		{Addr: 3 * 4096, Data: append(slices.Clone(pages[3]), pages[4]...)},
		{Addr: 8 * 4096, Data: pages[8]},
	}, m.Extents)
}

func TestDamagedStorageIsFailed(t *testing.T) {
	for name, c := range map[string]struct {
		damage func(g *fakeguest.Guest, storage, element, task uint64)
		want   string
	}{
		"cycle": {func(g *fakeguest.Guest, _, element, _ uint64) {
			next := memimage.Addr(element, "bpf_local_storage_elem", "map_node.next")
			g.Put(next, next, 8)
		}, "bucket 0 of 2: the list returns to"},
		"element that is not mapped": {func(g *fakeguest.Guest, _, element, _ uint64) {
			g.Put(memimage.Addr(element, "bpf_local_storage_elem", "map_node.next"), 16, 8)
		}, "read struct bpf_local_storage_elem at 0x"},
		"owner that is not mapped": {func(g *fakeguest.Guest, _, element, _ uint64) {
			local := g.Get(memimage.Addr(element, "bpf_local_storage_elem", "local_storage"))
			g.Put(memimage.Addr(local, "bpf_local_storage", "owner"), 16, 8)
		}, "read task_struct.pid at 0x10"},
		"storage that is not mapped": {func(g *fakeguest.Guest, _, element, _ uint64) {
			g.Put(memimage.Addr(element, "bpf_local_storage_elem", "local_storage"), 16, 8)
		}, "read bpf_local_storage.owner at 0x10"},
		"buckets that are not mapped": {func(g *fakeguest.Guest, storage, _, _ uint64) {
			g.Put(memimage.Addr(storage, "bpf_local_storage_map", "buckets"), 16, 8)
		}, "bucket 0 of 2: 0x10 is not a kernel address"},
	} {
		t.Run(name, func(t *testing.T) {
			g := fakeguest.New()
			task := g.Task(1, 1, "a")
			storage := g.Storage(memimage.Map{ID: 1, Type: 29, KeySize: 4, ValueSize: 8}, 1, []memimage.Stored{{Owner: task, Value: fakeguest.Random(8)}})
			g.Add(1, storage)
			c.damage(g, storage, g.StorageElement(storage), task)
			m := fakeguest.MapOf(t, g.Capture(t, freeze.Options{}), 1)
			require.Equal(t, ktsnap.Failed, m.Status)
			require.Contains(t, m.Reason, c.want)
			require.Len(t, m.Values, m.N*m.Stride)
			require.Len(t, m.Owners, m.N)
		})
	}
}

func TestDamagedMapListIsAnErrorWithWhatWasFound(t *testing.T) {
	g, _ := twoMaps()
	g.Add(5000, 0) // a node of its own
	g.Maps[5000] = g.Other(memimage.Map{ID: 5000, Type: 200})
	f := g.Freezer(t, freeze.Options{})
	root := g.Get(memimage.Addr(g.Symbols["map_idr"], "idr", "idr_rt.xa_head")) &^ 2
	g.Put(memimage.Addr(root, "xa_node", "slots")+8, root|2, 8) // a child that is its own parent
	snap, err := f.Capture(t.Context(), "x")
	require.ErrorContains(t, err, `capture "x": walk its BPF maps: find the BPF maps: xa_node at 0x`)
	require.ErrorContains(t, err, "kept 2 of 2 maps")
	require.Len(t, snap.Maps, 2)
	g.RequireResumed(t)
}

func TestLimitsTruncateAndSaySo(t *testing.T) {
	values := func() (list [][]byte) {
		for range 1000 {
			list = append(list, fakeguest.Random(8))
		}
		return list
	}
	g := fakeguest.New()
	g.Add(1, g.Array(memimage.Map{ID: 1, Type: 2, KeySize: 4, ValueSize: 8, MaxEntries: 1000}, values()))
	g.Add(2, g.Hash(memimage.Map{ID: 2, Type: 1, KeySize: 4, ValueSize: 8, MaxEntries: 1000}, 64, fakeguest.Entries(500, 4, 8, 1)))
	g.Add(3, g.Arena(memimage.Map{ID: 3, Type: 33, MaxEntries: 100}, 0, map[int][]byte{1: fakeguest.Random(4096), 3: fakeguest.Random(4096)}))

	snap := g.Capture(t, freeze.Options{MapBytes: 5000})
	arr, hash, arena := fakeguest.MapOf(t, snap, 1), fakeguest.MapOf(t, snap, 2), fakeguest.MapOf(t, snap, 3)
	require.Equal(t, ktsnap.Truncated, arr.Status)
	require.Equal(t, 625, arr.N)
	require.Equal(t, 1000, arr.Total)
	require.Contains(t, arr.Reason, "625 of 1000 entries")
	require.Equal(t, ktsnap.Truncated, hash.Status)
	require.Equal(t, 5000/(4+8+8), hash.N)
	require.Equal(t, 500, hash.Total, "the kernel counts its elements")
	require.Equal(t, ktsnap.Truncated, arena.Status)
	require.Contains(t, arena.Reason, "1 of 2 pages")
	require.Len(t, arena.Extents, 1)

	snap = g.Capture(t, freeze.Options{TotalBytes: 8000})
	require.Equal(t, ktsnap.Truncated, fakeguest.MapOf(t, snap, 2).Status)
	require.Zero(t, fakeguest.MapOf(t, snap, 2).N, "the first map has taken all")
}

func TestSelectChoosesByHeader(t *testing.T) {
	g, _ := twoMaps()
	snap := g.Capture(t, freeze.Options{Select: func(m *ktsnap.Map) bool { return m.Name == "sick" && m.KeySize == 4 }})
	require.Equal(t, ktsnap.Truncated, fakeguest.MapOf(t, snap, 1).Status)
	require.Equal(t, "not selected", fakeguest.MapOf(t, snap, 1).Reason)
	require.Equal(t, ktsnap.Complete, fakeguest.MapOf(t, snap, 2).Status)
}

func TestGuestIsResumedWhateverFails(t *testing.T) {
	g, _ := twoMaps()
	healthy := true
	f := g.Freezer(t, freeze.Options{Select: func(*ktsnap.Map) bool {
		if !healthy && g.Paused() {
			panic("a mistake")
		}
		return true
	}})

	t.Run("a panic", func(t *testing.T) {
		healthy = false
		snap, err := f.Capture(t.Context(), "x")
		healthy = true
		var panicked *freeze.PanicError
		require.ErrorAs(t, err, &panicked)
		require.Equal(t, "a mistake", panicked.Value)
		require.Contains(t, string(panicked.Stack), "failure_test.go")
		require.ErrorContains(t, err, "kept 0 of 2 maps")
		for _, m := range snap.Maps {
			require.Equal(t, ktsnap.Failed, m.Status)
			require.Contains(t, m.Reason, "not reached: panic: a mistake")
		}
		g.RequireResumed(t)
	})
	t.Run("cancelled before", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		snap, err := f.Capture(ctx, "x")
		require.ErrorIs(t, err, context.Canceled)
		require.Nil(t, snap)
		g.RequireResumed(t)
	})
	t.Run("cancelled while it stands still", func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		gone := errors.New("the caller is gone")
		g.WhilePaused = func() { cancel(gone) }
		snap, err := f.Capture(ctx, "x")
		g.WhilePaused = nil
		require.ErrorIs(t, err, gone)
		require.Len(t, snap.Maps, 2)
		for _, m := range snap.Maps {
			require.Equal(t, ktsnap.Failed, m.Status)
			require.Contains(t, m.Reason, "the caller is gone")
		}
		g.RequireResumed(t)
	})
	t.Run("cancelled while large pieces are copied", func(t *testing.T) {
		const size = 3 << 20
		big := g.Array(memimage.Map{ID: 3, Name: "big", Type: 2, KeySize: 4, ValueSize: size / 16, MaxEntries: 16}, func() (list [][]byte) {
			for range 16 {
				list = append(list, fakeguest.Random(size/16))
			}
			return list
		}())
		g.Add(3, big)
		g.Publish(g.Maps)
		ctx, cancel := context.WithCancel(t.Context())
		reads := 0
		ram := &watchedRAM{Guest: g, onSlice: func(n int) {
			if n >= memimage.PageSize && g.Paused() {
				if reads++; reads == 200 {
					cancel()
				}
			}
		}}
		f, err := freeze.New(g, ram, g.Kernel(t, memimage.KernelBTF()), freeze.Options{})
		require.NoError(t, err)
		snap, err := f.Capture(ctx, "x")
		require.ErrorIs(t, err, context.Canceled)
		require.ErrorContains(t, err, "copy its BPF maps: context canceled; kept 2 of 3 maps")
		m := fakeguest.MapOf(t, snap, 3)
		require.Equal(t, ktsnap.Failed, m.Status)
		require.Contains(t, m.Reason, "not copied to its end: context canceled")
		require.Less(t, m.N, 16)
		require.Len(t, m.Values, m.N*m.Stride)
		g.RequireResumed(t)
	})
	delete(g.Maps, 3)
	g.Publish(g.Maps)
	t.Run("the guest does not stop", func(t *testing.T) {
		g.FailStop = errors.New("QEMU was killed")
		snap, err := f.Capture(t.Context(), "x")
		g.FailStop = nil
		require.EqualError(t, err, `capture "x": stop the guest: QEMU was killed; nothing was captured`)
		require.Nil(t, snap)
		g.RequireResumed(t)
	})
	t.Run("the guest does not resume", func(t *testing.T) {
		g.FailResume = errors.New("QEMU was killed")
		snap, err := f.Capture(t.Context(), "x")
		g.FailResume = nil
		require.EqualError(t, err, `capture "x": resume the guest; kept 2 of 2 maps; the guest did not resume: QEMU was killed`)
		var capture *freeze.CaptureError
		require.ErrorAs(t, err, &capture)
		require.Equal(t, 2, capture.Kept)
		require.Len(t, snap.Maps, 2, "what was captured stays readable")
	})
	t.Run("and then it works", func(t *testing.T) {
		snap, err := f.Capture(t.Context(), "x")
		require.NoError(t, err)
		require.Equal(t, ktsnap.Complete, fakeguest.MapOf(t, snap, 2).Status)
	})
	require.Equal(t, g.Stops.Load(), g.Resumes.Load())
}

func TestPanicOfACopyingGoroutineIsAnError(t *testing.T) {
	const size = 6 << 20 // for several goroutines
	g := fakeguest.New()
	g.Add(1, g.Array(memimage.Map{ID: 1, Type: 2, KeySize: 4, ValueSize: size, MaxEntries: 1}, [][]byte{fakeguest.Random(size)}))
	g.Publish(g.Maps)
	ram := &watchedRAM{Guest: g, onSlice: func(n int) {
		if n >= memimage.PageSize && n < 1<<20 && g.Paused() {
			panic("no such page")
		}
	}}
	f, err := freeze.New(g, ram, g.Kernel(t, memimage.KernelBTF()), freeze.Options{})
	require.NoError(t, err)
	snap, err := f.Capture(t.Context(), "x")
	var panicked *freeze.PanicError
	require.ErrorAs(t, err, &panicked)
	require.Contains(t, err.Error(), "no such page")
	require.Equal(t, ktsnap.Failed, fakeguest.MapOf(t, snap, 1).Status)
	g.RequireResumed(t)
}

// watchedRAM calls a function for each piece that is looked at in place.
type watchedRAM struct {
	*fakeguest.Guest
	mu      sync.Mutex
	onSlice func(n int)
}

func (r *watchedRAM) Slice(pa int64, n int) ([]byte, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.onSlice(n)
	return r.Guest.Slice(pa, n)
}

func TestPauseIsBounded(t *testing.T) {
	g := fakeguest.New()
	g.Add(1, g.Hash(memimage.Map{ID: 1, Type: 1, KeySize: 4, ValueSize: 8, MaxEntries: 1 << 16}, 1<<15, fakeguest.Entries(20_000, 4, 8, 1)))
	m := fakeguest.MapOf(t, g.Capture(t, freeze.Options{MaxPause: time.Nanosecond}), 1)
	require.Equal(t, ktsnap.Truncated, m.Status)
	require.Contains(t, m.Reason, "stood still for as long as it may")
	require.Equal(t, 20_000, m.Total, "the kernel counts its elements")
}

// A guest that is slow to read is let go after MaxPause, whatever is being done by
// then, and that is no error.
func TestPauseIsBoundedWhileLargePiecesAreCopied(t *testing.T) {
	const size, pieces, pause = 256 << 10, 32, 20 * time.Millisecond
	g := fakeguest.New()
	var values [][]byte
	for range pieces {
		values = append(values, fakeguest.Random(size))
	}
	g.Add(1, g.Array(memimage.Map{ID: 1, Type: 2, KeySize: 4, ValueSize: size, MaxEntries: pieces}, values))
	g.Publish(g.Maps)
	slow := &watchedRAM{Guest: g, onSlice: func(int) {
		if g.Paused() {
			time.Sleep(pause)
		}
	}}
	f, err := freeze.New(g, slow, g.Kernel(t, memimage.KernelBTF()), freeze.Options{MaxPause: pause / 2})
	require.NoError(t, err)
	snap, err := f.Capture(t.Context(), "x")
	require.NoError(t, err)
	m := fakeguest.MapOf(t, snap, 1)
	require.Equal(t, ktsnap.Truncated, m.Status)
	require.Contains(t, m.Reason, "the guest had stood still for as long as it may: ")
	require.Less(t, m.N, pieces)
	require.Len(t, m.Values, m.N*m.Stride)
	for i := range m.N {
		require.True(t, bytes.Equal(values[i], fakeguest.Value(m, i, 0)), "value %d", i)
	}
	g.RequireResumed(t)
}

func TestConcurrentCapturesTakeTurns(t *testing.T) {
	g, _ := twoMaps()
	f := g.Freezer(t, freeze.Options{})
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			for range 10 {
				snap, err := f.Capture(t.Context(), "x") // Pause panics if they do not
				if err != nil || len(snap.Maps) != 2 {
					t.Errorf("capture: %v", err)
				}
			}
		})
	}
	wg.Wait()
	g.RequireResumed(t)
}

func TestWaitingForAnotherCaptureEndsWithTheContext(t *testing.T) {
	g, _ := twoMaps()
	f := g.Freezer(t, freeze.Options{})
	standing, end := make(chan struct{}), make(chan struct{})
	g.WhilePaused = func() { close(standing); <-end }
	var wg sync.WaitGroup
	wg.Go(func() { _, _ = f.Capture(context.Background(), "first") })
	<-standing
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := f.Capture(ctx, "second")
	require.ErrorContains(t, err, `capture "second": wait for another capture of the guest to end: context canceled`)
	close(end)
	wg.Wait()
}

func TestNewSaysWhatIsMissing(t *testing.T) {
	for name, c := range map[string]struct {
		change func(g *fakeguest.Guest, k *freeze.Kernel)
		want   string
	}{
		"no symbols": {func(_ *fakeguest.Guest, k *freeze.Kernel) { k.Symbols = nil }, "no symbols: read /proc/kallsyms"},
		"no BTF":     {func(_ *fakeguest.Guest, k *freeze.Kernel) { k.BTF = nil }, "read the kernel's BTF (0 bytes)"},
		"BTF cut short": {func(_ *fakeguest.Guest, k *freeze.Kernel) { k.BTF = k.BTF[:len(k.BTF)/2] },
			"read the kernel's BTF"},
		"members of other kernels": {func(_ *fakeguest.Guest, k *freeze.Kernel) {
			k.BTF = memimage.KernelBTF("bpf_map.max_entries", "bpf_map.id", "xa_node")
		}, "lacks bpf_map.max_entries, bpf_map.id, xa_node, xa_node.shift, xa_node.slots"},
		"wrong base": {func(_ *fakeguest.Guest, k *freeze.Kernel) { k.PhysText += 4096 },
			"find the kernel in the guest's memory (_text at physical address 0x301000)"},
	} {
		t.Run(name, func(t *testing.T) {
			g := fakeguest.New()
			k := g.Kernel(t, memimage.KernelBTF())
			c.change(g, &k)
			_, err := freeze.New(g, g, k, freeze.Options{})
			require.ErrorContains(t, err, `prepare to capture a guest with kernel "7.3.0-memimage"`)
			require.ErrorContains(t, err, c.want)
		})
	}
	g := fakeguest.New()
	_, err := freeze.New(g, g, g.Kernel(t, memimage.KernelBTF()), freeze.Options{MapBytes: -1})
	require.ErrorContains(t, err, "negative")
}

func TestFamilyThatAKernelLaysOutDifferentlyIsUnsupported(t *testing.T) {
	g, _ := twoMaps()
	g.Publish(g.Maps)
	f, err := freeze.New(g, g, g.Kernel(t, memimage.KernelBTF("bpf_htab.buckets")), freeze.Options{})
	require.NoError(t, err)
	snap, err := f.Capture(t.Context(), "x")
	require.NoError(t, err)
	require.Equal(t, ktsnap.Complete, fakeguest.MapOf(t, snap, 1).Status)
	m := fakeguest.MapOf(t, snap, 2)
	require.Equal(t, ktsnap.Unsupported, m.Status)
	require.Contains(t, m.Reason, "bpf_htab.buckets")
}

func TestBTFThatCannotBeReadCostsOnlyTheTypes(t *testing.T) {
	g := fakeguest.New()
	raw, _, ctx := fakeguest.Program(t)
	for i, damage := range []func(btf uint64){
		func(btf uint64) { g.Put(memimage.Addr(btf, "btf", "data_size"), uint64(len(raw)-9), 4) },
		func(btf uint64) { g.Put(memimage.Addr(btf, "btf", "data"), 4096, 8) },
		func(btf uint64) { g.Put(memimage.Addr(btf, "btf", "base_btf"), btf, 8) },
	} {
		id := uint32(i + 1)
		object := g.BTF(id, "", raw)
		damage(object)
		g.Add(id, g.Array(memimage.Map{ID: id, Type: 2, KeySize: 4, ValueSize: 8, MaxEntries: 1, BTF: object, ValueType: ctx}, [][]byte{fakeguest.Random(8)}))
	}
	g.Add(8, g.Array(memimage.Map{ID: 8, Type: 2, KeySize: 4, ValueSize: 8, MaxEntries: 1, BTF: 5, ValueType: ctx}, [][]byte{fakeguest.Random(8)}))
	g.Add(9, g.Array(memimage.Map{ID: 9, Type: 2, KeySize: 4, ValueSize: 8, MaxEntries: 1, BTF: g.BTF(9, "", raw), ValueType: 1 << 20}, [][]byte{fakeguest.Random(8)}))
	snap := g.Capture(t, freeze.Options{})
	for _, m := range snap.Maps {
		require.Equal(t, ktsnap.Complete, m.Status)
		require.Equal(t, 1, m.N)
		require.Nil(t, m.Value)
		require.Contains(t, m.Reason, "its types are unknown")
	}
}

func TestRAMThatCannotBeLookedAtInPlaceIsCopied(t *testing.T) {
	g, _ := twoMaps()
	g.Publish(g.Maps)
	f, err := freeze.New(g, struct{ io.ReaderAt }{g}, g.Kernel(t, memimage.KernelBTF()), freeze.Options{})
	require.NoError(t, err)
	snap, err := f.Capture(t.Context(), "x")
	require.NoError(t, err)
	require.Equal(t, ktsnap.Complete, fakeguest.MapOf(t, snap, 2).Status, fakeguest.MapOf(t, snap, 2).Reason)
	require.Equal(t, 20, fakeguest.MapOf(t, snap, 2).N)
	require.False(t, strings.Contains(fakeguest.MapOf(t, snap, 1).Reason, "copy"))
}
