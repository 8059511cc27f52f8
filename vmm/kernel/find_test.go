package kernel_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/vmm/cache"
	"github.com/ktgen/ktgen/vmm/kernel"
)

// withCache sets up a cache with kernels and no chosen one.
func withCache(t *testing.T, kernels ...traits) (dir string) {
	t.Helper()
	dir = t.TempDir()
	t.Setenv(cache.DirEnv, dir)
	t.Setenv(kernel.Env, "")
	for _, made := range kernels {
		path := filepath.Join(dir, "kernels", made.release, "vmlinuz")
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, made.bzImage(zstdPayload(t, made.vmlinux())), 0o644))
	}
	return dir
}

func TestFindTakesTheNewestInTheCache(t *testing.T) {
	withCache(t, fit("7.3.4-a"), fit("7.10.1-a"), fit("7.9.20-a"))
	k, err := kernel.Find(t.Context())
	require.NoError(t, err)
	require.Equal(t, "7.10.1-a", k.Release)
}

func TestFindReleaseTakesTheNewestOfARelease(t *testing.T) {
	unfit := fit("7.2.13-a")
	unfit.btf = nil
	withCache(t, fit("7.3.4-a"), fit("7.2.9-a"), fit("7.2.12-a"), fit("7.20.1-a"), unfit)
	k, err := kernel.FindRelease(t.Context(), "7.2")
	require.NoError(t, err)
	require.Equal(t, "7.2.12-a", k.Release)

	_, err = kernel.FindRelease(t.Context(), "7.1")
	require.ErrorIs(t, err, kernel.ErrNoKernel)
	require.ErrorContains(t, err, "`ktgen kernel fetch -release 7.1`")
}

func TestFindPassesOverKernelsThatDoNotFit(t *testing.T) {
	unfit := fit("8.0.0-a")
	unfit.btf = nil
	dir := withCache(t, unfit, fit("7.3.4-a"))
	broken := filepath.Join(dir, "kernels", "9.0.0-a", "vmlinuz")
	require.NoError(t, os.MkdirAll(filepath.Dir(broken), 0o755))
	require.NoError(t, os.WriteFile(broken, []byte("half a kernel"), 0o644))

	k, err := kernel.Find(t.Context())
	require.NoError(t, err)
	require.Equal(t, "7.3.4-a", k.Release)

	looked, err := kernel.Survey(t.Context())
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(looked), 3)
	require.Equal(t, broken, looked[0].Path)
	require.Error(t, looked[0].Err)
	var lacks *kernel.UnfitError
	require.ErrorAs(t, looked[1].Err, &lacks)
	require.NoError(t, looked[2].Err)
}

func TestFindTakesTheChosenKernel(t *testing.T) {
	withCache(t, fit("9.0.0-cached"))
	made := fit("7.3.4-chosen")
	bzImage := made.bzImage(zstdPayload(t, made.vmlinux()))
	tree := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(tree, "arch/x86/boot"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(tree, "arch/x86/boot/bzImage"), bzImage, 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(tree, "vmlinux"), made.vmlinux(), 0o644))

	for name, chosen := range map[string]string{
		"a bzImage":           write(t, "some-kernel", bzImage),
		"an ELF file":         write(t, "vmlinux", made.vmlinux()),
		"a package directory": filepath.Dir(write(t, "vmlinuz", bzImage)),
		"a build tree":        tree,
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(kernel.Env, chosen)
			k, err := kernel.Find(t.Context())
			require.NoError(t, err)
			require.Equal(t, "7.3.4-chosen", k.Release)
		})
	}
}

func TestFindHasNoOtherThanTheChosenKernel(t *testing.T) {
	withCache(t, fit("9.0.0-cached"))
	unfit := fit("6.12.0-chosen")
	unfit.btf = unfit.btf[:1]
	for name, test := range map[string]struct{ chosen, want string }{
		"missing": {"/nowhere/vmlinuz", "no such file"},
		"unfit":   {write(t, "vmlinux", unfit.vmlinux()), "lacks sched_ext (CONFIG_SCHED_CLASS_EXT=y)"},
		"empty":   {t.TempDir(), "has no kernel image (bzImage, vmlinuz"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(kernel.Env, test.chosen)
			_, err := kernel.Find(t.Context())
			require.ErrorIs(t, err, kernel.ErrNoKernel)
			require.ErrorContains(t, err, "chosen by $KTGEN_KERNEL")
			require.ErrorContains(t, err, test.want)
			require.NotContains(t, err.Error(), "9.0.0-cached")
		})
	}
}

func TestFindSaysWhereItLookedAndWhatToDo(t *testing.T) {
	unfit := fit("6.12.0-a")
	unfit.btf = unfit.btf[:1]
	dir := withCache(t, unfit)
	_, err := kernel.Find(t.Context())
	require.ErrorIs(t, err, kernel.ErrNoKernel)
	require.ErrorContains(t, err, filepath.Join(dir, "kernels/6.12.0-a/vmlinuz"))
	require.ErrorContains(t, err, "lacks sched_ext")
	require.ErrorContains(t, err, "/boot/vmlinuz")
	require.ErrorContains(t, err, "ktgen kernel fetch")
}

func TestFindEndsWithItsContext(t *testing.T) {
	withCache(t, fit("7.3.4-a"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := kernel.Find(ctx)
	require.ErrorIs(t, err, context.Canceled)
}
