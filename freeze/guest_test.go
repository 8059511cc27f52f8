package freeze_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cilium/ebpf/btf"
	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/freeze"
	"github.com/ktgen/ktgen/freeze/internal/memimage"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// guest is a make-believe guest: memory, and vCPUs that only count.
type guest struct {
	*memimage.Image
	maps map[uint32]uint64 // addresses by id
	ram  freeze.RAM        // through which it is read; nil is the image

	paused           atomic.Int32
	stops, resumes   atomic.Int32
	whilePaused      func() // runs when the guest has stopped
	failStop         error
	failResume       error
	resumedUnstopped atomic.Bool
}

func newGuest() *guest {
	return &guest{Image: memimage.New(4, 32<<20), maps: make(map[uint32]uint64)}
}

func (g *guest) Pause(ctx context.Context) error {
	if g.failStop != nil {
		return g.failStop
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if g.paused.Add(1) != 1 {
		panic("the guest is stopped twice")
	}
	g.stops.Add(1)
	if g.whilePaused != nil {
		g.whilePaused()
	}
	return nil
}

func (g *guest) Resume() error {
	if g.paused.Add(-1) != 0 {
		g.resumedUnstopped.Store(true)
	}
	g.resumes.Add(1)
	return g.failResume
}

// add makes a map known to the kernel.
func (g *guest) add(id uint32, a uint64) { g.maps[id] = a }

func (g *guest) kernel(t testing.TB, btf []byte) freeze.Kernel {
	t.Helper()
	var text strings.Builder
	for name, a := range g.Symbols {
		fmt.Fprintf(&text, "%016x D %s\n", a, name)
	}
	symbols, err := freeze.ParseKallsyms(strings.NewReader(text.String()))
	require.NoError(t, err)
	return freeze.Kernel{Release: "7.3.0-memimage", Symbols: symbols, BTF: btf, PhysText: g.PhysText()}
}

// freezer publishes the guest's maps and prepares to capture them.
func (g *guest) freezer(t testing.TB, o freeze.Options) *freeze.Freezer {
	t.Helper()
	g.Publish(g.maps)
	ram := freeze.RAM(g)
	if g.ram != nil {
		ram = g.ram
	}
	f, err := freeze.New(g, ram, g.kernel(t, memimage.KernelBTF()), o)
	require.NoError(t, err)
	return f
}

// capture captures the guest's maps, and holds the guest to have been resumed.
func (g *guest) capture(t testing.TB, o freeze.Options) *ktsnap.Snapshot {
	t.Helper()
	snap, err := g.freezer(t, o).Capture(context.Background(), "now")
	require.NoError(t, err)
	g.requireResumed(t)
	return snap
}

func (g *guest) requireResumed(t testing.TB) {
	t.Helper()
	require.Zero(t, g.paused.Load(), "the guest stands still")
	require.False(t, g.resumedUnstopped.Load(), "resumed without having been stopped")
}

// mapOf returns the map with an id.
func mapOf(t testing.TB, snap *ktsnap.Snapshot, id uint32) *ktsnap.Map {
	t.Helper()
	for _, m := range snap.Maps {
		if m.ID == id {
			return m
		}
	}
	require.Failf(t, "map not captured", "id %d", id)
	return nil
}

// program makes BTF with a struct ctx { u64 weight; } and returns it with the
// ids of a u32 and of the struct.
func program(t testing.TB) (raw []byte, u32, ctx uint32) {
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
