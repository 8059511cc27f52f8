package runtime

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestShapesSurviveText(t *testing.T) {
	for seed := range uint64(200) {
		maker := newShapeMaker(seed)
		root := maker.structure(3, "root")
		var w ShapeWriter
		ref := w.Add(root)
		table, err := ParseShapes(w.String())
		require.NoError(t, err, w.String())
		got, err := table.Shape(ref)
		require.NoError(t, err)
		requireSameShape(t, root, got)

		var again ShapeWriter
		require.Equal(t, ref, again.Add(got))
		require.Equal(t, w.String(), again.String())
	}
}

// requireSameShape compares graphs of shapes.
func requireSameShape(t *testing.T, want, got *Shape) {
	t.Helper()
	seen := make(map[pair]bool)
	queue := []pair{{want, got}}
	for len(queue) > 0 {
		p := queue[0]
		queue = queue[1:]
		if seen[p] || p.want == nil && p.have == nil {
			continue
		}
		seen[p] = true
		w, g := *p.want, *p.have
		queue = append(queue, pair{w.Elem, g.Elem})
		require.Len(t, g.Members, len(w.Members), w.Name)
		for i := range w.Members {
			wm, gm := w.Members[i], g.Members[i]
			queue = append(queue, pair{wm.Type, gm.Type})
			wm.Type, gm.Type = nil, nil
			require.Equal(t, wm, gm)
		}
		w.Elem, g.Elem, w.Members, g.Members = nil, nil, nil, nil
		require.Equal(t, w, g)
	}
}

func TestShapesKeepWhatTextCouldConfuse(t *testing.T) {
	void := &Shape{Kind: KindVoid, Name: "void"}
	for name, s := range map[string]*Shape{
		"an integer called struct x":  {Kind: KindInt, Name: "struct x", Size: 4},
		"an integer called void":      {Kind: KindInt, Name: "void", Size: 4},
		"a name with a tab":           {Kind: KindStruct, Name: "a\tb", Size: 1},
		"a name with a back quote":    {Kind: KindStruct, Name: "a`b", Size: 1},
		"a name with a line end":      {Kind: KindStruct, Name: "a\nb", Size: 1},
		"a name that is no UTF-8":     {Kind: KindStruct, Name: "a\xff", Size: 1},
		"a name that ends in a space": {Kind: KindInt, Name: "int ", Size: 4},
		"a number for a name":         {Kind: KindStruct, Name: "#1", Size: 1},
		"a 32-bit pointer":            {Kind: KindPointer, Size: 4, Tags: []string{"user"}, Elem: void},
		"a pointer to an array":       {Kind: KindPointer, Size: 8, Elem: &Shape{Kind: KindArray, Len: 2, Size: 8, Elem: &Shape{Kind: KindInt, Name: "int", Size: 4}}},
		"a static variable with tags": {Kind: KindSection, Name: ".bss", Size: 4, Members: []Member{{Name: "x", Static: true, Tags: []string{"static", "a b"}, Type: &Shape{Kind: KindInt, Name: "int", Size: 4}}}},
		"a declaration":               {Kind: KindFwd, Name: "cgroup"},
		"a function":                  {Kind: KindPointer, Size: 8, Elem: &Shape{Kind: KindFunc}},
		"a negative enumerator":       {Kind: KindEnum, Name: "e", Size: 4, Signed: true, Values: []EnumValue{{"MINUS", ^uint64(0)}}},
	} {
		t.Run(name, func(t *testing.T) {
			var w ShapeWriter
			ref := w.Add(s)
			require.NotContains(t, w.String(), "`")
			table, err := ParseShapes(w.String())
			require.NoError(t, err, w.String())
			got, err := table.Shape(ref)
			require.NoError(t, err, ref)
			requireSameShape(t, s, got)
		})
	}
}

func TestTypesOfOneNameStayApart(t *testing.T) {
	a := &Shape{Kind: KindStruct, Name: "s", Size: 4}
	b := &Shape{Kind: KindStruct, Name: "s", Size: 8}
	var w ShapeWriter
	refA, refB := w.Add(a), w.Add(b)
	table, err := ParseShapes(w.String())
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
		"endless pointers":         {"struct\ts\t8\n\t0\tx\t" + strings.Repeat("*", 100) + "void\n", "more than 64 pointers"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ParseShapes(c.text)
			var shapeErr *ShapeError
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
	_, err := ParseShapes(b.String())
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
	_, err := ParseShapes(nested(maxNesting))
	require.NoError(t, err)
	_, err = ParseShapes(nested(maxNesting + 1))
	require.ErrorContains(t, err, "nested more than 64 deep")
}

func FuzzParseShapes(f *testing.F) {
	for seed := range uint64(8) {
		var w ShapeWriter
		w.Add(newShapeMaker(seed).structure(3, "root"))
		f.Add(w.String())
	}
	f.Add("#1 struct\t\"a\\tb\"\t4\n\t0:1+3 static\tx\t*(4 \"user\")[3]int\t\"tag\"\nint\tint\t4\tsigned\n")
	f.Fuzz(func(t *testing.T, text string) {
		table, err := ParseShapes(text)
		if err != nil {
			return
		}
		// What is accepted can be written and read again.
		var w ShapeWriter
		for _, s := range table.All() {
			w.Add(s)
			s.Fields()
		}
		_, err = ParseShapes(w.String())
		require.NoError(t, err, w.String())
	})
}
