package ktsnap

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAddressesAreNamedByTheFunctionTheyAreIn(t *testing.T) {
	s := &Snapshot{Symbols: []Symbol{{Addr: 0x1000, Size: 0x20, Name: "first"}, {Addr: 0x1020, Size: 0x10, Name: "second"}, {Addr: 0x2000, Size: 1, Name: "third"}}}
	for addr, want := range map[Address]string{
		0: "NULL", 0xfff: "0xfff", 0x1000: "first+0x0", 0x101f: "first+0x1f", 0x1020: "second+0x0",
		0x102f: "second+0xf", 0x1030: "0x1030", 0x2000: "third+0x0", 0x2001: "0x2001", 1<<64 - 1: "0xffffffffffffffff",
	} {
		require.Equal(t, want, s.Frame(addr).String())
	}
	require.Equal(t, "0x1000", new(Snapshot).Frame(0x1000).String())
}
