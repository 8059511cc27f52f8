package kmem

import (
	"encoding/binary"
	"fmt"
)

// CPUs are the processors of a guest.
type CPUs struct {
	// Offset has, for each CPU up to nr_cpu_ids, what to add to a per-CPU
	// pointer to get the address on that CPU (__per_cpu_offset).
	Offset []Addr

	possible cpumask
	online   Addr // of __cpu_online_mask, which hotplug changes
	words    int  // of a cpumask in use
}

// cpumask is the words of a struct cpumask.
type cpumask []uint64

func (m cpumask) has(cpu int) bool { return m[cpu/64]>>(cpu%64)&1 != 0 }

// maxCPUs is the largest CONFIG_NR_CPUS of x86.
const maxCPUs = 8192

// DiscoverCPUs reads the number of CPUs and their per-CPU offsets, which do
// not change after boot.
func DiscoverCPUs(s *Space, symbols Symbols) (*CPUs, error) {
	d := discovery{symbols: symbols, space: s}
	count, offsets := d.need("nr_cpu_ids"), d.need("__per_cpu_offset")
	possible, online := d.need("__cpu_possible_mask"), d.need("__cpu_online_mask")
	if len(d.missing) > 0 {
		return nil, &MissingSymbolsError{Names: d.missing}
	}
	n := int(d.word(count, 4))
	if d.err != nil {
		return nil, fmt.Errorf("read nr_cpu_ids: %w", d.err)
	}
	if n < 1 || n > maxCPUs {
		return nil, fmt.Errorf("read nr_cpu_ids at %v: %d CPUs: %w", count, n, ErrWrongBase)
	}
	c := &CPUs{online: online, words: (n + 63) / 64}
	var err error
	if c.possible, err = c.mask(s, possible); err != nil {
		return nil, fmt.Errorf("read __cpu_possible_mask: %w", err)
	}
	for cpu := range n {
		offset, err := s.Addr(offsets + Addr(cpu*8))
		if err != nil {
			return nil, fmt.Errorf("read __per_cpu_offset[%d]: %w", cpu, err)
		}
		c.Offset = append(c.Offset, offset)
	}
	return c, nil
}

// Len is the number of CPU ids, nr_cpu_ids.
func (c *CPUs) Len() int { return len(c.Offset) }

// PerCPU returns the address of a per-CPU pointer's target on a CPU below Len;
// ok is false if the guest can have no such CPU.
func (c *CPUs) PerCPU(pointer Addr, cpu int) (a Addr, ok bool) {
	return pointer + c.Offset[cpu], c.possible.has(cpu)
}

// Online returns the CPUs that are online, ascending.
func (c *CPUs) Online(s *Space) ([]int, error) {
	mask, err := c.mask(s, c.online)
	if err != nil {
		return nil, fmt.Errorf("read __cpu_online_mask: %w", err)
	}
	var online []int
	for cpu := range c.Offset {
		if mask.has(cpu) {
			online = append(online, cpu)
		}
	}
	return online, nil
}

func (c *CPUs) mask(s *Space, a Addr) (cpumask, error) {
	raw := make([]byte, c.words*8)
	if err := s.Read(a, raw); err != nil {
		return nil, err
	}
	mask := make(cpumask, c.words)
	for i := range mask {
		mask[i] = binary.LittleEndian.Uint64(raw[i*8:])
	}
	return mask, nil
}
