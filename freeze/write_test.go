package freeze_test

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/freeze"
	"github.com/ktgen/ktgen/freeze/internal/fakeguest"
	"github.com/ktgen/ktgen/freeze/internal/memimage"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// readOnlyRAM can be read, and written it cannot.
type readOnlyRAM struct{ freeze.RAM }

func TestRAMThatCannotBeWrittenIsNot(t *testing.T) {
	g := fakeguest.New()
	g.Publish(g.Maps)
	f, err := freeze.New(g, readOnlyRAM{g}, g.Kernel(t, memimage.KernelBTF()), freeze.Options{})
	require.NoError(t, err)
	err = f.Write(t.Context(), freeze.Write{Path: "x", Map: &ktsnap.Map{}, Bytes: []byte{1}})
	require.ErrorContains(t, err, "can only be read")
	require.Zero(t, g.Stops.Load())
}

func TestWriteIsHeldAgainstTheMap(t *testing.T) {
	g := fakeguest.New()
	addCounters(g)
	f := g.Freezer(t, freeze.Options{})
	snap, err := f.Capture(t.Context(), "before")
	require.NoError(t, err)
	m := snap.Maps[0]
	at := func(entry, offset int) uint64 { return m.Base + uint64(entry*m.Stride+offset) }
	write := func(addr uint64, b []byte, mask []byte) error {
		return f.Write(t.Context(), freeze.Write{Path: "counters", Map: m, Addr: addr, Bytes: b, Mask: mask})
	}

	require.NoError(t, write(at(2, 8), []byte{1, 2, 3, 4}, nil))
	require.NoError(t, write(at(2, 9), []byte{0xf0}, []byte{0x3c}))
	after, err := f.Capture(t.Context(), "after")
	require.NoError(t, err)
	require.Equal(t, []byte{1, 0x32, 3, 4}, after.Maps[0].Values[2*m.Stride+8:][:4])
	require.Equal(t, m.Values[3*m.Stride:], after.Maps[0].Values[3*m.Stride:])

	for name, test := range map[string]struct {
		err  error
		want error
	}{
		"beyond a value": {write(at(2, 14), []byte{1, 2, 3, 4}, nil), freeze.ErrOutOfRange},
		"before the map": {write(at(0, 0)-1, []byte{1, 2}, nil), freeze.ErrOutOfRange},
		"after the map":  {write(at(4, 0), []byte{1}, nil), freeze.ErrOutOfRange},
		"address 0":      {write(0, []byte{1}, nil), freeze.ErrOutOfRange},
		"last address":   {write(^uint64(0), []byte{1, 2}, nil), freeze.ErrOutOfRange},
	} {
		var refused *freeze.WriteError
		require.ErrorAs(t, test.err, &refused, name)
		require.ErrorIs(t, test.err, test.want, name)
		require.ErrorContains(t, test.err, "nothing was written", name)
	}
	err = f.Write(t.Context(), freeze.Write{Path: "(struct task_struct at 0x10).pid", Addr: 0x10, Bytes: []byte{1}})
	require.ErrorIs(t, err, freeze.ErrNoMap)
	require.Error(t, write(at(0, 0), nil, nil))
	require.Error(t, write(at(0, 0), []byte{1}, []byte{1, 2}))

	gone := *m
	gone.ID = 8
	err = f.Write(t.Context(), freeze.Write{Path: "counters", Map: &gone, Addr: at(0, 0), Bytes: []byte{1}})
	require.ErrorIs(t, err, freeze.ErrMapGone)
	require.Equal(t, g.Stops.Load(), g.Resumes.Load())
	require.False(t, g.ResumedUnstopped.Load())
}

func TestPointersOfTheKernelAreNotWritten(t *testing.T) {
	for name, add := range map[string]func(g *fakeguest.Guest) uint64{
		"programs": func(g *fakeguest.Guest) uint64 {
			return g.References(fakeguest.References(ktsnap.MapTypeProgArray, 4), []uint64{g.Prog(7), 0, 0, 0})
		},
		"maps": func(g *fakeguest.Guest) uint64 {
			return g.References(fakeguest.References(ktsnap.MapTypeArrayOfMaps, 4), []uint64{g.Maps[2], 0, 0, 0})
		},
		"sockets": func(g *fakeguest.Guest) uint64 {
			return g.PointerTable(fakeguest.References(ktsnap.MapTypeSockMap, 4), "bpf_stab", "sks", []uint64{g.Object("sock", "sk_ino", 1), 0, 0, 0})
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := fakeguest.New()
			g.Add(2, g.Array(memimage.Map{ID: 2, Type: 2, Name: "other", KeySize: 4, ValueSize: 8, MaxEntries: 1}, [][]byte{make([]byte, 8)}))
			g.Add(1, add(g))
			f := g.Freezer(t, freeze.Options{})
			snap, err := f.Capture(t.Context(), "before")
			require.NoError(t, err)
			m := fakeguest.MapOf(t, snap, 1)
			err = f.Write(t.Context(), freeze.Write{Path: "slots", Map: m, Addr: m.Addrs[0], Bytes: []byte{1, 2, 3, 4}})
			require.ErrorIs(t, err, freeze.ErrKernelOwned)
		})
	}
}

func TestWritesToWhereInstructionsWentAreRefused(t *testing.T) {
	g := fakeguest.New()
	g.Add(1, g.InsnArray(memimage.Map{ID: 1, Type: 34, KeySize: 4, ValueSize: 16, MaxEntries: 2}, [][]byte{fakeguest.Random(16), fakeguest.Random(16)}))
	f := g.Freezer(t, freeze.Options{})
	snap, err := f.Capture(t.Context(), "before")
	require.NoError(t, err)
	m := fakeguest.MapOf(t, snap, 1)
	err = f.Write(t.Context(), freeze.Write{Path: "insns", Map: m, Addr: m.Base, Bytes: []byte{1, 2, 3, 4}})
	require.ErrorIs(t, err, freeze.ErrKernelOwned)
}

func TestGuestIsResumedWhenAWriteCannotBe(t *testing.T) {
	g := fakeguest.New()
	addCounters(g)
	f := g.Freezer(t, freeze.Options{})
	snap, err := f.Capture(t.Context(), "before")
	require.NoError(t, err)
	write := freeze.Write{Path: "counters", Map: snap.Maps[0], Addr: snap.Maps[0].Base, Bytes: []byte{1}}

	g.FailStop = errors.New("no stop")
	var failed *freeze.CaptureError
	require.ErrorAs(t, f.Write(t.Context(), write), &failed)
	require.ErrorIs(t, failed, g.FailStop)
	g.FailStop = nil
	g.FailResume = errors.New("no resume")
	require.ErrorIs(t, f.Write(t.Context(), write), g.FailResume)
	g.FailResume = nil
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, f.Write(ctx, write), context.Canceled)
	require.NoError(t, f.Write(t.Context(), write))
}

// addCounters adds an array of 4 values of 16 bytes.
func addCounters(g *fakeguest.Guest) {
	var values [][]byte
	for i := range 4 {
		values = append(values, bytes.Repeat([]byte{byte(i)}, 16))
	}
	g.Add(7, g.Array(memimage.Map{ID: 7, Name: "counters", Type: 2, KeySize: 4, ValueSize: 16, MaxEntries: 4}, values))
}

// brokenRAM fails after some bytes of a write.
type brokenRAM struct {
	*fakeguest.Guest
	after int
}

func (r *brokenRAM) WriteAt(p []byte, pa int64) (int, error) {
	n := min(len(p), r.after)
	r.after -= n
	if n < len(p) {
		_, _ = r.Guest.WriteAt(p[:n], pa)
		return n, errors.New("the host has taken it away")
	}
	return r.Guest.WriteAt(p, pa)
}

func TestAWriteThatIsTornSaysSo(t *testing.T) {
	g := fakeguest.New()
	addCounters(g)
	g.Through = &brokenRAM{g, 2}
	f := g.Freezer(t, freeze.Options{})
	snap, err := f.Capture(t.Context(), "before")
	require.NoError(t, err)
	m := snap.Maps[0]
	err = f.Write(t.Context(), freeze.Write{Path: "counters", Map: m, Addr: m.Base, Bytes: []byte{1, 2, 3, 4}})
	var torn *freeze.WriteError
	require.ErrorAs(t, err, &torn)
	require.True(t, torn.Partial)
	require.ErrorContains(t, err, "a part of this write can be in the guest")
}

// An entry that a walk does not come to is not gone for that.
func TestWritesToMapsThatAreTooLargeToWalk(t *testing.T) {
	g := fakeguest.New()
	addCounters(g)
	whole := g.Freezer(t, freeze.Options{})
	snap, err := whole.Capture(t.Context(), "before")
	require.NoError(t, err)
	m := snap.Maps[0]
	small := g.Freezer(t, freeze.Options{MapBytes: m.Stride})
	err = small.Write(t.Context(), freeze.Write{Path: "counters", Map: m, Addr: m.Base + uint64(3*m.Stride), Bytes: []byte{1}})
	require.NotErrorIs(t, err, freeze.ErrEntryGone)
	require.ErrorContains(t, err, "it cannot be told whether the entry is still there")
	require.NoError(t, small.Holds(t.Context(), m, m.Base+uint64(3*m.Stride), 1))

	gone := *m
	gone.ID = 8
	require.NoError(t, whole.Holds(t.Context(), m, m.Base, 8))
	require.ErrorIs(t, whole.Holds(t.Context(), &gone, m.Base, 8), freeze.ErrMapGone)
}
