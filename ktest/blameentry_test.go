package ktest

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/freeze"
)

// The memory of an entry that was deleted becomes another entry's: its key tells whose it is.
func TestMemoryIsAnEntrysWhileItsKeyIsInIt(t *testing.T) {
	entry := &tenant{at: []freeze.Piece{{Addr: 6, Size: 2}, {Addr: 16, Size: 2}}, key: []byte{1, 2, 3, 4}}
	ram := make([]byte, 32)
	require.False(t, entry.isIn(bytes.NewReader(ram)))
	copy(ram[6:], []byte{1, 2})
	copy(ram[16:], []byte{3, 4})
	require.True(t, entry.isIn(bytes.NewReader(ram)))
	ram[17] = 5
	require.False(t, entry.isIn(bytes.NewReader(ram)))
	require.False(t, entry.isIn(bytes.NewReader(ram[:17])), "it cannot be read")
}
