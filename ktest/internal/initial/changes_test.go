package initial_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/ktest/internal/initial"
	"github.com/ktgen/ktgen/object"
	"github.com/ktgen/ktgen/runtime"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// setOperation makes a member of a struct_ops map a program.
func setOperation(of, member, program string) ktsnap.Initial {
	return func(state *ktsnap.InitialState) error {
		p, err := state.Program(program)
		if err != nil {
			return err
		}
		place, value, mask, err := runtime.AssignAny(state.Snapshot.Map(of).At(0).Get("data."+member), p.Addr)
		if err != nil {
			return err
		}
		return state.Set(place, value, mask)
	}
}

// The loader leaves out struct_ops maps of sections with a ?, and the programs that only
// these refer to.
func TestOperationsThatAreNotLoadedAreRefused(t *testing.T) {
	obj, err := object.Open("../parity/testdata/inputs/ops.bpf.o")
	require.NoError(t, err)
	for want, change := range map[string]ktsnap.Initial{
		`first.ssthresh: program only_optional is not loaded, as only fourth refers to it`: setOperation("first", "ssthresh", "only_optional"),
		`first.ssthresh: program off is in section "?tp_btf/no_such_tracepoint"`:           setOperation("first", "ssthresh", "off"),
		`fourth: it is not loaded, as its section begins with ?`:                           setOperation("fourth", "undo_cwnd", "undo"),
	} {
		_, err := initial.Changes(obj, 2, change)
		var refused *ktsnap.InitialError
		require.ErrorAs(t, err, &refused)
		require.ErrorContains(t, err, want)
	}
	_, err = initial.Changes(obj, 2, func(*ktsnap.InitialState) error { return nil })
	require.NoError(t, err)
}
