package guest

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// sysfs writes files below a directory of the test's.
func sysfs(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for path, text := range files {
		path = filepath.Join(dir, path)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text+"\n"), 0o644))
	}
	return dir
}

func TestTopologyIsRead(t *testing.T) {
	files := map[string]string{
		"cpu/present":                           "0-1",
		"cpu/online":                            "0",
		"cpu/cpu0/topology/core_cpus_list":      "0",
		"cpu/cpu0/topology/die_cpus_list":       "0,4",
		"cpu/cpu0/topology/package_cpus_list":   "0,4-6",
		"cpu/cpu0/cache/index0/level":           "1",
		"cpu/cpu0/cache/index0/type":            "Data",
		"cpu/cpu0/cache/index0/size":            "32K",
		"cpu/cpu0/cache/index0/shared_cpu_list": "0",
		"cpu/cpu0/cache/index1/level":           "3",
		"cpu/cpu0/cache/index1/type":            "Unified",
		"cpu/cpu0/cache/index1/size":            "16384K",
		"cpu/cpu0/cache/index1/shared_cpu_list": "0,4",
		"node/online":                           "1,3",
		"node/node1/cpulist":                    "0",
		"node/node1/distance":                   "10 21",
		"node/node1/meminfo":                    "Node 1 MemTotal:         468296 kB\nNode 1 MemFree: 1 kB",
		"node/node3/cpulist":                    "",
		"node/node3/distance":                   "21 10",
		"node/node3/meminfo":                    "Node 3 MemTotal:              0 kB",
	}
	topology, err := readTopology(sysfs(t, files))
	require.NoError(t, err)
	require.Equal(t, Topology{
		CPUs: []CPU{
			{ID: 0, Online: true, Core: []int{0}, Die: []int{0, 4}, Package: []int{0, 4, 5, 6}, Caches: []Cache{
				{Level: 1, Type: "Data", Size: "32K", CPUs: []int{0}},
				{Level: 3, Type: "Unified", Size: "16384K", CPUs: []int{0, 4}},
			}},
			{ID: 1},
		},
		Nodes: []MemoryNode{
			{ID: 1, CPUs: []int{0}, Memory: 468296 << 10, Distances: []int{10, 21}},
			{ID: 3, Distances: []int{21, 10}},
		},
	}, topology)
	require.Equal(t, []int{0, 4}, topology.CPUs[0].LLC())
	require.Nil(t, topology.CPUs[1].LLC())
	require.Equal(t, 1, topology.Node(0))
	require.Equal(t, -1, topology.Node(1))

	for path, text := range map[string]string{
		"cpu/online":                      "zero",
		"cpu/cpu0/topology/die_cpus_list": "1-0",
		"cpu/cpu0/cache/index1/level":     "three",
		"node/online":                     "-",
		"node/node3/distance":             "21 x",
		"node/node1/meminfo":              "Node 1 MemTotal: much kB",
		"node/node3/meminfo":              "",
	} {
		dir := sysfs(t, files)
		require.NoError(t, os.WriteFile(filepath.Join(dir, path), []byte(text), 0o644))
		_, err := readTopology(dir)
		require.Error(t, err, path)
	}
}

func TestKernelWithoutNodesHasNone(t *testing.T) {
	topology, err := readTopology(sysfs(t, map[string]string{"cpu/present": "0", "cpu/online": ""}))
	require.NoError(t, err)
	require.Equal(t, Topology{CPUs: []CPU{{ID: 0}}}, topology)
}
