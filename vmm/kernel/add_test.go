package kernel_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/vmm/cache"
	"github.com/ktgen/ktgen/vmm/kernel"
)

// buildTree makes the tree that a kernel was built in, with files below it.
func buildTree(t *testing.T, files map[string][]byte) string {
	t.Helper()
	tree := t.TempDir()
	for path, content := range files {
		path = filepath.Join(tree, path)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, content, 0o644))
	}
	return tree
}

func TestAddTakesKernelsThatWereBuiltByHand(t *testing.T) {
	made := fit("6.19.0-mine")
	config := []byte("CONFIG_X86_64=y\nCONFIG_NR_CPUS=64\n# CONFIG_NUMA is not set\nCONFIG_LOCALVERSION=\"-mine\"\n")
	boot := made.bzImage(zstdPayload(t, made.vmlinux()))
	for name, files := range map[string]map[string][]byte{
		"a tree":         {"arch/x86/boot/bzImage": boot, "vmlinux": made.vmlinux(), ".config": config},
		"only a vmlinux": {"vmlinux": made.vmlinux(), ".config": config},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(cache.DirEnv, t.TempDir())
			tree := buildTree(t, files)
			k, err := kernel.Add(t.Context(), tree, "")
			require.NoError(t, err)
			require.NoError(t, os.RemoveAll(tree))
			require.True(t, k.Whole())

			found, err := kernel.Find(t.Context())
			require.NoError(t, err)
			require.Equal(t, "6.19.0-mine", found.Release)
			require.NoError(t, found.Fit())
			options, err := found.Options("CONFIG_NR_CPUS", "CONFIG_NUMA", "CONFIG_LOCALVERSION")
			require.NoError(t, err)
			require.Equal(t, map[string]string{"CONFIG_NR_CPUS": "64", "CONFIG_LOCALVERSION": "-mine"}, options)
			again, err := kernel.Add(t.Context(), found.Path, "")
			require.NoError(t, err, "it is its own source")
			require.Equal(t, found.Path, again.Path)
		})
	}
}

func TestAddReplacesTheKernelOfARelease(t *testing.T) {
	t.Setenv(cache.DirEnv, t.TempDir())
	for _, option := range []string{"1", "2"} {
		tree := buildTree(t, map[string][]byte{"vmlinux": fit("6.19.0-mine").vmlinux(), "other": []byte("CONFIG_HZ=" + option + "\n")})
		k, err := kernel.Add(t.Context(), tree, filepath.Join(tree, "other"))
		require.NoError(t, err)
		options, err := k.Options("CONFIG_HZ")
		require.NoError(t, err)
		require.Equal(t, map[string]string{"CONFIG_HZ": option}, options)
	}
}

func TestAddNamesAConfigurationThatIsNotThere(t *testing.T) {
	t.Setenv(cache.DirEnv, t.TempDir())
	made := fit("6.19.0-mine")
	tree := buildTree(t, map[string][]byte{"vmlinux": made.vmlinux()})
	_, err := kernel.Add(t.Context(), tree, filepath.Join(tree, "none"))
	require.EqualError(t, err, "reading the configuration of kernel 6.19.0-mine: open "+filepath.Join(tree, "none")+": no such file or directory")
}

func TestAddNamesWhatATreeLacks(t *testing.T) {
	made := fit("6.19.0-mine")
	untyped := made
	untyped.btf = nil
	for want, files := range map[string]map[string][]byte{
		"has no kernel image": {".config": []byte(configText)},
		"has no configuration in its tree or beside it (.config, config-6.19.0-mine or config)":         {"vmlinux": made.vmlinux()},
		"lacks BTF (CONFIG_DEBUG_INFO_BTF=y), sched_ext (CONFIG_SCHED_CLASS_EXT=y): build it with that": {"vmlinux": untyped.vmlinux(), ".config": []byte(configText)},
		"does not set CONFIG_X86_64, CONFIG_BPF or CONFIG_HZ":                                           {"vmlinux": made.vmlinux(), ".config": []byte("# nothing\n")},
		"it is neither a bzImage nor an ELF file":                                                       {"vmlinux": made.vmlinux()[:300], ".config": []byte(configText)},
	} {
		t.Setenv(cache.DirEnv, t.TempDir())
		_, err := kernel.Add(t.Context(), buildTree(t, files), "")
		require.ErrorContains(t, err, want)
		_, err = kernel.FindRelease(t.Context(), "6.19")
		require.ErrorIs(t, err, kernel.ErrNoKernel, "nothing got into the cache")
	}
}
