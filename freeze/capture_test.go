package freeze_test

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/freeze"
	"github.com/ktgen/ktgen/freeze/internal/fakeguest"
	"github.com/ktgen/ktgen/freeze/internal/memimage"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// stacked makes a map with one stack of return addresses, beside functions of
// the kernel and compiled code.
func stacked(g *fakeguest.Guest, frames ...uint64) {
	for name, at := range map[string]uint64{"schedule": 0x100, "__schedule": 0x200} {
		g.Symbols[name] = 0xffffffff9ac80000 + at
	}
	g.Ksyms(0x40, map[string]uint64{"bpf_prog_1_enqueue": 0xffffffffc0001000, "bpf_prog_2_stopping": 0xffffffffc0000000})
	var stack []byte
	for _, frame := range frames {
		stack = binary.LittleEndian.AppendUint64(stack, frame)
	}
	g.Add(1, g.Stacks(memimage.Map{ID: 1, Type: 7, KeySize: 4, ValueSize: 64, MaxEntries: 4}, 4, 8, map[int][]byte{3: stack}))
}

func TestStacksNameTheCodeThatTheyAreIn(t *testing.T) {
	want := map[uint64]string{
		0xffffffff9ac80110: "schedule+0x10", 0xffffffff9ac80200: "__schedule+0x0", 0xffffffff9ac801ff: "schedule+0xff",
		0xffffffffc0001020: "bpf_prog_1_enqueue+0x20", 0xffffffffc0000000: "bpf_prog_2_stopping+0x0",
		0xffffffffc0001040: "0xffffffffc0001040", 0xffffffff00000010: "0xffffffff00000010",
	}
	g := fakeguest.New()
	var frames []uint64
	for frame := range want {
		frames = append(frames, frame)
	}
	stacked(g, frames...)
	snap := g.Capture(t, freeze.Options{})
	for frame, text := range want {
		require.Equal(t, text, snap.Frame(ktsnap.Address(frame)).String())
	}
	require.Len(t, snap.Symbols, 4)
}

// A list that does not end, or leads nowhere, costs names and nothing else.
func TestStacksAreReadWhereTheListOfCompiledCodeIsBroken(t *testing.T) {
	for name, next := range map[string]func(g *fakeguest.Guest) uint64{
		"a cycle": func(g *fakeguest.Guest) uint64 { return g.Get(g.Symbols["bpf_kallsyms"]) },
		"nowhere": func(*fakeguest.Guest) uint64 { return 0xdead000000000100 },
		"NULL":    func(*fakeguest.Guest) uint64 { return 0 },
	} {
		t.Run(name, func(t *testing.T) {
			g := fakeguest.New()
			stacked(g, 0xffffffff9ac80110)
			first := g.Get(g.Symbols["bpf_kallsyms"])
			g.Put(first, next(g), 8)
			snap := g.Capture(t, freeze.Options{})
			require.Equal(t, ktsnap.Complete, fakeguest.MapOf(t, snap, 1).Status)
			require.Equal(t, "schedule+0x10", snap.Frame(0xffffffff9ac80110).String())
		})
	}
}

func TestShapesComeFromTheProgramsBTF(t *testing.T) {
	g := fakeguest.New()
	raw, key, ctx := fakeguest.Program(t)
	object := g.BTF(12, "sched", raw)
	h := memimage.Map{ID: 1, Type: 1, KeySize: 4, ValueSize: 8, MaxEntries: 9, BTF: object, KeyType: key, ValueType: ctx}
	g.Add(1, g.Hash(h, 4, fakeguest.Entries(3, 4, 8, 1)))
	h.ID = 2
	g.Add(2, g.Hash(h, 4, nil))
	g.Add(3, g.Other(memimage.Map{ID: 3, Type: 200}))
	snap := g.Capture(t, freeze.Options{})

	require.Len(t, snap.Programs, 1)
	p := snap.Programs[0]
	require.EqualValues(t, 12, p.BTFID)
	require.Equal(t, "sched", p.Name)
	for _, id := range []uint32{1, 2} {
		m := fakeguest.MapOf(t, snap, id)
		require.Same(t, p, m.Program)
		require.Equal(t, "u32", m.Key.Name)
		require.Equal(t, "ctx", m.Value.Name)
		require.Equal(t, "weight", m.Value.Members[0].Name)
		require.Contains(t, p.Shapes, m.Value)
	}
	require.Nil(t, fakeguest.MapOf(t, snap, 3).Program)
}

func TestProgramsAreSharedBetweenCapturesWhileTheyAreTheSame(t *testing.T) {
	g := fakeguest.New()
	raw, _, ctx := fakeguest.Program(t)
	h := memimage.Map{ID: 1, Type: 1, KeySize: 4, ValueSize: 8, MaxEntries: 9, BTF: g.BTF(12, "", raw), ValueType: ctx}
	g.Add(1, g.Hash(h, 4, nil))
	f := g.Freezer(t, freeze.Options{})
	first, err := f.Capture(t.Context(), "1")
	require.NoError(t, err)
	second, err := f.Capture(t.Context(), "2")
	require.NoError(t, err)
	require.Same(t, first.Programs[0], second.Programs[0])

	g.Put(memimage.Addr(h.BTF, "btf", "id"), 13, 4) // another object in the same memory
	third, err := f.Capture(t.Context(), "3")
	require.NoError(t, err)
	require.NotSame(t, first.Programs[0], third.Programs[0])
	require.EqualValues(t, 13, third.Programs[0].BTFID)
}

func TestSnapshotDescribesTheGuest(t *testing.T) {
	g := fakeguest.New()
	snap := g.Capture(t, freeze.Options{})
	require.Equal(t, ktsnap.Guest{
		Release: "7.3.0-memimage", Arch: "amd64", PageSize: 4096, CPUs: memimage.CPUs, Online: []int{0, 1},
	}, snap.Guest)
	require.Equal(t, "now", snap.Name)
	require.Empty(t, snap.Maps)
	require.NotZero(t, snap.Taken)
	require.NotZero(t, snap.Timing.Walk)
	require.GreaterOrEqual(t, snap.Timing.Paused, snap.Timing.Stop+snap.Timing.Walk+snap.Timing.Copy+snap.Timing.Resume)
}

func TestCapturesDoNotShareMemory(t *testing.T) {
	g := fakeguest.New()
	v := fakeguest.Random(200_000)
	g.Add(1, g.Array(memimage.Map{ID: 1, Type: 2, KeySize: 4, ValueSize: 200_000, MaxEntries: 1}, [][]byte{v}))
	f := g.Freezer(t, freeze.Options{})
	first, err := f.Capture(t.Context(), "1")
	require.NoError(t, err)
	changed := fakeguest.Random(200_000)
	g.Write(g.Maps[1]+memimage.Offset("bpf_array", "value"), changed)
	second, err := f.Capture(t.Context(), "2")
	require.NoError(t, err)
	require.True(t, bytes.Equal(v, fakeguest.Value(fakeguest.MapOf(t, first, 1), 0, 0)))
	require.True(t, bytes.Equal(changed, fakeguest.Value(fakeguest.MapOf(t, second, 1), 0, 0)))
}

func TestWhatCountsIsReadWhileTheGuestStandsStill(t *testing.T) {
	const size = 3 << 20 // large enough for zero pages to be skipped
	g := fakeguest.New()
	before := fakeguest.Random(size)
	g.Add(1, g.Array(memimage.Map{ID: 1, Type: 2, KeySize: 4, ValueSize: size, MaxEntries: 1}, [][]byte{before}))
	hash := g.Hash(memimage.Map{ID: 2, Type: 1, KeySize: 4, ValueSize: 8, MaxEntries: 9}, 4, fakeguest.Entries(9, 4, 8, 1))
	g.Add(2, hash)
	after := fakeguest.Random(size)
	clear(after[1<<20 : 2<<20]) // pages that were not zero before
	g.WhilePaused = func() {
		g.Write(g.Maps[1]+memimage.Offset("bpf_array", "value"), after)
		g.Put(memimage.Addr(hash, "bpf_htab", "n_buckets"), 2, 4)
	}
	snap := g.Capture(t, freeze.Options{})
	require.True(t, bytes.Equal(after, fakeguest.Value(fakeguest.MapOf(t, snap, 1), 0, 0)))
	require.Equal(t, 5, fakeguest.MapOf(t, snap, 2).N, "elements of two buckets")
}
