package cast_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/cast"
	"github.com/ktgen/ktgen/object"
)

// What is stored in a place is listed below the reason, which may not deny it.
func TestPlacesThatHoldDifferentThingsAreExplained(t *testing.T) {
	files, err := filepath.Glob("testdata/objects/*.clang-19.O2.o")
	require.NoError(t, err)
	explained := 0
	for _, file := range files {
		obj, err := object.Open(file)
		require.NoError(t, err)
		a := cast.Run(obj, cast.Options{})
		for _, c := range a.Result().Conflicts {
			if c.Map != nil {
				continue
			}
			x, err := a.Explain(placeName(c.Container, c.Map, c.Path))
			require.NoError(t, err, file)
			if x.Finding == nil {
				require.Regexp(t, "different things|pointers and numbers", x.Why, "%s: %s", file, x.Place)
				explained++
			}
		}
	}
	require.Greater(t, explained, 3)
}
