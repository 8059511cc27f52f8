package cache_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ktgen/ktgen/vmm/cache"
)

// Every write to /dev/full fails for want of room.
func TestFullDiskIsTold(t *testing.T) {
	if info, err := os.Stat("/dev/full"); err != nil || info.Mode()&fs.ModeCharDevice == 0 {
		t.Skip("there is no /dev/full")
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "entry")
	inFull := func(partial string) error {
		require.NoError(t, os.Mkdir(partial, 0o755))
		file := filepath.Join(partial, "vmlinux")
		require.NoError(t, os.Symlink("/dev/full", file))
		return os.WriteFile(file, []byte("whole"), 0o600)
	}
	for name, write := range map[string]func() error{
		"Ensure":  func() error { return cache.Ensure(t.Context(), path, inFull) },
		"Replace": func() error { return cache.Replace(t.Context(), path, inFull) },
		"WriteFile": func() error {
			return cache.WriteFile(path, func(f *os.File) error { return &fs.PathError{Op: "write", Path: f.Name(), Err: unix.ENOSPC} })
		},
		"WriteFile, without its name": func() error { return cache.WriteFile(path, func(*os.File) error { return unix.ENOSPC }) },
	} {
		t.Run(name, func(t *testing.T) {
			err := write()
			var full *cache.WriteError
			require.ErrorAs(t, err, &full)
			require.ErrorIs(t, err, unix.ENOSPC)
			require.ErrorContains(t, err, "cannot write "+path[:len(dir)+1])
			require.ErrorContains(t, err, "the disk of the cache is full ("+dir)
			require.ErrorContains(t, err, "make room on it")
			require.ErrorContains(t, err, "$KTGEN_CACHE")
			require.NotContains(t, err.Error(), ".new-")
			require.NoFileExists(t, path)
		})
	}
}

func TestCacheThatCannotBeWrittenIsTold(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	path := filepath.Join(file, "images", "entry")
	_, nameless := cache.Nameless(file)
	for _, err := range []error{
		cache.Ensure(t.Context(), path, func(string) error { return nil }),
		cache.WriteFile(path, func(*os.File) error { return nil }),
		cache.Remove(t.Context(), path),
		nameless,
	} {
		var told *cache.WriteError
		require.ErrorAs(t, err, &told)
		require.ErrorContains(t, err, "the cache may not be written to")
		require.ErrorContains(t, err, "$KTGEN_CACHE")
	}
}

func TestFailuresOfOtherFilesAreNotTheCaches(t *testing.T) {
	path := filepath.Join(t.TempDir(), "entry")
	for _, why := range []error{
		&fs.PathError{Op: "open", Path: "/boot/vmlinuz", Err: unix.EACCES},
		&fs.PathError{Op: "write", Path: "/tmp/other", Err: unix.ENOSPC},
		&fs.PathError{Op: "read", Path: path, Err: unix.EIO},
		unix.EACCES,
	} {
		require.Equal(t, why, cache.Explain(path, why))
	}
	require.NoError(t, cache.Explain(path, nil))
}
