package chosen_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/gen/internal/chosen"
	"github.com/ktgen/ktgen/internal/sample"
	ktrt "github.com/ktgen/ktgen/runtime"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// What was chosen reads the same as everything does, and a value is the same
// Go pointer whether it was found in its map, by a pointer, or at its address.
func TestChosenMapsAndTypesAreRead(t *testing.T) {
	second := &sample.Node{Value: 2}
	shot := sample.Fixture{Nodes: map[uint32]*sample.Node{1: {Value: 1, Next: second}, 2: second}}.Snapshot(t)

	all, snap := sample.Bind(t, shot), chosen.Bind(t, shot)
	item := snap.Nodes().Get(1)
	require.EqualValues(t, 1, item.Value)
	require.Same(t, snap.Nodes().Get(2), item.Next)
	require.Equal(t, ktrt.Addr(all, all.Nodes().Get(1)), ktrt.Addr(snap, item))

	at := snap.ItemAt(ktsnap.Address(ktrt.Addr(snap, item.Next)))
	require.Same(t, item.Next, at)
	require.Equal(t, ktrt.Addr(snap, item.Next)+8, ktrt.Addr(snap, &at.Next))
}

func TestAnAddressWithoutAValueSaysWhatIsThere(t *testing.T) {
	snap, err := chosen.Open(sample.Fixture{}.Snapshot(t))
	require.NoError(t, err)
	err = ktrt.Try(func() { snap.ItemAt(0) })
	var null *ktsnap.NullError
	require.ErrorAs(t, err, &null)
	err = ktrt.Try(func() { snap.ItemAt(0x1234) })
	var missing *ktsnap.NotCapturedError
	require.ErrorAs(t, err, &missing)
	require.ErrorContains(t, err, "the struct node at 0x1234 was not captured")
}
