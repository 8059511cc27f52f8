package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/vmm/cache"
)

func TestCacheIsShownAndEmptied(t *testing.T) {
	dir := t.TempDir()
	t.Setenv(cache.DirEnv, dir)
	t.Setenv(cache.TemplatesEnv, "300")
	put := func(name string, size int) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, make([]byte, size), 0o600))
		return path
	}
	ours := []string{put("templates/a.vm", 3<<20), put("kernels/7.3/vmlinuz", 2<<20)}
	notes := put("notes.txt", 1)

	require.Equal(t, `   3 MiB  templates  guests that have booted once
   0 MiB  corpus     a kernel's sources and BPF objects, for ktgen's own tests
   0 MiB  images     kernels, unpacked
   2 MiB  kernels    kernels, downloaded
   0 MiB  kallsyms   symbols of kernels
   0 MiB  agents     agents of guests in lockstep: the newest 8, and those of the last hour
   0 MiB  apt        package lists
   0 MiB  digest     checksums of kernels and initramfs
   0 MiB  accel      what was found out about KVM
   5 MiB  together, in `+dir+`
templates takes 300 MiB at most: what was used last is kept ($KTGEN_TEMPLATES_MIB).
$KTGEN_CACHE moves the cache; "ktgen cache clean" empties it.
`, output(t, "cache"))
	require.Empty(t, output(t, "cache", "clean"))
	for _, path := range ours {
		require.NoFileExists(t, path)
	}
	require.FileExists(t, notes, "what is not of the cache stays, wherever $KTGEN_CACHE points")
}

func TestCacheSaysWhatIsWrongWithItsLimit(t *testing.T) {
	t.Setenv(cache.DirEnv, t.TempDir())
	t.Setenv(cache.TemplatesEnv, "1G")
	var stderr bytes.Buffer
	require.Equal(t, exitFailed, run(t.Context(), []string{"cache"}, &bytes.Buffer{}, &stderr))
	require.Equal(t, "ktgen: $KTGEN_TEMPLATES_MIB is \"1G\", not a number of MiB such as 1024\n", stderr.String())
}

func output(t *testing.T, args ...string) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	require.Equal(t, exitDone, run(t.Context(), args, &stdout, &stderr), stderr.String())
	return stdout.String()
}
