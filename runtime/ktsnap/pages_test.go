package ktsnap_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// pages makes an arena of pages with a pointer to addr in front of it.
func pages(target *ctype.Shape, addr uint64, extents ...ktsnap.Extent) ktsnap.Value {
	p := pointer(target)
	p.Space = ctype.SpaceArena
	m := columns(&ktsnap.Map{Name: "m", Type: ktsnap.MapTypeArray, KeySize: 4, ValueSize: 8, Value: structure("s", 8, member(0, "p", p))}, 1, 1)
	writer{m.Values}.u64(0, addr)
	arena := &ktsnap.Map{Name: "arena", Type: ktsnap.MapTypeArena, Extra: 1 << 44, MaxEntries: 16, Extents: extents}
	return (&ktsnap.Snapshot{Maps: []*ktsnap.Map{m, arena}}).Map("m").At(0).Get("p")
}

func filled(page int, with byte) ktsnap.Extent {
	data := make([]byte, 4096)
	for i := range data {
		data[i] = with
	}
	return ktsnap.Extent{Addr: 1<<44 + uint64(page)*4096, Data: data}
}

// What an object has in a second and a third page is read from there.
func TestObjectsGoOnInThePagesThatFollow(t *testing.T) {
	big := structure("big", 8200, member(0, "first", u64), member(96, "second", u64), member(8192, "last", u64))
	p := pages(big, 1<<44+4000, filled(0, 1), filled(1, 2), filled(2, 3))
	for path, want := range map[string]uint64{
		"first": 0x0101010101010101, "second": 0x0202020202020202, "last": 0x0303030303030303,
	} {
		requireUint(t, want, p.Get(path))
	}
}

// A gap in between is no memory of the object's.
func TestObjectsDoNotGoOnBehindAGap(t *testing.T) {
	big := structure("big", 4104, member(0, "first", u64), member(4096, "last", u64))
	p := pages(big, 1<<44+4000, filled(0, 1), filled(2, 3))
	_, err := p.Get("last").Uint64()
	var missing *ktsnap.NotCapturedError
	require.ErrorAs(t, err, &missing)
	require.EqualValues(t, 1<<44+4000, missing.Addr)
}

// How large an object in an arena is, is known of variables and of what an allocator has made.
func TestArraysAtTheEndOfObjectsOfUnknownSizeMayHaveMore(t *testing.T) {
	thing := structure("thing", 16, member(0, "two", array(u32, 2)), member(12, "tail", array(u8, 0)))
	p := pages(thing, 1<<44+64, filled(0, 1))
	tail := p.Get("tail")
	require.Equal(t, 4, tail.Len(), "what the padding has")
	require.True(t, tail.MayHaveMore())
	err := p.Get("tail[4]").Err()
	var unsized *ktsnap.IndexOutOfRangeError
	require.ErrorAs(t, err, &unsized)
	require.EqualValues(t, 1<<44+64+12, unsized.Unsized)
	require.ErrorContains(t, err, "of m[0].p.tail 4 elements are known, since an arena does not say how large its objects are; read on from 0x10000000004c")

	two := p.Get("two")
	require.False(t, two.MayHaveMore())
	require.ErrorContains(t, p.Get("two[2]").Err(), "has entries [0] to [1]")
}
