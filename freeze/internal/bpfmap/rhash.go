package bpfmap

import (
	"errors"
	"fmt"

	"github.com/ktgen/ktgen/freeze/internal/kmem"
	"github.com/ktgen/ktgen/freeze/internal/kwalk"
)

// rhash copies BPF_MAP_TYPE_RHASH, a hash that grows and shrinks
// (kernel/bpf/hashtab.c). The data of an element is its key, and that, 8-byte
// aligned, is followed by the value.
type rhash struct {
	table, count kmem.Field // of struct bpf_rhtab: ht.tbl, ht.nelems

	tables kwalk.RHash

	node int        // of struct rhtab_elem
	next kmem.Field // of the same
	data int
}

func resolveRHash(r *resolver) copier {
	const table, element = "bucket_table", "rhtab_elem"
	l := &rhash{
		table: r.field("bpf_rhtab", "ht.tbl"),
		count: r.field("bpf_rhtab", "ht.nelems.counter"),
		tables: kwalk.RHash{
			TableSize: r.size(table),
			Size:      r.field(table, "size"),
			Nest:      r.field(table, "nest"),
			Future:    r.field(table, "future_tbl"),
			Buckets:   r.at(table, "buckets"),
		},
		node: r.at(element, "node"),
		next: r.field(element, "node.next"),
		data: r.at(element, "data"),
	}
	if l.data < l.next.Offset+l.next.Size {
		r.missing = append(r.missing, element+".data")
	}
	return l
}

func (l *rhash) copy(p *Pass, m *Map) error {
	if err := m.checkSizes(); err != nil {
		return err
	}
	table, err := p.mem.Fetch(m.addr, l.table)
	if err != nil {
		return fmt.Errorf("read bpf_rhtab.ht.tbl: %w", err)
	}
	count, err := p.mem.Fetch(m.addr, l.count)
	if err != nil {
		return fmt.Errorf("read bpf_rhtab.ht.nelems: %w", err)
	}
	w := rhashWalk{rhash: l, p: p, m: m, value: l.data + (m.KeySize+7)&^7}
	err = l.tables.Walk(p.mem, kmem.Addr(table), p.check, w.element)
	if err != nil {
		m.Total = int(min(count, uint64(m.MaxEntries)))
	}
	if errors.Is(err, errFull) {
		return nil
	}
	return err
}

// rhashWalk is the walk over the elements of one map.
type rhashWalk struct {
	*rhash
	p     *Pass
	m     *Map
	value int // offset of the value in an element

	// copied are the elements so far, while the map is being resized. It is nil
	// for maps that are not.
	copied map[kmem.Addr]struct{}
}

// element copies the element of a node and returns what follows it.
func (w *rhashWalk) element(node kmem.Addr, moving bool) (next kmem.Addr, err error) {
	p, m, e := w.p, w.m, node-kmem.Addr(w.node)
	if moving && w.copied == nil {
		w.copied = make(map[kmem.Addr]struct{})
	}
	if err := p.check(); err != nil {
		return 0, err
	}
	record, err := p.mem.Peek(e, w.value+m.ValueSize, &p.record)
	if err != nil {
		return 0, fmt.Errorf("read struct rhtab_elem at %v: %w", e, err)
	}
	next = w.next.Addr(record)
	if w.copied != nil {
		if _, ok := w.copied[e]; ok {
			return next, nil
		}
	}
	if !m.take(m.entryBytes()) {
		return 0, errFull
	}
	if w.copied != nil {
		w.copied[e] = struct{}{}
	}
	p.worked(len(record))
	m.Keys = append(m.Keys, record[w.data:w.data+m.KeySize]...)
	m.Values = append(m.Values, record[w.value:]...)
	m.Addrs = append(m.Addrs, uint64(e)+uint64(w.value))
	m.N++
	return next, nil
}
