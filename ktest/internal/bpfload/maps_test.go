package bpfload

import (
	"testing"

	"github.com/cilium/ebpf"
	"github.com/stretchr/testify/require"
)

func TestRingBuffersHaveWholePages(t *testing.T) {
	for bytes, want := range map[uint32]uint32{0: 0, 1: 4096, 1000: 4096, 4096: 4096, 4097: 8192, 5000: 8192, 12288: 16384, 1 << 31: 1 << 31} {
		for _, typ := range []ebpf.MapType{ebpf.RingBuf, ebpf.UserRingbuf} {
			attr := mapCreateAttr{mapType: uint32(typ), maxEntries: bytes}
			require.NoError(t, setMaxEntries(&attr))
			require.Equal(t, want, attr.maxEntries, "%d bytes", bytes)
		}
		attr := mapCreateAttr{mapType: uint32(ebpf.Array), maxEntries: bytes}
		require.NoError(t, setMaxEntries(&attr))
		require.Equal(t, bytes, attr.maxEntries)
	}
}
