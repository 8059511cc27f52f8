package cache_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/vmm/cache"
)

func TestDirFollowsTheEnvironment(t *testing.T) {
	t.Run("KTGEN_CACHE wins", func(t *testing.T) {
		want := t.TempDir()
		t.Setenv(cache.DirEnv, want)
		dir, err := cache.Dir()
		require.NoError(t, err)
		require.Equal(t, want, dir)
	})
	t.Run("a relative one becomes absolute", func(t *testing.T) {
		t.Setenv(cache.DirEnv, "here")
		dir, err := cache.Dir()
		require.NoError(t, err)
		require.True(t, filepath.IsAbs(dir), dir)
	})
	t.Run("else the user's cache directory", func(t *testing.T) {
		t.Setenv(cache.DirEnv, "")
		t.Setenv("XDG_CACHE_HOME", "/elsewhere")
		dir, err := cache.Dir()
		require.NoError(t, err)
		require.Equal(t, "/elsewhere/ktgen", dir)
	})
	t.Run("without a home the error names the way out", func(t *testing.T) {
		t.Setenv(cache.DirEnv, "")
		t.Setenv("XDG_CACHE_HOME", "")
		t.Setenv("HOME", "")
		_, err := cache.Dir()
		require.ErrorContains(t, err, "$KTGEN_CACHE")
	})
}

func TestEnsureBuildsOnceForAll(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deep", "entry")
	var builds atomic.Int32
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			err := cache.Ensure(t.Context(), path, func(partial string) error {
				builds.Add(1)
				return os.WriteFile(partial, []byte("whole"), 0o644)
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()

	require.EqualValues(t, 1, builds.Load())
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "whole", string(content))
}

func TestEnsureLeavesNothingOfAFailedBuild(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "entry")
	broken := errors.New("out of patience")
	err := cache.Ensure(t.Context(), path, func(partial string) error {
		require.NoError(t, os.Mkdir(partial, 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(partial, "half"), nil, 0o644))
		return broken
	})
	require.ErrorIs(t, err, broken)
	require.Equal(t, []string{".entry.lock"}, names(t, dir))
}

func TestEnsureReplacesWhatAKilledBuildLeft(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, ".entry.partial", "half"), 0o755))
	err := cache.Ensure(t.Context(), filepath.Join(dir, "entry"), func(partial string) error {
		require.NoFileExists(t, partial)
		return os.WriteFile(partial, nil, 0o644)
	})
	require.NoError(t, err)
	require.Equal(t, []string{".entry.lock", "entry"}, names(t, dir))
}

func TestReplaceSwapsADirectory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "entry")
	for _, name := range []string{"one", "two"} {
		err := cache.Replace(t.Context(), path, func(partial string) error {
			return os.MkdirAll(filepath.Join(partial, name), 0o755)
		})
		require.NoError(t, err)
		require.Equal(t, []string{name}, names(t, path))
	}
}

func TestRemoveForgetsAnEntryAndBearsItsAbsence(t *testing.T) {
	path := filepath.Join(t.TempDir(), "entry")
	require.NoError(t, os.MkdirAll(filepath.Join(path, "inner"), 0o755))
	require.NoError(t, cache.Remove(t.Context(), path))
	require.NoDirExists(t, path)
	require.NoError(t, cache.Remove(t.Context(), path))
}

func TestWaitingForABusyEntryEndsWithTheContext(t *testing.T) {
	path := filepath.Join(t.TempDir(), "entry")
	waiting, cancel := context.WithCancel(t.Context())
	err := cache.Ensure(t.Context(), path, func(partial string) error {
		cancel()
		err := cache.Ensure(waiting, path, func(string) error {
			t.Error("built an entry that is being built")
			return nil
		})
		require.ErrorIs(t, err, context.Canceled)
		return os.WriteFile(partial, nil, 0o644)
	})
	require.NoError(t, err)
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}
