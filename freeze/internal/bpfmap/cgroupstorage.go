package bpfmap

import (
	"fmt"

	"github.com/ktgen/ktgen/freeze/internal/kmem"
	"github.com/ktgen/ktgen/freeze/internal/kwalk"
)

// cgroupStorage copies BPF_MAP_TYPE_CGROUP_STORAGE and
// BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE, the deprecated ones. They have a value for
// each cgroup that their programs are attached to (kernel/bpf/local_storage.c):
//
//	struct bpf_cgroup_storage_map.list ──► struct bpf_cgroup_storage ──► ... ──► the map's list
//	                                         .buf ──► struct bpf_storage_buffer.data
//	                                         .percpu_buf, a per-CPU pointer
type cgroupStorage struct {
	list     int        // of struct bpf_cgroup_storage_map: a list_head
	size     int        // of struct bpf_cgroup_storage
	node     int        // of the same: list_map
	first    kmem.Field // of struct bpf_cgroup_storage_map: list.next
	next     kmem.Field // of struct bpf_cgroup_storage: list_map.next
	buffer   kmem.Field // of the same: buf or percpu_buf
	key      int        // of the same
	data     int        // of struct bpf_storage_buffer
	keySize  int        // of struct bpf_cgroup_storage_key
	cgroup   kmem.Field // of the same
	attached kmem.Field // of the same
	perCPU   bool
}

func resolveCgroupStorage(r *resolver) copier { return newCgroupStorage(r, "buf") }

func resolvePerCPUCgroupStorage(r *resolver) copier {
	l := newCgroupStorage(r, "percpu_buf")
	l.perCPU = true
	return l
}

func newCgroupStorage(r *resolver, buffer string) *cgroupStorage {
	const m, e, key = "bpf_cgroup_storage_map", "bpf_cgroup_storage", "bpf_cgroup_storage_key"
	l := &cgroupStorage{
		list:     r.at(m, "list"),
		size:     r.size(e),
		node:     r.at(e, "list_map"),
		first:    r.field(m, "list.next"),
		next:     r.field(e, "list_map.next"),
		buffer:   r.field(e, buffer),
		key:      r.at(e, "key"),
		data:     r.at("bpf_storage_buffer", "data"),
		keySize:  r.size(key),
		cgroup:   r.field(key, "cgroup_inode_id"),
		attached: r.field(key, "attach_type"),
	}
	if l.key+l.keySize > l.size {
		r.missing = append(r.missing, e+".key")
	}
	return l
}

func (l *cgroupStorage) copy(p *Pass, m *Map) error {
	if err := m.checkSizes(); err != nil {
		return err
	}
	if m.KeySize != l.keySize && m.KeySize != l.cgroup.Size {
		return corrupt("key_size is %d", m.KeySize)
	}
	if l.perCPU {
		m.perCPU(p.cpus)
	}
	first, err := p.mem.Fetch(m.addr, l.first)
	if err != nil {
		return fmt.Errorf("read bpf_cgroup_storage_map.list: %w", err)
	}
	node, end := kmem.Addr(first), m.addr+kmem.Addr(l.list)
	var seen kwalk.Chain
	for node != end && err == nil {
		if err = seen.Next(node); err == nil {
			node, err = l.element(p, m, node-kmem.Addr(l.node))
		}
	}
	if err == errFull {
		return nil
	}
	return err
}

// element copies the entry of the element at e, and returns what follows it.
func (l *cgroupStorage) element(p *Pass, m *Map, e kmem.Addr) (next kmem.Addr, err error) {
	if err := p.check(); err != nil {
		return 0, err
	}
	record, err := p.mem.Peek(e, l.size, &p.record)
	if err != nil {
		return 0, fmt.Errorf("read struct bpf_cgroup_storage at %v: %w", e, err)
	}
	if !m.take(m.entryBytes()) {
		return 0, errFull
	}
	next = l.next.Addr(record)
	buffer := l.buffer.Addr(record)
	l.appendKey(m, record[l.key:])
	if l.perCPU {
		err = p.perCPUValues(m, buffer)
	} else {
		err = p.value(m, buffer+kmem.Addr(l.data))
	}
	if err != nil {
		return 0, fmt.Errorf("struct bpf_cgroup_storage at %v: %w", e, err)
	}
	m.N++
	return next, nil
}

// appendKey appends a struct bpf_cgroup_storage_key, or the cgroup's number if that is
// all that the map's keys are. Padding is zero.
func (l *cgroupStorage) appendKey(m *Map, record []byte) {
	key := grow(&m.Keys, m.KeySize)
	clear(key)
	if m.KeySize == l.cgroup.Size {
		copy(key, record[l.cgroup.Offset:][:m.KeySize])
		return
	}
	for _, f := range []kmem.Field{l.cgroup, l.attached} {
		copy(key[f.Offset:], record[f.Offset:f.Offset+f.Size])
	}
}
