package within

import (
	"reflect"
	"testing"

	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/stretchr/testify/require"
)

type node struct{ ID, Next uint64 }

type pool struct {
	Count uint32
	Nodes [2]node
}

// shapes are those of struct pool with first bytes in front of its nodes.
func shapes(first int) (poolShape, nodeShape *ctype.Shape) {
	u64 := &ctype.Shape{Kind: ctype.KindInt, Name: "u64", Size: 8}
	u32 := &ctype.Shape{Kind: ctype.KindInt, Name: "u32", Size: 4}
	nodeShape = &ctype.Shape{Kind: ctype.KindStruct, Name: "node", Size: 16, Members: []ctype.Member{
		{Name: "id", Type: u64}, {Name: "next", Type: u64, Offset: 8}}}
	nodes := &ctype.Shape{Kind: ctype.KindArray, Size: 32, Elem: nodeShape, Len: 2}
	return &ctype.Shape{Kind: ctype.KindStruct, Name: "pool", Size: first + 32, Members: []ctype.Member{
		{Name: "count", Type: u32}, {Name: "nodes", Type: nodes, Offset: first}}}, nodeShape
}

func TestFieldsAreFoundWhereTheGuestHasThem(t *testing.T) {
	want, _ := shapes(8)
	have, _ := shapes(24) // another build of the object
	var p pool
	var fields Fields
	v := reflect.ValueOf(&p).Elem()

	for offset, wantField := range map[int]any{24: &p.Nodes[0], 40: &p.Nodes[1]} {
		got, ok := fields.At(v, want, have, offset, reflect.TypeFor[node]())
		require.True(t, ok, offset)
		require.Same(t, wantField, got.Addr().Interface())
	}
	for _, offset := range []int{0, 8, 25, 48, 56} {
		_, ok := fields.At(v, want, have, offset, reflect.TypeFor[node]())
		require.False(t, ok, "no node begins at byte %d", offset)
	}
}

func TestTypesLieInOthersAtAnyDepth(t *testing.T) {
	types := NewTypes(reflect.TypeFor[pool](), nil, reflect.TypeFor[string]())
	require.True(t, types.In(reflect.TypeFor[pool]())[reflect.TypeFor[node]()])
	require.True(t, types.LiesInAny(reflect.TypeFor[node]()))
	require.False(t, types.LiesInAny(reflect.TypeFor[pool]()))
}
