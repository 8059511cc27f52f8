package runtime

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func FuzzBits(f *testing.F) {
	f.Add([]byte{1, 2, 3, 4, 5, 6, 7, 8, 9}, uint8(3), uint8(61))
	f.Fuzz(func(t *testing.T, b []byte, first, n uint8) {
		first %= 8
		n = n%64 + 1
		size := (int(first) + int(n) + 7) / 8
		if len(b) < size {
			return
		}
		want := bitByBit(b, int(first), int(n))
		require.Equal(t, want, Bits(b[:size], int(first), int(n)))
		if n < 64 && want>>(n-1) == 1 {
			want -= 1 << n // two's complement
		}
		require.Equal(t, int64(want), SignedBits(b[:size], int(first), int(n)))
	})
}

func bitByBit(b []byte, first, n int) (v uint64) {
	for i := range n {
		v |= uint64(b[(first+i)/8]>>((first+i)%8)&1) << i
	}
	return v
}
