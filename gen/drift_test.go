package gen_test

import (
	"os"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/gen"
	"github.com/ktgen/ktgen/runtime"
	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

func readCheckedIn(t testing.TB, i int) *runtime.Layout {
	t.Helper()
	src, err := os.ReadFile(checkedIn[i].file)
	require.NoError(t, err)
	layouts, err := gen.ReadLayouts(checkedIn[i].file, src)
	require.NoError(t, err)
	require.Len(t, layouts, 1)
	return layouts[0]
}

func TestLayoutsDoNotDriftFromThemselves(t *testing.T) {
	for i := range checkedIn {
		differences, err := gen.Drift(readCheckedIn(t, i), readCheckedIn(t, i))
		require.NoError(t, err)
		require.Empty(t, differences)
	}
}

// What is read back of a file is what binding uses: a layout whose shapes all
// resolve.
func TestReadLayoutsReadsEveryTable(t *testing.T) {
	l := readCheckedIn(t, 1)
	require.Equal(t, "sched.bpf.o", l.Object)
	require.Equal(t, "examplesched", l.Package)
	i := slices.IndexFunc(l.Maps, func(m runtime.MapLayout) bool { return m.Name == "task_ctxs" })
	require.Equal(t, runtime.MapLayout{Name: "task_ctxs", Type: ktsnap.MapTypeHash.String(), Key: "s32", Value: "struct task_ctx", Room: 4096}, l.Maps[i])
	require.Equal(t, []string{"section .rodata", "section .data", "section .bss"}, l.Sections)
	table, err := ctype.Parse(l.Shapes)
	require.NoError(t, err)
	for _, ref := range append(l.Types, l.Sections...) {
		_, err := table.Shape(ref)
		require.NoError(t, err)
	}
}

func TestDriftNamesEachField(t *testing.T) {
	u32 := &ctype.Shape{Kind: ctype.KindInt, Name: "u32", Size: 4}
	u64 := &ctype.Shape{Kind: ctype.KindInt, Name: "u64", Size: 8}
	for name, c := range map[string]struct {
		change func(ctx, inner, mode *ctype.Shape)
		want   []ctype.Difference
	}{
		"nothing": {func(_, _, _ *ctype.Shape) {}, nil},
		"a type": {func(ctx, _, _ *ctype.Shape) { ctx.Members[0].Type = u64 },
			[]ctype.Difference{{Path: "struct ctx.weight", Want: "+0 u32", Have: "+0 u64"}}},
		"a place": {func(ctx, _, _ *ctype.Shape) { ctx.Members[0].Offset = 12 },
			[]ctype.Difference{{Path: "struct ctx.weight", Want: "+0 u32", Have: "+12 u32"}}},
		"the width of bits": {func(ctx, _, _ *ctype.Shape) { ctx.Members[1].Bits = 4 },
			[]ctype.Difference{{Path: "struct ctx.state", Want: "+4:0 u32 : 3", Have: "+4:0 u32 : 4"}}},
		"a name": {func(ctx, _, _ *ctype.Shape) { ctx.Members[0].Name = "prio" },
			[]ctype.Difference{
				{Path: "struct ctx.weight", Want: "+0 u32", Have: "nothing of that name"},
				{Path: "struct ctx.prio", Want: "nothing of that name", Have: "+0 u32"},
			}},
		"the size": {func(ctx, _, _ *ctype.Shape) { ctx.Size = 40 },
			[]ctype.Difference{{Path: "struct ctx", Want: "32 bytes", Have: "40 bytes"}}},
		"behind a pointer": {func(_, inner, _ *ctype.Shape) { inner.Members[0].Name = "n" },
			[]ctype.Difference{
				{Path: "struct inner.count", Want: "+0 u64", Have: "nothing of that name"},
				{Path: "struct inner.n", Want: "nothing of that name", Have: "+0 u64"},
			}},
		"an enumerator": {func(_, _, mode *ctype.Shape) { mode.Values[1].Value = 2 },
			[]ctype.Difference{{Path: "enum mode.ON", Want: "1", Have: "2"}}},
		"the size of a type in an array": {func(ctx, _, _ *ctype.Shape) {
			ctx.Members[4].Type = &ctype.Shape{Kind: ctype.KindArray, Len: 2, Size: 4, Elem: &ctype.Shape{Kind: ctype.KindInt, Name: "u32", Size: 2}}
		}, []ctype.Difference{{Path: "struct ctx.slots", Want: "4 bytes", Have: "2 bytes"}}},
	} {
		t.Run(name, func(t *testing.T) {
			mode := &ctype.Shape{Kind: ctype.KindEnum, Name: "mode", Size: 4, Values: []ctype.EnumValue{{Name: "OFF"}, {Name: "ON", Value: 1}}}
			inner := &ctype.Shape{Kind: ctype.KindStruct, Name: "inner", Size: 8, Members: []ctype.Member{{Name: "count", Type: u64}}}
			ctx := &ctype.Shape{Kind: ctype.KindStruct, Name: "ctx", Size: 32, Members: []ctype.Member{
				{Name: "weight", Type: u32},
				{Name: "state", Offset: 4, Type: u32, Bits: 3},
				{Name: "mode", Offset: 8, Type: mode},
				{Name: "inner", Offset: 16, Type: &ctype.Shape{Kind: ctype.KindPointer, Size: 8, Elem: inner}},
				{Name: "slots", Offset: 24, Type: &ctype.Shape{Kind: ctype.KindArray, Len: 2, Size: 8, Elem: u32}},
			}}
			before := hashOf(ctx)
			c.change(ctx, inner, mode)
			differences, err := gen.Drift(before, hashOf(ctx))
			require.NoError(t, err)
			require.Equal(t, c.want, differences)
		})
	}
}

// hashOf is the layout of an object with a map of such values.
func hashOf(value *ctype.Shape) *runtime.Layout {
	var w ctype.Writer
	ref := w.Add(value)
	return &runtime.Layout{
		Shapes: w.String(), Types: []string{ref},
		Maps: []runtime.MapLayout{{Name: "ctxs", Type: ktsnap.MapTypeArray.String(), Value: ref}},
	}
}

func TestDriftNamesMapsAndSections(t *testing.T) {
	var w ctype.Writer
	section := w.Add(&ctype.Shape{Kind: ctype.KindSection, Name: ".bss", Size: 4, Members: []ctype.Member{
		{Name: "nr", Type: &ctype.Shape{Kind: ctype.KindInt, Name: "u32", Size: 4}},
	}})
	before := &runtime.Layout{Shapes: w.String(), Sections: []string{section}, Maps: []runtime.MapLayout{
		{Name: "gone", Type: ktsnap.MapTypeHash.String()}, {Name: "changed", Type: ktsnap.MapTypeHash.String()},
		{Name: "retyped", Type: ktsnap.MapTypeArray.String(), Key: "u32"},
	}}
	after := &runtime.Layout{Shapes: w.String(), Maps: []runtime.MapLayout{
		{Name: "changed", Type: ktsnap.MapTypeArray.String()}, {Name: "retyped", Type: ktsnap.MapTypeArray.String()}, {Name: "new", Type: ktsnap.MapTypeQueue.String()},
	}}
	differences, err := gen.Drift(before, after)
	require.NoError(t, err)
	require.Equal(t, []ctype.Difference{
		{Path: "map gone", Want: "HASH", Have: "nothing of that name"},
		{Path: "map changed", Want: "HASH", Have: "ARRAY"},
		{Path: "key of map retyped", Want: "u32", Have: "bytes"},
		{Path: "map new", Want: "nothing of that name", Have: "QUEUE"},
		{Path: "section .bss", Want: "1 variable", Have: "nothing of that name"},
	}, differences)
}

// Files that were edited are refused, or read as layouts that can be compared.
func FuzzReadLayouts(f *testing.F) {
	for _, c := range checkedIn {
		src, err := os.ReadFile(c.file)
		require.NoError(f, err)
		f.Add(src)
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		layouts, err := gen.ReadLayouts("fuzz.go", src)
		if err != nil {
			return
		}
		for _, l := range layouts {
			if differences, err := gen.Drift(l, l); err == nil {
				require.Empty(t, differences)
			}
		}
	})
}
