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

func TestFlexibleArraysAreWhatEndsAStruct(t *testing.T) {
	s := flexibleShape(4, 4, 8)
	_, ok := s.Flexible()
	require.True(t, ok)
	s.Members = append(s.Members, Member{Name: "behind", Offset: 4, Type: s.Members[0].Type})
	_, ok = s.Flexible()
	require.False(t, ok)
	overlapped := flexibleShape(8, 2, 1) // within the count
	_, ok = overlapped.Flexible()
	require.False(t, ok)
}
