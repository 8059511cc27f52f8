package runtime_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/dump"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// This file holds the JSON dump to reads by path, on each leaf of every map,
// whatever its bytes are. With dynamic_test.go, which holds those to generated
// code, all three readers say the same.

// document is what dump/SCHEMA.md describes, as far as it is compared.
type document struct {
	Maps []documentMap
}

type documentMap struct {
	Name    string
	Entries []struct {
		Key, Value any
		CPUs       []any
	}
}

// jsonLeaves counts what was compared.
type jsonLeaves struct {
	t *testing.T
	s *ktsnap.Snapshot
	n int
}

func (l *jsonLeaves) compare(v ktsnap.Value, got any) {
	l.t.Helper()
	require.NoError(l.t, v.Err())
	switch v.Kind() {
	case "Struct", "Union":
		object, ok := got.(map[string]any)
		require.True(l.t, ok, v.Path())
		maps.DeleteFunc(object, func(name string, _ any) bool { // what the members say together
			return strings.HasPrefix(name, "$") && !strings.HasPrefix(name, "$$")
		})
		require.Len(l.t, object, v.Len(), v.Path())
		for i := range v.Len() {
			name, _ := v.At(i)
			l.compare(v.Get(name), object[name])
		}
	case "Array":
		if v.IsString() {
			l.leaf(v, got)
			return
		}
		list, ok := got.([]any)
		require.True(l.t, ok, v.Path())
		require.Len(l.t, list, v.Len(), v.Path())
		for i := range list {
			l.compare(v.Get(fmt.Sprintf("[%d]", i)), list[i])
		}
	default:
		l.leaf(v, got)
	}
}

// leaf compares what JSON has with what the terminals read.
func (l *jsonLeaves) leaf(v ktsnap.Value, got any) {
	l.t.Helper()
	l.n++
	object, _ := got.(map[string]any)
	switch v.Kind() {
	case "Uint", "Int":
		l.integer(v, got)
	case "Enum":
		l.integer(v, object["$value"])
		name, err := v.Str()
		require.Equal(l.t, err == nil, object["$enum"] != nil, v.Path())
		if err == nil {
			require.Equal(l.t, name, object["$enum"], v.Path())
		}
	case "Bool":
		want, err := v.Bool()
		require.NoError(l.t, err)
		require.Equal(l.t, want, got, v.Path())
	case "Char":
		want, err := v.Int64()
		require.NoError(l.t, err)
		require.Equal(l.t, json.Number(strconv.FormatInt(want, 10)), object["$char"], v.Path())
	case "Ptr":
		want, err := v.Uint64()
		require.NoError(l.t, err)
		require.Equal(l.t, fmt.Sprintf("%#x", want), object["$ptr"], v.Path())
		l.pointer(v, want, object)
	case "Float":
		l.float(v, got, object)
	case "Array":
		want, err := v.Str()
		require.NoError(l.t, err)
		if text, ok := object["$string"].(string); ok {
			raw, err := hex.DecodeString(text)
			require.NoError(l.t, err)
			got = string(raw)
		}
		require.Equal(l.t, want, got, v.Path())
	default:
		want, err := v.Bytes()
		require.NoError(l.t, err)
		require.Equal(l.t, hex.EncodeToString(want), object["$bytes"], v.Path())
	}
}

func (l *jsonLeaves) integer(v ktsnap.Value, got any) {
	l.t.Helper()
	text := ""
	switch n := got.(type) {
	case json.Number:
		text = n.String()
	case map[string]any:
		text, _ = n["$int"].(string)
	}
	want := ""
	if u, err := v.Uint64(); err == nil {
		want = strconv.FormatUint(u, 10)
	} else if i, err := v.Int64(); err == nil {
		want = strconv.FormatInt(i, 10)
	} else {
		r, err := v.Rendered()
		require.NoError(l.t, err)
		want = r.Text
	}
	require.Equal(l.t, want, text, v.Path())
}

// pointer compares what a pointer leads to, or why it is not shown.
func (l *jsonLeaves) pointer(v ktsnap.Value, addr uint64, object map[string]any) {
	l.t.Helper()
	target := v.Deref()
	var notCaptured *ktsnap.NotCapturedError
	var notBound *ktsnap.NotBoundError
	switch why, _ := object["$why"].(string); {
	case addr == 0:
		require.ErrorAs(l.t, target.Err(), new(*ktsnap.NullError), v.Path())
		require.Len(l.t, object, 1, v.Path())
	case object["$to"] != nil:
		l.compare(target, object["$to"])
	case object["$map"] != nil:
		at, ok := l.s.Locate(addr)
		require.True(l.t, ok, v.Path())
		require.Equal(l.t, json.Number(strconv.Itoa(int(at.Map.ID))), object["$map"], v.Path())
		require.Equal(l.t, json.Number(strconv.Itoa(at.Entry)), object["$entry"], v.Path())
	case why == "not captured":
		require.ErrorAs(l.t, target.Err(), &notCaptured, v.Path())
	case why == "type not known":
		require.ErrorAs(l.t, target.Err(), &notBound, v.Path())
	case why == "" && object["$cycle"] == nil:
		require.ErrorAs(l.t, target.Err(), &notBound, v.Path()) // void *, functions
	default:
		require.NoError(l.t, target.Err(), v.Path())
	}
}

func (l *jsonLeaves) float(v ktsnap.Value, got any, object map[string]any) {
	l.t.Helper()
	want, err := v.Float64()
	require.NoError(l.t, err)
	text, special := object["$float"].(string)
	if !special {
		text = got.(json.Number).String()
	}
	f, err := strconv.ParseFloat(text, 64)
	require.NoError(l.t, err)
	require.True(l.t, f == want || math.IsNaN(f) && math.IsNaN(want), "%s: %v, want %v", v.Path(), f, want)
}

func TestJSONHasWhatPathsRead(t *testing.T) {
	s := newGuest(t, "../internal/sample/testdata/sample.bpf.o").snapshot()
	var b bytes.Buffer
	require.NoError(t, dump.JSON(&b, s))
	var d document
	decoder := json.NewDecoder(&b)
	decoder.UseNumber()
	require.NoError(t, decoder.Decode(&d))
	views := s.Views()
	require.Len(t, d.Maps, len(views))
	l := &jsonLeaves{t: t, s: s}
	for i, m := range d.Maps {
		view := views[i]
		require.Equal(t, view.Map().Name, m.Name)
		if view.Err() != nil || view.Map().Slots > 1 || view.Map().Type.IsPerCPU() {
			continue
		}
		for n, e := range m.Entries {
			l.compare(view.At(n).Get(""), e.Value)
			if e.Key != nil {
				l.compare(view.At(n).Key(), e.Key)
			}
		}
	}
	require.Greater(t, l.n, 1000)
	t.Logf("%d leaves", l.n)
}
