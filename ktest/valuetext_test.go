package ktest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/runtime/ctype"
)

func TestValuesOfStoresAreWrittenByTheirTypes(t *testing.T) {
	u32 := &ctype.Shape{Kind: ctype.KindInt, Name: "u32", Size: 4}
	s8 := &ctype.Shape{Kind: ctype.KindInt, Name: "s8", Size: 1, Signed: true}
	s32 := &ctype.Shape{Kind: ctype.KindInt, Name: "int", Size: 4, Signed: true}
	char := &ctype.Shape{Kind: ctype.KindChar, Name: "char", Size: 1, Signed: true}
	policy := &ctype.Shape{Kind: ctype.KindEnum, Name: "policy", Size: 4, Values: []ctype.EnumValue{{Name: "BATCH", Value: 3}}}
	comm := &ctype.Shape{Kind: ctype.KindArray, Elem: char, Len: 16, Size: 16}
	pair := &ctype.Shape{Kind: ctype.KindStruct, Name: "pair", Size: 8, Members: []ctype.Member{{Name: "a", Type: u32}, {Name: "b", Offset: 4, Type: policy}}}
	task := &ctype.Shape{Kind: ctype.KindStruct, Name: "task", Size: 32, Members: []ctype.Member{
		{Name: "pair", Type: pair}, {Name: "comm", Offset: 8, Type: comm}, {Name: "low", Offset: 24, Bits: 3, Type: u32},
	}}
	for _, row := range []struct {
		kind kind
		n    uint64
		want string
	}{
		{kind{}, 7, "7"},
		{kind{shape: u32}, 7, "7"},
		{kind{shape: s8}, 0xff, "-1"},
		{kind{s32, 3}, 7, "-1"},
		{kind{u32, 3}, 7, "7"},
		{kind{shape: policy}, 3, "BATCH"},
		{kind{policy, 2}, 3, "BATCH"},
		{kind{shape: &ctype.Shape{Kind: ctype.KindBool, Name: "_Bool", Size: 1}}, 1, "true"},
		{kind{shape: &ctype.Shape{Kind: ctype.KindPointer, Elem: pair, Size: 8}}, 0xffff888000001000, "0xffff888000001000"},
		{kind{shape: &ctype.Shape{Kind: ctype.KindPointer, Elem: pair, Size: 8}}, 0, "NULL"},
		{kind{shape: pair}, 3<<32 | 5, "{a: 5, b: BATCH}"},
		{kind{shape: task}, 5, "5"},
	} {
		require.Equal(t, row.want, row.kind.text(row.n))
	}

	raw := func(text string) []byte { return append([]byte(text), make([]byte, 16-len(text))...) }
	require.Equal(t, `comm "idle" became "worker"`, Store{change: &change{".comm", comm, raw("idle"), raw("worker")}}.became())
	require.Equal(t, `{a: 5, b: BATCH} became {a: 6, b: BATCH}`, Store{kind: kind{shape: pair}, Old: 3<<32 | 5, New: 3<<32 | 6}.became())

	for off, want := range map[int]string{0: ".pair.a", 5: ".pair.b", 8: ".comm", 23: ".comm", 24: ".low", 28: ""} {
		path, _, leaf := innermost(task, off)
		require.Equal(t, want, path)
		require.Equal(t, want != "", leaf != nil)
	}
}

// What a store finds is not always what the store before it has left.
func TestWritesOfDevicesBetweenStoresAreTold(t *testing.T) {
	policy := kind{shape: &ctype.Shape{Kind: ctype.KindEnum, Name: "policy", Size: 4, Values: []ctype.EnumValue{{Name: "NORMAL", Value: 0}, {Name: "BATCH", Value: 3}}}}
	b := &Blamed{Place: "x", Stores: []Store{
		{Old: 1, New: 0, kind: policy, whole: true},
		{Old: 3, New: 4, kind: policy, whole: true},
		{Old: 4, New: 5, kind: policy, whole: true},
	}}
	require.Regexp(t, `1 became NORMAL\n\ta device has written here: NORMAL became BATCH\n.*BATCH became 4\n.*: 4 became 5$`, b.String())
	require.Equal(t, "nobody has written to x; what a device writes is not seen", (&Blamed{Place: "x"}).String())

	left := uint64(0)
	require.Contains(t, Fire{Old: 3, New: 4, kind: policy, left: &left}.String(), "BATCH became 4 (the CPUs had left it NORMAL: the host, by VM.Write, or a device has made it BATCH)")
}
