package vmm

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// cgroupFiles is a folder for files of the kernel's, and what writes them.
func cgroupFiles(t *testing.T) (root string, write func(path, text string)) {
	root = t.TempDir()
	return root, func(path, text string) {
		path = filepath.Join(root, path)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	}
}

func TestTightestCgroupLimitsMemory(t *testing.T) {
	root, write := cgroupFiles(t)
	write("self", "1:name=systemd:/other\n0::/ci/job\n")
	write("cgroup/ci/memory.max", "1073741824\n")
	write("cgroup/ci/memory.current", "805306368\n")
	write("cgroup/ci/memory.stat", "anon 1\ninactive_file 104857600\n")
	write("cgroup/ci/job/memory.max", "max\n")
	write("cgroup/ci/job/memory.current", "4096\n")

	free, limit, ok := cgroupMemory(filepath.Join(root, "cgroup"), filepath.Join(root, "self"))
	require.True(t, ok)
	require.Equal(t, 356*MiB, free)
	require.Equal(t, "memory.max", limit)

	_, _, ok = cgroupMemory(filepath.Join(root, "nothing"), filepath.Join(root, "self"))
	require.False(t, ok)
}

// On a host with cgroup v1, or with both, memory is a hierarchy of its own.
func TestTightestCgroupOfTheFirstVersionLimitsMemory(t *testing.T) {
	for name, self := range map[string]string{
		"v1":   "4:memory:/ci/job\n3:cpu,cpuacct:/elsewhere\n",
		"both": "4:memory:/ci/job\n0::/user.slice\n",
	} {
		t.Run(name, func(t *testing.T) {
			root, write := cgroupFiles(t)
			write("self", self)
			write("cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n") // none
			write("cgroup/memory/memory.usage_in_bytes", "8053063680\n")
			write("cgroup/memory/ci/memory.limit_in_bytes", "1073741824\n")
			write("cgroup/memory/ci/memory.usage_in_bytes", "805306368\n")
			write("cgroup/memory/ci/memory.stat", "inactive_file 4096\ntotal_inactive_file 104857600\n")
			write("cgroup/memory/ci/job/memory.limit_in_bytes", "9223372036854771712\n")
			write("cgroup/memory/ci/job/memory.usage_in_bytes", "4096\n")

			free, limit, ok := cgroupMemory(filepath.Join(root, "cgroup"), filepath.Join(root, "self"))
			require.True(t, ok)
			require.Equal(t, 356*MiB, free)
			require.Equal(t, "memory.limit_in_bytes", limit)
		})
	}
}

func TestAvailableMemoryOfTheHost(t *testing.T) {
	path := filepath.Join(t.TempDir(), "meminfo")
	require.NoError(t, os.WriteFile(path, []byte("MemTotal:  2000 kB\nMemAvailable:   1024 kB\n"), 0o600))
	free, ok := availableMemory(path)
	require.True(t, ok)
	require.Equal(t, 1*MiB, free)
}
