package kernel_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/vmm/kernel"
)

const configText = "CONFIG_HZ=250\n"

// basePackage makes the package that has a kernel's configuration.
func basePackage(release string) debPackage {
	return debPackage{
		name: "linux-base-" + release, version: "1-1",
		file: "./usr/lib/modules/" + release + "/config", content: []byte(configText),
	}
}

func TestFetchKeepsTheConfiguration(t *testing.T) {
	const release = "7.3.4+deb13-cloud-amd64"
	s := newAptSystem(t)
	s.publish("trixie-backports", kernelPackage(t, fit(release)), basePackage(release))
	k, _, err := s.fetch(kernel.FetchOptions{})
	require.NoError(t, err)
	requireConfig(t, k)

	// An earlier version left none.
	require.NoError(t, os.Remove(k.Config))
	found, err := kernel.Find(t.Context())
	require.NoError(t, err)
	require.Empty(t, found.Config)
	require.False(t, found.Whole())
	k, _, err = s.fetch(kernel.FetchOptions{})
	require.NoError(t, err)
	requireConfig(t, k)
}

func requireConfig(t *testing.T, k *kernel.Kernel) {
	t.Helper()
	require.True(t, k.Whole())
	require.Equal(t, filepath.Join(filepath.Dir(k.Path), "config"), k.Config)
	text, err := os.ReadFile(k.Config)
	require.NoError(t, err)
	require.Equal(t, configText, string(text))
}

func TestFetchDoesWithoutAConfiguration(t *testing.T) {
	s := newAptSystem(t)
	s.publish("trixie-backports", kernelPackage(t, fit("7.3.4+deb13-cloud-amd64")))
	k, log, err := s.fetch(kernel.FetchOptions{})
	require.NoError(t, err)
	require.Empty(t, k.Config)
	require.True(t, k.Whole(), "it is not looked for again")
	require.Contains(t, log, "the kernel's configuration is missing")
}

func TestConfigurationIsFoundBesideAnImage(t *testing.T) {
	made := fit("7.3.4-custom")
	image := made.bzImage(zstdPayload(t, made.vmlinux()))
	for name, config := range map[string]string{
		"vmlinuz":               "config-7.3.4-custom",
		"vmlinuz-7.3.4-custom":  "config",
		"bzImage":               ".config",
		"arch/x86/boot/bzImage": ".config",
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("KTGEN_CACHE", t.TempDir())
			dir := t.TempDir()
			require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
			require.NoError(t, os.WriteFile(filepath.Join(dir, name), image, 0o644))
			require.NoError(t, os.WriteFile(filepath.Join(dir, config), []byte(configText), 0o644))
			k, err := kernel.Open(t.Context(), filepath.Join(dir, name))
			require.NoError(t, err)
			require.Equal(t, filepath.Join(dir, config), k.Config)
		})
	}
}
