package bpfmap

import (
	"fmt"

	"github.com/ktgen/ktgen/freeze/internal/kmem"
)

// reference is how to get from a pointer that a map holds to the id of what it
// points to, which is the value that bpf(2) returns.
type reference struct {
	to    string      // what the pointer points to, in C
	inner *kmem.Field // a pointer in it to follow first; nil if there is none
	id    kmem.Field
}

func mapReference(r *resolver) reference {
	return reference{to: "bpf_map", id: r.field("bpf_map", "id")}
}

func progReference(r *resolver) reference {
	aux := r.field("bpf_prog", "aux")
	return reference{to: "bpf_prog", inner: &aux, id: r.field("bpf_prog_aux", "id")}
}

// idSize is the size of an id, in bytes.
const idSize = 4

// follow returns the id of what a points to, and 0 for a null pointer.
func (r reference) follow(p *Pass, a kmem.Addr) (uint32, error) {
	if a == 0 {
		return 0, nil
	}
	object := a
	if r.inner != nil {
		inner, err := p.mem.Fetch(a, *r.inner)
		if err != nil {
			return 0, fmt.Errorf("read struct %s at %v: %w", r.to, object, err)
		}
		a = kmem.Addr(inner)
	}
	id, err := p.mem.Fetch(a, r.id)
	if err != nil {
		return 0, fmt.Errorf("read the id of struct %s at %v: %w", r.to, object, err)
	}
	return uint32(id), nil
}

// references copies the arrays that hold pointers, BPF_MAP_TYPE_PROG_ARRAY and
// BPF_MAP_TYPE_ARRAY_OF_MAPS: struct bpf_array.ptrs[index]. The values are the
// ids of what they point to, and 0 where a slot is empty.
type references struct {
	pointers int
	reference
}

func resolveProgArray(r *resolver) copier {
	return &references{r.at("bpf_array", "ptrs"), progReference(r)}
}

func resolveArrayOfMaps(r *resolver) copier {
	return &references{r.at("bpf_array", "ptrs"), mapReference(r)}
}

func (l *references) copy(p *Pass, m *Map) error {
	if m.KeySize != arrayKey || m.ValueSize != idSize {
		return corrupt("key_size is %d and value_size %d", m.KeySize, m.ValueSize)
	}
	m.Total = m.MaxEntries
	n := m.affordable(uint64(m.MaxEntries), m.entryBytes())
	at := m.addr + kmem.Addr(l.pointers)
	err := p.mem.Records(at, n, pointer.Size, func(record []byte) error {
		if err := p.check(); err != nil {
			return err
		}
		id, err := l.follow(p, pointer.Addr(record))
		if err != nil {
			return err
		}
		m.Values = kmem.AppendUint32(m.Values, id)
		m.Addrs = append(m.Addrs, uint64(at)+uint64(m.N*pointer.Size))
		m.N++
		return nil
	})
	if err != nil {
		return fmt.Errorf("slot %d of %d: %w", m.N, m.MaxEntries, err)
	}
	return nil
}
