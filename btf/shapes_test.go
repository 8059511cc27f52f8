package btf_test

import (
	"math"
	"testing"

	"github.com/cilium/ebpf/btf"
	"github.com/stretchr/testify/require"

	ktbtf "github.com/ktgen/ktgen/btf"
	"github.com/ktgen/ktgen/runtime/ctype"
)

var (
	u8   = &btf.Int{Name: "unsigned char", Size: 1}
	char = &btf.Int{Name: "char", Size: 1, Encoding: btf.Signed}
	s32  = &btf.Int{Name: "int", Size: 4, Encoding: btf.Signed}
	u32  = &btf.Int{Name: "unsigned int", Size: 4}
	u64  = &btf.Int{Name: "unsigned long long", Size: 8}
)

func shapeOf(t *testing.T, typ btf.Type) *ctype.Shape {
	t.Helper()
	shape, err := ktbtf.NewShapes().Of(typ)
	require.NoError(t, err)
	return shape
}

func TestScalarsKeepSizeSignAndMeaning(t *testing.T) {
	for name, tc := range map[string]struct {
		in   btf.Type
		want ctype.Shape
	}{
		"int":             {s32, ctype.Shape{Kind: ctype.KindInt, Name: "int", Size: 4, Signed: true}},
		"unsigned":        {u64, ctype.Shape{Kind: ctype.KindInt, Name: "unsigned long long", Size: 8}},
		"__int128":        {&btf.Int{Name: "__int128", Size: 16, Encoding: btf.Signed}, ctype.Shape{Kind: ctype.KindInt, Name: "__int128", Size: 16, Signed: true}},
		"char by name":    {char, ctype.Shape{Kind: ctype.KindChar, Name: "char", Size: 1, Signed: true}},
		"char on arm":     {&btf.Int{Name: "char", Size: 1}, ctype.Shape{Kind: ctype.KindChar, Name: "char", Size: 1}},
		"char encoded":    {&btf.Int{Name: "i8", Size: 1, Encoding: btf.Char}, ctype.Shape{Kind: ctype.KindChar, Name: "i8", Size: 1}},
		"u8 is no char":   {u8, ctype.Shape{Kind: ctype.KindInt, Name: "unsigned char", Size: 1}},
		"u8 with CHAR":    {&btf.Int{Name: "unsigned char", Size: 1, Encoding: btf.Char}, ctype.Shape{Kind: ctype.KindInt, Name: "unsigned char", Size: 1}},
		"bool":            {&btf.Int{Name: "_Bool", Size: 1, Encoding: btf.Bool}, ctype.Shape{Kind: ctype.KindBool, Name: "_Bool", Size: 1}},
		"double":          {&btf.Float{Name: "double", Size: 8}, ctype.Shape{Kind: ctype.KindFloat, Name: "double", Size: 8}},
		"const volatile":  {&btf.Const{Type: &btf.Volatile{Type: s32}}, ctype.Shape{Kind: ctype.KindInt, Name: "int", Size: 4, Signed: true}},
		"fwd":             {&btf.Fwd{Name: "sdt_data"}, ctype.Shape{Kind: ctype.KindFwd, Name: "sdt_data"}},
		"enum fwd":        {&btf.Enum{Name: "e"}, ctype.Shape{Kind: ctype.KindFwd, Name: "e"}},
		"void":            {&btf.Void{}, ctype.Shape{Kind: ctype.KindVoid, Name: "void"}},
		"signed enum":     {&btf.Enum{Name: "e", Size: 4, Signed: true, Values: []btf.EnumValue{{Name: "A", Value: math.MaxUint64}}}, ctype.Shape{Kind: ctype.KindEnum, Name: "e", Size: 4, Signed: true, Values: []ctype.EnumValue{{Name: "A", Value: math.MaxUint64}}}},
		"cut enum":        {&btf.Enum{Name: "e", Size: 1, Values: []btf.EnumValue{{Name: "A", Value: 0xffffff9c}}}, ctype.Shape{Kind: ctype.KindEnum, Name: "e", Size: 1, Values: []ctype.EnumValue{{Name: "A", Value: 0x9c}}}},
		"cut signed enum": {&btf.Enum{Name: "e", Size: 2, Signed: true, Values: []btf.EnumValue{{Name: "A", Value: 0xffff8000}}}, ctype.Shape{Kind: ctype.KindEnum, Name: "e", Size: 2, Signed: true, Values: []ctype.EnumValue{{Name: "A", Value: 0xffff_ffff_ffff_8000}}}},
		"enum64":          {&btf.Enum{Name: "e", Size: 8, Values: []btf.EnumValue{{Name: "B", Value: 1 << 63}}}, ctype.Shape{Kind: ctype.KindEnum, Name: "e", Size: 8, Values: []ctype.EnumValue{{Name: "B", Value: 1 << 63}}}},
		"function":        {&btf.FuncProto{Return: s32}, ctype.Shape{Kind: ctype.KindFunc}},
		"variable's type": {&btf.Var{Name: "v", Type: s32}, ctype.Shape{Kind: ctype.KindInt, Name: "int", Size: 4, Signed: true}},
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, &tc.want, shapeOf(t, tc.in)) })
	}
}

func TestPointersKeepTheirTagsAndMayCycle(t *testing.T) {
	node := &btf.Struct{Name: "node", Size: 16}
	node.Members = []btf.Member{
		{Name: "next", Type: &btf.Pointer{Target: &btf.TypeTag{Value: "arena", Type: &btf.Const{Type: &btf.TypeTag{Value: "rcu", Type: node}}}}},
		{Name: "data", Offset: 64, Type: &btf.Pointer{Target: &btf.Void{}}},
	}
	shape := shapeOf(t, node)
	next := shape.Members[0].Type
	require.Equal(t, ctype.KindPointer, next.Kind)
	require.Equal(t, []string{"arena", "rcu"}, next.Tags)
	require.Same(t, shape, next.Elem)
	require.Equal(t, ctype.KindVoid, shape.Members[1].Type.Elem.Kind)
}

func TestTheSameTypeIsTheSameShape(t *testing.T) {
	shapes := ktbtf.NewShapes()
	inner := &btf.Struct{Name: "in", Size: 4, Members: []btf.Member{{Name: "x", Type: s32}}}
	first, err := shapes.Of(inner)
	require.NoError(t, err)
	arr, err := shapes.Of(&btf.Array{Index: u32, Type: inner, Nelems: 3})
	require.NoError(t, err)
	require.Same(t, first, arr.Elem)
	require.Equal(t, 12, arr.Size)
}

func TestArraysMultiplyThroughTypedefs(t *testing.T) {
	row := &btf.Typedef{Name: "row_t", Type: &btf.Array{Index: u32, Type: u32, Nelems: 5}}
	grid := shapeOf(t, &btf.Array{Index: u32, Type: row, Nelems: 3})
	require.Equal(t, 60, grid.Size)
	require.Equal(t, "row_t", grid.Elem.Name)
	require.Equal(t, 20, grid.Elem.Size)
	flexible := shapeOf(t, &btf.Array{Index: u32, Type: u64, Nelems: 0})
	require.Zero(t, flexible.Size)
	require.Zero(t, flexible.Len)
}

func TestBitfieldsAreGivenFromTheByteOfTheirFirstBit(t *testing.T) {
	s := shapeOf(t, &btf.Struct{Name: "flags", Size: 8, Members: []btf.Member{
		{Name: "a", Type: u32, Offset: 0, BitfieldSize: 3},
		{Name: "b", Type: u32, Offset: 13, BitfieldSize: 11},
		{Name: "whole", Type: u32, Offset: 32, BitfieldSize: 32},
	}})
	require.Equal(t, []uint8{3, 11, 0}, []uint8{s.Members[0].Bits, s.Members[1].Bits, s.Members[2].Bits})
	require.Equal(t, 1, s.Members[1].Offset)
	require.EqualValues(t, 5, s.Members[1].BitOffset)
	require.Equal(t, 4, s.Members[2].Offset)
}

func TestPackedAnonymousAndTaggedMembersAreKept(t *testing.T) {
	anon := &btf.Union{Size: 8, Members: []btf.Member{{Name: "p", Type: u64}, {Name: "q", Type: u32}}}
	s := shapeOf(t, &btf.Struct{Name: "packed", Size: 13, Members: []btf.Member{
		{Name: "c", Type: char},
		{Name: "u", Type: u32, Offset: 8, Tags: []string{"ktgen:hex"}},
		{Type: anon, Offset: 40},
	}})
	require.Equal(t, []int{0, 1, 5}, []int{s.Members[0].Offset, s.Members[1].Offset, s.Members[2].Offset})
	require.Equal(t, []string{"ktgen:hex"}, s.Members[1].Tags)
	require.Equal(t, ctype.KindUnion, s.Members[2].Type.Kind)
	require.Equal(t, 13, s.Size)
}

func TestSectionsListVariablesByOffset(t *testing.T) {
	s := shapeOf(t, &btf.Datasec{Name: ".bss", Size: 16, Vars: []btf.VarSecinfo{
		{Type: &btf.Var{Name: "b", Type: u64, Linkage: btf.StaticVar}, Offset: 8, Size: 8},
		{Type: &btf.Var{Name: "a", Type: u32, Linkage: btf.GlobalVar, Tags: []string{"t"}}, Offset: 0, Size: 4},
	}})
	require.Equal(t, ctype.KindSection, s.Kind)
	require.Equal(t, "a", s.Members[0].Name)
	require.False(t, s.Members[0].Static)
	require.Equal(t, []string{"t"}, s.Members[0].Tags)
	require.True(t, s.Members[1].Static)
	require.Equal(t, 8, s.Members[1].Offset)
}

func TestForwardDeclarationsBecomeTheOnlyDefinition(t *testing.T) {
	def := func(size uint32) *btf.Struct {
		return &btf.Struct{Name: "sdt_data", Size: size, Members: []btf.Member{{Name: "x", Type: u32}}}
	}
	pointer := &btf.Pointer{Target: &btf.Fwd{Name: "sdt_data", Kind: btf.FwdStruct}}
	for name, tc := range map[string]struct {
		specs []*btf.Spec
		want  ctype.Kind
	}{
		"none":          {nil, ctype.KindFwd},
		"one":           {[]*btf.Spec{specOf(t, def(8))}, ctype.KindStruct},
		"two in one":    {[]*btf.Spec{specOf(t, def(8), def(16))}, ctype.KindFwd},
		"two siblings":  {[]*btf.Spec{specOf(t, def(8)), specOf(t, def(16))}, ctype.KindFwd},
		"other keyword": {[]*btf.Spec{specOf(t, &btf.Union{Name: "sdt_data", Size: 4})}, ctype.KindFwd},
	} {
		t.Run(name, func(t *testing.T) {
			shape, err := ktbtf.NewShapes(tc.specs...).Of(pointer)
			require.NoError(t, err)
			require.Equal(t, tc.want, shape.Elem.Kind)
		})
	}
}

func specOf(t *testing.T, types ...btf.Type) *btf.Spec {
	t.Helper()
	spec, err := ktbtf.Parse(marshal(t, types...))
	require.NoError(t, err)
	return spec
}

func marshal(t testing.TB, types ...btf.Type) []byte {
	t.Helper()
	b, err := btf.NewBuilder(types, nil)
	require.NoError(t, err)
	raw, err := b.Marshal(nil, nil)
	require.NoError(t, err)
	return raw
}

func TestMalformedTypesAreRefusedWithTheirRule(t *testing.T) {
	member := func(m btf.Member) btf.Type {
		return &btf.Struct{Name: "s", Size: 8, Members: []btf.Member{m}}
	}
	self := &btf.Struct{Name: "self", Size: 8}
	self.Members = []btf.Member{{Name: "me", Type: &btf.Array{Index: u32, Type: self, Nelems: 1}}}
	circle := &btf.Typedef{Name: "t"}
	circle.Type = circle
	qualified := &btf.Const{}
	qualified.Type = qualified
	deep := btf.Type(u32)
	for range 100 {
		deep = &btf.Typedef{Name: "deeper", Type: deep}
	}

	for name, tc := range map[string]struct {
		in   btf.Type
		rule string
	}{
		"member beyond the struct":   {member(btf.Member{Name: "m", Type: u64, Offset: 8}), "struct s: member m: ends at bit 72 of 64"},
		"bitfield beyond the struct": {member(btf.Member{Name: "m", Type: u32, Offset: 60, BitfieldSize: 5}), "ends at bit 65 of 64"},
		"bitfield wider than type":   {member(btf.Member{Name: "m", Type: u8, BitfieldSize: 9}), "is 9 bits wide, and its type 8"},
		"bitfield of a pointer":      {member(btf.Member{Name: "m", Type: &btf.Pointer{Target: u8}, BitfieldSize: 9}), "is a bitfield and no integer"},
		"member inside a byte":       {member(btf.Member{Name: "m", Type: u8, Offset: 3}), "starts at bit 3, inside a byte"},
		"void member":                {member(btf.Member{Name: "m", Type: &btf.Void{}}), "a void has no size"},
		"function member":            {member(btf.Member{Name: "m", Type: &btf.FuncProto{}}), "a function has no size"},
		"undefined member":           {member(btf.Member{Type: &btf.Fwd{Name: "f"}}), "member 0 (anonymous): a type without definition has no size"},
		"array of undefined":         {&btf.Array{Index: u32, Type: &btf.Fwd{Name: "f"}, Nelems: 2}, "a type without definition has no size"},
		"array overflow":             {&btf.Array{Index: u32, Type: &btf.Array{Index: u32, Type: u64, Nelems: math.MaxUint32}, Nelems: math.MaxUint32}, "is more than"},
		"struct in itself":           {self, "contains itself"},
		"typedef of itself":          {circle, "contains itself"},
		"const of itself":            {qualified, "qualifiers"},
		"too deep":                   {deep, "nested more than 64 deep"},
		"too deep behind a pointer":  {&btf.Pointer{Target: deep}, "nested more than 64 deep"},
		"int of no bytes":            {&btf.Int{Name: "i"}, "an integer of 0 bytes"},
		"int of 32 bytes":            {&btf.Int{Name: "i", Size: 32}, "an integer of 32 bytes"},
		"enum of 0 bytes":            {&btf.Enum{Name: "e", Values: []btf.EnumValue{{Name: "A"}}}, "an enum of 0 bytes"},
		"enum of 3 bytes":            {&btf.Enum{Name: "e", Size: 3}, "an enum of 3 bytes"},
		"float of 3 bytes":           {&btf.Float{Name: "f", Size: 3}, "a float of 3 bytes"},
		"section without size":       {&btf.Datasec{Name: ".bss", Vars: []btf.VarSecinfo{{Type: &btf.Var{Name: "v", Type: u8}}}}, "not laid out"},
		"variable beyond section":    {&btf.Datasec{Name: ".bss", Size: 4, Vars: []btf.VarSecinfo{{Type: &btf.Var{Name: "v", Type: u8}, Offset: math.MaxUint32, Size: 1}}}, "member v: ends at byte 4294967296 of 4"},
		"variable smaller than type": {&btf.Datasec{Name: ".bss", Size: 4, Vars: []btf.VarSecinfo{{Type: &btf.Var{Name: "v", Type: u64}, Size: 4}}}, "member v: ends at byte 8 of 4"},
	} {
		t.Run(name, func(t *testing.T) {
			shapes := ktbtf.NewShapes()
			for range 2 { // a failure leaves nothing behind
				_, err := shapes.Of(tc.in)
				var format *ktbtf.FormatError
				require.ErrorAs(t, err, &format)
				require.ErrorContains(t, err, tc.rule)
			}
		})
	}
}

func TestNestingIsBoundedAcrossConversions(t *testing.T) {
	shapes := ktbtf.NewShapes()
	deep := btf.Type(u32)
	var err error
	for i := 0; i < 200 && err == nil; i++ {
		deep = &btf.Typedef{Name: "deeper", Type: deep}
		_, err = shapes.Of(deep)
	}
	require.ErrorContains(t, err, "nested more than 64 deep")
}

func TestErrorsNameTheTypeID(t *testing.T) {
	spec := specOf(t, u32, &btf.Struct{Name: "bad", Size: 2, Members: []btf.Member{{Name: "m", Type: u32}}})
	bad, err := spec.AnyTypeByName("bad")
	require.NoError(t, err)
	_, err = ktbtf.NewShapes(spec).Of(bad)
	require.EqualError(t, err, "malformed BTF: type 2 (struct bad): member m: ends at bit 32 of 16")
}
