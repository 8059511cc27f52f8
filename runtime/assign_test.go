package runtime_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/internal/sample"
	ktrt "github.com/ktgen/ktgen/runtime"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// TestBitfieldsAreAssignedBitByBit makes each bitfield another value: those beside it
// stay.
func TestBitfieldsAreAssignedBitByBit(t *testing.T) {
	was := sample.Bits{One: 1, Twelve: 0x123, Negative: -5, Big: 1<<32 | 7, Rest: 1 << 30, Policy: 1, Yes: true, First: 1 << 62, Second: 1<<59 | 1}
	is := sample.Bits{One: 0, Twelve: 0xedc, Negative: 17, Big: 1<<31 | 8, Rest: 1<<29 | 1, Policy: 2, Yes: false, First: 1<<61 | 3, Second: 1 << 58}
	shot := sample.Fixture{Bits: []sample.Bits{was}}.Snapshot(t)
	m := shot.Maps[slices.IndexFunc(shot.Maps, func(m *ktsnap.Map) bool { return m.Name == "bits" })]
	m.Addrs = make([]uint64, m.N)
	for i := range m.Addrs {
		m.Addrs[i] = 0xffff888000001000 + uint64(i*m.Stride)
	}
	assign(t, shot, m, func(b *sample.Bits) *uint32 { return &b.One }, is.One, func(b *sample.Bits) { b.One = is.One })
	assign(t, shot, m, func(b *sample.Bits) *uint32 { return &b.Twelve }, is.Twelve, func(b *sample.Bits) { b.Twelve = is.Twelve })
	assign(t, shot, m, func(b *sample.Bits) *int32 { return &b.Negative }, is.Negative, func(b *sample.Bits) { b.Negative = is.Negative })
	assign(t, shot, m, func(b *sample.Bits) *uint64 { return &b.Big }, is.Big, func(b *sample.Bits) { b.Big = is.Big })
	assign(t, shot, m, func(b *sample.Bits) *uint64 { return &b.Rest }, is.Rest, func(b *sample.Bits) { b.Rest = is.Rest })
	assign(t, shot, m, func(b *sample.Bits) *sample.Policy { return &b.Policy }, is.Policy, func(b *sample.Bits) { b.Policy = is.Policy })
	assign(t, shot, m, func(b *sample.Bits) *bool { return &b.Yes }, is.Yes, func(b *sample.Bits) { b.Yes = is.Yes })
	assign(t, shot, m, func(b *sample.Bits) *uint64 { return &b.First }, is.First, func(b *sample.Bits) { b.First = is.First })
	assign(t, shot, m, func(b *sample.Bits) *uint64 { return &b.Second }, is.Second, func(b *sample.Bits) { b.Second = is.Second })
	require.Equal(t, is, *sample.Bind(t, shot).Bits().At(0))

	snap := sample.Bind(t, shot)
	_, _, _, err := ktrt.Assign(snap, &snap.Bits().At(0).Twelve, 0x1000)
	var refused *ktrt.AssignError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, "bits[0].twelve", refused.Path)
}

// assign writes into the captured bytes what [ktrt.Assign] says, and compares all
// members with what they are then to be.
func assign[T any](t *testing.T, shot *ktsnap.Snapshot, m *ktsnap.Map, at func(*sample.Bits) *T, to T, change func(*sample.Bits)) {
	t.Helper()
	snap := sample.Bind(t, shot)
	bits := snap.Bits().At(0)
	place, value, mask, err := ktrt.Assign(snap, at(bits), to)
	require.NoError(t, err)
	raw := m.Values[place.Addr-m.Addrs[0]:][:place.Size]
	for i := range raw {
		raw[i] = raw[i]&^mask[i] | value[i]&mask[i]
	}
	want := *bits
	change(&want)
	require.Equal(t, want, *sample.Bind(t, shot).Bits().At(0))
}

// A list is cut by making a pointer NULL.
func TestPointersAreAssignedNULL(t *testing.T) {
	shot := sample.Fixture{Pointers: []sample.Pointers{{}}}.Snapshot(t)
	m := shot.Maps[slices.IndexFunc(shot.Maps, func(m *ktsnap.Map) bool { return m.Name == "pointers" })]
	m.Base = 0xffff888000001000
	snap := sample.Bind(t, shot)
	p := snap.Pointers().At(0)
	place, value, mask, err := ktrt.Assign(snap, &p.Node, nil)
	require.NoError(t, err)
	require.Nil(t, mask)
	require.Equal(t, make([]byte, 8), value)
	require.EqualValues(t, 8, place.Size)

	var refused *ktrt.AssignError
	_, _, _, err = ktrt.Assign(snap, &p.Node, new(sample.Node))
	require.ErrorAs(t, err, &refused)
	require.ErrorContains(t, err, "set pointers[0].node: a *sample.Node holds pointers")
	require.ErrorContains(t, err, "set a pointer to nil, or to an address by its path")
	_, _, _, err = ktrt.Assign(snap, p, *p)
	require.ErrorContains(t, err, "holds pointers")

	at := shot.Map("pointers").At(0)
	_, value, _, err = ktrt.AssignAny(at.Get("node"), nil)
	require.NoError(t, err)
	require.Equal(t, make([]byte, 8), value)
	_, value, _, err = ktrt.AssignAny(at.Get("node"), uint64(0x1234))
	require.NoError(t, err)
	require.Equal(t, []byte{0x34, 0x12, 0, 0, 0, 0, 0, 0}, value)
}

// Members of a union that are set by name must agree, as those of typed values.
func TestMembersThatShareBytesAreSetToOneValue(t *testing.T) {
	shot := sample.Fixture{Nested: []sample.Nested{{}}}.Snapshot(t)
	m := shot.Maps[slices.IndexFunc(shot.Maps, func(m *ktsnap.Map) bool { return m.Name == "nested" })]
	m.Base = 0xffff888000001000
	at := shot.Map("nested").At(0).Get("")
	for want, given := range map[string]map[string]any{
		"":                         {"whole": uint64(2)<<32 | 1, "hi": 2, "lo": 1},
		"hi: it shares bytes with": {"whole": uint64(1) << 32, "hi": 2},
		"lo: it shares bytes with": {"whole": 1, "lo": 0},
	} {
		_, _, _, err := ktrt.AssignAny(at, given)
		if want == "" {
			require.NoError(t, err)
			continue
		}
		var refused *ktrt.AssignError
		require.ErrorAs(t, err, &refused)
		require.ErrorContains(t, err, want+" whole, which is given another value: give one of them")
	}
}
