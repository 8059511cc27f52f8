package bpfmap

// This file appends entries to the columns of a map within its byte budget.

import (
	"fmt"
	"slices"

	"github.com/ktgen/ktgen/freeze/internal/kmem"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// Bounds that the kernel itself sets when a map is made.
const (
	maxKeySize   = 512     // MAX_BPF_STACK
	maxElemValue = 4 << 20 // KMALLOC_MAX_SIZE, for values that are allocated one by one
)

// checkSizes fails for a key or value larger than the kernel allows in maps
// whose entries are allocated one by one.
func (m *Map) checkSizes() error {
	if m.KeySize > maxKeySize {
		return corrupt("key_size is %d, and the kernel allows %d", m.KeySize, maxKeySize)
	}
	if m.ValueSize > maxElemValue {
		return corrupt("value_size is %d, and the kernel allows %d", m.ValueSize, maxElemValue)
	}
	return nil
}

func (m *Map) fail(err error) {
	m.Status = ktsnap.Failed
	m.Reason = err.Error()
}

func (m *Map) truncate(reason string) {
	if m.Status == ktsnap.Failed {
		return
	}
	m.Status = ktsnap.Truncated
	m.Reason = reason
}

// take uses up n bytes of the map's budget; ok is false, and the map
// truncated, if it has not as many left.
func (m *Map) take(n uint64) (ok bool) {
	if n > m.limit {
		m.truncate(fmt.Sprintf("%d entries reach the limit on bytes copied", m.N))
		return false
	}
	m.limit -= n
	return true
}

// entryBytes is what one entry takes of the budget.
func (m *Map) entryBytes() uint64 {
	const address = 8
	return uint64(m.KeySize) + uint64(m.Slots)*(uint64(m.Stride)+address)
}

// size is the number of bytes in the columns.
func (m *Map) size() int {
	n := len(m.Keys) + len(m.Values)
	for _, e := range m.Extents {
		n += len(e.Data)
	}
	return n
}

// perCPU makes m a map of one value per CPU, aligned as the kernel does.
func (m *Map) perCPU(cpus *kmem.CPUs) {
	m.Slots = cpus.Len()
	m.Stride = (m.ValueSize + 7) &^ 7
}

// grow appends n bytes to a column and returns them. They hold garbage.
func grow(column *[]byte, n int) []byte {
	old := len(*column)
	*column = slices.Grow(*column, n)[:old+n]
	return (*column)[old:]
}

// value appends one value of the map, read at a.
func (p *Pass) value(m *Map, a kmem.Addr) error {
	dst := grow(&m.Values, m.Stride)
	clear(dst[m.ValueSize:])
	p.worked(m.Stride)
	if err := p.mem.Read(a, dst[:m.ValueSize]); err != nil {
		m.Values = m.Values[:len(m.Values)-m.Stride]
		return fmt.Errorf("read value at %v: %w", a, err)
	}
	m.Addrs = append(m.Addrs, uint64(a))
	return nil
}

// perCPUValues appends the values that a per-CPU pointer leads to. Those that
// cannot be read get address 0. The error is that of the last of them.
func (p *Pass) perCPUValues(m *Map, pointer kmem.Addr) (failed error) {
	for cpu := range m.Slots {
		a, ok := p.cpus.PerCPU(pointer, cpu)
		dst := grow(&m.Values, m.Stride)
		p.worked(m.Stride + stepBytes)
		if ok {
			if err := p.mem.Read(a, dst); err != nil {
				failed = fmt.Errorf("read value of CPU %d at %v: %w", cpu, a, err)
				ok = false
			}
		}
		if !ok {
			clear(dst)
			a = 0
		}
		m.Addrs = append(m.Addrs, uint64(a))
	}
	return failed
}

// countUnreadable notes how many values of an otherwise complete map could not
// be read.
func (m *Map) countUnreadable(n int, last error) {
	if n > 0 {
		m.fail(fmt.Errorf("%d entries have a value that cannot be read; the last: %w", n, last))
	}
}
