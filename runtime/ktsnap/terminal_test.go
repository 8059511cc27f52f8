package ktsnap_test

import (
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// no stands for a TypeMismatchError.
const no = "no"

func TestTerminalsTakeWhatTheAcceptanceTableSays(t *testing.T) {
	entry := newGuest().Map("scalars").At(0)
	for _, row := range []struct {
		path, kind        string
		u, i, b, f64, str any
	}{
		{"u", "Uint", uint64(7), int64(7), true, 7.0, no},
		{"zero", "Uint", uint64(0), int64(0), false, 0.0, no},
		{"top", "Uint", uint64(1 << 63), no, true, float64(1 << 63), no},
		{"i", "Int", uint64(8), int64(8), true, 8.0, no},
		{"neg", "Int", no, int64(-3), true, -3.0, no},
		{"big", "Uint", no, no, true, float64(1 << 64), no},
		{"neg_big", "Int", no, int64(-5), true, -5.0, no},
		{"small_big", "Uint", uint64(9), int64(9), true, 9.0, no},
		{"bits", "Uint", uint64(5), int64(5), true, 5.0, no},
		{"neg_bits", "Int", no, int64(-2), true, -2.0, no},
		{"e", "Enum", uint64(3), int64(3), true, 3.0, "POLICY_BATCH"},
		{"neg_e", "Enum", no, int64(-1), true, -1.0, "DELTA_DOWN"},
		{"odd_e", "Enum", uint64(17), int64(17), true, 17.0, no},
		{"top_e", "Enum", uint64(1 << 63), no, true, float64(1 << 63), "WIDE_TOP"},
		{"b", "Bool", uint64(1), int64(1), true, no, no},
		{"odd_b", "Bool", uint64(1), int64(1), true, no, no},
		{"c", "Char", uint64(0xe4), int64(-28), true, no, no},
		{"p", "Ptr", uint64(0xdead_0000), no, true, no, no},
		{"f32", "Float", no, no, no, 1.5, no},
		{"f64", "Float", no, no, no, -2.25, no},
		{"long", "Float", no, no, no, no, no},
		{"name", "Array", no, no, no, no, "ab"},
		{"bytes", "Array", no, no, no, no, no},
		{"s", "Struct", no, no, no, no, no},
	} {
		t.Run(row.path, func(t *testing.T) {
			v := entry.Get(row.path)
			require.NoError(t, v.Err())
			u, err := v.Uint64()
			requireRead(t, row.u, u, err, row.kind, row.path)
			i, err := v.Int64()
			requireRead(t, row.i, i, err, row.kind, row.path)
			b, err := v.Bool()
			requireRead(t, row.b, b, err, row.kind, row.path)
			f, err := v.Float64()
			requireRead(t, row.f64, f, err, row.kind, row.path)
			str, err := v.Str()
			requireRead(t, row.str, str, err, row.kind, row.path)
			_, err = v.Bytes()
			require.NoError(t, err)
			rendered, err := v.Rendered()
			require.NoError(t, err)
			require.Equal(t, row.kind, rendered.Kind)
		})
	}
}

func requireRead(t *testing.T, want, got any, err error, kind, path string) {
	t.Helper()
	if want != no {
		require.NoError(t, err)
		require.Equal(t, want, got)
		return
	}
	var mismatch *ktsnap.TypeMismatchError
	require.ErrorAs(t, err, &mismatch)
	require.Equal(t, kind, mismatch.Actual)
	require.Equal(t, path, mismatch.Requested)
	require.NotEmpty(t, mismatch.Expected)
}

func TestKeysOfPerCPUArraysAreNumbers(t *testing.T) {
	key := newGuest().Map("scx_per_task").At(2).Key()
	u, err := key.Uint64()
	require.NoError(t, err)
	require.EqualValues(t, 2, u)
	i, err := key.Int64()
	require.NoError(t, err)
	require.EqualValues(t, 2, i)
	b, err := key.Bool()
	require.NoError(t, err)
	require.True(t, b)
	f, err := key.Float64()
	require.NoError(t, err)
	require.EqualValues(t, 2, f)
	_, err = key.Str()
	var mismatch *ktsnap.TypeMismatchError
	require.ErrorAs(t, err, &mismatch)
	require.Equal(t, "Uint", mismatch.Actual)
}

func TestBytesAreTheGuestsAndACopy(t *testing.T) {
	s := newGuest()
	read := func() []byte {
		b, err := s.Map("scalars").At(0).Get("name").Bytes()
		require.NoError(t, err)
		return b
	}
	require.Equal(t, []byte("ab\x00c\x00\x00\x00\x00"), read())
	clear(read())
	require.Equal(t, []byte("ab\x00c\x00\x00\x00\x00"), read())

	untyped, err := s.Map("untyped").At(0).Get("").Bytes()
	require.NoError(t, err)
	require.Equal(t, []byte("abcd"), untyped)
}

func TestValuesRenderInOneLine(t *testing.T) {
	s := newGuest()
	for path, want := range map[string]string{
		"ctx":       "{weight: 100, policy: POLICY_BATCH, whole: 8589934593, lo: 1, hi: 2}",
		"comm":      `"worker/7"`,
		"per_llc":   "[0, 10, 20, 30]",
		"cgroup":    "NULL",
		"leader":    "0xffff888000100060",
		"ctx.hi":    "2",
		"tid":       "1234",
		"ctx.whole": "8589934593",
	} {
		r, err := s.Map("scx_per_task").CPU(0).At(0).Get(path).Rendered()
		require.NoError(t, err, path)
		require.Equal(t, want, r.String(), path)
	}
	r, err := s.Map("untyped").At(0).Get("").Rendered()
	require.NoError(t, err)
	require.Equal(t, ktsnap.Rendered{Kind: "Bytes", Text: "0x61626364"}, r)
}

// Numbers of 128 bits are themselves on both sides of zero, below and above what
// 64 bits hold.
func TestNumbersOf128BitsAreThemselves(t *testing.T) {
	for want, words := range map[string][2]uint64{
		"-36893488147419103227": {5, math.MaxUint64 - 1}, "-18446744073709551616": {0, math.MaxUint64}, "-9223372036854775809": {1<<63 - 1, math.MaxUint64},
		"-9223372036854775808": {1 << 63, math.MaxUint64}, "-1": {math.MaxUint64, math.MaxUint64}, "0": {0, 0}, "9223372036854775808": {1 << 63, 0},
		"18446744073709551616": {0, 1}, "-170141183460469231731687303715884105728": {0, 1 << 63}, "170141183460469231731687303715884105727": {math.MaxUint64, math.MaxInt64},
	} {
		s := newGuest()
		m := s.Maps[slices.IndexFunc(s.Maps, func(m *ktsnap.Map) bool { return m.Name == "scalars" })]
		writer{m.Values}.u64(96, words[0])
		writer{m.Values}.u64(104, words[1])
		r, err := s.Map("scalars").At(0).Get("neg_big").Rendered()
		require.NoError(t, err)
		require.Equal(t, want, r.String())
	}
}

func TestRenderingIsBounded(t *testing.T) {
	m := columns(&ktsnap.Map{Name: "m", Type: ktsnap.MapTypeArray, KeySize: 4, ValueSize: 1 << 20, Value: structure("s", 1<<20, member(0, "a", array(u8, 1<<20)))}, 1, 1)
	r, err := (&ktsnap.Snapshot{Maps: []*ktsnap.Map{m}}).Map("m").At(0).Get("").Rendered()
	require.NoError(t, err)
	a := r.Fields[0].Value
	require.Len(t, a.Elems, 1<<16)
	require.Equal(t, 1<<20-1<<16, a.Omitted)
	require.Contains(t, r.String(), ", ... 983040 more]}")
}

// Packed bitfields touch nine bytes.
func TestBitfieldsCanTouchNineBytes(t *testing.T) {
	m := columns(&ktsnap.Map{Name: "m", Type: ktsnap.MapTypeArray, KeySize: 4, ValueSize: 9, Value: structure("s", 9, bitfield(0, 7, 60, "x", u64))}, 1, 1)
	for i := range 9 {
		m.Values[i] = 0xff
	}
	requireUint(t, 1<<60-1, (&ktsnap.Snapshot{Maps: []*ktsnap.Map{m}}).Map("m").At(0).Get("x"))
}

func TestZeroValuesFailAndDoNotPanic(t *testing.T) {
	var noSnapshot *ktsnap.Snapshot
	_, zero := ktsnap.Value{}.Get("a").Uint64()
	_, zeroBytes := ktsnap.Value{}.Deref().Get("[0]").Rendered()
	_, zeroEntry := ktsnap.Entry{}.CPU(1).Get("a").Str()
	_, zeroMap := ktsnap.MapView{}.CPU(1).Partial().At(1).Get("a").Str()
	_, length := ktsnap.MapView{}.Len()
	_, filter := ktsnap.MapView{}.Filter(func(ktsnap.Entry) bool { return true })
	_, nilVar := noSnapshot.Var("x").Get("y").Bool()
	for i, err := range []error{
		zero, zeroBytes, zeroEntry, zeroMap, length, filter, nilVar,
		ktsnap.MapView{}.Find(nil).Err(), ktsnap.MapView{}.MaxBy(nil).Key().Err(), ktsnap.MapView{}.Lookup(1).Err(),
		ktsnap.View{}.Map("x").Err(), noSnapshot.Active().Map("x").Err(), noSnapshot.Select().Var("x").Err(),
		ktsnap.View{}.Var("x").Err(), ktsnap.View{}.MapByID(1).Err(),
	} {
		var none *ktsnap.NoCaptureError
		require.True(t, errors.As(err, &none), "%d: %v", i, err)
	}
}
