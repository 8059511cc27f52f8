package ktsnap

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/internal/convert"
	"github.com/ktgen/ktgen/runtime/internal/shapetest"
)

// oneValue is a snapshot of one value.
func oneValue(s *ctype.Shape, raw []byte) *Snapshot {
	return &Snapshot{Guest: Guest{CPUs: 1}, Maps: []*Map{{
		Name: "m", Type: MapTypeArray, KeySize: 4, ValueSize: s.Size, Value: s, N: 1, Total: 1, Slots: 1, Stride: s.Size, Values: raw,
	}}}
}

// reads is what all terminals make of a value.
func reads(v Value) string {
	u, uerr := v.Uint64()
	i, ierr := v.Int64()
	b, berr := v.Bool()
	f, ferr := v.Float64()
	s, serr := v.Str()
	return fmt.Sprint(u, uerr != nil, i, ierr != nil, b, berr != nil, f, ferr != nil, s, serr != nil)
}

// eachLeaf calls f with the path of each scalar in s.
func eachLeaf(s *ctype.Shape, path string, f func(path string)) {
	u := s.Underlying()
	switch {
	case u.Kind == ctype.KindStruct || u.Kind == ctype.KindUnion:
		for _, m := range u.Fields() {
			eachLeaf(m.Type, joinPath(path, m.Name), f)
		}
	case u.Kind == ctype.KindArray && !isString(u):
		for i := range u.Len {
			eachLeaf(u.Elem, fmt.Sprintf("%s[%d]", path, i), f)
		}
	default:
		f(path)
	}
}

// Generated code reads a guest with another layout through a plan that rearranges its
// bytes; reads by path take them as they are. On each leaf of thousands of types both
// say the same.
func TestPathsReadWhatPlansRearrange(t *testing.T) {
	leaves, types := 0, 0
	for seed := range uint64(3000) {
		r := shapetest.New(seed)
		s := r.Structure(3, "root")
		have := r.Rearranged(s)
		raw := inLayoutOf(t, have, s, r.Bytes(s.Size))
		arranged := inLayoutOf(t, s, have, raw)
		types++
		there, here := oneValue(have, raw).Map("m").At(0), oneValue(s, arranged).Map("m").At(0)
		eachLeaf(s, "", func(path string) {
			leaves++
			v, w := there.Get(path), here.Get(path)
			require.NoError(t, v.Err(), "seed %d: %s", seed, path)
			require.Equal(t, reads(w), reads(v), "seed %d: %s", seed, path)
			require.Equal(t, w.render(100).String(), v.render(100).String(), "seed %d: %s", seed, path)
		})
	}
	require.Greater(t, types, 1000)
	require.Greater(t, leaves, 10_000)
	t.Logf("%d leaves of %d types", leaves, types)
}

// inLayoutOf returns the bytes of a value as another layout has them, where what only
// that has is zero.
func inLayoutOf(t *testing.T, want, have *ctype.Shape, raw []byte) []byte {
	t.Helper()
	c := convert.New()
	c.Absent = make(map[convert.Member]string)
	p, ok := c.Plan("root", want, have)
	require.True(t, ok, c.Differences)
	if p == nil {
		return raw
	}
	arranged := make([]byte, want.Size)
	require.NoError(t, p.Apply(arranged, raw))
	return arranged
}

// Every leaf is what its bits say one by one.
func TestPathsReadWhatTheirBitsSay(t *testing.T) {
	for seed := range uint64(1000) {
		r := shapetest.New(seed)
		s := r.Structure(3, "root")
		raw := r.Bytes(s.Size)
		entry := oneValue(s, raw).Map("m").At(0)
		eachLeaf(s, "", func(path string) {
			v := entry.Get(path)
			u := v.Shape().Underlying()
			if u.Kind != ctype.KindInt && u.Kind != ctype.KindEnum && u.Kind != ctype.KindPointer {
				return
			}
			first, bits := int(v.first), int(v.bits)
			if bits == 0 {
				bits = 8 * u.Size
			}
			var want uint64
			for i := range bits {
				at := first + i
				want |= uint64(v.data[at/8]>>(at%8)&1) << i
			}
			if u.Signed && want>>(bits-1)&1 == 1 {
				for i := bits; i < 64; i++ {
					want |= 1 << i
				}
			}
			require.Equal(t, want, v.integer(u).low, "seed %d: %s", seed, path)
		})
	}
}
