package cast_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/cilium/ebpf/btf"
	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/cast"
	"github.com/ktgen/ktgen/object"
)

// What is stored in a place is listed below the reason, which may not deny it.
func TestPlacesThatHoldDifferentThingsAreExplained(t *testing.T) {
	files, err := filepath.Glob("testdata/objects/*.clang-19.O2.o")
	require.NoError(t, err)
	explained := 0
	for _, file := range files {
		obj, err := object.Open(file)
		require.NoError(t, err)
		a := cast.Run(obj, cast.Options{})
		for _, c := range a.Result().Conflicts {
			if c.Map != nil {
				continue
			}
			x, err := a.Explain(placeName(c.Container, c.Map, c.Path))
			require.NoError(t, err, file)
			if x.Finding == nil {
				require.Regexp(t, "different things|pointers and numbers", x.Why, "%s: %s", file, x.Place)
				explained++
			}
		}
	}
	require.Greater(t, explained, 3)
}

// described is an object of types, a map and a section, without programs.
func described(t *testing.T) *object.Object {
	u8, u16 := &btf.Int{Name: "u8", Size: 1}, &btf.Int{Name: "u16", Size: 2}
	u32, u64 := &btf.Int{Name: "u32", Size: 4}, &btf.Int{Name: "u64", Size: 8}
	holder := &btf.Struct{Name: "holder", Size: 32, Members: []btf.Member{{Name: "in", Type: &btf.Array{
		Index: u32, Nelems: 2, Type: &btf.Struct{Size: 16, Members: []btf.Member{{Name: "n", Type: u64}, {Name: "task", Type: u64, Offset: 64}}},
	}}}}
	flexible := &btf.Struct{Name: "flexi", Size: 4, Members: []btf.Member{{Name: "n", Type: u32}, {Name: "e", Offset: 32, Type: &btf.Array{
		Index: u32, Type: &btf.Struct{Size: 4, Members: []btf.Member{{Name: "a", Type: u16}, {Name: "b", Type: u8, Offset: 16}}},
	}}}}
	onion := &btf.Union{Name: "onion", Size: 24, Members: []btf.Member{
		{Type: &btf.Struct{Size: 8, Members: []btf.Member{{Name: "t", Type: u8}, {Name: "i", Type: u32, Offset: 32}}}},
		{Name: "raw", Type: &btf.Array{Index: u32, Nelems: 3, Type: u64}},
		{Name: "c", Type: &btf.Array{Index: u32, Nelems: 20, Type: u8}},
	}}
	bits := &btf.Struct{Name: "bits", Size: 16, Members: []btf.Member{
		{Name: "none", Type: &btf.Struct{}},
		{Name: "a", Type: u32, BitfieldSize: 4}, {Name: "b", Type: u32, Offset: 8, BitfieldSize: 8}, {Name: "c", Type: u64, Offset: 64, BitfieldSize: 63},
	}}
	section := &btf.Datasec{Name: ".data", Size: 64, Vars: []btf.VarSecinfo{
		{Type: &btf.Var{Name: "fx", Type: flexible}, Size: 12},
		{Type: &btf.Var{Name: "on", Type: onion}, Offset: 16, Size: 24},
		{Type: &btf.Var{Name: "zw", Type: bits}, Offset: 40, Size: 16},
	}}
	b, err := btf.NewBuilder([]btf.Type{holder, section}, nil)
	require.NoError(t, err)
	raw, err := b.Marshal(nil, &btf.MarshalOptions{Order: binary.LittleEndian})
	require.NoError(t, err)
	spec, err := btf.LoadSpecFromReader(bytes.NewReader(raw))
	require.NoError(t, err)
	obj := &object.Object{Name: "described.bpf.o", Types: spec}
	var value *btf.Struct
	require.NoError(t, spec.TypeByName("holder", &value))
	var data *btf.Datasec
	require.NoError(t, spec.TypeByName(".data", &data))
	obj.Maps = []object.Map{{Name: "hs", Value: value}}
	obj.Sections = []object.Section{{Name: ".data", Type: data, Vars: []object.Var{{Name: "fx"}, {Name: "on"}, {Name: "zw"}}}}
	return obj
}

func TestExplanationsAreOfThePlaceThatWasNamed(t *testing.T) {
	a := cast.Run(described(t), cast.Options{})
	for name, want := range map[string]string{
		"holder.in[1].task": "struct holder.in[].task (u64)",
		"holder.in.task":    "struct holder.in[].task (u64)",
		"hs.in[].n":         "struct holder.in[].n (u64)",
		"fx.e[].b":          ".data.fx.e[].b (u8)",
		"fx.e.a":            ".data.fx.e[].a (u16)",
		"flexi.e.b":         "struct flexi.e[].b (u8)",
		"on.raw":            "union onion.raw[] (u64)",
		"on.i":              ".data.on.i (u32)",
		"on.c":              ".data.on.c[] (u8)",
		"zw.b":              ".data.zw.b (u32)",
		"zw.c":              ".data.zw.c (u64)",
	} {
		x, err := a.Explain(name)
		require.NoError(t, err)
		require.Equal(t, want, fmt.Sprintf("%s (%s)", x.Place, x.Type))
	}
	x, err := a.Explain("zw.c")
	require.NoError(t, err)
	require.Equal(t, "it is a bitfield", x.Why)
}

func TestStructsAndUnionsAreExplainedByTheirMembers(t *testing.T) {
	a := cast.Run(described(t), cast.Options{})
	for name, want := range map[string]string{
		"holder":         "explain which member of struct holder? it has in",
		"holder.in":      "explain which member of struct holder.in[]? it has n, task",
		"holder.in[1]":   "explain which member of struct holder.in[]? it has n, task",
		"hs":             "explain which member of map hs? it has in",
		"hs.in":          "explain which member of map hs.in[]? it has n, task",
		"fx":             "explain which member of .data.fx? it has n, e",
		"fx.e":           "explain which member of .data.fx.e[]? it has a, b",
		"on":             "explain which member of .data.on? it has t, i, raw, c",
		"zw":             "explain which member of .data.zw? it has none, a, b, c",
		"zw.none":        "explain .data.zw.none: anonymous struct has no members",
		"holder.in.tsk":  "explain holder.in.tsk: find tsk in anonymous struct: no such member: tsk; did you mean task? (it has n, task)",
		"holder.in[2].n": "explain holder.in[2].n: find in[2] in struct holder: index 2 of an array of 2",
	} {
		_, err := a.Explain(name)
		require.EqualError(t, err, want)
	}
}
