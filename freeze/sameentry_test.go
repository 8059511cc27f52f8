package freeze

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// A write goes to the entry that was captured, or to none: what is at its place
// by now is held against its key or its owner, and a map that lost entries has
// nothing there.
func TestEntriesAreTheSameByOwnerKeyOrIndex(t *testing.T) {
	owned := func(addrs ...uint64) *ktsnap.Map {
		m := &ktsnap.Map{N: len(addrs)}
		for _, a := range addrs {
			m.Owners = append(m.Owners, ktsnap.Owner{Addr: a})
		}
		return m
	}
	keyed := func(keys string) *ktsnap.Map { return &ktsnap.Map{N: len(keys) / 2, KeySize: 2, Keys: []byte(keys)} }
	plain := &ktsnap.Map{N: 4}
	for _, test := range []struct {
		a    *ktsnap.Map
		i    int
		b    *ktsnap.Map
		j    int
		same bool
	}{
		{owned(1, 2), 0, owned(3, 1), 1, true},
		{owned(1, 2), 1, owned(3, 1), 1, false},
		{owned(1, 2), 1, owned(1), 1, false},
		{owned(1), 1, owned(1, 2), 1, false},
		{owned(1), 0, owned(), 0, false},
		{keyed("aabb"), 1, keyed("bbcc"), 0, true},
		{keyed("aabb"), 1, keyed("aacc"), 1, false},
		{keyed("aabb"), 2, keyed("aabb"), 2, false},
		{keyed("aabb"), 0, keyed(""), 0, false},
		{&ktsnap.Map{N: 1, Keys: []byte("aa")}, 0, &ktsnap.Map{N: 1, Keys: []byte("aa")}, 0, false},
		{plain, 3, plain, 3, true},
		{plain, 3, plain, 2, false},
	} {
		require.Equal(t, test.same, sameEntry(test.a, test.i, test.b, test.j), "%+v", test)
	}
}
