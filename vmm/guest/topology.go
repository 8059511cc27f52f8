package guest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

const methodTopology = "topology"

// Topology is how a guest's kernel has CPUs and memory, as /sys tells programs.
type Topology struct {
	CPUs  []CPU        // those that are present, in the order of their ids
	Nodes []MemoryNode // NUMA nodes; none if the kernel was built without
}

// CPU is a CPU that is present. Of one that is offline no more is known.
type CPU struct {
	ID     int
	Online bool
	// Core, Die and Package are the online CPUs that share each of these with the
	// CPU, which is one of them.
	Core, Die, Package []int
	Caches             []Cache // the nearest first
}

// Cache is a cache of a CPU.
type Cache struct {
	Level int
	Type  string // Data, Instruction or Unified
	Size  string // such as "32K"
	CPUs  []int  // that are online and share it
}

// MemoryNode is a NUMA node.
type MemoryNode struct {
	ID        int
	CPUs      []int // that are online
	Memory    int64 // bytes that the kernel hands out
	Distances []int // to each node, in the order of Topology.Nodes
}

// LLC returns the online CPUs that share the CPU's last-level cache with it, or nil
// if the kernel knows of no cache.
func (c CPU) LLC() []int {
	if len(c.Caches) == 0 {
		return nil
	}
	return c.Caches[len(c.Caches)-1].CPUs
}

// Node returns the id of the node that an online CPU is on, and -1 if it is on none.
func (t Topology) Node(cpu int) int {
	for _, n := range t.Nodes {
		if slices.Contains(n.CPUs, cpu) {
			return n.ID
		}
	}
	return -1
}

// Topology asks the guest how it has CPUs and memory now.
func (c *Client) Topology(ctx context.Context) (Topology, error) {
	var t Topology
	err := c.Call(ctx, methodTopology, nil, &t, Streams{})
	return t, err
}

func handleTopology(context.Context, *Call) (any, error) { return readTopology("/sys/devices/system") }

// readTopology reads the directories cpu and node below dir.
func readTopology(dir string) (t Topology, err error) {
	present, err := readCPUs(filepath.Join(dir, "cpu/present"))
	if err != nil {
		return t, err
	}
	online, err := readCPUs(filepath.Join(dir, "cpu/online"))
	if err != nil {
		return t, err
	}
	for _, id := range present {
		cpu := CPU{ID: id, Online: slices.Contains(online, id)}
		if cpu.Online {
			err = cpu.read(filepath.Join(dir, "cpu", fmt.Sprintf("cpu%d", id)))
		}
		if err != nil {
			return t, err
		}
		t.CPUs = append(t.CPUs, cpu)
	}
	t.Nodes, err = readNodes(filepath.Join(dir, "node"))
	return t, err
}

func (c *CPU) read(dir string) (err error) {
	for name, cpus := range map[string]*[]int{"core": &c.Core, "die": &c.Die, "package": &c.Package} {
		if *cpus, err = readCPUs(filepath.Join(dir, "topology", name+"_cpus_list")); err != nil {
			return err
		}
	}
	for i := 0; ; i++ {
		cache, err := readCache(filepath.Join(dir, "cache", fmt.Sprintf("index%d", i)))
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		c.Caches = append(c.Caches, cache)
	}
}

func readCache(dir string) (c Cache, err error) {
	level, err := readLine(filepath.Join(dir, "level"))
	if err != nil {
		return c, err
	}
	if c.Level, err = strconv.Atoi(level); err != nil {
		return c, fmt.Errorf("%s/level: %w", dir, err)
	}
	if c.Type, err = readLine(filepath.Join(dir, "type")); err != nil {
		return c, err
	}
	if c.Size, err = readLine(filepath.Join(dir, "size")); err != nil {
		return c, err
	}
	c.CPUs, err = readCPUs(filepath.Join(dir, "shared_cpu_list"))
	return c, err
}

// readNodes reads the NUMA nodes that are online.
func readNodes(dir string) (nodes []MemoryNode, err error) {
	ids, err := readCPUs(filepath.Join(dir, "online"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	for _, id := range ids {
		n := MemoryNode{ID: id}
		if err := n.read(filepath.Join(dir, fmt.Sprintf("node%d", id))); err != nil {
			return nil, err
		}
		nodes = append(nodes, n)
	}
	return nodes, err
}

func (n *MemoryNode) read(dir string) (err error) {
	if n.CPUs, err = readCPUs(filepath.Join(dir, "cpulist")); err != nil {
		return err
	}
	distances, err := readLine(filepath.Join(dir, "distance"))
	if err != nil {
		return err
	}
	for field := range strings.FieldsSeq(distances) {
		d, err := strconv.Atoi(field)
		if err != nil {
			return fmt.Errorf("%s/distance: %w", dir, err)
		}
		n.Distances = append(n.Distances, d)
	}
	n.Memory, err = readMemTotal(filepath.Join(dir, "meminfo"))
	return err
}

// readMemTotal reads the line "Node 0 MemTotal: 468296 kB", and returns bytes.
func readMemTotal(path string) (int64, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) != 5 || fields[2] != "MemTotal:" {
			continue
		}
		kib, err := strconv.ParseInt(fields[3], 10, 54)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", path, err)
		}
		return kib << 10, nil
	}
	return 0, fmt.Errorf("%s has no line MemTotal", path)
}

func readLine(path string) (string, error) {
	text, err := os.ReadFile(path)
	return strings.TrimSpace(string(text)), err
}
