package vmm

import (
	"cmp"
	"fmt"
	"slices"
)

// Node is a NUMA node. Nodes are numbered in their order, which is that of their first
// CPUs; nodes without CPUs are last.
type Node struct {
	// CPUs are the node's. If no node names any, the dies are dealt out evenly, in
	// their order. If one does, a node that names none has memory only.
	CPUs []int
	// Memory is the node's. If no node names any, Config.Memory is dealt out evenly.
	// If one does, a node that names none has CPUs only.
	Memory Size
	// Distances are those to all nodes: 10 to the node itself, and 11 to 254 to
	// others. The default is 20 to each other.
	Distances []int
}

// Limits of nodes. Linux ignores a table of distances in which others are not
// further away than the node itself (drivers/acpi/numa/srat.c, slit_valid); 255 says
// that a node cannot be reached.
const (
	maxNodes       = 128 // QEMU: include/sysemu/numa.h, MAX_NODES
	localDistance  = 10
	remoteDistance = 20
	maxDistance    = 254

	// A node has more memory than what the kernel never hands out: of the first MiB of
	// the machine nothing is left.
	minNodeMemory = 16 * MiB
)

// completeNodes returns the nodes of a complete topology with all their CPUs, memory
// and distances, and the memory of all of them.
func (t Topology) completeNodes(memory Size) ([]Node, Size, error) {
	if len(t.Nodes) == 0 {
		return nil, cmp.Or(memory, DefaultMemory), nil
	}
	if len(t.Nodes) > maxNodes {
		return nil, 0, badTopology("%d nodes are more than the %d that QEMU has: have fewer", len(t.Nodes), maxNodes)
	}
	nodes := slices.Clone(t.Nodes)
	if err := t.dealCPUs(nodes); err != nil {
		return nil, 0, err
	}
	memory, err := dealMemory(nodes, memory)
	if err != nil {
		return nil, 0, err
	}
	return nodes, memory, setDistances(nodes)
}

// dealCPUs gives the nodes their CPUs, or checks those that they name.
func (t Topology) dealCPUs(nodes []Node) error {
	if slices.ContainsFunc(nodes, func(n Node) bool { return len(n.CPUs) > 0 }) {
		return t.checkCPUs(nodes)
	}
	dies := t.Sockets * t.Dies
	if dies%len(nodes) != 0 {
		return badTopology("%v are %d dies, which cannot be dealt out evenly to %d nodes: have a multiple of dies, or name the CPUs of each node (Node.CPUs)",
			t, dies, len(nodes))
	}
	each := t.cpus() / len(nodes)
	for i := range nodes {
		for cpu := i * each; cpu < (i+1)*each; cpu++ {
			nodes[i].CPUs = append(nodes[i].CPUs, cpu)
		}
	}
	return nil
}

// checkCPUs says whether each CPU is in one node, that all of its die are in: Linux
// warns of a last-level cache in two nodes, and takes it for two (arch/x86/kernel/smpboot.c,
// topology_sane).
func (t Topology) checkCPUs(nodes []Node) error {
	nodeOf := make(map[int]int)
	for i, n := range nodes {
		nodes[i].CPUs = slices.Sorted(slices.Values(n.CPUs))
		for _, cpu := range n.CPUs {
			if cpu < 0 || cpu >= t.cpus() {
				return badTopology("node %d has CPU %d, and there are CPUs 0 to %d: name these only", i, cpu, t.cpus()-1)
			}
			if other, taken := nodeOf[cpu]; taken {
				return badTopology("CPU %d is in node %d and in node %d: name it in one", cpu, other, i)
			}
			nodeOf[cpu] = i
		}
	}
	die := t.Cores * t.Threads
	for cpu := range t.cpus() {
		node, ok := nodeOf[cpu]
		if !ok {
			return badTopology("CPU %d is in no node: name each CPU in one, or no CPUs at all to have them dealt out", cpu)
		}
		if first := cpu - cpu%die; nodeOf[first] != node {
			return badTopology("CPU %d is in node %d and CPU %d in node %d, which are on one die and share its last-level cache: have more dies (Dies), or put all CPUs of a die into one node",
				first, nodeOf[first], cpu, node)
		}
	}
	return checkOrder(nodes)
}

// checkOrder says whether the kernel numbers the nodes so: it does in the order in which
// ACPI's SRAT names them, which begins with the CPUs (drivers/acpi/numa/srat.c,
// acpi_map_pxm_to_node).
func checkOrder(nodes []Node) error {
	for i := 1; i < len(nodes); i++ {
		before, n := nodes[i-1].CPUs, nodes[i].CPUs
		if len(n) > 0 && (len(before) == 0 || before[0] > n[0]) {
			return badTopology("node %d has CPU %d, and the kernel would number it before node %d: order the nodes by their first CPUs, those without CPUs last", i, n[0], i-1)
		}
	}
	return nil
}

// dealMemory gives the nodes their memory, or checks what they name, and returns
// the sum.
func dealMemory(nodes []Node, memory Size) (Size, error) {
	var sum Size
	for i, n := range nodes {
		if n.Memory < 0 || n.Memory%MiB != 0 || n.Memory > maxNodeMemory {
			return 0, badTopology("node %d has %v of memory, which is not a multiple of %v up to %v: round it", i, n.Memory, MiB, maxNodeMemory)
		}
		if n.Memory != 0 && n.Memory < minNodeMemory {
			return 0, badTopology("node %d has %v of memory, of which the kernel leaves next to nothing: give it %v or more, or none", i, n.Memory, minNodeMemory)
		}
		sum += n.Memory
	}
	if sum != 0 && memory != 0 && sum != memory {
		return 0, badTopology("the nodes have %v of memory, and Config.Memory is %v: leave one of the two out, or make them agree", sum, memory)
	}
	if sum != 0 {
		return sum, nil
	}
	memory = cmp.Or(memory, DefaultMemory)
	each := memory / Size(len(nodes)) / MiB * MiB
	if each < minNodeMemory {
		return 0, badTopology("%v of memory are too little for %d nodes of at least %v: have more memory, or fewer nodes", memory, len(nodes), minNodeMemory)
	}
	for i := range nodes {
		nodes[i].Memory = each
	}
	nodes[0].Memory += memory - each*Size(len(nodes))
	return memory, nil
}

// maxNodeMemory keeps sums far from overflows.
const maxNodeMemory = 1 << 16 * GiB

// setDistances gives the nodes their distances, or checks those that they name.
func setDistances(nodes []Node) error {
	for from := range nodes {
		n := &nodes[from]
		if n.Distances == nil {
			n.Distances = slices.Repeat([]int{remoteDistance}, len(nodes))
			n.Distances[from] = localDistance
		}
		if len(n.Distances) != len(nodes) {
			return badTopology("node %d has %d distances, and there are %d nodes: give one to each, itself included", from, len(n.Distances), len(nodes))
		}
		for to, d := range n.Distances {
			if to == from && d != localDistance {
				return badTopology("node %d is %d away from itself, which has to be %d", from, d, localDistance)
			}
			if to != from && (d <= localDistance || d > maxDistance) {
				return badTopology("node %d is %d away from node %d, which has to be %d to %d", from, d, to, localDistance+1, maxDistance)
			}
		}
	}
	return nil
}

// banks returns the sizes of the pieces of RAM that have a file each.
func (c Config) banks() []Size {
	var sizes []Size
	for _, n := range c.Topology.Nodes {
		if n.Memory > 0 {
			sizes = append(sizes, n.Memory)
		}
	}
	if sizes == nil {
		return []Size{c.Memory}
	}
	return sizes
}

// memory returns QEMU's arguments for the RAM.
func (c Config) memory() []string {
	if len(c.Topology.Nodes) == 0 {
		return []string{"-object", backend("ram", c.Memory, fdRAM), "-machine", "memory-backend=ram"}
	}
	var args []string
	bank := 0
	for i, n := range c.Topology.Nodes {
		node := fmt.Sprintf("node,nodeid=%d", i)
		for _, cpu := range n.CPUs {
			node += fmt.Sprintf(",cpus=%d", cpu)
		}
		if n.Memory > 0 {
			id := fmt.Sprintf("ram%d", i)
			args = append(args, "-object", backend(id, n.Memory, c.bankFD(bank)))
			node += ",memdev=" + id
			bank++
		}
		args = append(args, "-numa", node)
	}
	return append(args, c.distances()...)
}

// distances returns QEMU's arguments for the distances of nodes.
func (c Config) distances() (args []string) {
	for from, n := range c.Topology.Nodes {
		for to, d := range n.Distances {
			if to != from {
				args = append(args, "-numa", fmt.Sprintf("dist,src=%d,dst=%d,val=%d", from, to, d))
			}
		}
	}
	return args
}

func backend(id string, size Size, fd int) string {
	return fmt.Sprintf("memory-backend-file,id=%s,size=%d,mem-path=/proc/self/fd/%d,share=on", id, int64(size), fd)
}

// bankFD returns QEMU's descriptor of a bank: the first is before all others, and
// the rest after the ports.
func (c Config) bankFD(bank int) int {
	if bank == 0 {
		return fdRAM
	}
	return fdPorts + len(c.Ports) + c.lockstepWires() + bank - 1
}
