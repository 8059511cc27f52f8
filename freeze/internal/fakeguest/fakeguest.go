// Package fakeguest is a make-believe guest, whose memory has the maps that a test puts
// there, for tests of captures.
//
// For contributors.
package fakeguest

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cilium/ebpf/btf"
	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/freeze"
	"github.com/ktgen/ktgen/freeze/internal/memimage"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// Guest is a make-believe guest: memory, and vCPUs that only count.
type Guest struct {
	*memimage.Image
	Maps    map[uint32]uint64 // addresses by id
	Through freeze.RAM        // through which it is read; nil is the image

	paused           atomic.Int32
	Stops, Resumes   atomic.Int32 // how often
	WhilePaused      func()       // runs when the guest has stopped
	FailStop         error
	FailResume       error
	ResumedUnstopped atomic.Bool // Resume without a Pause
}

// New returns a guest of 4 CPUs and 32 MiB without a map.
func New() *Guest {
	return &Guest{Image: memimage.New(4, 32<<20), Maps: make(map[uint32]uint64)}
}

// Paused tells whether the guest stands still.
func (g *Guest) Paused() bool { return g.paused.Load() > 0 }

// Pause is a [freeze.Machine]'s.
func (g *Guest) Pause(ctx context.Context) error {
	if g.FailStop != nil {
		return g.FailStop
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if g.paused.Add(1) != 1 {
		panic("the guest is stopped twice")
	}
	g.Stops.Add(1)
	if g.WhilePaused != nil {
		g.WhilePaused()
	}
	return nil
}

// Resume is a [freeze.Machine]'s.
func (g *Guest) Resume() error {
	if g.paused.Add(-1) != 0 {
		g.ResumedUnstopped.Store(true)
	}
	g.Resumes.Add(1)
	return g.FailResume
}

// Add makes a map known to the kernel.
func (g *Guest) Add(id uint32, a uint64) { g.Maps[id] = a }

// Kernel describes the guest's kernel, whose types are btf.
func (g *Guest) Kernel(t testing.TB, btf []byte) freeze.Kernel {
	t.Helper()
	var text strings.Builder
	for name, a := range g.Symbols {
		fmt.Fprintf(&text, "%016x D %s\n", a, name)
	}
	symbols, err := freeze.ParseKallsyms(strings.NewReader(text.String()))
	require.NoError(t, err)
	return freeze.Kernel{Release: "7.3.0-memimage", Symbols: symbols, BTF: btf, PhysText: g.PhysText()}
}

// Freezer publishes the guest's maps and prepares to capture them.
func (g *Guest) Freezer(t testing.TB, o freeze.Options) *freeze.Freezer {
	t.Helper()
	g.Publish(g.Maps)
	ram := freeze.RAM(g)
	if g.Through != nil {
		ram = g.Through
	}
	f, err := freeze.New(g, ram, g.Kernel(t, memimage.KernelBTF()), o)
	require.NoError(t, err)
	return f
}

// Capture captures the guest's maps, and holds the guest to have been resumed.
func (g *Guest) Capture(t testing.TB, o freeze.Options) *ktsnap.Snapshot {
	t.Helper()
	snap, err := g.Freezer(t, o).Capture(context.Background(), "now")
	require.NoError(t, err)
	g.RequireResumed(t)
	return snap
}

// RequireResumed fails a test if the guest stands still.
func (g *Guest) RequireResumed(t testing.TB) {
	t.Helper()
	require.Zero(t, g.paused.Load(), "the guest stands still")
	require.False(t, g.ResumedUnstopped.Load(), "resumed without having been stopped")
}

// MapOf returns the map with an id.
func MapOf(t testing.TB, snap *ktsnap.Snapshot, id uint32) *ktsnap.Map {
	t.Helper()
	for _, m := range snap.Maps {
		if m.ID == id {
			return m
		}
	}
	require.Failf(t, "map not captured", "id %d", id)
	return nil
}

// Program makes BTF with a struct ctx { u64 weight; } and returns it with the
// ids of a u32 and of the struct.
func Program(t testing.TB) (raw []byte, u32, ctx uint32) {
	t.Helper()
	b, err := btf.NewBuilder(nil, nil)
	require.NoError(t, err)
	keyID, err := b.Add(&btf.Int{Name: "u32", Size: 4})
	require.NoError(t, err)
	ctxID, err := b.Add(&btf.Struct{Name: "ctx", Size: 8, Members: []btf.Member{
		{Name: "weight", Type: &btf.Int{Name: "u64", Size: 8}},
	}})
	require.NoError(t, err)
	raw, err = b.Marshal(nil, nil)
	require.NoError(t, err)
	return raw, uint32(keyID), uint32(ctxID)
}

// Random returns n random bytes.
func Random(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rand.Uint32())
	}
	return b
}

// U32 is a number in 4 bytes.
func U32(v int) []byte { return binary.LittleEndian.AppendUint32(nil, uint32(v)) }

// Value returns the bytes of one value of a map.
func Value(m *ktsnap.Map, i, slot int) []byte {
	return m.Values[(i*m.Slots+slot)*m.Stride:][:m.ValueSize]
}

// Entries makes n entries with distinct keys of keySize bytes.
func Entries(n, keySize, valueSize, slots int) []memimage.Entry {
	var list []memimage.Entry
	for i := range n {
		e := memimage.Entry{Key: append(U32(i), Random(keySize-4)...)}
		for range slots {
			e.Values = append(e.Values, Random(valueSize))
		}
		list = append(list, e)
	}
	return list
}

// Captured returns the entries of a map with keys, ordered by key.
func Captured(m *ktsnap.Map) []memimage.Entry {
	var list []memimage.Entry
	for i := range m.N {
		e := memimage.Entry{Key: m.Keys[i*m.KeySize : (i+1)*m.KeySize]}
		for slot := range m.Slots {
			e.Values = append(e.Values, Value(m, i, slot))
		}
		list = append(list, e)
	}
	return Ordered(list)
}

// Ordered orders entries by key.
func Ordered(list []memimage.Entry) []memimage.Entry {
	slices.SortFunc(list, func(a, b memimage.Entry) int {
		return cmp.Compare(binary.LittleEndian.Uint32(a.Key), binary.LittleEndian.Uint32(b.Key))
	})
	return list
}

// RTable spreads entries over buckets.
func RTable(buckets, nest int, entries []memimage.Entry) memimage.RTable {
	t := memimage.RTable{Buckets: make([][]memimage.Entry, buckets), Nest: nest}
	for i, e := range entries {
		b := i * 7 % buckets
		t.Buckets[b] = append(t.Buckets[b], e)
	}
	return t
}

// References is the header of a map of references.
func References(typ ktsnap.MapType, valueSize uint32) memimage.Map {
	return memimage.Map{ID: 1, Type: uint32(typ), Name: "slots", KeySize: 4, ValueSize: valueSize, MaxEntries: 4}
}

// Attached is what a program has in n cgroups, with a value for each of slots.
func Attached(n, size, slots int) []memimage.Attached {
	var list []memimage.Attached
	for i := range n {
		a := memimage.Attached{Cgroup: 1<<40 + uint64(i), Type: uint32(i % 3)}
		for range slots {
			a.Values = append(a.Values, Random(size))
		}
		list = append(list, a)
	}
	return list
}

// TaskAt makes a task of a pid at an address.
func (g *Guest) TaskAt(a uint64, pid uint64) uint64 {
	g.Put(memimage.Addr(a, "task_struct", "usage.refs.counter"), 1, 4)
	g.Put(memimage.Addr(a, "task_struct", "pid"), pid, 4)
	g.Write(memimage.Addr(a, "task_struct", "comm"), fmt.Appendf(nil, "task-%d", pid))
	return a
}
