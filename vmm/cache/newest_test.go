package cache_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/vmm/cache"
)

func TestOnlyTheNewestFilesAreKept(t *testing.T) {
	dir := t.TempDir()
	for i := range 6 {
		file := filepath.Join(dir, fmt.Sprint(i))
		require.NoError(t, os.WriteFile(file, nil, 0o600))
		then := time.Now().Add(-time.Duration(i) * 2 * time.Hour)
		require.NoError(t, os.Chtimes(file, then, then))
	}
	require.NoError(t, cache.KeepNewest(dir, 3))
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, left, 3)
	require.Equal(t, "2", left[2].Name())
	require.NoError(t, cache.KeepNewest(dir, 0))
	left, err = os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, left, 1, "what was used within the hour may be in use")
	require.NoError(t, cache.KeepNewest(filepath.Join(dir, "none"), 3))
}
