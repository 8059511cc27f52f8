package bpfmap

import (
	"encoding/binary"
	"fmt"

	"github.com/ktgen/ktgen/freeze/internal/kmem"
)

// This file copies the maps whose values a program sees as file descriptors or
// devices, and the kernel keeps as pointers: arrays of them here, hashes in
// referencehash.go. What is copied of an occupied slot is what tells the object.

// occupant fills b, which is zero, with what tells an object of the kernel.
type occupant func(p *Pass, object kmem.Addr, b []byte) error

// reference is how to get from a pointer that a map holds to the number of what
// it points to.
type reference struct {
	to  string       // what the pointer points to, in C
	via []kmem.Field // pointers in it to follow first
	id  kmem.Field

	// unnumbered is the number for objects that have 0.
	unnumbered uint64
}

func mapReference(r *resolver) reference {
	return reference{to: "bpf_map", id: r.field("bpf_map", "id")}
}

func progReference(r *resolver) reference {
	return reference{to: "bpf_prog", via: []kmem.Field{r.field("bpf_prog", "aux")}, id: r.field("bpf_prog_aux", "id")}
}

// eventReference leads to what PERF_EVENT_IOC_ID returns.
func eventReference(r *resolver) reference {
	return reference{to: "bpf_event_entry", via: []kmem.Field{r.field("bpf_event_entry", "event")}, id: r.field("perf_event", "id")}
}

// cgroupReference leads to the id of a cgroup, its directory's inode number.
func cgroupReference(r *resolver) reference {
	return reference{to: "cgroup", via: []kmem.Field{r.field("cgroup", "kn")}, id: r.field("kernfs_node", "id")}
}

// sockReference leads to a socket's inode number, which is 0 if no file
// descriptor was ever opened for it. Kernels without sock.sk_ino have it in the
// inode behind the socket only.
func sockReference(r *resolver) reference {
	ref := reference{to: "sock", unnumbered: ^uint64(0)}
	if id, ok := r.optional("sock", "sk_ino"); ok {
		ref.id = id
		return ref
	}
	ref.via = []kmem.Field{r.field("sock", "sk_socket")}
	ref.id = r.field("socket_alloc", "vfs_inode.i_ino")
	return ref
}

// idSize is the size of an id, in bytes.
const idSize = 4

// follow returns the number of what a points to, and 0 for a null pointer.
func (r reference) follow(p *Pass, a kmem.Addr) (uint64, error) {
	object := a
	for _, hop := range r.via {
		if a == 0 {
			break
		}
		inner, err := p.mem.Fetch(a, hop)
		if err != nil {
			return 0, fmt.Errorf("read struct %s at %v: %w", r.to, object, err)
		}
		a = kmem.Addr(inner)
	}
	if a == 0 {
		if object != 0 {
			return r.unnumbered, nil
		}
		return 0, nil
	}
	id, err := p.mem.Fetch(a, r.id)
	if err != nil {
		return 0, fmt.Errorf("read the id of struct %s at %v: %w", r.to, object, err)
	}
	if id == 0 {
		id = r.unnumbered
	}
	return id, nil
}

// occupant stores the number of an object, as much of it as there is room for.
func (r reference) occupant(p *Pass, object kmem.Addr, b []byte) error {
	id, err := r.follow(p, object)
	if err != nil {
		return err
	}
	var number [8]byte
	binary.LittleEndian.PutUint64(number[:], id)
	copy(b, number[:])
	return nil
}

// inside is the occupant that copies a member of the object: the value that
// bpf(2) returns.
func inside(r *resolver, typ, member string) occupant {
	at, size := r.member(typ, member)
	return func(p *Pass, object kmem.Addr, b []byte) error {
		if object == 0 {
			return nil
		}
		n := min(len(b), size)
		if err := p.mem.Read(object+kmem.Addr(at), b[:n]); err != nil {
			return fmt.Errorf("read %s of struct %s at %v: %w", member, typ, object, err)
		}
		return nil
	}
}

// references copies the arrays that hold pointers, such as
// BPF_MAP_TYPE_PROG_ARRAY: struct bpf_array.ptrs[index]. The values are zero where
// a slot is empty.
type references struct {
	at       int         // of the pointers in the map
	table    *kmem.Field // in the map, which points to the pointers; nil if they are at
	occupant occupant
}

// inMap returns the copier of an array whose pointers are a member of the map.
func inMap(typ, member string, to func(*resolver) reference) func(*resolver) copier {
	return func(r *resolver) copier { return &references{at: r.at(typ, member), occupant: to(r).occupant} }
}

// inTable returns the copier of an array to whose pointers a member of the map
// points.
func inTable(typ, member string, to func(*resolver) occupant) func(*resolver) copier {
	return func(r *resolver) copier {
		table := r.field(typ, member)
		return &references{table: &table, occupant: to(r)}
	}
}

func deviceOccupant(r *resolver) occupant { return inside(r, "bpf_dtab_netdev", "val") }
func cpuOccupant(r *resolver) occupant    { return inside(r, "bpf_cpu_map_entry", "value") }
func sockOccupant(r *resolver) occupant   { return sockReference(r).occupant }

// checkReference fails for sizes that no map of references has. Programs and
// devices are read as up to two words.
func (m *Map) checkReference() error {
	if m.ValueSize != idSize && m.ValueSize != 2*idSize {
		return corrupt("value_size is %d", m.ValueSize)
	}
	return m.checkSizes()
}

func (l *references) copy(p *Pass, m *Map) error {
	if m.KeySize != arrayKey {
		return corrupt("key_size is %d", m.KeySize)
	}
	if err := m.checkReference(); err != nil {
		return err
	}
	at := m.addr + kmem.Addr(l.at)
	if l.table != nil {
		table, err := p.mem.Fetch(m.addr, *l.table)
		if err != nil {
			return fmt.Errorf("read where the slots are: %w", err)
		}
		at = kmem.Addr(table)
	}
	m.Total = m.MaxEntries
	n := m.affordable(uint64(m.MaxEntries), m.entryBytes())
	err := p.mem.Records(at, n, pointer.Size, func(record []byte) error {
		if err := p.check(); err != nil {
			return err
		}
		return m.occupied(p, l.occupant, pointer.Addr(record), uint64(at)+uint64(m.N*pointer.Size))
	})
	if err != nil {
		return fmt.Errorf("slot %d of %d: %w", m.N, m.MaxEntries, err)
	}
	return nil
}

// occupied adds an entry: what tells an object, and where the pointer to it is.
func (m *Map) occupied(p *Pass, of occupant, object kmem.Addr, at uint64) error {
	value := grow(&m.Values, m.Stride)
	clear(value)
	if err := of(p, object, value[:m.ValueSize]); err != nil {
		m.Values = m.Values[:len(m.Values)-m.Stride]
		return err
	}
	m.Addrs = append(m.Addrs, at)
	m.N++
	return nil
}
