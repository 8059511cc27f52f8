package dump_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/dump"
	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// keyTypes are types of keys, each written in its own way.
var keyTypes = []*ctype.Shape{
	s32, u64, policy, boolT, char, double, nil,
	array(char, 6),
	array(u32, 2),
	structure("pair", 8, member(0, "a", u32), member(4, "b", u32)),
	structure("named", 12, member(0, "comm", array(char, 7)), member(8, "ids", array(s32, 1))),
	structure("padded", 8, member(0, "b", boolT), member(4, "bits", structure("", 4, ctype.Member{Bits: 3, Name: "low", Type: u32}))),
	structure("long", 20, member(0, "all", array(integer("u8", 1, false), 20))),
	{Kind: ctype.KindUnion, Name: "either", Size: 8, Members: []ctype.Member{member(0, "n", u32), member(0, "text", array(char, 8))}},
}

// keyed makes a snapshot with two maps of one name for a type of keys, whose entries have
// the keys in bytes, each once, and the values first, first+1, ...
func keyed(key *ctype.Shape, bytes []byte, first int) *ktsnap.Snapshot {
	size := 9
	if key != nil {
		size = key.Size
	}
	var keys []byte
	seen := map[string]bool{}
	for ; len(bytes) >= size; bytes = bytes[size:] {
		if k := string(bytes[:size]); !seen[k] {
			seen[k] = true
			keys = append(keys, k...)
		}
	}
	s := &ktsnap.Snapshot{Programs: []*ktsnap.Program{{BTFID: 1}}}
	for i := range 2 {
		m := newMap(ktsnap.Map{Name: "ctxs", Type: ktsnap.MapTypeHash, Key: key, Value: structure("v", 8, member(0, "n", u32), member(4, `o]d."d`, u32))}, len(keys)/size)
		m.KeySize, m.Keys, m.ID, m.Program = size, keys, uint32(i+1), s.Programs[0]
		for e := range m.N {
			bytesOf{m.Values}.u32(8*e, uint32(1000*i+first+e)).u32(8*e+4, uint32(1000*i+first+e))
		}
		s.Maps = append(s.Maps, m)
	}
	return s
}

// Whatever paths diffs print, reads find by them what differs.
func requireReadable(t *testing.T, a, b *ktsnap.Snapshot) (n int) {
	t.Helper()
	paths := map[string]bool{}
	for c := range dump.Diff(a, b) {
		require.False(t, paths[c.Path], c.Path)
		paths[c.Path] = true
		for s, want := range map[*ktsnap.Snapshot]string{a: c.Old, b: c.New} {
			v := s.Get(c.Path)
			require.NoError(t, v.Err(), c.Path)
			r, err := v.Rendered()
			require.NoError(t, err)
			require.Equal(t, want, r.String(), c.Path)
		}
		n++
	}
	return n
}

func TestPathsThatDiffsPrintAreReadBack(t *testing.T) {
	for i, key := range keyTypes {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			random := rand.New(rand.NewPCG(uint64(i), 1))
			bytes := make([]byte, 40*20)
			for i := range bytes {
				bytes[i] = `ab]["'{}\,: 0x`[random.IntN(14)]
				if random.IntN(3) == 0 {
					bytes[i] = byte(random.IntN(3))
				}
			}
			a, b := keyed(key, bytes, 1), keyed(key, bytes, 501)
			require.Equal(t, 4*a.Maps[0].N, requireReadable(t, a, b))
		})
	}
}

func TestPathsWithKeysArePrintedForPeople(t *testing.T) {
	pair := keyTypes[9]
	s := keyed(pair, []byte{1, 0, 0, 0, 2, 0, 0, 0}, 5)
	require.Equal(t, "ctxs#2[{a: 1, b: 2}]", s.MapByID(2).At(0).Path())
	require.NoError(t, s.Get("ctxs#2[{a: 1, b: 2}].n").Err())
	require.ErrorContains(t, s.Get("ctxs[{a: 1, b: 2}].n").Err(), `as "ctxs#1"`)
	require.ErrorContains(t, s.Get("ctxs#1[{a: 1, b: 2].n").Err(), "the bracket is not closed")
	require.ErrorContains(t, s.Get("ctxs#1[{a: 1, b: 3}].n").Err(), "{a: 1, b: 3}")

	text := keyed(keyTypes[7], []byte("ab\x00\x00\x00\x01ab\x00\x00\x00\x02cd\x00\x00\x00\x03"), 5)
	require.Equal(t, `ctxs#1["cd"]`, text.MapByID(1).At(2).Path())
	require.Equal(t, `ctxs#1[0x616200000002]`, text.MapByID(1).At(1).Path(), "two are written alike")
}

func FuzzPathsOfDiffs(f *testing.F) {
	for i := range keyTypes {
		f.Add(byte(i), []byte("ab]\x00\x01{\"'}\\ 0x[[\xff\x7f\x00\x00\x00\x00ab]\x00\x02"))
	}
	f.Fuzz(func(t *testing.T, kind byte, bytes []byte) {
		key := keyTypes[int(kind)%len(keyTypes)]
		bytes = bytes[:min(len(bytes), 400)]
		requireReadable(t, keyed(key, bytes, 1), keyed(key, bytes, 501))
	})
}
