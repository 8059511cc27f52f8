package govalue

import (
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"
)

type inner struct{ Words []uint32 }

type outer struct {
	N     int
	Pair  [2]inner
	Bytes []byte
	None  []byte
	To    *inner
}

func TestCopiesShareNoSlices(t *testing.T) {
	from := outer{N: 1, Pair: [2]inner{{[]uint32{2}}, {[]uint32{3, 4}}}, Bytes: []byte("ab"), To: new(inner)}
	var to outer
	CopyTo(&to, &from)
	require.Equal(t, from, to)
	require.Same(t, from.To, to.To)
	to.Pair[1].Words[0], to.Bytes[0] = 9, 'x'
	require.Equal(t, []uint32{3, 4}, from.Pair[1].Words)
	require.Equal(t, "ab", string(from.Bytes))
}

func TestPointersAreFoundInArraysAndStructs(t *testing.T) {
	require.True(t, HasPointer(reflect.TypeFor[outer](), 8))
	require.True(t, HasPointer(reflect.TypeFor[[2]struct{ P *int }](), 8))
	require.False(t, HasPointer(reflect.TypeFor[[2]struct{ A [3]uint64 }](), 8))
	require.True(t, HasPointer(reflect.TypeFor[[2]struct{ A [3]uint64 }](), 2), "deeper than the limit")
}
