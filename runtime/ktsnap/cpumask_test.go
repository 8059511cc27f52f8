package ktsnap

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMasksAreWrittenAsTheKernelListsThem(t *testing.T) {
	for want, cpus := range map[string][]int{
		"":                nil,
		"0":               {0},
		"0-3,7":           {3, 2, 1, 0, 7},
		"63-64":           {63, 64},
		"1,3,5,200":       {1, 3, 5, 200},
		"0-1,127,191-192": {0, 1, 127, 191, 192},
	} {
		m := CPUMaskOf(cpus...)
		require.Equal(t, want, m.String())
		require.Equal(t, len(cpus), m.Count())
		require.Equal(t, len(cpus) == 0, m.IsEmpty())
		slices.Sort(cpus)
		require.Equal(t, cpus, slices.Collect(m.All()))
	}
}

func TestBitmapsOfAnyWordsAreTheSameSet(t *testing.T) {
	want := CPUMaskOf(1, 8, 17, 31)
	require.Equal(t, want, Bitmap([]uint8{2, 1, 2, 0x80}))
	require.Equal(t, want, Bitmap([]uint16{0x102, 0x8002}))
	require.Equal(t, want, Bitmap([]uint32{0x80020102}))
	require.True(t, want.Equal(Bitmap([]uint64{0x80020102, 0, 0})))
}

func TestMasksEndBelowALimit(t *testing.T) {
	m := Bitmap([]uint64{^uint64(0), ^uint64(0), 0xff << 56})
	require.Equal(t, "0-127,184-191", m.String())
	require.Equal(t, "0-63", m.Below(64).String())
	require.Equal(t, "0-64", m.Below(65).String())
	require.Equal(t, m, m.Below(1000))
	require.True(t, m.Below(0).IsEmpty())
	require.True(t, m.Below(-5).IsEmpty())
	require.False(t, m.Has(-1))
	require.False(t, m.Has(1<<40))
	require.True(t, m.Has(191))
}
