package linked_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/dump"
	"github.com/ktgen/ktgen/gen"
	"github.com/ktgen/ktgen/gen/internal/linked"
	"github.com/ktgen/ktgen/ktest"
	"github.com/ktgen/ktgen/object"
	ktrt "github.com/ktgen/ktgen/runtime"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

func TestMain(m *testing.M) { ktest.Main(m) }

const objectFile = "testdata/linked.bpf.o"

// state is what the two files count: one that was only set up counts from 17 and
// 0x10000000, and 5 and 7.
type state struct {
	a, b  uint32
	deepA uint64
	deepB uint16
}

func stateOf(snap linked.Snap) state {
	d := snap.Data()
	return state{d.Calls_Sched, d.Calls_Lib, d.Deep_Sched, d.Deep_Lib}
}

func TestStaticVariablesOfOneNameAreReadAndWrittenApart(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{Scheduler: ktest.Object(objectFile)})
	before := vm.Freeze("before")
	snap := linked.Bind(t, before)
	require.Equal(t, state{0x12, 0x10000001, 6, 8}, stateOf(snap))

	data := snap.Data()
	require.NoError(t, vm.Write(t.Context(), ktest.Set(snap, &data.Calls_Lib, 99), ktest.Set(snap, &data.Deep_Sched, 1<<40)))
	after := vm.Freeze("after")
	require.Equal(t, state{0x12, 99, 1 << 40, 8}, stateOf(linked.Bind(t, after)))

	var changed []string
	for c := range dump.Diff(before, after) {
		changed = append(changed, c.Path)
	}
	require.Equal(t, []string{"linked.data.deep#1", "linked.data.calls#2"}, changed)
	requireShownApart(t, after)
}

func TestStaticVariablesOfOneNameAreGivenApart(t *testing.T) {
	fixture := linked.Fixture{Data: linked.Data{Calls_Sched: 0x12, Calls_Lib: 99, Deep_Sched: 1 << 40, Deep_Lib: 8}}
	snap := fixture.Snapshot(t)
	require.Equal(t, state{0x12, 99, 1 << 40, 8}, stateOf(linked.Bind(t, snap)))
	requireShownApart(t, snap)

	var file bytes.Buffer
	_, err := snap.WriteTo(&file)
	require.NoError(t, err)
	read, err := ktsnap.Read(&file)
	require.NoError(t, err)
	requireShownApart(t, read)
}

// requireShownApart reads by name and as text, JSON and page what was written.
func requireShownApart(t *testing.T, snap *ktsnap.Snapshot) {
	t.Helper()
	for name, want := range map[string]uint64{"calls#1": 0x12, "calls#2": 99, "deep#1": 1 << 40, "deep#2": 8} {
		got, err := snap.Var(name).Uint64()
		require.NoError(t, err)
		require.Equal(t, want, got, name)
	}
	var ambiguous *ktsnap.AmbiguousVarError
	require.ErrorAs(t, snap.Var("calls").Err(), &ambiguous)
	require.Equal(t, []string{"calls#1", "calls#2"}, ambiguous.Names)
	require.ErrorContains(t, snap.Map(sectionMap(t, snap)).At(0).Get("deep").Err(), `which has 2 variables called "deep"`)

	var text, doc, page bytes.Buffer
	require.NoError(t, dump.Text(&text, snap, dump.Options{}))
	require.Contains(t, text.String(), "calls#2: 99")
	require.NoError(t, dump.HTML(&page, snap))
	require.Contains(t, page.String(), "calls#2")
	require.NoError(t, dump.JSON(&doc, snap))
	require.Contains(t, doc.String(), `"calls#2":99`)
}

func sectionMap(t *testing.T, snap *ktsnap.Snapshot) string {
	for _, m := range snap.Maps {
		if strings.HasSuffix(m.Name, ".data") {
			return m.Name
		}
	}
	require.Fail(t, "there is no .data")
	return ""
}

func TestAProgramWithAnotherNumberOfThemIsRefused(t *testing.T) {
	snap := linked.Fixture{}.Snapshot(t)
	for _, m := range snap.Maps {
		if m.Value != nil && m.Value.Name == ".data" {
			other, third := *m.Value, m.Value.Members[0]
			third.Name, third.Offset = "calls#3", 4
			other.Members = append(slices.Clone(other.Members), third)
			m.Value = &other
		}
	}
	_, err := linked.Open(snap)
	var layout *ktrt.LayoutError
	require.ErrorAs(t, err, &layout)
	require.Contains(t, err.Error(), ".data.calls#1: generated u32, the guest has 3 variables of that name")
}

func TestChosenNamesSayWhichOfThemIsMeant(t *testing.T) {
	obj, err := object.Open(objectFile)
	require.NoError(t, err)
	for choice, want := range map[string]string{
		".data.calls#2=Chosen":           "Chosen      uint32 // u32 calls (static); calls#2 of lib.bpf.c",
		"sched.bpf.c:.data.calls=Chosen": "Chosen     uint32 // u32 calls (static); calls#1 of sched.bpf.c",
	} {
		rename, err := gen.ParseRename(choice)
		require.NoError(t, err)
		model, err := gen.Build(obj, gen.Options{Package: "p", Renames: []gen.Rename{rename}})
		require.NoError(t, err)
		require.Empty(t, model.Warnings())
		src, err := model.Render()
		require.NoError(t, err)
		require.Contains(t, string(src), want)
	}
	_, err = gen.Build(obj, gen.Options{Package: "p", Renames: []gen.Rename{{C: ".data.calls", Go: "Chosen"}}})
	require.ErrorContains(t, err, ".data.calls can be .data.calls#1 or .data.calls#2; say which")
}
