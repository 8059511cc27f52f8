package main

import (
	"bytes"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// Two snapshots without maps are not equal: nothing of them is compared.
func TestDiffOfNothingIsTrouble(t *testing.T) {
	dir := t.TempDir()
	var files []string
	for _, name := range []string{"a", "b"} {
		files = append(files, filepath.Join(dir, name+".ktsnap"))
		require.NoError(t, (&ktsnap.Snapshot{Name: name}).WriteFile(files[len(files)-1]))
	}
	var out, errs bytes.Buffer
	require.Equal(t, 2, run(t.Context(), append([]string{"diff"}, files...), &out, &errs))
	require.Contains(t, errs.String(), "neither holds a map, so there is nothing to compare; was a scheduler loaded")
	require.Empty(t, out.String())
}
