package vmm

import (
	"cmp"
	"fmt"
	"math/bits"
)

// Topology says how a guest's CPUs are arranged. They are numbered threads first:
// with two threads, CPUs 0 and 1 are one core. Each die has a last-level cache,
// which its CPUs share.
//
// The zero value leaves the arrangement to QEMU. If any field is set, those that
// are zero stand for 1; Cores is then what Config.CPUs comes to if that is given.
// Without Nodes everything is in one.
type Topology struct {
	Sockets int
	Dies    int // in each socket
	Cores   int // on each die
	Threads int // of each core
	Nodes   []Node
}

// maxAPICID is the largest local APIC id of 8 bits that is no broadcast. Larger
// ones need interrupt remapping (QEMU: hw/i386/x86.c, x86_cpus_init).
const maxAPICID = 254

func (t Topology) isZero() bool {
	return t.Sockets == 0 && t.Dies == 0 && t.Cores == 0 && t.Threads == 0 && len(t.Nodes) == 0
}

func (t Topology) cpus() int { return t.Sockets * t.Dies * t.Cores * t.Threads }

func (t Topology) String() string {
	return fmt.Sprintf("%d sockets with %d dies of %d cores of %d threads", t.Sockets, t.Dies, t.Cores, t.Threads)
}

// level is a field of a topology.
type level struct {
	name  string
	count int
}

// levels returns the fields from the largest unit to the smallest.
func (t Topology) levels() []level {
	return []level{{"Sockets", t.Sockets}, {"Dies", t.Dies}, {"Cores", t.Cores}, {"Threads", t.Threads}}
}

// Complete returns the configuration with the number of CPUs, the memory and all
// of the topology that it comes to. The error is a [*ConfigError].
func (c Config) Complete() (Config, error) {
	if c.Topology.isZero() {
		c.CPUs = cmp.Or(c.CPUs, DefaultCPUs)
		c.Memory = cmp.Or(c.Memory, DefaultMemory)
		return c, nil
	}
	t, err := c.Topology.complete(c.CPUs)
	if err != nil {
		return c, err
	}
	c.CPUs = t.cpus()
	t.Nodes, c.Memory, err = t.completeNodes(c.Memory)
	c.Topology = t
	return c, err
}

// complete returns the topology of so many CPUs, or of as many as it comes to if
// cpus is 0, without zero fields.
func (t Topology) complete(cpus int) (Topology, error) {
	for _, l := range t.levels() {
		if l.count < 0 || l.count > maxCPUs {
			return t, badTopology("%s: %d is not between 1 and %d", l.name, l.count, maxCPUs)
		}
	}
	t.Sockets, t.Dies, t.Threads = max(t.Sockets, 1), max(t.Dies, 1), max(t.Threads, 1)
	if others := t.Sockets * t.Dies * t.Threads; t.Cores == 0 && cpus > 0 && cpus%others == 0 {
		t.Cores = cpus / others
	}
	t.Cores = max(t.Cores, 1)
	if cpus != 0 && t.cpus() != cpus {
		return t, badTopology("%v are %d CPUs, and Config.CPUs is %d: leave one of the two out, or make them agree", t, t.cpus(), cpus)
	}
	return t, t.checkAPICIDs()
}

// checkAPICIDs says whether the CPUs have ids to be told apart by. An id is made of
// the numbers of thread, core, die and socket, each in as many bits as the largest
// needs (QEMU: include/hw/i386/topology.h).
func (t Topology) checkAPICIDs() error {
	last := 0
	for _, l := range t.levels() {
		last = last<<bits.Len(uint(l.count-1)) | (l.count - 1)
	}
	if last <= maxAPICID {
		return nil
	}
	return badTopology("%v: the APIC id of the last CPU would be %d, and QEMU's machine has them up to %d; each level takes as many bits as its largest number needs, so that powers of two fit best",
		t, last, maxAPICID)
}

func badTopology(format string, args ...any) error {
	return &ConfigError{"Topology", fmt.Sprintf(format, args...)}
}

// smp returns what QEMU's option -smp says of the CPUs.
func (c Config) smp() string {
	if c.Topology.isZero() {
		return fmt.Sprint(c.CPUs)
	}
	t := c.Topology
	return fmt.Sprintf("%d,sockets=%d,dies=%d,cores=%d,threads=%d", c.CPUs, t.Sockets, t.Dies, t.Cores, t.Threads)
}

// cpu returns QEMU's model of a CPU. Translated CPUs are AMD's by default, as which
// they tell the kernel neither of dies nor of caches that some CPUs share; as Intel's
// they do (QEMU: target/i386/cpu.c, cpu_x86_cpuid, leaves 4 and 0x1f; Linux:
// arch/x86/kernel/cpu/cacheinfo.c). An Intel CPU answers for its last leaf where it is asked for one that it
// does not have, and QEMU 10 ends itself if that is 0x1f and the sub-leaf large, as SeaBIOS asks in its look for a
// hypervisor (encode_topo_cpuid1f): the last one is an empty one behind that.
//
// A guest in lockstep is not told that it is one. In guests the kernel's spin locks are not fair
// (virt_spin_lock, arch/x86/include/asm/qspinlock.h), and turns of vCPUs mostly end where one holds a lock: another one
// that wants it tries once in each of its own turns, which "pause" ends, and can fail for 100s of ms.
func (c Config) cpu(accel Accel) string {
	if accel == KVM {
		return "host"
	}
	model := "max"
	if !c.Topology.isZero() {
		model += ",vendor=GenuineIntel,level=0x20"
	}
	if c.Lockstep != nil {
		model += ",-hypervisor"
	}
	return model
}
