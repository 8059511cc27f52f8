package convert

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/internal/shapetest"
)

// leaf is a scalar somewhere in a value.
type leaf struct {
	path      string
	first     int // bit, counted from the start of the value as the byte order counts
	bits      int
	signed    bool
	reordered bool // its bytes have an order: anything but characters
}

// leavesOf lists the scalars of a shape by path.
func leavesOf(s *ctype.Shape, path string, offset int, into map[string]leaf) {
	switch u := s.Underlying(); u.Kind {
	case ctype.KindStruct:
		for _, m := range u.Fields() {
			memberPath := path + "." + m.Name
			if m.Bits > 0 {
				into[memberPath] = leaf{memberPath, 8*(offset+m.Offset) + int(m.BitOffset), int(m.Bits), m.Type.Underlying().Signed, true}
				continue
			}
			leavesOf(m.Type, memberPath, offset+m.Offset, into)
		}
	case ctype.KindArray:
		for i := range u.Len {
			leavesOf(u.Elem, fmt.Sprintf("%s[%d]", path, i), offset+i*u.Elem.Size, into)
		}
	default:
		into[path] = leaf{path, 8 * offset, 8 * u.Size, u.Signed, true}
	}
}

// put writes v bit by bit, from the least significant of each byte on.
func (l leaf) put(b []byte, v uint64) {
	for i := range l.bits {
		at := l.first + i
		b[at/8] = b[at/8]&^(1<<(at%8)) | byte(v>>i&1)<<(at%8)
	}
}

func (l leaf) get(b []byte) uint64 {
	var v uint64
	for i := range l.bits {
		v |= uint64(b[(l.first+i)/8]>>((l.first+i)%8)&1) << i
	}
	if l.signed && l.bits < 64 {
		v = uint64(int64(v<<(64-l.bits)) >> (64 - l.bits))
	}
	return v
}

func TestValuesSurviveRearrangement(t *testing.T) {
	for seed := range uint64(600) {
		maker := shapetest.New(seed)
		want := maker.Structure(2, "root")
		requireRearranged(t, maker, want, maker.Rearranged(want))
	}
}

func requireRearranged(t *testing.T, r *shapetest.Maker, want, have *ctype.Shape) {
	t.Helper()
	c := New()
	p, ok := c.Plan("root", want, have)
	require.True(t, ok, "%v", c.Differences)

	wantLeaves, haveLeaves := make(map[string]leaf), make(map[string]leaf)
	leavesOf(want, "", 0, wantLeaves)
	leavesOf(have, "", 0, haveLeaves)
	raw := r.Bytes(have.Size)
	values := make(map[string]uint64)
	for path, l := range wantLeaves {
		v := r.Uint64()
		if l.bits < 64 {
			v &= 1<<l.bits - 1
			if l.signed {
				v = uint64(int64(v<<(64-l.bits)) >> (64 - l.bits))
			}
		}
		values[path] = v
		haveLeaves[path].put(raw, v)
	}

	b := raw
	if p != nil {
		b = r.Bytes(p.size) // apply clears it
		require.NoError(t, p.Apply(b, raw))
	}
	for path, l := range wantLeaves {
		require.Equal(t, values[path], l.get(b), path)
	}
}

func TestIdenticalLayoutsNeedNoPlan(t *testing.T) {
	for seed := range uint64(100) {
		s := shapetest.New(seed).Structure(3, "root")
		c := New()
		p, ok := c.Plan("root", s, s)
		require.True(t, ok, "%v", c.Differences)
		require.Nil(t, p, "seed %d", seed)
	}
}

// Shapes for tables of tests.
func intShape(name string, size int, signed bool) *ctype.Shape {
	return &ctype.Shape{Kind: ctype.KindInt, Name: name, Size: size, Signed: signed}
}

var (
	u32 = intShape("u32", 4, false)
	u64 = intShape("u64", 8, false)
	s32 = intShape("s32", 4, true)
	ptr = &ctype.Shape{Kind: ctype.KindPointer, Size: 8, Elem: ctype.Void}
)

func structOf(name string, size int, members ...ctype.Member) *ctype.Shape {
	return &ctype.Shape{Kind: ctype.KindStruct, Name: name, Size: size, Members: members}
}

func unionOf(members ...ctype.Member) *ctype.Shape {
	s := &ctype.Shape{Kind: ctype.KindUnion, Members: members}
	for _, m := range members {
		s.Size = max(s.Size, m.Type.Size)
	}
	return s
}

func arrayOf(n int, elem *ctype.Shape) *ctype.Shape {
	return &ctype.Shape{Kind: ctype.KindArray, Len: n, Size: n * elem.Size, Elem: elem}
}

func enumOf(values ...ctype.EnumValue) *ctype.Shape {
	return &ctype.Shape{Kind: ctype.KindEnum, Name: "state", Size: 4, Values: values}
}

func TestDifferencesAreNamedFieldByField(t *testing.T) {
	member := func(offset int, s *ctype.Shape) *ctype.Shape {
		return structOf("ctx", 16, ctype.Member{Name: "weight", Offset: offset, Type: s})
	}
	for name, c := range map[string]struct {
		want, have *ctype.Shape
		diff       ctype.Difference
	}{
		"missing": {
			member(8, u32), structOf("ctx", 16, ctype.Member{Name: "weihgt", Type: u32}),
			ctype.Difference{Path: "struct ctx.weight", Want: "+8 u32", Have: `no such member (did you mean "weihgt"?)`},
		},
		"retyped": {
			member(8, u64), member(8, ptr),
			ctype.Difference{Path: "struct ctx.weight", Want: "u64", Have: "void *"},
		},
		"another length": {
			member(0, arrayOf(2, u64)), member(0, arrayOf(1, u64)),
			ctype.Difference{Path: "struct ctx.weight", Want: "u64[2]", Have: "u64[1]"},
		},
		"another enumerator": {
			member(0, enumOf(ctype.EnumValue{Name: "RUNNING", Value: 1})), member(0, enumOf(ctype.EnumValue{Name: "RUNNING", Value: 2})),
			ctype.Difference{Path: "enum state", Want: "RUNNING = 1", Have: "RUNNING = 2"},
		},
		"no such enumerator": {
			member(0, enumOf(ctype.EnumValue{Name: "RUNNING", Value: 1})), member(0, enumOf()),
			ctype.Difference{Path: "enum state", Want: "enumerator RUNNING", Have: "none of that name"},
		},
		"damaged": {
			member(8, u32), &ctype.Shape{Kind: ctype.KindStruct, Name: "ctx", Size: 8, Members: []ctype.Member{{Name: "weight", Offset: 6, Type: u32}}},
			ctype.Difference{Path: "value", Want: "struct ctx", Have: "a damaged type: ctx.weight: ends at byte 10 of 8"},
		},
		"a wide integer resized": {
			member(0, intShape("__int128", 16, true)), member(0, u64),
			ctype.Difference{Path: "struct ctx.weight", Want: "__int128 of 16 bytes", Have: "u64 of 8 bytes"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			cmp := New()
			_, ok := cmp.Plan("value", c.want, c.have)
			require.False(t, ok)
			require.Equal(t, []ctype.Difference{c.diff}, cmp.Differences)
		})
	}
}

func TestNarrowedValuesMustFit(t *testing.T) {
	want := structOf("s", 4, ctype.Member{Name: "n", Type: u32})
	have := structOf("s", 8, ctype.Member{Name: "n", Type: u64})
	c := New()
	p, ok := c.Plan("s", want, have)
	require.True(t, ok)

	dst := make([]byte, 4)
	require.NoError(t, p.Apply(dst, []byte{1, 2, 3, 4, 0, 0, 0, 0}))
	require.Equal(t, []byte{1, 2, 3, 4}, dst)
	err := p.Apply(dst, []byte{0, 0, 0, 0, 1, 0, 0, 0})
	require.EqualError(t, err, "struct s.n is 4294967296 in the guest, which does not fit the u32 it was generated as; regenerate")
}

func TestSignChangesMustFit(t *testing.T) {
	for _, c := range []struct {
		want, have *ctype.Shape
		raw        []byte
		fits       bool
	}{
		{u32, s32, []byte{1, 0, 0, 0}, true},
		{u32, s32, []byte{0xff, 0xff, 0xff, 0xff}, false},
		{s32, u32, []byte{0xff, 0xff, 0xff, 0x7f}, true},
		{s32, u32, []byte{0, 0, 0, 0x80}, false},
	} {
		cmp := New()
		p, ok := cmp.Plan("n", c.want, c.have)
		require.True(t, ok)
		require.Equal(t, c.fits, p.Apply(make([]byte, 4), c.raw) == nil, "%s from %s: % x", c.want.Name, c.have.Name, c.raw)
	}
}

// A guest's union whose members divide its bytes differently has no layout that is
// right for all of them.
func TestUnionsThatCannotBeRearrangedAreRefused(t *testing.T) {
	pair := func(a, b int) *ctype.Shape {
		return structOf("pair", 8, ctype.Member{Name: "a", Offset: a, Type: u32}, ctype.Member{Name: "b", Offset: b, Type: u32})
	}
	union := func(a, b int) *ctype.Shape {
		return unionOf(ctype.Member{Name: "whole", Type: u64}, ctype.Member{Name: "pair", Type: pair(a, b)})
	}
	for _, c := range []struct {
		want, have *ctype.Shape
		ok         bool
	}{
		{union(0, 4), union(0, 4), true},
		{union(0, 4), union(4, 0), false},
		{pair(0, 4), pair(4, 0), true},
	} {
		cmp := New()
		_, ok := cmp.Plan("u", c.want, c.have)
		require.Equal(t, c.ok, ok, "%v", cmp.Differences)
	}
}

func TestMembersAreFoundWhereverTheyAreNested(t *testing.T) {
	flat := structOf("s", 8, ctype.Member{Name: "a", Type: u32}, ctype.Member{Name: "b", Offset: 4, Type: u32})
	nested := structOf("s", 16, ctype.Member{Offset: 8, Type: unionOf(ctype.Member{Type: structOf("", 8,
		ctype.Member{Name: "b", Type: u32}, ctype.Member{Name: "a", Offset: 4, Type: u32})})})
	c := New()
	p, ok := c.Plan("s", flat, nested)
	require.True(t, ok, "%v", c.Differences)
	dst := make([]byte, 8)
	require.NoError(t, p.Apply(dst, []byte{8: 0xb, 12: 0xa, 15: 0}))
	require.Equal(t, []byte{0xa, 0, 0, 0, 0xb, 0, 0, 0}, dst)
}

// Structs that the kernel keeps in values have no members in BTF, or one array.
func TestWordsWithoutNamesMoveWithTheirMember(t *testing.T) {
	u64 := &ctype.Shape{Kind: ctype.KindInt, Name: "u64", Size: 8}
	bare := &ctype.Shape{Kind: ctype.KindStruct, Name: "bpf_timer", Size: 16}
	opaque := &ctype.Shape{Kind: ctype.KindStruct, Name: "bpf_timer", Size: 16, Members: []ctype.Member{
		{Name: "__opaque", Type: &ctype.Shape{Kind: ctype.KindArray, Elem: u64, Len: 2, Size: 16}},
	}}
	value := func(timer *ctype.Shape, at int) *ctype.Shape {
		return &ctype.Shape{Kind: ctype.KindStruct, Name: "v", Size: 24, Members: []ctype.Member{{Name: "timer", Offset: at, Type: timer}}}
	}
	src := []byte("........0123456789abcdef")
	for name, pair := range map[string][2]*ctype.Shape{
		"on neither side": {bare, bare}, "generated": {opaque, bare}, "in the guest": {bare, opaque}, "on both": {opaque, opaque},
	} {
		t.Run(name, func(t *testing.T) {
			p, ok := New().Plan("v", value(pair[0], 0), value(pair[1], 8))
			require.True(t, ok)
			dst := make([]byte, 24)
			require.NoError(t, p.Apply(dst, src))
			require.Equal(t, "0123456789abcdef", string(dst[:16]))
		})
	}
}
