package addrset

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAddrSetKnowsWhatWasAdded(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var s Set
	want := make(map[uint64]bool)
	for range 20_000 {
		addr := []uint64{1 + r.Uint64N(1<<10), 1 + r.Uint64N(1<<10)<<48, 1<<63 | r.Uint64()}[r.IntN(3)]
		require.Equal(t, !want[addr], s.Add(addr), "%#x", addr)
		want[addr] = true
	}
	require.Equal(t, len(want), s.n)
}

// The addresses of an array of objects do not end up in one run of the table.
func TestAddrSetSpreadsWhatIsEvenlyApart(t *testing.T) {
	for shift := range 32 {
		var s Set
		for i := range uint64(1 << 12) {
			require.True(t, s.Add((i+1)<<shift))
		}
		run, longest := 0, 0
		for _, slot := range s.slots {
			if run++; slot == 0 {
				run = 0
			}
			longest = max(longest, run)
		}
		require.Less(t, longest, 1<<10, "shift %d", shift)
	}
}
