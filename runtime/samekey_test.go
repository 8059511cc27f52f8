package runtime_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/internal/sample"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// Two entries with the same bytes as their key are told of by generated code and by
// names alike.
func TestEntriesWithOneKeyAreAmbiguousInBothWays(t *testing.T) {
	s := sample.Fixture{Nodes: map[uint32]*sample.Node{7: {Value: 1}, 8: {Value: 2}}}.Snapshot(t)
	keys := s.Map("nodes").Map().Keys
	copy(keys[4:], []byte{7, 0, 0, 0})
	copy(keys, []byte{7, 0, 0, 0})
	want := ktsnap.AmbiguousKeyError{Map: "nodes", Key: "7", Entries: 2}

	var byName, typed *ktsnap.AmbiguousKeyError
	require.ErrorAs(t, s.Map("nodes").Lookup(7).Err(), &byName)
	require.Equal(t, want, *byName)
	snap, err := sample.Open(s)
	require.NoError(t, err)
	for name, read := range map[string]func(){
		"Get": func() { snap.Nodes().Get(7) }, "Lookup": func() { snap.Nodes().Lookup(7) },
	} {
		func() {
			defer func() {
				err, _ := recover().(error)
				require.ErrorAs(t, err, &typed, name)
			}()
			read()
		}()
		require.Equal(t, want, *typed, name)
	}
}
