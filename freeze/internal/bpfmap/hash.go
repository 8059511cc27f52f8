package bpfmap

import (
	"bytes"
	"fmt"

	"github.com/ktgen/ktgen/freeze/internal/kmem"
	"github.com/ktgen/ktgen/freeze/internal/kwalk"
)

// hash copies BPF_MAP_TYPE_HASH, BPF_MAP_TYPE_LRU_HASH, their per-CPU kinds and
// BPF_MAP_TYPE_HASH_OF_MAPS, whether their elements are preallocated or not:
//
//	struct bpf_htab.buckets[i].head ──► struct htab_elem ──► ... ──► i<<1 | 1
//
// An element is followed by its key, and that, 8-byte aligned, by the value, by
// the per-CPU pointer to it, or by a pointer to a map (kernel/bpf/hashtab.c).
type hash struct {
	buckets, count kmem.Field // of struct bpf_htab
	bucketSize     int
	first          kmem.Field // of struct bucket
	node           int        // of struct htab_elem: hash_node
	next           kmem.Field // of the same
	key            int
	perCPU         bool
	maps           *reference // nil unless the values are maps
}

func resolveHash(r *resolver) copier { return newHash(r) }

func resolvePerCPUHash(r *resolver) copier {
	l := newHash(r)
	l.perCPU = true
	return l
}

func resolveHashOfMaps(r *resolver) copier {
	l, to := newHash(r), mapReference(r)
	l.maps = &to
	return l
}

func newHash(r *resolver) *hash {
	l := &hash{
		buckets:    r.field("bpf_htab", "buckets"),
		count:      r.field("bpf_htab", "n_buckets"),
		bucketSize: r.size("bucket"),
		first:      r.field("bucket", "head.first"),
		node:       r.at("htab_elem", "hash_node"),
		next:       r.field("htab_elem", "hash_node.next"),
		key:        r.at("htab_elem", "key"),
	}
	if l.key < l.next.Offset+l.next.Size {
		r.missing = append(r.missing, "htab_elem.key")
	}
	return l
}

func (l *hash) copy(p *Pass, m *Map) error {
	if err := m.checkSizes(); err != nil {
		return err
	}
	if l.maps != nil && m.ValueSize != idSize {
		return corrupt("value_size is %d", m.ValueSize)
	}
	if l.perCPU {
		m.perCPU(p.cpus)
	}
	buckets, err := p.mem.Fetch(m.addr, l.buckets)
	if err != nil {
		return fmt.Errorf("read bpf_htab.buckets: %w", err)
	}
	count, err := p.mem.Fetch(m.addr, l.count)
	if err != nil {
		return fmt.Errorf("read bpf_htab.n_buckets: %w", err)
	}
	w := hashWalk{hash: l, p: p, m: m, value: l.key + (m.KeySize+7)&^7}
	w.size = w.value + m.ValueSize
	if l.perCPU || l.maps != nil {
		w.size = w.value + pointer.Size
	}
	err = p.mem.Records(kmem.Addr(buckets), count, l.bucketSize, func(bucket []byte) error {
		return w.head(l.first.Addr(bucket))
	})
	if err == nil {
		err = w.flush()
	}
	m.countUnreadable(w.unreadable, w.last)
	if err == errFull {
		m.Total = p.elements(m)
		return nil
	}
	if err != nil {
		return fmt.Errorf("%d buckets: %w", count, err)
	}
	return nil
}

// hashWalk is the walk over the buckets of one map.
type hashWalk struct {
	*hash
	p     *Pass
	m     *Map
	value int    // offset of the value, or of the pointer to it, in an element
	size  int    // of an element
	index uint64 // of the next bucket

	// pending are buckets with elements that wait to be copied together.
	pending [64]pendingBucket
	waiting int

	unreadable int
	last       error
}

type pendingBucket struct {
	index uint64
	first kmem.Addr // of the hlist_nulls_node
}

// errFull ends a walk whose map has used up its budget.
var errFull = fmt.Errorf("the limit on bytes copied is reached")

// head notes the next bucket, given the head of its list.
func (w *hashWalk) head(node kmem.Addr) error {
	index := w.index
	w.index++
	if err := w.p.check(); err != nil {
		return err
	}
	if node&1 != 0 {
		return checkEnd(node, index)
	}
	e := node - kmem.Addr(w.node)
	w.p.mem.Touch(e)
	w.p.mem.Touch(e + kmem.Addr(w.size-1))
	w.pending[w.waiting] = pendingBucket{index, node}
	if w.waiting++; w.waiting < len(w.pending) {
		return nil
	}
	return w.flush()
}

// flush copies the pending buckets.
func (w *hashWalk) flush() error {
	pending := w.pending[:w.waiting]
	w.waiting = 0
	for _, b := range pending {
		if err := w.bucket(b); err != nil {
			if err == errFull {
				return err
			}
			return fmt.Errorf("bucket %d: %w", b.index, err)
		}
	}
	return nil
}

// bucket copies the elements of one bucket.
func (w *hashWalk) bucket(b pendingBucket) error {
	first := w.m.N
	var seen kwalk.Chain
	node := b.first
	for node&1 == 0 {
		if err := seen.Next(node); err != nil {
			return err
		}
		next, err := w.element(node-kmem.Addr(w.node), first)
		if err != nil {
			return err
		}
		node = next
	}
	return checkEnd(node, b.index)
}

// checkEnd verifies the marker at the end of a list, which holds the number of
// its bucket (include/linux/list_nulls.h).
func checkEnd(marker kmem.Addr, index uint64) error {
	if uint64(marker)>>1 != index {
		return corrupt("the list of bucket %d ends as that of bucket %d", index, uint64(marker)>>1)
	}
	return nil
}

// element copies one element and returns what follows it. first is the number
// of the bucket's first entry.
func (w *hashWalk) element(e kmem.Addr, first int) (next kmem.Addr, err error) {
	p, m := w.p, w.m
	if err := p.check(); err != nil {
		return 0, err
	}
	record, err := p.mem.Peek(e, w.size, &p.record)
	if err != nil {
		return 0, fmt.Errorf("read struct htab_elem at %v: %w", e, err)
	}
	next = w.next.Addr(record)
	key := record[w.key : w.key+m.KeySize]
	if m.superseded(key, first) {
		return next, nil
	}
	if !m.take(m.entryBytes()) {
		return 0, errFull
	}
	m.Keys = append(m.Keys, key...)
	p.worked(len(record))
	w.values(e, record)
	m.N++
	return next, nil
}

// superseded says whether a later update replaced the element with a key. first is
// the number of its bucket's first entry: an update puts the new element at the
// head of the list before it removes the old one, and the guest can have been
// stopped in between.
func (m *Map) superseded(key []byte, first int) bool {
	return m.N > first && bytes.Equal(key, m.Keys[first*m.KeySize:(first+1)*m.KeySize])
}

// values copies the value of an element, or the values that it points to.
func (w *hashWalk) values(e kmem.Addr, record []byte) {
	m := w.m
	var err error
	switch {
	case w.perCPU:
		err = w.p.perCPUValues(m, pointer.Addr(record[w.value:]))
	case w.maps != nil:
		var id uint64
		at := uint64(e) + uint64(w.value)
		if id, err = w.maps.follow(w.p, pointer.Addr(record[w.value:])); err != nil {
			at = 0
		}
		m.Values = kmem.AppendUint32(m.Values, uint32(id))
		m.Addrs = append(m.Addrs, at)
	default:
		m.Values = append(m.Values, record[w.value:]...)
		m.Addrs = append(m.Addrs, uint64(e)+uint64(w.value))
	}
	if err != nil {
		w.unreadable, w.last = w.unreadable+1, err
	}
}

// elements returns how many elements the kernel counts in a map, or 0 if it
// does not count them. The counters of the CPUs can be negative by themselves.
func (p *Pass) elements(m *Map) int {
	if m.counter == 0 {
		return 0
	}
	var sum int64
	for cpu := range p.cpus.Len() {
		a, ok := p.cpus.PerCPU(m.counter, cpu)
		if !ok {
			continue
		}
		n, err := p.mem.Uint64(a)
		if err != nil {
			return 0
		}
		sum += int64(n)
	}
	return int(min(max(sum, 0), int64(m.MaxEntries)))
}
