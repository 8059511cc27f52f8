package vmm

import (
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
		cfg, err := Config{CPUs: row.cpus, Topology: row.in}.arranged()
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
		_, err := Config{CPUs: row.cpus, Topology: row.in}.arranged()
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
