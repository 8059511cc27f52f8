package ktest

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/vmm"
	"github.com/ktgen/ktgen/vmm/guest"
	"github.com/ktgen/ktgen/vmm/kernel"
)

// A kernel that shows something else than what was asked for is found out, whatever
// it is that differs.
func TestTopologiesThatDifferAreTold(t *testing.T) {
	asked, err := vmm.Config{Memory: 256 * vmm.MiB, Topology: vmm.Topology{Sockets: 2, Threads: 2, Nodes: make([]vmm.Node, 2)}}.Complete()
	require.NoError(t, err)
	shown := func() guest.Topology {
		var has guest.Topology
		for cpu := range 4 {
			unit := func() []int { return []int{cpu &^ 1, cpu | 1} }
			has.CPUs = append(has.CPUs, guest.CPU{ID: cpu, Online: true, Core: unit(), Die: unit(), Package: unit(), Caches: []guest.Cache{{CPUs: unit()}}})
		}
		has.Nodes = []guest.MemoryNode{
			{ID: 0, CPUs: []int{0, 1}, Memory: 1, Distances: []int{10, 20}},
			{ID: 1, CPUs: []int{2, 3}, Memory: int64(128 * vmm.MiB), Distances: []int{20, 10}},
		}
		return has
	}
	require.Nil(t, compareTopology(asked, shown()))
	for want, change := range map[string]func(*guest.Topology){
		"the number of CPUs as 3, and Config.Topology asks for 4":                               func(has *guest.Topology) { has.CPUs = has.CPUs[1:] },
		"CPU 1 as missing or offline, and Config.Topology asks for online":                      func(has *guest.Topology) { has.CPUs[1].Online = false },
		"CPU 2 as missing or offline":                                                           func(has *guest.Topology) { has.CPUs[2].ID = 7 },
		"the core of CPU 3 as that of CPUs [3]":                                                 func(has *guest.Topology) { has.CPUs[3].Core = []int{3} },
		"the die of CPU 0 as that of CPUs [0], and Config.Topology asks for that of CPUs [0 1]": func(has *guest.Topology) { has.CPUs[0].Die = []int{0} },
		"the socket of CPU 1 as":                                                                func(has *guest.Topology) { has.CPUs[1].Package[0] = 3 },
		"the last-level cache of CPU 1 as that of CPUs []":                                      func(has *guest.Topology) { has.CPUs[1].Caches = nil },
		"the number of NUMA nodes as 0":                                                         func(has *guest.Topology) { has.Nodes = nil },
		"the number of node 1 as 2":                                                             func(has *guest.Topology) { has.Nodes[1].ID = 2 },
		"the CPUs of node 0 as [0]":                                                             func(has *guest.Topology) { has.Nodes[0].CPUs = []int{0} },
		"the distances of node 1 as [20 11]":                                                    func(has *guest.Topology) { has.Nodes[1].Distances[1] = 11 },
		"the memory of node 0 as 0 bytes":                                                       func(has *guest.Topology) { has.Nodes[0].Memory = 0 },
		"the memory of node 1 as 129 MiB":                                                       func(has *guest.Topology) { has.Nodes[1].Memory += int64(vmm.MiB) },
	} {
		has := shown()
		change(&has)
		difference := compareTopology(asked, has)
		require.NotNil(t, difference, want)
		require.Contains(t, difference.Error(), "the guest's kernel shows "+want)
		require.NotContains(t, difference.Error(), "KVM")
		difference.Accel.Accel = vmm.KVM
		require.Contains(t, difference.Error(), "try $KTGEN_ACCEL=tcg")
	}
}

func TestKernelsThatWereNotBuiltForAMachine(t *testing.T) {
	k := func(config string) *kernel.Kernel {
		path := filepath.Join(t.TempDir(), "config")
		require.NoError(t, os.WriteFile(path, []byte(config), 0o644))
		return &kernel.Kernel{Release: "9.9", Path: "/bzImage", Config: path}
	}
	all := "CONFIG_NR_CPUS=4\nCONFIG_NUMA=y\nCONFIG_NODES_SHIFT=1\nCONFIG_HOTPLUG_CPU=y\n"
	for _, row := range []struct {
		config string
		cfg    Config
		want   string
	}{
		{all, Config{CPUs: 4}, ""},
		{all, Config{CPUs: 5}, "kernel 9.9 (/bzImage) has up to 4 CPUs (CONFIG_NR_CPUS), and not 5, as its configuration "},
		{all, Config{Topology: Topology{Sockets: 2, Nodes: make([]Node, 2), Offline: []int{1}}}, ""},
		{all, Config{Topology: Topology{Sockets: 3, Nodes: make([]Node, 3)}}, "has up to 2 NUMA nodes (CONFIG_NODES_SHIFT), and not 3"},
		{"# CONFIG_NUMA is not set\n", Config{Topology: Topology{Sockets: 2, Nodes: make([]Node, 2)}}, "has no NUMA nodes (CONFIG_NUMA)"},
		{"# CONFIG_NUMA is not set\n", Config{Topology: Topology{Nodes: make([]Node, 1)}}, ""},
		{"CONFIG_NR_CPUS=64\n", Config{Topology: Topology{Offline: []int{1}}}, "takes no CPUs offline (CONFIG_HOTPLUG_CPU)"},
	} {
		machine, err := row.cfg.arranged()
		require.NoError(t, err)
		err = row.cfg.Topology.built(k(row.config), machine)
		if row.want == "" {
			require.NoError(t, err)
			continue
		}
		require.ErrorContains(t, err, row.want)
		require.ErrorAs(t, err, new(*vmm.ConfigError))
	}
	require.NoError(t, Topology{Offline: []int{1}}.built(&kernel.Kernel{}, vmm.Config{}), "nothing is known of it")
}
