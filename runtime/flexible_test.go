package runtime

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"
)

// flexibleShape is a struct of a count and, at offset, elements of size bytes.
func flexibleShape(size, offset, elemSize int) *Shape {
	count := &Shape{Kind: KindInt, Name: "u32", Size: 4}
	elem := &Shape{Kind: KindInt, Name: "elem", Size: elemSize}
	return &Shape{Kind: KindStruct, Name: "flexible", Size: size, Members: []Member{
		{Name: "n", Type: count},
		{Name: "items", Offset: offset, Type: &Shape{Kind: KindArray, Elem: elem}},
	}}
}

// The elements are rearranged like every other member, as many as there are.
func TestFlexibleArraysOfAnotherLayoutAreRearranged(t *testing.T) {
	for name, bigEndian := range map[string]bool{"little-endian": false, "big-endian": true} {
		t.Run(name, func(t *testing.T) {
			var order binary.AppendByteOrder = binary.LittleEndian
			if bigEndian {
				order = binary.BigEndian
			}
			raw := order.AppendUint32(nil, 3)
			raw = append(raw, make([]byte, 4)...) // moved by 4 bytes
			for i := range 3 {
				raw = order.AppendUint16(raw, uint16(0x1234*(i+1)))
			}
			want, have := flexibleShape(4, 4, 4), flexibleShape(8, 8, 2)
			c := newComparison(bigEndian)
			p, ok := c.plan("flexible", want, have)
			require.True(t, ok, c.differences)
			arranged := (&Decoder{}).arrange(raw, p)
			require.Equal(t, []byte{3, 0, 0, 0, 0x34, 0x12, 0, 0, 0x68, 0x24, 0, 0, 0x9c, 0x36, 0, 0}, arranged)
			require.Equal(t, arranged[:4], (&Decoder{}).arrange(raw[:8], p)) // without elements
		})
	}
}

func TestFlexibleArraysOfTheSameLayoutStay(t *testing.T) {
	c := newComparison(false)
	p, ok := c.plan("flexible", flexibleShape(8, 6, 2), flexibleShape(8, 6, 2))
	require.True(t, ok)
	require.Nil(t, p)
}

func TestOpenEndedIsWhatEndsInAFlexibleArray(t *testing.T) {
	u32 := &Shape{Kind: KindInt, Name: "u32", Size: 4}
	flex := flexibleShape(4, 4, 8)
	structOf := func(members ...Member) *Shape { return &Shape{Kind: KindStruct, Size: 12, Members: members} }
	for name, tt := range map[string]struct {
		shape *Shape
		want  bool
	}{
		"last":                       {flex, true},
		"something behind":           {structOf(append(flex.Members[:2:2], Member{Name: "behind", Offset: 4, Type: u32})...), false},
		"within another":             {flexibleShape(8, 2, 1), false},
		"in the last member":         {structOf(Member{Name: "a", Type: u32}, Member{Name: "b", Offset: 4, Type: flex}), true},
		"in the first":               {structOf(Member{Name: "a", Type: flex}, Member{Name: "b", Offset: 4, Type: u32}), false},
		"in a union":                 {&Shape{Kind: KindUnion, Size: 4, Members: []Member{{Name: "a", Type: flex}, {Name: "b", Type: u32}}}, true},
		"a typedef":                  {&Shape{Kind: KindTypedef, Elem: flex, Size: 4}, true},
		"an array of open-ended":     {&Shape{Kind: KindArray, Elem: flex, Len: 2, Size: 8}, false},
		"a union that has no end":    {endless(), false},
		"elements without any bytes": {flexibleShape(4, 4, 0), false},
	} {
		require.Equal(t, tt.want, tt.shape.OpenEnded(), name)
	}
}

// endless returns a union that would take forever to look through.
func endless() *Shape {
	s := &Shape{Kind: KindInt, Size: 4}
	for range 64 {
		s = &Shape{Kind: KindUnion, Size: 4, Members: []Member{{Name: "a", Type: s}, {Name: "b", Type: s}}}
	}
	return s
}

// A member of a union has the room of the union, and goes on as far as that does.
func TestRoomOfFlexibleArraysInUnions(t *testing.T) {
	u32 := &Shape{Kind: KindInt, Name: "u32", Size: 4}
	words := &Shape{Kind: KindArray, Elem: u32}
	union := &Shape{Kind: KindUnion, Size: 8, Members: []Member{
		{Name: "fixed", Type: &Shape{Kind: KindArray, Elem: u32, Len: 2, Size: 8}}, {Name: "words", Type: words},
	}}
	last := &Shape{Kind: KindStruct, Size: 12, Members: []Member{{Name: "n", Type: u32}, {Type: union, Offset: 4}}}
	first := &Shape{Kind: KindStruct, Size: 12, Members: []Member{{Type: union}, {Name: "n", Type: u32, Offset: 8}}}
	raw := make([]byte, 20)
	for name, tt := range map[string]struct {
		shape *Shape
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
