package dump_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/dump"
	"github.com/ktgen/ktgen/runtime/ctype"
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

func typesOf(t *testing.T, shapes ...*ctype.Shape) (d typesDocument) {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, dump.JSONTypes(&b, shapes))
	require.NoError(t, json.Unmarshal(b.Bytes(), &d), b.String())
	require.Len(t, d.Types, len(shapes))
	return d
}

func TestTypesAsJSONReferToLayoutsThatAreReadBack(t *testing.T) {
	d := typesOf(t, taskCtx, policy)
	table, err := ctype.Parse(d.Layouts)
	require.NoError(t, err)
	for i, want := range []*ctype.Shape{taskCtx, policy} {
		got, err := table.Shape(d.Types[i].Layout)
		require.NoError(t, err)
		require.Equal(t, want.Name, got.Name)
		require.Equal(t, want.Size, d.Types[i].Size)
		for j, m := range d.Types[i].Members {
			s, err := table.Shape(m.Layout)
			require.NoError(t, err)
			require.Equal(t, ctype.Spell(s), m.Type)
			require.Equal(t, want.Members[j].Offset, m.Offset)
			require.Equal(t, want.Members[j].Type.Size, m.Size)
		}
	}
	require.Equal(t, "char[16]", d.Types[0].Members[4].Type)
}

func TestAnonymousMembersOfTypesAreNestedWithOffsetsFromTheOutside(t *testing.T) {
	inner := &ctype.Shape{Kind: ctype.KindUnion, Size: 8, Members: []ctype.Member{member(0, "lo", u32), member(4, "hi", u32)}}
	d := typesOf(t, structure("outer", 16, member(0, "a", u64), member(8, "", inner)))
	union := d.Types[0].Members[1]
	require.Equal(t, "union", union.Kind)
	require.Empty(t, union.Type)
	require.Equal(t, "hi", union.Members[1].Name)
	require.Equal(t, 12, union.Members[1].Offset)
}

func TestEnumeratorsThatReadersOfJSONWouldRoundAreText(t *testing.T) {
	big := &ctype.Shape{Kind: ctype.KindEnum, Name: "big", Size: 8, Values: []ctype.EnumValue{{Name: "ALL", Value: 1<<64 - 1}, {Name: "ONE", Value: 1}}}
	signed := &ctype.Shape{Kind: ctype.KindEnum, Name: "signed", Size: 8, Signed: true, Values: []ctype.EnumValue{{Name: "NONE", Value: 1<<64 - 1}, {Name: "LEAST", Value: 1 << 63}}}
	d := typesOf(t, big, signed)
	require.JSONEq(t, `{"$int":"18446744073709551615"}`, string(d.Types[0].Values[0].Value))
	require.Equal(t, "1", string(d.Types[0].Values[1].Value))
	require.Equal(t, "-1", string(d.Types[1].Values[0].Value))
	require.JSONEq(t, `{"$int":"-9223372036854775808"}`, string(d.Types[1].Values[1].Value))
}

// Types that only a typedef or a member has a name for are printed where they are.
func TestTypesWithoutANamePrintTheirMembers(t *testing.T) {
	u16 := integer("u16", 2, false)
	typedef := func(name string, s *ctype.Shape) *ctype.Shape {
		return &ctype.Shape{Kind: ctype.KindTypedef, Name: name, Elem: s, Size: s.Size}
	}
	task := typedef("task_ctx_t", structure("", 16, member(0, "pid", u32), member(8, "vtime", u64)))
	both := typedef("both_t", &ctype.Shape{Kind: ctype.KindUnion, Size: 4, Members: []ctype.Member{member(0, "a", u32), member(0, "b", array(u16, 2))}})
	state := typedef("state_t", &ctype.Shape{Kind: ctype.KindEnum, Size: 4, Values: []ctype.EnumValue{{Name: "OFF"}, {Name: "ON", Value: 5}}})
	in := structure("", 4, member(0, "x", u32))
	pair := typedef("pair_t", array(in, 2))
	holder := structure("holder", 32, member(0, "t", task), member(16, "in", in), member(24, "out", pointer(in)))
	for want, s := range map[string]*ctype.Shape{
		"typedef struct {\n\tu32 pid;\t/* 0 */\n\tu64 vtime;\t/* 8 */\n} task_ctx_t;\n\n": task,
		"typedef union {\n\tu32 a;\t/* 0 */\n\tu16 b[2];\t/* 0 */\n} both_t;\n\n":         both,
		"typedef enum {\n\tOFF = 0,\n\tON = 5,\n} state_t;\n\n":                           state,
		"typedef struct {\n\tu32 x;\t/* 0 */\n} pair_t[2];\n\n":                           pair,
		"struct holder {\t/* 32 bytes */\n\ttask_ctx_t t;\t/* 0 */\n\tstruct {\n\t\tu32 x;\t/* 16 */\n\t} in;\t/* 16 */\n" +
			"\tstruct {\n\t\tu32 x;\t/* 0 */\n\t} *out;\t/* 24 */\n};\n\n": holder,
	} {
		var b bytes.Buffer
		dump.Type(&b, s)
		require.Equal(t, want, b.String())
	}
	d := typesOf(t, task, both, state, pair, holder)
	require.Equal(t, "vtime", d.Types[0].Members[1].Name)
	require.Equal(t, 8, d.Types[0].Members[1].Offset)
	require.Equal(t, "u16[2]", d.Types[1].Members[1].Type)
	require.Equal(t, "ON", d.Types[2].Values[1].Name)
	require.Equal(t, "x", d.Types[3].Members[0].Name)
	require.Equal(t, 16, d.Types[4].Members[1].Members[0].Offset)
	require.Equal(t, 0, d.Types[4].Members[2].Members[0].Offset)
	require.Empty(t, d.Types[4].Members[0].Members, "its type has a name")
}
