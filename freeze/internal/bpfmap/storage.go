package bpfmap

import (
	"bytes"
	"fmt"

	"github.com/ktgen/ktgen/freeze/internal/kmem"
	"github.com/ktgen/ktgen/runtime"
)

// storage copies the local storage maps. Their values belong to tasks, cgroups,
// inodes or sockets; the map lists them all (include/linux/bpf_local_storage.h):
//
//	struct bpf_local_storage_map.buckets[i].list ──► struct bpf_local_storage_elem
//	                                                   .map_node ──► the next
//	                                                   .sdata.data   the value
//	                                                   .local_storage ──► .owner
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

	owner kmem.Field  // of struct bpf_local_storage
	task  *taskLayout // nil if the owners are not tasks
}

// taskLayout is where struct task_struct keeps its names.
type taskLayout struct {
	pid, tgid      kmem.Field
	comm, commSize int
}

func resolveTaskStorage(r *resolver) copier {
	l := newStorage(r)
	l.task = &taskLayout{
		pid:  r.field("task_struct", "pid"),
		tgid: r.field("task_struct", "tgid"),
	}
	l.task.comm, l.task.commSize = r.member("task_struct", "comm")
	return l
}

func resolveStorage(r *resolver) copier { return newStorage(r) }

func newStorage(r *resolver) *storage {
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
	var seen chain
	for node != 0 {
		if err := p.check(); err != nil {
			return err
		}
		if err := seen.next(node); err != nil {
			return err
		}
		e := node - kmem.Addr(l.node)
		record, err := p.mem.Peek(e, l.elemSize, &p.record)
		if err != nil {
			return fmt.Errorf("read struct bpf_local_storage_elem at %v: %w", e, err)
		}
		next, local := l.next.Addr(record), l.local.Addr(record)
		if l.linked(record) && local != 0 {
			if err := l.element(p, m, e, local); err != nil {
				return err
			}
		}
		node = next
	}
	return nil
}

// linked says whether an owner still has the element. It is SELEM_MAP_UNLINKED
// or SELEM_STORAGE_UNLINKED from when it is being freed.
func (l *storage) linked(record []byte) bool {
	const unlinked = 1<<0 | 1<<1
	return !l.hasState || l.state.Uint(record)&unlinked == 0
}

// element copies the value of the element at e and names its owner.
func (l *storage) element(p *Pass, m *Map, e, local kmem.Addr) error {
	if !m.take(m.entryBytes()) {
		return errFull
	}
	owner, err := l.ownerOf(p, local)
	if err != nil {
		return err
	}
	if err := p.value(m, e+kmem.Addr(l.data)); err != nil {
		return err
	}
	m.Owners = append(m.Owners, owner)
	m.N++
	return nil
}

func (l *storage) ownerOf(p *Pass, local kmem.Addr) (runtime.Owner, error) {
	a, err := p.mem.Fetch(local, l.owner)
	if err != nil {
		return runtime.Owner{}, fmt.Errorf("read bpf_local_storage.owner at %v: %w", local, err)
	}
	owner := runtime.Owner{Addr: a}
	if l.task == nil {
		return owner, nil
	}
	return owner, l.task.describe(p, &owner)
}

// describe fills in what names the task at owner.Addr.
func (l *taskLayout) describe(p *Pass, owner *runtime.Owner) error {
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
