package cases_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/dump"
	"github.com/ktgen/ktgen/ktest"
	"github.com/ktgen/ktgen/ktest/internal/cases"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// requireText holds what a person reads of a snapshot to contain each of some texts.
func requireText(t *testing.T, snap *ktsnap.Snapshot, wanted ...string) {
	t.Helper()
	var text bytes.Buffer
	require.NoError(t, dump.Text(&text, snap, dump.Options{}))
	for _, want := range wanted {
		require.Contains(t, text.String(), want)
	}
}

func checkEnum64(t *testing.T, _ *ktest.VM, snap *ktsnap.Snapshot) {
	data := cases.BindEnum64(t, snap).Data()
	require.Equal(t, [4]cases.Queue{cases.Q_LOCAL_ON | 3, cases.Q_GLOBAL, cases.Q_BUILTIN | 77, 5}, data.Last)
	require.EqualValues(t, uint64(13835058055282163715), data.Last[0])
	require.Equal(t, []cases.WideFlags{cases.W_A | cases.W_TOP, cases.W_TOP | 0x100}, data.Wf)
	for i, want := range []string{"Q_LOCAL_ON|3", "Q_GLOBAL", "Q_BUILTIN|77", "queue(5)"} {
		require.Equal(t, want, data.Last[i].String())
	}
	require.Equal(t, "W_A|W_TOP", data.Wf[0].String())
	require.Equal(t, "W_TOP|0x100", data.Wf[1].String())

	byPath, err := snap.Var("last").Get("[0]").Uint64()
	require.NoError(t, err)
	require.EqualValues(t, uint64(13835058055282163715), byPath)
	requireText(t, snap, "Q_LOCAL_ON|3", "Q_GLOBAL", "Q_BUILTIN|77", "W_A|W_TOP", "W_TOP|0x100")
}

func checkTypedefNameless(t *testing.T, vm *ktest.VM, snap *ktsnap.Snapshot) {
	s := cases.BindTypedefNameless(t, snap)
	require.Equal(t, cases.TaskCtxT{Pid: 1, Vtime: 2}, s.Data().Cur)
	require.Equal(t, cases.ON, s.Data().State)
	require.Zero(t, s.Bss().Both)
	require.Zero(t, s.Bss().H.T)
	requireText(t, snap, "vtime", "ON")

	require.NoError(t, vm.Write(t.Context(), ktest.Set(s, &s.Bss().H.T.Vtime, 9), ktest.Set(s, &s.Bss().H.In.X, 7)))
	written := vm.Freeze("written")
	bss := cases.BindTypedefNameless(t, written).Bss()
	require.EqualValues(t, 9, bss.H.T.Vtime)
	require.EqualValues(t, 7, bss.H.In.X)
	byPath, err := written.Var("h").Get("in.x").Uint64()
	require.NoError(t, err)
	require.EqualValues(t, 7, byPath)
}

// The kernel refuses the BTF of a variable without a size, so that no guest runs such
// an object. Generated code leaves it out, and reads the one beside it from where it is.
func TestVariablesBesideOneWithoutASizeAreReadable(t *testing.T) {
	given := cases.AtomicGlobalData{Other: 5}
	snap := cases.AtomicGlobalFixture{Data: given}.Snapshot(t)
	require.Equal(t, given, *cases.BindAtomicGlobal(t, snap).Data())
	data := mapOfType(t, snap, ktsnap.MapTypeArray)
	require.EqualValues(t, 5, data.Values[8], "other is behind live, which has 4 bytes and 4 of padding")
	byPath, err := snap.Var("other").Get("").Uint64()
	require.NoError(t, err)
	require.EqualValues(t, 5, byPath)
	require.ErrorContains(t, snap.Var("live").Get("").Err(), "live")
}

// checkStaticsOfUnits reads the variables of one name that two linked units have,
// which nothing changes.
func checkStaticsOfUnits(t *testing.T, _ *ktest.VM, snap *ktsnap.Snapshot) {
	require.Equal(t, cases.StaticsData{Mine: 1, Calls_StaticsA: 17, Other: 2, Calls_StaticsB: 34}, *cases.BindStatics(t, snap).Data())
}
