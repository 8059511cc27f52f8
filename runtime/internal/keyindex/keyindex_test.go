package keyindex

import (
	"testing"

	"github.com/stretchr/testify/require"
)

type pointer struct {
	addr uint64
	from *int // what keys need not have in common
}

func forget(part any) bool {
	p, ok := part.(*pointer)
	if ok {
		p.from = nil
	}
	return ok
}

type pair struct {
	CPU  int32
	Both [2]pointer
}

func TestKeysAreFoundWithoutWhatTheyNeedNotHaveInCommon(t *testing.T) {
	x := New[pair](3, forget)
	for i, addr := range []uint64{8, 16, 16} {
		x.Keys[i] = pair{1, [2]pointer{{addr: 4}, {addr, new(int)}}}
		x.Enter(i)
	}
	entry, exists := x.Find(pair{1, [2]pointer{{addr: 4}, {addr: 8}}})
	require.True(t, exists)
	require.EqualValues(t, 0, entry)
	entry, exists = x.Find(x.Keys[2])
	require.True(t, exists)
	require.EqualValues(t, -2, entry, "two entries have that key")
	require.True(t, x.Has(1, x.Keys[2]))
	_, exists = x.Find(pair{2, [2]pointer{{addr: 4}, {addr: 8}}})
	require.False(t, exists)
	require.NotNil(t, x.Keys[0].Both[1].from, "keys stay as they were decoded")
}
