package values_test

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/dump"
	"github.com/ktgen/ktgen/gen/internal/values"
	"github.com/ktgen/ktgen/ktest"
	ktrt "github.com/ktgen/ktgen/runtime"
)

func TestMain(m *testing.M) { ktest.Main(m) }

func TestValuesOfAGuestAreWhatItsProgramSays(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{CPUs: 2, Scheduler: ktest.Object("testdata/values.bpf.o")})
	frozen := vm.Freeze("loaded")
	t.Run("per CPU, without a type", func(t *testing.T) { requireRawCounts(t, frozen) })
}

// requireRawCounts reads a per-CPU map of which only the size of values is known.
func requireRawCounts(t *testing.T, frozen *ktrt.Snapshot) {
	counts := values.Bind(t, frozen).RawCounts()
	require.Equal(t, 2, counts.CPUs())
	require.Equal(t, 2, counts.Len())
	for cpu := range 2 {
		want := uint64(100 + cpu)
		require.Equal(t, want, binary.LittleEndian.Uint64(counts.CPU(cpu).Value(1)))
		raw, err := frozen.Map("raw_counts").CPU(cpu).At(1).Get("").Bytes()
		require.NoError(t, err)
		require.Equal(t, want, binary.LittleEndian.Uint64(raw))
	}
	var notNarrowed *ktrt.PerCPUNotNarrowed
	require.ErrorAs(t, frozen.Map("raw_counts").At(1).Get("").Err(), &notNarrowed)
	var noCPU *ktrt.PerCPUSlot
	snap := mustOpen(t, frozen)
	require.ErrorAs(t, ktrt.Try(func() { snap.RawCounts().CPU(2) }), &noCPU)
	var outside *ktrt.IndexOutOfRange
	require.ErrorAs(t, ktrt.Try(func() { snap.RawCounts().CPU(0).Value(2) }), &outside)

	var text bytes.Buffer
	require.NoError(t, dump.Text(&text, frozen, dump.Options{Maps: []string{"raw_counts"}}))
	require.Contains(t, text.String(), "cpu 0 0x6400000000000000")
	require.Contains(t, text.String(), "cpu 1 0x6500000000000000")
}

// mustOpen reads a snapshot with errors that ktrt.Try returns.
func mustOpen(t *testing.T, s *ktrt.Snapshot) values.Snap {
	t.Helper()
	snap, err := values.Open(s)
	require.NoError(t, err)
	return snap
}
