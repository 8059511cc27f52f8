package bpfmap

import (
	"fmt"

	"github.com/ktgen/ktgen/freeze/internal/kmem"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// queue copies BPF_MAP_TYPE_QUEUE and BPF_MAP_TYPE_STACK, a ring of values in
// struct bpf_queue_stack.elements[size]: tail is the oldest, head the slot
// after the newest (kernel/bpf/queue_stack_maps.c). Entries are in the order
// in which they would be popped. The kernel stores an index that it has
// incremented before it wraps it around: one of them is size for a moment.
type queue struct {
	head, tail, size kmem.Field
	elements         int
}

func resolveQueue(r *resolver) copier {
	const t = "bpf_queue_stack"
	return &queue{
		head:     r.field(t, "head"),
		tail:     r.field(t, "tail"),
		size:     r.field(t, "size"),
		elements: r.at(t, "elements"),
	}
}

func (l *queue) copy(p *Pass, m *Map) error {
	if err := m.checkSizes(); err != nil {
		return err
	}
	var at [3]uint64
	for i, f := range []kmem.Field{l.head, l.tail, l.size} {
		v, err := p.mem.Fetch(m.addr, f)
		if err != nil {
			return fmt.Errorf("read struct bpf_queue_stack: %w", err)
		}
		at[i] = v
	}
	head, tail, size := at[0], at[1], at[2]
	if !possible(head, tail, size) {
		return corrupt("head %d and tail %d of %d slots", head, tail, size)
	}
	head, tail = head%size, tail%size
	used := (head + size - tail) % size
	m.Total = int(used)
	for i := range used {
		slot := (tail + i) % size
		if m.Type == ktsnap.MapTypeStack {
			slot = (head + size - 1 - i) % size
		}
		if err := p.check(); err != nil {
			return err
		}
		if !m.take(m.entryBytes()) {
			return nil
		}
		if err := p.value(m, m.addr+kmem.Addr(l.elements)+kmem.Addr(slot*uint64(m.ValueSize))); err != nil {
			return err
		}
		m.N++
	}
	return nil
}

// possible says whether the kernel can leave a ring like that. It changes one
// index at a time, and a push makes room first, so that no push fills all slots.
func possible(head, tail, size uint64) bool {
	filled := head == size && tail == 0
	return size > 0 && head <= size && tail <= size && head+tail < 2*size && !filled
}
