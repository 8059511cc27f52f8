package vmm

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPhysicalAddressesSkipThePCIHole(t *testing.T) {
	const low = 0x80000000
	tests := map[string]struct {
		size Size
		addr int64
		off  int64 // -1: no RAM
	}{
		"small: first":        {512 * MiB, 0, 0},
		"small: last":         {512 * MiB, int64(512*MiB) - 1, int64(512*MiB) - 1},
		"small: beyond":       {512 * MiB, int64(512 * MiB), -1},
		"small: above 4 GiB":  {512 * MiB, int64(4 * GiB), -1},
		"negative":            {512 * MiB, -1, -1},
		"2815 MiB: one piece": {2815 * MiB, 2815<<20 - 1, 2815<<20 - 1},
		"2816 MiB: low part":  {2816 * MiB, low - 1, low - 1},
		"2816 MiB: hole":      {2816 * MiB, low, -1},
		"2816 MiB: high part": {2816 * MiB, int64(4 * GiB), low},
		"2816 MiB: last":      {2816 * MiB, int64(4*GiB) + 768<<20 - 1, 2816<<20 - 1},
		"2816 MiB: beyond":    {2816 * MiB, int64(4*GiB) + 768<<20, -1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := &RAM{size: int64(test.size), low: lowRAM(int64(test.size))}
			off, _, ok := r.offset(test.addr)
			require.Equal(t, test.off >= 0, ok)
			if ok {
				require.Equal(t, test.off, off)
			}
		})
	}
}

func TestAccessAcrossTheHole(t *testing.T) {
	r, err := newRAM(3 * GiB)
	require.NoError(t, err)
	defer r.close()
	require.Equal(t, int64(5*GiB), r.End())

	n, err := r.WriteAt([]byte("0123456789"), q35SplitLow-4)
	require.Equal(t, 4, n)
	var beyond *AddressError
	require.ErrorAs(t, err, &beyond)
	require.Equal(t, int64(q35SplitLow), beyond.Addr)
	require.EqualError(t, err, "guest-physical address 0x80000000 is not in the guest's 3 GiB of RAM")

	_, ok := r.Slice(q35SplitLow-4, 5)
	require.False(t, ok)
	slice, ok := r.Slice(q35SplitLow-4, 4)
	require.True(t, ok)
	require.Equal(t, "0123", string(slice))
	require.Equal(t, 4, cap(slice))

	_, err = r.WriteAt([]byte("high"), highRAM)
	require.NoError(t, err)
	require.Equal(t, "high", string(r.mem[q35SplitLow:q35SplitLow+4]))
}

func TestHugeAndNegativeAccessesAreRefused(t *testing.T) {
	r, err := newRAM(1 * MiB)
	require.NoError(t, err)
	defer r.close()
	for _, addr := range []int64{-1, -1 << 63, 1<<63 - 1, int64(1 * MiB)} {
		_, err := r.ReadAt(make([]byte, 16), addr)
		var beyond *AddressError
		require.ErrorAs(t, err, &beyond)
		_, ok := r.Slice(addr, 1)
		require.False(t, ok)
	}
	_, ok := r.Slice(0, -1)
	require.False(t, ok)
	_, ok = r.Slice(1, int(1*MiB))
	require.False(t, ok)
}

func TestMemoryIsUnmappedOnceNobodyUsesIt(t *testing.T) {
	r, err := newRAM(1 * MiB)
	require.NoError(t, err)
	require.True(t, r.acquire())
	r.close()
	require.NotNil(t, r.mem)
	require.False(t, r.acquire())
	r.release()
	require.Nil(t, r.mem)
	r.close()
}

func TestBanksFollowOneAnother(t *testing.T) {
	r, err := newRAM(1*MiB, 3*MiB, 2*MiB)
	require.NoError(t, err)
	defer r.close()
	require.Equal(t, 6*MiB, r.Size())
	const across = int64(1*MiB) - 2
	_, err = r.WriteAt([]byte("abcd"), across)
	require.NoError(t, err)
	_, err = r.WriteAt([]byte("xy"), int64(6*MiB)-2)
	require.NoError(t, err)

	got := make([]byte, 4)
	_, err = r.ReadAt(got, across)
	require.NoError(t, err)
	require.Equal(t, "abcd", string(got))
	for i, want := range []string{"ab", "cd", "xy"} {
		half := make([]byte, 2)
		_, err := r.banks[i].file.ReadAt(half, []int64{across, 0, int64(2*MiB) - 2}[i])
		require.NoError(t, err)
		require.Equal(t, want, string(half))
	}

	var runs [][2]int64
	for from := int64(0); ; {
		start, end, err := r.nextData(from)
		require.NoError(t, err)
		if start == end {
			break
		}
		runs = append(runs, [2]int64{start, end})
		from = end
	}
	const page = 4096
	require.Equal(t, [][2]int64{{int64(1*MiB) - page, int64(1 * MiB)}, {int64(1 * MiB), int64(1*MiB) + page}, {int64(6*MiB) - page, int64(6 * MiB)}}, runs)
}
