package runtime

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/internal/convert"
)

// flexibleShape is a struct of a count and, at offset, elements of size bytes.
func flexibleShape(size, offset, elemSize int) *ctype.Shape {
	count := &ctype.Shape{Kind: ctype.KindInt, Name: "u32", Size: 4}
	elem := &ctype.Shape{Kind: ctype.KindInt, Name: "elem", Size: elemSize}
	return &ctype.Shape{Kind: ctype.KindStruct, Name: "flexible", Size: size, Members: []ctype.Member{
		{Name: "n", Type: count},
		{Name: "items", Offset: offset, Type: &ctype.Shape{Kind: ctype.KindArray, Elem: elem}},
	}}
}

// The elements are rearranged like every other member, as many as there are.
func TestFlexibleArraysOfAnotherLayoutAreRearranged(t *testing.T) {
	raw := binary.LittleEndian.AppendUint32(nil, 3)
	raw = append(raw, make([]byte, 4)...) // moved by 4 bytes
	for i := range 3 {
		raw = binary.LittleEndian.AppendUint16(raw, uint16(0x1234*(i+1)))
	}
	want, have := flexibleShape(4, 4, 4), flexibleShape(8, 8, 2)
	c := convert.New()
	p, ok := c.Plan("flexible", want, have)
	require.True(t, ok, c.Differences)
	arranged := (&Decoder{}).arrange(raw, p)
	require.Equal(t, []byte{3, 0, 0, 0, 0x34, 0x12, 0, 0, 0x68, 0x24, 0, 0, 0x9c, 0x36, 0, 0}, arranged)
	require.Equal(t, arranged[:4], (&Decoder{}).arrange(raw[:8], p)) // without elements
}

func TestFlexibleArraysOfTheSameLayoutStay(t *testing.T) {
	c := convert.New()
	p, ok := c.Plan("flexible", flexibleShape(8, 6, 2), flexibleShape(8, 6, 2))
	require.True(t, ok)
	require.Nil(t, p)
}

func TestOpenEndedIsWhatEndsInAFlexibleArray(t *testing.T) {
	u32 := &ctype.Shape{Kind: ctype.KindInt, Name: "u32", Size: 4}
	flex := flexibleShape(4, 4, 8)
	structOf := func(members ...ctype.Member) *ctype.Shape {
		return &ctype.Shape{Kind: ctype.KindStruct, Size: 12, Members: members}
	}
	for name, tt := range map[string]struct {
		shape *ctype.Shape
		want  bool
	}{
		"last":                       {flex, true},
		"something behind":           {structOf(append(flex.Members[:2:2], ctype.Member{Name: "behind", Offset: 4, Type: u32})...), false},
		"within another":             {flexibleShape(8, 2, 1), false},
		"in the last member":         {structOf(ctype.Member{Name: "a", Type: u32}, ctype.Member{Name: "b", Offset: 4, Type: flex}), true},
		"in the first":               {structOf(ctype.Member{Name: "a", Type: flex}, ctype.Member{Name: "b", Offset: 4, Type: u32}), false},
		"in a union":                 {&ctype.Shape{Kind: ctype.KindUnion, Size: 4, Members: []ctype.Member{{Name: "a", Type: flex}, {Name: "b", Type: u32}}}, true},
		"a typedef":                  {&ctype.Shape{Kind: ctype.KindTypedef, Elem: flex, Size: 4}, true},
		"an array of open-ended":     {&ctype.Shape{Kind: ctype.KindArray, Elem: flex, Len: 2, Size: 8}, false},
		"a union that has no end":    {endless(), false},
		"elements without any bytes": {flexibleShape(4, 4, 0), false},
	} {
		require.Equal(t, tt.want, tt.shape.OpenEnded(), name)
	}
}

// endless returns a union that would take forever to look through.
func endless() *ctype.Shape {
	s := &ctype.Shape{Kind: ctype.KindInt, Size: 4}
	for range 64 {
		s = &ctype.Shape{Kind: ctype.KindUnion, Size: 4, Members: []ctype.Member{{Name: "a", Type: s}, {Name: "b", Type: s}}}
	}
	return s
}

// A member of a union has the room of the union, and goes on as far as that does.
func TestRoomOfFlexibleArraysInUnions(t *testing.T) {
	u32 := &ctype.Shape{Kind: ctype.KindInt, Name: "u32", Size: 4}
	words := &ctype.Shape{Kind: ctype.KindArray, Elem: u32}
	union := &ctype.Shape{Kind: ctype.KindUnion, Size: 8, Members: []ctype.Member{
		{Name: "fixed", Type: &ctype.Shape{Kind: ctype.KindArray, Elem: u32, Len: 2, Size: 8}}, {Name: "words", Type: words},
	}}
	last := &ctype.Shape{Kind: ctype.KindStruct, Size: 12, Members: []ctype.Member{{Name: "n", Type: u32}, {Type: union, Offset: 4}}}
	first := &ctype.Shape{Kind: ctype.KindStruct, Size: 12, Members: []ctype.Member{{Type: union}, {Name: "n", Type: u32, Offset: 8}}}
	raw := make([]byte, 20)
	for name, tt := range map[string]struct {
		shape *ctype.Shape
		field int
		want  int
	}{
		"of the value":      {last, 2, 16},
		"of the union":      {first, 1, 8},
		"of what is behind": {first, 2, 4},
	} {
		fields := tt.shape.Fields()
		require.Len(t, fields[tt.field].Bytes(raw), tt.want, name)
	}
}
