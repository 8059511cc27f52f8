package bpfmap

import (
	"bytes"
	"fmt"

	"github.com/ktgen/ktgen/freeze/internal/kmem"
	"github.com/ktgen/ktgen/freeze/internal/kwalk"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// storage copies the local storage maps. Their values belong to tasks, cgroups,
// inodes or sockets; the map lists them all (include/linux/bpf_local_storage.h):
//
//	struct bpf_local_storage_map.buckets[i].list ──► struct bpf_local_storage_elem
//	                                                   .map_node ──► the next
//	                                                   .sdata.data   the value
//	                                                   .local_storage ──► .owner
//
// An update puts the new element into the map, then into the owner's storage, and
// then removes the old one from both. Where two tasks make the first storage of an
// owner, both are in the map until one of them has published its own
// (kernel/bpf/bpf_local_storage.c: bpf_local_storage_update,
// bpf_local_storage_alloc). The guest can have been stopped in between.
type storage struct {
	buckets, log kmem.Field // of struct bpf_local_storage_map
	bucketSize   int
	first        kmem.Field // of struct bpf_local_storage_map_bucket

	elemSize    int
	node        int        // of struct bpf_local_storage_elem: map_node
	next, local kmem.Field // of the same
	data        int
	state       kmem.Field // kernels that unlink an element in two steps
	hasState    bool
	stored      kmem.Field // snode.pprev: NULL while it is not in its owner's storage
	hasStored   bool

	owner        kmem.Field // of struct bpf_local_storage
	published    kmem.Field // of the owner, where that is known: its storage
	hasPublished bool
	task         *taskLayout // nil if the owners are not tasks
}

// publishers are the members by which owners lead to their storage. Those of
// inodes are in a part of i_security that depends on the boot.
var publishers = map[ktsnap.MapType][2]string{
	ktsnap.MapTypeTaskStorage:   {"task_struct", "bpf_storage"},
	ktsnap.MapTypeCgroupStorage: {"cgroup", "bpf_cgrp_storage"},
	ktsnap.MapTypeSkStorage:     {"sock", "sk_bpf_storage"},
}

// taskLayout is where struct task_struct keeps its names.
type taskLayout struct {
	pid, tgid      kmem.Field
	comm, commSize int
}

func resolveTaskStorage(r *resolver) copier {
	l := newStorage(r, ktsnap.MapTypeTaskStorage)
	l.task = &taskLayout{
		pid:  r.field("task_struct", "pid"),
		tgid: r.field("task_struct", "tgid"),
	}
	l.task.comm, l.task.commSize = r.member("task_struct", "comm")
	return l
}

// resolveStorage returns how the storage of other owners than tasks is resolved.
func resolveStorage(of ktsnap.MapType) func(*resolver) copier {
	return func(r *resolver) copier { return newStorage(r, of) }
}

func newStorage(r *resolver, of ktsnap.MapType) *storage {
	const m, e = "bpf_local_storage_map", "bpf_local_storage_elem"
	l := &storage{
		buckets:    r.field(m, "buckets"),
		log:        r.field(m, "bucket_log"),
		bucketSize: r.size("bpf_local_storage_map_bucket"),
		first:      r.field("bpf_local_storage_map_bucket", "list.first"),
		node:       r.at(e, "map_node"),
		next:       r.field(e, "map_node.next"),
		local:      r.field(e, "local_storage"),
		data:       r.at(e, "sdata.data"),
		owner:      r.field("bpf_local_storage", "owner"),
	}
	l.elemSize = r.size(e)
	l.state, l.hasState = r.optional(e, "state.counter")
	l.stored, l.hasStored = r.optional(e, "snode.pprev")
	if at, ok := publishers[of]; ok {
		l.published, l.hasPublished = r.optional(at[0], at[1])
	}
	return l
}

// maxBucketLog bounds the number of buckets, which the kernel derives from the
// number of CPUs.
const maxBucketLog = 16

func (l *storage) copy(p *Pass, m *Map) error {
	if err := m.checkSizes(); err != nil {
		return err
	}
	buckets, err := p.mem.Fetch(m.addr, l.buckets)
	if err != nil {
		return fmt.Errorf("read bpf_local_storage_map.buckets: %w", err)
	}
	log, err := p.mem.Fetch(m.addr, l.log)
	if err != nil {
		return fmt.Errorf("read bpf_local_storage_map.bucket_log: %w", err)
	}
	if log > maxBucketLog {
		return corrupt("bucket_log is %d", log)
	}
	m.KeySize = 0 // bpf(2) takes a file descriptor for a key, the map holds none
	p.startOwners()
	bucket := 0
	err = p.mem.Records(kmem.Addr(buckets), 1<<log, l.bucketSize, func(record []byte) error {
		if err := l.list(p, m, l.first.Addr(record)); err != nil {
			return err
		}
		bucket++
		return nil
	})
	if err == errFull {
		return nil
	}
	if err != nil {
		return fmt.Errorf("bucket %d of %d: %w", bucket, 1<<log, err)
	}
	return nil
}

// list copies the elements from the one with the hlist_node at node on.
func (l *storage) list(p *Pass, m *Map, node kmem.Addr) error {
	var seen kwalk.Chain
	for node != 0 {
		if err := p.check(); err != nil {
			return err
		}
		if err := seen.Next(node); err != nil {
			return err
		}
		e := node - kmem.Addr(l.node)
		record, err := p.mem.Peek(e, l.elemSize, &p.record)
		if err != nil {
			return fmt.Errorf("read struct bpf_local_storage_elem at %v: %w", e, err)
		}
		found := found{elem: e, local: l.local.Addr(record), stored: !l.hasStored || l.stored.Uint(record) != 0}
		next := l.next.Addr(record)
		if l.linked(record) && found.local != 0 {
			if err := l.element(p, m, found); err != nil {
				return err
			}
		}
		node = next
	}
	return nil
}

// found is an element that a map lists.
type found struct {
	elem, local kmem.Addr
	stored      bool // its owner's storage lists it, too
}

// linked says whether an owner still has the element. It is SELEM_MAP_UNLINKED
// or SELEM_STORAGE_UNLINKED from when it is being freed.
func (l *storage) linked(record []byte) bool {
	const unlinked = 1<<0 | 1<<1
	return !l.hasState || l.state.Uint(record)&unlinked == 0
}

// element copies the value of an element and names its owner. Of the elements
// of one owner the first one is taken that the owner leads to: it is the latest.
func (l *storage) element(p *Pass, m *Map, f found) error {
	a, err := p.mem.Fetch(f.local, l.owner)
	if err != nil {
		return fmt.Errorf("read bpf_local_storage.owner at %v: %w", f.local, err)
	}
	owner := kmem.Addr(a)
	earlier, again := p.owners[owner]
	if again && earlier.reached {
		return nil
	}
	reached := f.stored && l.publishes(p, owner, f.local)
	if again {
		if !reached {
			return nil
		}
		p.owners[owner] = ownerEntry{earlier.index, true}
		return l.replace(p, m, earlier.index, f.elem)
	}
	if err := l.add(p, m, owner, f.elem); err != nil {
		return err
	}
	p.owners[owner] = ownerEntry{m.N - 1, reached}
	return nil
}

// publishes says whether a storage is its owner's, as far as that can be known.
func (l *storage) publishes(p *Pass, owner, local kmem.Addr) bool {
	if !l.hasPublished {
		return true
	}
	a, err := p.mem.Fetch(owner, l.published)
	return err == nil && kmem.Addr(a) == local
}

// add appends an entry.
func (l *storage) add(p *Pass, m *Map, owner, elem kmem.Addr) error {
	if !m.take(m.entryBytes()) {
		return errFull
	}
	name := ktsnap.Owner{Addr: uint64(owner)}
	if l.task != nil {
		if err := l.task.describe(p, &name); err != nil {
			return err
		}
	}
	if err := p.value(m, elem+kmem.Addr(l.data)); err != nil {
		return err
	}
	m.Owners = append(m.Owners, name)
	m.N++
	return nil
}

// replace puts the value of another element into an entry.
func (l *storage) replace(p *Pass, m *Map, entry int, elem kmem.Addr) error {
	a := elem + kmem.Addr(l.data)
	if err := p.mem.Read(a, m.Values[entry*m.Stride:][:m.ValueSize]); err != nil {
		return fmt.Errorf("read value at %v: %w", a, err)
	}
	m.Addrs[entry] = uint64(a)
	return nil
}

// ownerEntry is the entry of an owner in the map that is being walked.
type ownerEntry struct {
	index   int
	reached bool // the owner leads to the element that was copied
}

// startOwners forgets the owners of the last map.
func (p *Pass) startOwners() {
	if p.owners == nil {
		p.owners = make(map[kmem.Addr]ownerEntry)
	}
	clear(p.owners)
}

// describe fills in what names the task at owner.Addr.
func (l *taskLayout) describe(p *Pass, owner *ktsnap.Owner) error {
	task := kmem.Addr(owner.Addr)
	pid, err := p.mem.Fetch(task, l.pid)
	if err != nil {
		return fmt.Errorf("read task_struct.pid at %v: %w", task, err)
	}
	tgid, err := p.mem.Fetch(task, l.tgid)
	if err != nil {
		return fmt.Errorf("read task_struct.tgid at %v: %w", task, err)
	}
	comm, err := p.mem.Peek(task+kmem.Addr(l.comm), l.commSize, &p.record)
	if err != nil {
		return fmt.Errorf("read task_struct.comm at %v: %w", task, err)
	}
	name, _, _ := bytes.Cut(comm, []byte{0})
	owner.PID, owner.TGID, owner.Comm = int32(pid), int32(tgid), string(name)
	return nil
}
