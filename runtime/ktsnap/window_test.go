package ktsnap

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPointersIntoArenasHaveThreeForms(t *testing.T) {
	const user, kernel = 0x7f12_0000_0000, 0xffff_c900_1000_0000
	one := Windows{{User: user, Kernel: kernel}}
	two := append(one, Window{User: user + windowSize, Kernel: kernel + 2*windowSize})
	for name, row := range map[string]struct {
		windows              Windows
		addr, user, kernelOf uint64 // kernelOf is 0 if it is in no arena
	}{
		"the kernel's":            {one, kernel + 0x40, user + 0x40, kernel + 0x40},
		"that of user space":      {one, user + 0x40, user + 0x40, kernel + 0x40},
		"its low half":            {one, 0x40, user + 0x40, kernel + 0x40},
		"the last byte":           {one, kernel + windowSize - 1, user + windowSize - 1, kernel + windowSize - 1},
		"behind":                  {one, kernel + windowSize, kernel + windowSize, 0},
		"of the second":           {two, kernel + 2*windowSize + 8, user + windowSize + 8, kernel + 2*windowSize + 8},
		"a low half of two":       {two, 0x40, 0x40, 0},
		"the kernel's, unknown":   {Windows{{User: user}}, 0x40, user + 0x40, 0},
		"user space's, unknown":   {Windows{{User: user}}, user + 8, user + 8, 0},
		"there is no arena":       {nil, 0x40, 0x40, 0},
		"elsewhere in user space": {one, user - 8, user - 8, 0},
	} {
		require.Equal(t, row.user, row.windows.ToUser(row.addr), name)
		got, ok := row.windows.ToKernel(row.addr)
		require.Equal(t, row.kernelOf, got, name)
		require.Equal(t, row.kernelOf != 0, ok, name)
		require.Equal(t, row.user >= user && row.user < user+uint64(max(1, len(row.windows)))*windowSize && row.windows != nil, row.windows.Has(row.user), name)
	}
}

func TestOnlyArenasHaveWindows(t *testing.T) {
	pages := []Extent{{Addr: 0x7f12_0000_3000, Data: make([]byte, 8)}}
	w, ok := (&Map{Type: MapTypeArena, Base: 0x1000, Extents: pages}).Window()
	require.True(t, ok)
	require.Equal(t, Window{User: 0x7f12_0000_0000, Kernel: 0x1000}, w)
	_, ok = (&Map{Type: MapTypeRingBuf, Extents: pages}).Window()
	require.False(t, ok, "records have no such addresses")
	_, ok = (&Map{Type: MapTypeArena}).Window()
	require.False(t, ok)
}
