package kernel_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ktgen/ktgen/vmm/cache"
	"github.com/ktgen/ktgen/vmm/kernel"
)

// chooseFit makes a kernel that is fit the chosen one.
func chooseFit(t *testing.T) {
	made := fit("7.3.4-a")
	path := filepath.Join(t.TempDir(), "vmlinuz")
	require.NoError(t, os.WriteFile(path, made.bzImage(zstdPayload(t, made.vmlinux())), 0o600))
	t.Setenv(kernel.Env, path)
}

func TestFullCacheIsNoMissingKernel(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=4k"); err != nil {
		t.Skipf("a full disk needs a mount: %v", err)
	}
	t.Cleanup(func() { require.NoError(t, unix.Unmount(dir, 0)) })
	t.Setenv(cache.DirEnv, dir)
	chooseFit(t)
	_, err := kernel.Find(t.Context())
	require.ErrorContains(t, err, "cannot write "+filepath.Join(dir, cache.Images))
	require.ErrorContains(t, err, "the disk of the cache is full ("+dir)
	requireNoFetch(t, err)
}

func TestCacheThatCannotBeWrittenIsNoMissingKernel(t *testing.T) {
	dir := withCache(t, fit("7.2.9-a"))
	require.NoError(t, os.WriteFile(filepath.Join(dir, cache.Images), nil, 0o600))
	_, err := kernel.FindRelease(t.Context(), "7.2")
	require.ErrorContains(t, err, "the cache may not be written to ("+dir)
	requireNoFetch(t, err)

	chooseFit(t)
	_, err = kernel.Find(t.Context())
	require.ErrorContains(t, err, "the cache may not be written to ("+dir)
	requireNoFetch(t, err)
}

func requireNoFetch(t *testing.T, err error) {
	var told *cache.WriteError
	require.ErrorAs(t, err, &told)
	require.NotErrorIs(t, err, kernel.ErrNoKernel)
	require.NotContains(t, err.Error(), "ktgen kernel fetch")
}
