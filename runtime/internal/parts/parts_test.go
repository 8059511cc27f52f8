package parts

import (
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"
)

type inner struct{ A, B uint32 }

type outer struct {
	First inner
	Rows  [3]inner
	Last  uint64
}

func of(p any) Part { return Of(reflect.ValueOf(p).Elem()) }

func TestPartsAreKeptOncePerByte(t *testing.T) {
	var v outer
	var l List
	require.Empty(t, l.Add(of(&v.Rows[1].B)))
	require.Empty(t, l.Add(of(&v.First)))
	require.True(t, l.Has(of(&v.Rows[1].B)))
	require.True(t, l.Has(of(&v.First.B)), "it is in one that was added")
	require.False(t, l.Has(of(&v.Rows[1])), "a part of it was added only")
	require.False(t, l.Has(of(&v.Last)))

	before := l.Add(of(&v.Rows))
	require.Equal(t, []Part{of(&v.Rows[1].B)}, before)
	require.Equal(t, List{of(&v.First), of(&v.Rows)}, l)
}

func TestWhatWasWrittenBeforeStays(t *testing.T) {
	dst := outer{First: inner{1, 2}, Rows: [3]inner{{3, 4}, {5, 6}, {7, 8}}, Last: 9}
	src := outer{First: inner{10, 20}, Rows: [3]inner{{30, 40}, {50, 60}, {70, 80}}, Last: 90}
	var l List
	l.Add(of(&dst.Rows[1].B))
	l.Add(of(&dst.First))
	CopyAround(reflect.ValueOf(&dst).Elem(), reflect.ValueOf(&src).Elem(), l)
	require.Equal(t, outer{First: inner{1, 2}, Rows: [3]inner{{30, 40}, {50, 6}, {70, 80}}, Last: 90}, dst)
}
