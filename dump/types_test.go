package dump_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/dump"
	ktrt "github.com/ktgen/ktgen/runtime"
)

type typesDocument struct {
	Layouts string
	Types   []struct {
		Kind, Name, Type, Layout string
		Size                     int
		Members                  []struct {
			Name, Type, Layout, Kind string
			Offset, Bits, Size       int
			BitOffset                int `json:"bit_offset"`
			Members                  []struct {
				Name   string
				Offset int
			}
		}
		Values []struct {
			Name  string
			Value json.RawMessage
		}
	}
}

func typesOf(t *testing.T, shapes ...*ktrt.Shape) (d typesDocument) {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, dump.JSONTypes(&b, shapes))
	require.NoError(t, json.Unmarshal(b.Bytes(), &d), b.String())
	require.Len(t, d.Types, len(shapes))
	return d
}

func TestTypesAsJSONReferToLayoutsThatAreReadBack(t *testing.T) {
	d := typesOf(t, taskCtx, policy)
	table, err := ktrt.ParseShapes(d.Layouts)
	require.NoError(t, err)
	for i, want := range []*ktrt.Shape{taskCtx, policy} {
		got, err := table.Shape(d.Types[i].Layout)
		require.NoError(t, err)
		require.Equal(t, want.Name, got.Name)
		require.Equal(t, want.Size, d.Types[i].Size)
		for j, m := range d.Types[i].Members {
			s, err := table.Shape(m.Layout)
			require.NoError(t, err)
			require.Equal(t, ktrt.CType(s), m.Type)
			require.Equal(t, want.Members[j].Offset, m.Offset)
			require.Equal(t, want.Members[j].Type.Size, m.Size)
		}
	}
	require.Equal(t, "char[16]", d.Types[0].Members[4].Type)
}

func TestAnonymousMembersOfTypesAreNestedWithOffsetsFromTheOutside(t *testing.T) {
	inner := &ktrt.Shape{Kind: ktrt.KindUnion, Size: 8, Members: []ktrt.Member{member(0, "lo", u32), member(4, "hi", u32)}}
	d := typesOf(t, structure("outer", 16, member(0, "a", u64), member(8, "", inner)))
	union := d.Types[0].Members[1]
	require.Equal(t, "union", union.Kind)
	require.Empty(t, union.Type)
	require.Equal(t, "hi", union.Members[1].Name)
	require.Equal(t, 12, union.Members[1].Offset)
}

func TestEnumeratorsThatReadersOfJSONWouldRoundAreText(t *testing.T) {
	big := &ktrt.Shape{Kind: ktrt.KindEnum, Name: "big", Size: 8, Values: []ktrt.EnumValue{{Name: "ALL", Value: 1<<64 - 1}, {Name: "ONE", Value: 1}}}
	signed := &ktrt.Shape{Kind: ktrt.KindEnum, Name: "signed", Size: 8, Signed: true, Values: []ktrt.EnumValue{{Name: "NONE", Value: 1<<64 - 1}, {Name: "LEAST", Value: 1 << 63}}}
	d := typesOf(t, big, signed)
	require.JSONEq(t, `{"$int":"18446744073709551615"}`, string(d.Types[0].Values[0].Value))
	require.Equal(t, "1", string(d.Types[0].Values[1].Value))
	require.Equal(t, "-1", string(d.Types[1].Values[0].Value))
	require.JSONEq(t, `{"$int":"-9223372036854775808"}`, string(d.Types[1].Values[1].Value))
}
