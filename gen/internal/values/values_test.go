package values_test

import (
	"bytes"
	"encoding/binary"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/dump"
	"github.com/ktgen/ktgen/gen/internal/values"
	"github.com/ktgen/ktgen/ktest"
	ktrt "github.com/ktgen/ktgen/runtime"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

func TestMain(m *testing.M) { ktest.Main(m) }

func TestValuesOfAGuestAreWhatItsProgramSays(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{CPUs: 2, Scheduler: ktest.Object("testdata/values.bpf.o")})
	frozen := vm.Freeze("loaded")
	t.Run("enums", func(t *testing.T) { requireEnums(t, frozen) })
	t.Run("flexible arrays", func(t *testing.T) { requireFlexible(t, vm, frozen) })
	t.Run("per CPU, without a type", func(t *testing.T) { requireRawCounts(t, frozen) })
}

// requireRawCounts reads a per-CPU map of which only the size of values is known.
func requireRawCounts(t *testing.T, frozen *ktsnap.Snapshot) {
	counts := values.Bind(t, frozen).RawCounts()
	require.Equal(t, 2, counts.CPUs())
	require.Equal(t, 2, counts.Len())
	for cpu := range 2 {
		want := uint64(100 + cpu)
		require.Equal(t, want, binary.LittleEndian.Uint64(counts.CPU(cpu).Value(1)))
		raw, err := frozen.Map("raw_counts").CPU(cpu).At(1).Get("").Bytes()
		require.NoError(t, err)
		require.Equal(t, want, binary.LittleEndian.Uint64(raw))
	}
	var notNarrowed *ktsnap.PerCPUNotNarrowedError
	require.ErrorAs(t, frozen.Map("raw_counts").At(1).Get("").Err(), &notNarrowed)
	var noCPU *ktsnap.PerCPUSlotError
	snap := mustOpen(t, frozen)
	require.ErrorAs(t, ktrt.Try(func() { snap.RawCounts().CPU(2) }), &noCPU)
	var outside *ktsnap.IndexOutOfRangeError
	require.ErrorAs(t, ktrt.Try(func() { snap.RawCounts().CPU(0).Value(2) }), &outside)

	var text bytes.Buffer
	require.NoError(t, dump.Text(&text, frozen, dump.Options{Maps: []string{"raw_counts"}}))
	require.Contains(t, text.String(), "cpu 0 0x6400000000000000")
	require.Contains(t, text.String(), "cpu 1 0x6500000000000000")
}

// mustOpen reads a snapshot with errors that ktrt.Try returns.
func mustOpen(t *testing.T, s *ktsnap.Snapshot) values.Snap {
	t.Helper()
	snap, err := values.Open(s)
	require.NoError(t, err)
	return snap
}

// requireEnums holds the text of values that have no name of their own.
func requireEnums(t *testing.T, frozen *ktsnap.Snapshot) {
	data := values.Bind(t, frozen).Data()
	for path, want := range map[string]struct{ generated, text string }{
		"last[0]": {data.Last[0].String(), "Q_LOCAL_ON|3"},
		"last[1]": {data.Last[1].String(), "Q_GLOBAL"},
		"last[2]": {data.Last[2].String(), "Q_BUILTIN|77"},
		"last[3]": {data.Last[3].String(), "5"},
		"last[4]": {data.Last[4].String(), "Q_ON|1"},
		"wf[0]":   {data.Wf[0].String(), "W_A|W_TOP"},
		"wf[1]":   {data.Wf[1].String(), "W_TOP|0x100"},
		"wide[0]": {data.Wide[0].String(), "WIDE_LARGE"},
		"wide[1]": {data.Wide[1].String(), "18446744073709551614"},
		"number":  {data.Number.String(), "2147483649"},
	} {
		v := frozen.Get(path)
		r, err := v.Rendered()
		require.NoError(t, err)
		require.Equal(t, want.text, r.String(), path)
		unnamed := want.text[0] >= '0' && want.text[0] <= '9'
		if unnamed {
			require.Regexp(t, `^\w+\(`+want.text+`\)$`, want.generated, path)
		} else {
			require.Equal(t, want.text, want.generated, path)
		}
		var doc bytes.Buffer
		require.NoError(t, dump.JSONValue(&doc, frozen, v))
		require.Equal(t, !unnamed, bytes.Contains(doc.Bytes(), []byte(`"$enum":"`+want.text+`"`)), "%s: %s", path, &doc)
		n, err := v.Uint64()
		require.NoError(t, err)
		require.Contains(t, doc.String(), strconv.FormatUint(n, 10), path)
	}
	var text bytes.Buffer
	require.NoError(t, dump.Text(&text, frozen, dump.Options{}))
	require.Contains(t, text.String(), "[Q_LOCAL_ON|3, Q_GLOBAL, Q_BUILTIN|77, 5, Q_ON|1]")
}

// A key is found by one member of a union in it, as it is given by one.
func TestKeysAreGivenByOneMemberOfAUnion(t *testing.T) {
	ten, twenty := uint32(10), uint32(20)
	snap := values.Bind(t, values.Fixture{ByIds: map[values.IdsKey]*uint32{
		{Level: 1, Ids: values.Ids{Id: 0x20001}}:               &ten,
		{Level: 2, Ids: values.Ids{Parts: [2]uint16{0, 0x30}}}: &twenty,
	}}.Snapshot(t))
	m := snap.ByIds()
	for key, want := range map[values.IdsKey]uint32{
		{Level: 1, Ids: values.Ids{Id: 0x20001}}:                               10,
		{Level: 1, Ids: values.Ids{Parts: [2]uint16{1, 2}}}:                    10,
		{Level: 1, Ids: values.Ids{Id: 0x20001, Parts: [2]uint16{1, 2}}}:       10,
		{Level: 2, Ids: values.Ids{Id: 0x300000}}:                              20,
		{Level: 2, Ids: values.Ids{Parts: [2]uint16{0, 0x30}, Id: 0x30 << 16}}: 20,
	} {
		got, ok := m.Lookup(key)
		require.True(t, ok, "%+v", key)
		require.Equal(t, want, *got)
		require.Same(t, got, m.Get(key))
	}
	for _, none := range []values.IdsKey{
		{Level: 1, Ids: values.Ids{Id: 1}},
		{Level: 2, Ids: values.Ids{Id: 0x20001}},
		{Level: 1, Ids: values.Ids{Id: 0x20001, Parts: [2]uint16{1, 3}}}, // they contradict each other
	} {
		_, ok := m.Lookup(none)
		require.False(t, ok, "%+v", none)
	}
}
