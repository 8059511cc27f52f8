package freeze_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/freeze"
	"github.com/ktgen/ktgen/freeze/internal/fakeguest"
	"github.com/ktgen/ktgen/freeze/internal/memimage"
)

func TestPeekReadsARunningGuest(t *testing.T) {
	g := fakeguest.New()
	values := [][]byte{fakeguest.Random(5000)}
	g.Add(7, g.Array(memimage.Map{ID: 7, Name: "arr", Type: 2, KeySize: 4, ValueSize: 5000, MaxEntries: 1}, values))
	f := g.Freezer(t, freeze.Options{})
	snap, err := f.Capture(context.Background(), "now")
	require.NoError(t, err)
	base := fakeguest.MapOf(t, snap, 7).Base
	stops := g.Stops.Load()

	got := make([]byte, 4999)
	require.NoError(t, f.Peek(base+1, got))
	require.Equal(t, values[0][1:], got, "over the ends of pages, too")
	require.Equal(t, stops, g.Stops.Load(), "the guest is not stopped")

	// It does not wait for a capture, either.
	g.WhilePaused = func() { require.NoError(t, f.Peek(base, got[:8])) }
	_, err = f.Capture(context.Background(), "again")
	require.NoError(t, err)

	require.ErrorContains(t, f.Peek(0xffff_c900_dead_0000, got[:8]), "read 8 bytes of the running guest at 0xffffc900dead0000: ")
	require.Error(t, f.Peek(1<<63, got[:8]))
	require.Error(t, f.Peek(^uint64(0)-3, got[:8]))
}

func TestKernelThatDoesNotTellOfASchedulersEndIsTold(t *testing.T) {
	_, _, err := fakeguest.New().Freezer(t, freeze.Options{}).ExitKind()
	require.ErrorIs(t, err, freeze.ErrExitKindUnknown)
}
