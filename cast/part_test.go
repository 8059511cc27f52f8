package cast

import (
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/object"
)

// What programs of ctx_map free is in a pool, from which others take it; one program has
// nothing to do with that.
func TestPartsThatShareNothingAreNotAnalysedAgain(t *testing.T) {
	obj, err := object.Open("testdata/libs/objects/ctx_map.o")
	require.NoError(t, err)
	e := newEngine(newSource(obj), Options{})
	require.True(t, e.settle())
	before := len(e.contexts)
	require.Empty(t, e.pools)
	require.True(t, e.restart())
	require.Len(t, e.contexts, 1, "of %d functions", before)
	kept := slices.Collect(maps.Keys(e.contexts))
	require.True(t, e.settle())
	require.Len(t, e.contexts, before)
	require.NotEmpty(t, e.pools)
	for s := range e.pools {
		require.NotSame(t, e.partOf(s), e.partOfFunction(kept[0]).root(), "%s in %s", s.path(), kept[0].Name)
	}
}

// TestPartsThatMeetAreInTheLastRoundTogether: what was found of the one that is does not
// hold once the other stores in what it loads.
func TestPartsThatMeetAreInTheLastRoundTogether(t *testing.T) {
	a, b, c := &part{isLast: true}, &part{}, &part{isLast: true}
	a.join(c)
	require.True(t, a.root().isLast)
	b.join(c)
	require.False(t, a.root().isLast)
	require.Same(t, a.root(), b.root())
}
