package ktest

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/ktgen/ktgen/vmm"
	"github.com/ktgen/ktgen/vmm/guest"
	"github.com/ktgen/ktgen/vmm/kernel"
)

// Topology says how the guest's CPUs are arranged, on which NUMA nodes they and the
// memory are, and which of them are offline. CPUs are numbered threads first: with
// two threads, CPUs 0 and 1 are one core. Each die has a last-level cache, which its
// CPUs share.
//
// The zero value is one socket of Config.CPUs cores. If any field is set, those that are
// zero stand for 1; Cores is then what Config.CPUs comes to if that is given.
//
// What the guest's kernel makes of it is compared when it has booted; if something
// differs, [Boot] fails with a [*TopologyError].
type Topology struct {
	Sockets int
	Dies    int // in each socket
	Cores   int // on each die
	Threads int // of each core

	// Nodes are the NUMA nodes, in the order of their first CPUs; none for a single
	// one that has everything.
	Nodes []Node

	// Offline are CPUs that are present and offline when the guest is handed over.
	// CPU 0 cannot be.
	Offline []int
}

// Node is a NUMA node. A value of zeros has its share of the dies and of the memory.
type Node = vmm.Node

// hardware returns the part of the topology that the machine has.
func (t Topology) hardware() vmm.Topology {
	return vmm.Topology{Sockets: t.Sockets, Dies: t.Dies, Cores: t.Cores, Threads: t.Threads, Nodes: t.Nodes}
}

// isZero reports whether nothing was asked for.
func (t Topology) isZero() bool {
	return t.Sockets == 0 && t.Dies == 0 && t.Cores == 0 && t.Threads == 0 && len(t.Nodes) == 0 && len(t.Offline) == 0
}

// arranged returns CPUs, memory and topology of the machine that the configuration
// asks for, complete. The error is a [*vmm.ConfigError].
func (c Config) arranged() (vmm.Config, error) {
	m, err := vmm.Config{CPUs: c.CPUs, Memory: c.Memory, Topology: c.Topology.hardware()}.Complete()
	if err != nil {
		return m, err
	}
	seen := make(map[int]bool)
	for _, cpu := range c.Topology.Offline {
		switch {
		case cpu == 0:
			return m, badTopology("CPU 0 cannot be offline on x86: choose others of 1 to %d", m.CPUs-1)
		case cpu < 0 || cpu >= m.CPUs:
			return m, badTopology("CPU %d is to be offline, and there are CPUs 0 to %d: choose others of these, and not CPU 0", cpu, m.CPUs-1)
		case seen[cpu]:
			return m, badTopology("CPU %d is to be offline twice: name it once", cpu)
		}
		seen[cpu] = true
	}
	return m, nil
}

// built says whether a kernel was built for a machine. Of one whose configuration is
// not known nothing is said: what it makes of the machine is seen when it has booted.
func (t Topology) built(k *kernel.Kernel, m vmm.Config) error {
	if t.isZero() && m.CPUs <= vmm.DefaultCPUs {
		return nil
	}
	const cpus, nodes, numa, hotplug = "CONFIG_NR_CPUS", "CONFIG_NODES_SHIFT", "CONFIG_NUMA", "CONFIG_HOTPLUG_CPU"
	options, err := k.Options(cpus, nodes, numa, hotplug)
	if err != nil || options == nil {
		return err
	}
	lacks := func(format string, args ...any) error {
		return badTopology("kernel %s (%s) %s, as its configuration %s says: boot another kernel, or ask for less", k.Release, k.Path, fmt.Sprintf(format, args...), k.Config)
	}
	if most, err := strconv.Atoi(options[cpus]); err == nil && m.CPUs > most {
		return lacks("has up to %d CPUs (%s), and not %d", most, cpus, m.CPUs)
	}
	if len(m.Topology.Nodes) > 1 && options[numa] != "y" {
		return lacks("has no NUMA nodes (%s)", numa)
	}
	if shift, err := strconv.Atoi(options[nodes]); err == nil && shift < 31 && len(m.Topology.Nodes) > 1<<shift {
		return lacks("has up to %d NUMA nodes (%s), and not %d", 1<<shift, nodes, len(m.Topology.Nodes))
	}
	if len(t.Offline) > 0 && options[hotplug] != "y" {
		return lacks("takes no CPUs offline (%s)", hotplug)
	}
	return nil
}

func badTopology(format string, args ...any) error {
	return &vmm.ConfigError{Field: "Topology", Reason: fmt.Sprintf(format, args...)}
}

// setUp compares the guest's topology with what was asked for, and takes CPUs offline.
func (t Topology) setUp(ctx context.Context, client *guest.Client, machine *vmm.VM) error {
	if t.isZero() {
		return nil
	}
	has, err := client.Topology(ctx)
	if err != nil {
		return err
	}
	if err := compareTopology(machine.Config(), has); err != nil {
		err.Accel = machine.Accel()
		return err
	}
	for _, cpu := range t.Offline {
		path := fmt.Sprintf("/sys/devices/system/cpu/cpu%d/online", cpu)
		if err := client.WriteFile(ctx, path, []byte("0"), 0o644); err != nil {
			return fmt.Errorf("take CPU %d offline: %w", cpu, err)
		}
	}
	return nil
}

// TopologyError says that the guest's kernel has another topology than was asked for.
type TopologyError struct {
	What       string // such as "the die of CPU 3"
	Asked, Has string
	Accel      vmm.Accelerator
}

func (e *TopologyError) Error() string {
	s := fmt.Sprintf("the guest's kernel shows %s as %s, and Config.Topology asks for %s", e.What, e.Has, e.Asked)
	if e.Accel.Accel == vmm.KVM {
		s += fmt.Sprintf("; on KVM the guest's CPUs are of the host's model, which tells of other things than translated ones do: try $%s=%s", vmm.EnvAccel, vmm.TCG)
	}
	return s
}

// compareTopology returns the first difference between a complete configuration and
// what a kernel shows when all CPUs are online.
func compareTopology(asked vmm.Config, has guest.Topology) *TopologyError {
	if len(has.CPUs) != asked.CPUs {
		return &TopologyError{What: "the number of CPUs", Has: fmt.Sprint(len(has.CPUs)), Asked: fmt.Sprint(asked.CPUs)}
	}
	for i, cpu := range has.CPUs {
		if err := compareCPU(i, asked.Topology, cpu); err != nil {
			return err
		}
	}
	if len(asked.Topology.Nodes) == 0 {
		return nil
	}
	if len(has.Nodes) != len(asked.Topology.Nodes) {
		return &TopologyError{What: "the number of NUMA nodes", Has: fmt.Sprint(len(has.Nodes)), Asked: fmt.Sprint(len(asked.Topology.Nodes))}
	}
	for i, n := range has.Nodes {
		if err := compareNode(i, asked.Topology.Nodes[i], n); err != nil {
			return err
		}
	}
	return nil
}

// compareCPU compares CPU id.
func compareCPU(id int, asked vmm.Topology, has guest.CPU) *TopologyError {
	if has.ID != id || !has.Online {
		return &TopologyError{What: fmt.Sprintf("CPU %d", id), Has: "missing or offline", Asked: "online"}
	}
	if asked.Sockets == 0 { // the arrangement is QEMU's
		return nil
	}
	core := asked.Threads
	die := core * asked.Cores
	for _, unit := range []struct {
		name string
		size int
		has  []int
	}{
		{"core", core, has.Core}, {"die", die, has.Die}, {"socket", die * asked.Dies, has.Package},
		{"last-level cache", die, has.LLC()},
	} {
		if want := around(id, unit.size); !slices.Equal(want, unit.has) {
			return &TopologyError{What: fmt.Sprintf("the %s of CPU %d", unit.name, id), Has: fmt.Sprintf("that of CPUs %v", unit.has), Asked: fmt.Sprintf("that of CPUs %v", want)}
		}
	}
	return nil
}

// around returns the CPUs of a unit of so many that one of them is in.
func around(cpu, size int) []int {
	cpus := make([]int, size)
	for i := range cpus {
		cpus[i] = cpu - cpu%size + i
	}
	return cpus
}

// compareNode compares node id.
func compareNode(id int, asked vmm.Node, has guest.MemoryNode) *TopologyError {
	differ := func(what string, has, asked any) *TopologyError {
		return &TopologyError{What: fmt.Sprintf("the %s of node %d", what, id), Has: fmt.Sprint(has), Asked: fmt.Sprint(asked)}
	}
	switch {
	case has.ID != id:
		return differ("number", has.ID, id)
	case !slices.Equal(has.CPUs, asked.CPUs):
		return differ("CPUs", has.CPUs, asked.CPUs)
	case !slices.Equal(has.Distances, asked.Distances):
		return differ("distances", has.Distances, asked.Distances)
	case has.Memory > int64(asked.Memory) || has.Memory == 0 && asked.Memory != 0:
		return differ("memory", vmm.Size(has.Memory), asked.Memory)
	}
	return nil
}

// Topology returns how the guest's kernel has CPUs and memory now.
func (vm *VM) Topology(ctx context.Context) (guest.Topology, error) {
	t, err := vm.agent.Topology(ctx)
	return t, vm.because(err)
}
