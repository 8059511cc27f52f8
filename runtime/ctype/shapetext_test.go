package ctype_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/internal/shapetest"
)

func TestShapesSurviveText(t *testing.T) {
	for seed := range uint64(200) {
		maker := shapetest.New(seed)
		root := maker.Structure(3, "root")
		var w ctype.Writer
		ref := w.Add(root)
		table, err := ctype.Parse(w.String())
		require.NoError(t, err, w.String())
		got, err := table.Shape(ref)
		require.NoError(t, err)
		require.Empty(t, shapetest.Difference(root, got))

		var again ctype.Writer
		require.Equal(t, ref, again.Add(got))
		require.Equal(t, w.String(), again.String())
	}
}

// Text can leave out what C's rules say, and is read as the same shapes.
func TestShapesSurviveTextWithoutTheirPlaces(t *testing.T) {
	shorter := 0
	for seed := range uint64(200) {
		root := shapetest.New(seed).Structure(3, "root")
		whole, w := new(ctype.Writer), ctype.Writer{Natural: true}
		whole.Add(root)
		ref := w.Add(root)
		table, err := ctype.Parse(w.String())
		require.NoError(t, err, w.String())
		got, err := table.Shape(ref)
		require.NoError(t, err)
		require.Empty(t, shapetest.Difference(root, got), w.String())
		shorter += len(whole.String()) - len(w.String())
	}
	require.Positive(t, shorter)
}

// The offsets are those that clang gives these members for the target bpf.
func TestPlacesFollowFromTypes(t *testing.T) {
	table, err := ctype.Parse(`int	u8	1
int	u16	2
int	u32	4
int	u64	8
int	u128	16
struct	inner
		a	u8
		b	u16
struct	packed	packed
		a	u8
		b	u64
union	either
		a	u8
		b	[3]u32
		c	*void
struct	s
		first	u8
		inner	[3]struct inner
		flags	u32
	:3	low	u32
	:30	high	u32
	:5	wide	u64
	:1	bit	u8
	:8	crossing	u8
		either	union either
		packed	struct packed
		behind	u16
		large	u128
	200	far	u8
		last	*void
section	.bss
	8	a	u64
		b	u8
	 static	c	u16
section	.data		cut
		a	u8
`)
	require.NoError(t, err)
	s, err := table.Shape("struct s")
	require.NoError(t, err)
	var places []string
	for _, m := range s.Members {
		place := fmt.Sprintf("%s %d", m.Name, m.Offset)
		if m.Bits > 0 {
			place += fmt.Sprintf(":%d+%d", m.BitOffset, m.Bits)
		}
		places = append(places, place)
	}
	require.Equal(t, []string{
		"first 0", "inner 2", "flags 16", "low 20:0+3", "high 24:0+30", "wide 27:6+5", "bit 28:3+1", "crossing 29:0+8",
		"either 32", "packed 48", "behind 58", "large 64", "far 200", "last 208",
	}, places)
	require.Equal(t, 224, s.Size)
	bss, err := table.Shape("section .bss")
	require.NoError(t, err)
	require.Equal(t, 20, bss.Size)
	require.Equal(t, 18, bss.Members[2].Offset)
	require.True(t, bss.Members[2].Static)
	data, err := table.Shape("section .data")
	require.NoError(t, err)
	require.True(t, data.Cut)
	require.Equal(t, 1, data.Size)
}

func TestShapesKeepWhatTextCouldConfuse(t *testing.T) {
	void := &ctype.Shape{Kind: ctype.KindVoid, Name: "void"}
	for name, s := range map[string]*ctype.Shape{
		"an integer called struct x":  {Kind: ctype.KindInt, Name: "struct x", Size: 4},
		"an integer called void":      {Kind: ctype.KindInt, Name: "void", Size: 4},
		"a name with a tab":           {Kind: ctype.KindStruct, Name: "a\tb", Size: 1},
		"a name with a back quote":    {Kind: ctype.KindStruct, Name: "a`b", Size: 1},
		"a name with a line end":      {Kind: ctype.KindStruct, Name: "a\nb", Size: 1},
		"a name that is no UTF-8":     {Kind: ctype.KindStruct, Name: "a\xff", Size: 1},
		"a name that ends in a space": {Kind: ctype.KindInt, Name: "int ", Size: 4},
		"a number for a name":         {Kind: ctype.KindStruct, Name: "#1", Size: 1},
		"a 32-bit pointer":            {Kind: ctype.KindPointer, Size: 4, Tags: []string{"user"}, Elem: void},
		"a pointer to an array":       {Kind: ctype.KindPointer, Size: 8, Elem: &ctype.Shape{Kind: ctype.KindArray, Len: 2, Size: 8, Elem: &ctype.Shape{Kind: ctype.KindInt, Name: "int", Size: 4}}},
		"a static variable with tags": {Kind: ctype.KindSection, Name: ".bss", Size: 4, Members: []ctype.Member{{Name: "x", Static: true, Tags: []string{"static", "a b"}, Type: &ctype.Shape{Kind: ctype.KindInt, Name: "int", Size: 4}}}},
		"a section without its end":   {Kind: ctype.KindSection, Name: ".rodata", Size: 11, Cut: true, Members: []ctype.Member{{Name: "x", Type: &ctype.Shape{Kind: ctype.KindInt, Name: "int", Size: 4}}}},
		"a declaration":               {Kind: ctype.KindFwd, Name: "cgroup"},
		"a function":                  {Kind: ctype.KindPointer, Size: 8, Elem: &ctype.Shape{Kind: ctype.KindFunc}},
		"a negative enumerator":       {Kind: ctype.KindEnum, Name: "e", Size: 4, Signed: true, Values: []ctype.EnumValue{{"MINUS", ^uint64(0)}}},
	} {
		t.Run(name, func(t *testing.T) {
			var w ctype.Writer
			ref := w.Add(s)
			require.NotContains(t, w.String(), "`")
			table, err := ctype.Parse(w.String())
			require.NoError(t, err, w.String())
			got, err := table.Shape(ref)
			require.NoError(t, err, ref)
			require.Empty(t, shapetest.Difference(s, got))
		})
	}
}

func TestTypesOfOneNameStayApart(t *testing.T) {
	a := &ctype.Shape{Kind: ctype.KindStruct, Name: "s", Size: 4}
	b := &ctype.Shape{Kind: ctype.KindStruct, Name: "s", Size: 8}
	var w ctype.Writer
	refA, refB := w.Add(a), w.Add(b)
	table, err := ctype.Parse(w.String())
	require.NoError(t, err)
	gotA, err := table.Shape(refA)
	require.NoError(t, err)
	gotB, err := table.Shape(refB)
	require.NoError(t, err)
	require.Equal(t, 4, gotA.Size)
	require.Equal(t, 8, gotB.Size)
}

func TestDamagedShapesAreRefused(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"no keyword":               {"thing\tx\t4\n", "does not begin a definition"},
		"member before definition": {"\t0\tx\tint\n", "a member before any definition"},
		"member of an integer":     {"int\tx\t4\n\t0\ty\tx\n", "has no members"},
		"unknown type":             {"struct\ts\t4\n\t0\tx\tfoo\n", `"foo" is not defined`},
		"member beyond the end":    {"int\ti\t4\nstruct\ts\t4\n\t1\tx\ti\n", "s.x: ends at byte 5 of 4"},
		"contains itself":          {"struct\ts\t4\n\t0\tx\tstruct s\n", "contains itself"},
		"typedef of itself":        {"typedef\tt\tt\n", "contains itself"},
		"array too large":          {"int\ti\t8\nstruct\ts\t8\n\t0\tx\t[2147483647]i\n", "too large"},
		"wide bitfield":            {"int\ti\t4\nstruct\ts\t8\n\t0:0+33\tx\ti\n", "33 bits in 4 bytes"},
		"bitfield of a struct":     {"struct\ta\t4\nstruct\ts\t8\n\t0:0+3\tx\tstruct a\n", "no integer"},
		"defined twice":            {"int\ti\t4\nint\ti\t4\n", "i is defined twice"},
		"no size":                  {"int\ti\n", "neither size nor type"},
		"negative size":            {"int\ti\t-4\n", "is not a size"},
		"strange size":             {"bool\tb\t3\n", "cannot have 3 bytes"},
		"no size of an enum":       {"enum\te\t\n", "neither size nor type"},
		"contains itself unplaced": {"struct\ts\n\t\tx\tstruct s\n", "contains itself"},
		"a packed union":           {"union\tu\tpacked\n", "is not a size"},
		"no end":                   {"int\ti\t8\nstruct\ts\n" + strings.Repeat("\t\tx\t[500000000]i\n", 3), "more than"},
		"wide unplaced bitfield":   {"int\ti\t4\nstruct\ts\n\t:33\tx\ti\n", "33 bits in 4 bytes"},
		"bitfield without a width": {"int\ti\t4\nstruct\ts\n\t:\tx\ti\n", "does not place a bitfield"},
		"endless pointers":         {"struct\ts\t8\n\t0\tx\t" + strings.Repeat("*", 100) + "void\n", "more than 64 pointers"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ctype.Parse(c.text)
			var shapeErr *ctype.ShapeError
			require.ErrorAs(t, err, &shapeErr)
			require.ErrorContains(t, err, c.want)
		})
	}
}

func TestNestingIsBoundedInTimeAndDepth(t *testing.T) {
	var b strings.Builder
	b.WriteString("struct\ts0\t0\n") // s1 has s0 twice, s2 has s1 twice: 2^200 paths, all empty
	for i := range 200 {
		fmt.Fprintf(&b, "struct\ts%d\t0\n\t0\t\tstruct s%d\n\t0\t\tstruct s%d\n", i+1, i, i)
	}
	_, err := ctype.Parse(b.String())
	require.ErrorContains(t, err, "nested more than 64 deep")
}

// nested is a table of that many structs in one another, and a number in the
// last of them.
func nested(structs int) string {
	var b strings.Builder
	b.WriteString("int\ti\t4\nstruct\ts1\t4\n\t0\tx\ti\n")
	for i := 2; i <= structs; i++ {
		fmt.Fprintf(&b, "struct\ts%d\t4\n\t0\tx\tstruct s%d\n", i, i-1)
	}
	return b.String()
}

// Package btf counts what holds other types, and not what is in the last.
func TestAsManyTypesAreNestedAsInBTF(t *testing.T) {
	_, err := ctype.Parse(nested(ctype.MaxNesting))
	require.NoError(t, err)
	_, err = ctype.Parse(nested(ctype.MaxNesting + 1))
	require.ErrorContains(t, err, "nested more than 64 deep")
}

func FuzzParseShapes(f *testing.F) {
	for seed := range uint64(8) {
		var w ctype.Writer
		w.Add(shapetest.New(seed).Structure(3, "root"))
		f.Add(w.String())
	}
	f.Add("int\ti\t4\nstruct\tp\tpacked\n\t:3\tx\ti\n\t\ty\ti\nstruct\ts\n\t\tx\ti\n\t:3\ty\ti\nsection\t.bss\t\tcut\n\t size 10\tz\tstruct s\n")
	f.Add("#1 struct\t\"a\\tb\"\t4\n\t0:1+3 static\tx\t*(4 \"user\")[3]int\t\"tag\"\nint\tint\t4\tsigned\n")
	f.Fuzz(func(t *testing.T, text string) {
		table, err := ctype.Parse(text)
		if err != nil {
			return
		}
		// What is accepted can be written and read again.
		for _, w := range []*ctype.Writer{{}, {Natural: true}} {
			for _, s := range table.All() {
				w.Add(s)
				s.Fields()
			}
			_, err = ctype.Parse(w.String())
			require.NoError(t, err, w.String())
		}
	})
}
