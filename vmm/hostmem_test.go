package vmm

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTightestCgroupLimitsMemory(t *testing.T) {
	root := t.TempDir()
	write := func(path, text string) {
		path = filepath.Join(root, path)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	}
	write("self", "1:name=systemd:/other\n0::/ci/job\n")
	write("cgroup/ci/memory.max", "1073741824\n")
	write("cgroup/ci/memory.current", "805306368\n")
	write("cgroup/ci/memory.stat", "anon 1\ninactive_file 104857600\n")
	write("cgroup/ci/job/memory.max", "max\n")
	write("cgroup/ci/job/memory.current", "4096\n")

	free, ok := cgroupMemory(filepath.Join(root, "cgroup"), filepath.Join(root, "self"))
	require.True(t, ok)
	require.Equal(t, 356*MiB, free)

	_, ok = cgroupMemory(filepath.Join(root, "nothing"), filepath.Join(root, "self"))
	require.False(t, ok)
}

func TestAvailableMemoryOfTheHost(t *testing.T) {
	path := filepath.Join(t.TempDir(), "meminfo")
	require.NoError(t, os.WriteFile(path, []byte("MemTotal:  2000 kB\nMemAvailable:   1024 kB\n"), 0o600))
	free, ok := availableMemory(path)
	require.True(t, ok)
	require.Equal(t, 1*MiB, free)
}
