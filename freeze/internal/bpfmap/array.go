package bpfmap

import (
	"fmt"

	"github.com/ktgen/ktgen/freeze/internal/kmem"
)

// array copies BPF_MAP_TYPE_ARRAY, the sections of globals among them: the
// values stand one after another in the map itself, at
//
//	struct bpf_array.value + index * elem_size
//
// with elem_size = round_up(value_size, 8). A memory-mapped one starts on a
// page.
type array struct {
	elemSize kmem.Field
	value    int
}

func resolveArray(r *resolver) copier {
	return &array{
		elemSize: r.field("bpf_array", "elem_size"),
		value:    r.at("bpf_array", "value"),
	}
}

func (l *array) copy(p *Pass, m *Map) error {
	if m.KeySize != arrayKey {
		return corrupt("key_size is %d", m.KeySize)
	}
	elemSize, err := p.mem.Fetch(m.addr, l.elemSize)
	if err != nil {
		return fmt.Errorf("read bpf_array.elem_size: %w", err)
	}
	if elemSize != (uint64(m.ValueSize)+7)&^7 || elemSize == 0 {
		return corrupt("elem_size is %d for values of %d bytes", elemSize, m.ValueSize)
	}
	return p.table(m, m.addr+kmem.Addr(l.value), elemSize)
}

// table copies the values of a map that stand one after another from a, each in
// elemSize bytes.
func (p *Pass) table(m *Map, a kmem.Addr, elemSize uint64) error {
	m.Total, m.Stride, m.Base = m.MaxEntries, int(elemSize), uint64(a)
	n := m.affordable(uint64(m.MaxEntries), elemSize)
	found, err := p.span(m, a, int(n*elemSize))
	m.N = found / m.Stride
	m.Values = m.Values[:m.N*m.Stride]
	if err != nil {
		return fmt.Errorf("read value %d of %d: %w", m.N, m.MaxEntries, err)
	}
	return nil
}

// insnArray copies BPF_MAP_TYPE_INSN_ARRAY, where instructions of a program went
// when it was translated: struct bpf_insn_array.values[index]
// (kernel/bpf/bpf_insn_array.c). Such maps are made without BTF.
type insnArray struct {
	values, size int
	typ          uint32 // id of struct bpf_insn_array_value in the kernel's BTF
}

func resolveInsnArray(r *resolver) copier {
	const value = "bpf_insn_array_value"
	return &insnArray{values: r.at("bpf_insn_array", "values"), size: r.size(value), typ: r.id(value)}
}

func (l *insnArray) copy(p *Pass, m *Map) error {
	if m.KeySize != arrayKey || m.ValueSize != l.size {
		return corrupt("key_size is %d and value_size %d", m.KeySize, m.ValueSize)
	}
	m.KernelValueType = l.typ
	return p.table(m, m.addr+kmem.Addr(l.values), uint64(l.size))
}

// arrayKey is the size of an array's key, a u32 index.
const arrayKey = 4

// affordable returns how many of n entries of size bytes the budget has room
// for, and takes that much of it.
func (m *Map) affordable(n, size uint64) uint64 {
	fit := min(n, m.limit/size)
	m.limit -= fit * size
	if fit < n {
		m.truncate(fmt.Sprintf("%d of %d entries: %d bytes each reach the limit on bytes copied", fit, n, size))
	}
	return fit
}

// perCPUArray copies BPF_MAP_TYPE_PERCPU_ARRAY: struct bpf_array.pptrs[index]
// is a per-CPU pointer to the value.
type perCPUArray struct{ pointers int }

func resolvePerCPUArray(r *resolver) copier {
	return &perCPUArray{pointers: r.at("bpf_array", "pptrs")}
}

func (l *perCPUArray) copy(p *Pass, m *Map) error {
	if err := m.checkSizes(); err != nil {
		return err
	}
	m.perCPU(p.cpus)
	m.Total = m.MaxEntries
	n := m.affordable(uint64(m.MaxEntries), m.entryBytes())
	unreadable, last := 0, error(nil)
	err := p.mem.Records(m.addr+kmem.Addr(l.pointers), n, pointer.Size, func(record []byte) error {
		if err := p.check(); err != nil {
			return err
		}
		if err := p.perCPUValues(m, pointer.Addr(record)); err != nil {
			unreadable, last = unreadable+1, err
		}
		m.N++
		return nil
	})
	m.countUnreadable(unreadable, last)
	return err
}

// pointer is a pointer that is a record by itself.
var pointer = kmem.Field{Size: 8}
