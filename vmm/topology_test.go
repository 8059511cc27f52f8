package vmm

import (
	"fmt"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTopologyIsCompleted(t *testing.T) {
	for _, row := range []struct {
		cpus int
		in   Topology
		smp  string
	}{
		{cpus: 0, in: Topology{}, smp: "2"},
		{cpus: 7, in: Topology{}, smp: "7"},
		{cpus: 0, in: Topology{Sockets: 1}, smp: "1,sockets=1,dies=1,cores=1,threads=1"},
		{cpus: 0, in: Topology{Threads: 2}, smp: "2,sockets=1,dies=1,cores=1,threads=2"},
		{cpus: 8, in: Topology{Sockets: 2}, smp: "8,sockets=2,dies=1,cores=4,threads=1"},
		{cpus: 12, in: Topology{Sockets: 2, Cores: 3, Threads: 2}, smp: "12,sockets=2,dies=1,cores=3,threads=2"},
		{cpus: 64, in: Topology{Dies: 4, Threads: 2}, smp: "64,sockets=1,dies=4,cores=8,threads=2"},
		{cpus: 0, in: Topology{Sockets: 8, Dies: 8, Cores: 3}, smp: "192,sockets=8,dies=8,cores=3,threads=1"},
	} {
		cfg, err := Config{CPUs: row.cpus, Topology: row.in}.Complete()
		require.NoError(t, err, "%+v", row)
		require.Equal(t, row.smp, cfg.smp())
	}
}

func TestTopologiesThatCannotBe(t *testing.T) {
	for _, row := range []struct {
		cpus int
		in   Topology
		want string
	}{
		{0, Topology{Sockets: -1}, "vmm.Config.Topology: Sockets: -1 is not between 1 and 255"},
		{0, Topology{Threads: 1 << 62}, "Threads: 4611686018427387904 is not between 1 and 255"},
		{4, Topology{Cores: 2}, "1 sockets with 1 dies of 2 cores of 1 threads are 2 CPUs, and Config.CPUs is 4: leave one"},
		{9, Topology{Sockets: 2}, "are 2 CPUs, and Config.CPUs is 9"},
		{0, Topology{Sockets: 5, Dies: 5, Cores: 5}, "the APIC id of the last CPU would be 292, and QEMU's machine has them up to 254"},
		{0, Topology{Sockets: 2, Cores: 128}, "the APIC id of the last CPU would be 255"},
		{0, Topology{Sockets: 255, Dies: 255, Cores: 255, Threads: 255}, "the APIC id"},
	} {
		_, err := Config{CPUs: row.cpus, Topology: row.in}.Complete()
		require.ErrorContains(t, err, row.want)
		require.ErrorAs(t, err, new(*ConfigError))
	}
}

func TestGuestHasItsTopology(t *testing.T) {
	cfg := testConfig(t)
	cfg.Topology = Topology{Sockets: 2, Dies: 2, Cores: 3, Threads: 2}
	vm := launchTest(t, cfg)
	of := func(cpu int, file string) string {
		return mustAsk(t, vm, "read /sys/devices/system/cpu/cpu%d/%s", cpu, file)
	}
	require.Equal(t, "0-23", mustAsk(t, vm, "read /sys/devices/system/cpu/online"))
	for cpu, want := range map[int]struct{ core, die, socket string }{
		0:  {"0-1", "0-5", "0-11"},
		11: {"10-11", "6-11", "0-11"},
		14: {"14-15", "12-17", "12-23"},
		23: {"22-23", "18-23", "12-23"},
	} {
		require.Equal(t, want.core, of(cpu, "topology/thread_siblings_list"), cpu)
		require.Equal(t, want.die, of(cpu, "topology/die_cpus_list"), cpu)
		require.Equal(t, want.die, of(cpu, "cache/index3/shared_cpu_list"), cpu)
		require.Equal(t, want.socket, of(cpu, "topology/package_cpus_list"), cpu)
	}
}

func TestNodesAreCompleted(t *testing.T) {
	nodes := func(cfg Config) []Node {
		cfg, err := cfg.Complete()
		require.NoError(t, err)
		return cfg.Topology.Nodes
	}
	require.Equal(t, []Node{
		{CPUs: []int{0, 1}, Memory: 34 * MiB, Distances: []int{10, 20, 20}},
		{CPUs: []int{2, 3}, Memory: 33 * MiB, Distances: []int{20, 10, 20}},
		{CPUs: []int{4, 5}, Memory: 33 * MiB, Distances: []int{20, 20, 10}},
	}, nodes(Config{CPUs: 6, Memory: 100 * MiB, Topology: Topology{Sockets: 3, Nodes: make([]Node, 3)}}))
	require.Equal(t, []Node{
		{CPUs: []int{0, 3}, Memory: 512 * MiB, Distances: []int{10, 21}},
		{CPUs: []int{1, 2}, Distances: []int{20, 10}},
	}, nodes(Config{Topology: Topology{Sockets: 4, Nodes: []Node{{CPUs: []int{3, 0}, Memory: 512 * MiB, Distances: []int{10, 21}}, {CPUs: []int{2, 1}}}}}))
}

func TestNodesThatCannotBe(t *testing.T) {
	two := func(a, b Node) Topology { return Topology{Dies: 2, Cores: 2, Nodes: []Node{a, b}} }
	for _, row := range []struct {
		memory Size
		in     Topology
		want   string
	}{
		{0, Topology{Nodes: make([]Node, 129)}, "129 nodes are more than the 128"},
		{0, Topology{Cores: 4, Nodes: make([]Node, 2)}, "4 cores of 1 threads are 1 dies, which cannot be dealt out evenly to 2 nodes"},
		{0, two(Node{CPUs: []int{0, 1}}, Node{CPUs: []int{2, 4}}), "node 1 has CPU 4, and there are CPUs 0 to 3"},
		{0, two(Node{CPUs: []int{0, -1}}, Node{}), "node 0 has CPU -1"},
		{0, two(Node{CPUs: []int{0, 1}}, Node{CPUs: []int{2, 3, 1}}), "CPU 1 is in node 0 and in node 1"},
		{0, two(Node{CPUs: []int{0, 1}}, Node{CPUs: []int{2}}), "CPU 3 is in no node"},
		{0, two(Node{CPUs: []int{0}}, Node{CPUs: []int{1, 2, 3}}), "CPU 0 is in node 0 and CPU 1 in node 1, which are on one die"},
		{0, two(Node{CPUs: []int{2, 3}}, Node{CPUs: []int{0, 1}}), "node 1 has CPU 0, and the kernel would number it before node 0: order the nodes"},
		{0, two(Node{}, Node{CPUs: []int{0, 1, 2, 3}}), "node 1 has CPU 0, and the kernel would number it before node 0"},
		{0, two(Node{Memory: MiB + 1}, Node{}), "node 0 has 1048577 bytes of memory, which is not a multiple of 1 MiB"},
		{0, two(Node{Memory: MiB}, Node{Memory: 512 * MiB}), "node 0 has 1 MiB of memory, of which the kernel leaves next to nothing: give it 16 MiB or more"},
		{0, two(Node{Memory: -MiB}, Node{}), "node 0 has -1 MiB of memory"},
		{0, two(Node{Memory: 1 << 62}, Node{Memory: 1 << 62}), "node 0 has 4294967296 GiB of memory"},
		{31 * MiB, two(Node{}, Node{}), "31 MiB of memory are too little for 2 nodes"},
		{512 * MiB, two(Node{Memory: 256 * MiB}, Node{Memory: 128 * MiB}), "the nodes have 384 MiB of memory, and Config.Memory is 512 MiB"},
		{0, two(Node{Distances: []int{10}}, Node{}), "node 0 has 1 distances, and there are 2 nodes"},
		{0, two(Node{Distances: []int{11, 20}}, Node{}), "node 0 is 11 away from itself"},
		{0, two(Node{}, Node{Distances: []int{10, 10}}), "node 1 is 10 away from node 0, which has to be 11 to 254"},
		{0, two(Node{}, Node{Distances: []int{255, 10}}), "node 1 is 255 away from node 0"},
	} {
		_, err := Config{Memory: row.memory, Topology: row.in}.Complete()
		require.ErrorContains(t, err, row.want)
		require.ErrorAs(t, err, new(*ConfigError))
	}
}

func TestGuestHasItsNodes(t *testing.T) {
	cfg := private(t)
	cfg.Topology = Topology{Sockets: 3, Cores: 2, Nodes: []Node{
		{CPUs: []int{0, 1, 4, 5}, Memory: 300 * MiB, Distances: []int{10, 21, 31}},
		{CPUs: []int{2, 3}, Distances: []int{22, 10, 41}},
		{Memory: 101 * MiB, Distances: []int{32, 42, 10}},
	}}
	for i := range 2 { // booted, and restored
		vm := launchTest(t, cfg)
		require.Equal(t, i > 0, vm.Origin().Restored)
		for node, want := range []struct{ cpus, distances string }{{"0-1,4-5", "10 21 31"}, {"2-3", "22 10 41"}, {"", "32 42 10"}} {
			dir := fmt.Sprintf("/sys/devices/system/node/node%d", node)
			require.Equal(t, want.cpus, mustAsk(t, vm, "read %s/cpulist", dir))
			require.Equal(t, want.distances, mustAsk(t, vm, "read %s/distance", dir))
		}
		require.Equal(t, "0,2", mustAsk(t, vm, "read /sys/devices/system/node/has_memory"))
		addr, err := strconv.ParseInt(mustAsk(t, vm, "plant in a guest with nodes"), 16, 64)
		require.NoError(t, err)
		got := make([]byte, len("in a guest with nodes"))
		_, err = vm.RAM().ReadAt(got, addr)
		require.NoError(t, err)
		require.Equal(t, "in a guest with nodes", string(got))
		require.NoError(t, vm.Close())
	}
}
