package bpfmap

import (
	"fmt"

	"github.com/ktgen/ktgen/freeze/internal/kmem"
)

// rhash copies BPF_MAP_TYPE_RHASH, a hash that grows and shrinks
// (kernel/bpf/hashtab.c, lib/rhashtable.c):
//
//	struct bpf_rhtab.ht.tbl ──► struct bucket_table ──future_tbl──► the one it is moved to
//	  .buckets[i] ──► struct rhtab_elem ──► ... ──► address of the bucket | 1
//
// Bit 0 of a bucket is its lock. The data of an element is its key, and that,
// 8-byte aligned, is followed by the value.
type rhash struct {
	table, count kmem.Field // of struct bpf_rhtab: ht.tbl, ht.nelems

	tableSize          int        // of struct bucket_table
	size, nest, future kmem.Field // of the same
	buckets            int

	node int        // of struct rhtab_elem
	next kmem.Field // of the same
	data int
}

func resolveRHash(r *resolver) copier {
	const table, element = "bucket_table", "rhtab_elem"
	l := &rhash{
		table:     r.field("bpf_rhtab", "ht.tbl"),
		count:     r.field("bpf_rhtab", "ht.nelems.counter"),
		tableSize: r.size(table),
		size:      r.field(table, "size"),
		nest:      r.field(table, "nest"),
		future:    r.field(table, "future_tbl"),
		buckets:   r.at(table, "buckets"),
		node:      r.at(element, "node"),
		next:      r.field(element, "node.next"),
		data:      r.at(element, "data"),
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
	err = w.tables(kmem.Addr(table))
	if err != nil {
		m.Total = int(min(count, uint64(m.MaxEntries)))
	}
	if err == errFull {
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
	pages int // of nested tables

	// copied are the elements so far, while the map is being resized. The last
	// element of a list is then in the old table and in the new one for a
	// moment, and the list in the old one goes on into the new one. It is nil
	// for maps that are not.
	copied map[kmem.Addr]struct{}
}

// maxTables bounds the tables of one map. A table that is too small again
// before everything is in it has a successor of twice the size.
const maxTables = 32

// tables copies the elements of a table, and of those that succeed it.
func (w *rhashWalk) tables(table kmem.Addr) error {
	for n := 0; table != 0; n++ {
		if n == maxTables {
			return corrupt("more than %d tables succeed one another", maxTables)
		}
		record, err := w.p.mem.Peek(table, w.tableSize, &w.p.record)
		if err != nil {
			return fmt.Errorf("read struct bucket_table at %v: %w", table, err)
		}
		size, nest, future := w.size.Uint(record), w.nest.Uint(record), w.future.Addr(record)
		if future != 0 && w.copied == nil {
			w.copied = make(map[kmem.Addr]struct{})
		}
		if err := w.table(table+kmem.Addr(w.buckets), size, nest); err != nil {
			if err == errFull {
				return err
			}
			return fmt.Errorf("table %v of %d buckets: %w", table, size, err)
		}
		table = future
	}
	return nil
}

// tableBits is log2 of how many pointers a page has.
const tableBits = 9

// table copies the elements of a table. Where nest is not 0 the buckets are in
// pages below a first one of 1<<nest pointers, as the kernel makes them if it
// cannot have them in one piece.
func (w *rhashWalk) table(buckets kmem.Addr, size, nest uint64) error {
	if nest == 0 {
		return w.bucketsAt(buckets, size)
	}
	if nest > tableBits || size>>nest == 0 || size&(size-1) != 0 {
		return corrupt("%d buckets are nested below %d bits", size, nest)
	}
	first, err := w.p.mem.Fetch(buckets, pointer)
	if err != nil {
		return fmt.Errorf("read the nested table: %w", err)
	}
	return w.nested(kmem.Addr(first), 1<<nest, size>>nest)
}

// nested copies the elements below a page of pointers to pages that have a
// number of buckets each. A page without elements need not be there.
func (w *rhashWalk) nested(page kmem.Addr, entries, buckets uint64) error {
	if page == 0 {
		return nil
	}
	if err := w.countPage(page); err != nil {
		return err
	}
	table := make([]byte, entries*uint64(pointer.Size))
	if err := w.p.mem.Read(page, table); err != nil {
		return fmt.Errorf("read the nested table at %v: %w", page, err)
	}
	for ; len(table) > 0; table = table[pointer.Size:] {
		below := pointer.Addr(table)
		err := error(nil)
		switch {
		case buckets > 1<<tableBits:
			err = w.nested(below, 1<<tableBits, buckets>>tableBits)
		case below != 0:
			err = w.leaf(below, buckets)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// leaf copies the elements of a page of buckets.
func (w *rhashWalk) leaf(page kmem.Addr, buckets uint64) error {
	if err := w.countPage(page); err != nil {
		return err
	}
	return w.bucketsAt(page, buckets)
}

// countPage counts a page of a nested table that is to be read.
func (w *rhashWalk) countPage(page kmem.Addr) error {
	if w.pages++; w.pages > maxNodes {
		return corrupt("the nested table has more than %d pages, the last at %v", maxNodes, page)
	}
	return w.p.check()
}

// bucketsAt copies the elements of buckets that follow one another.
func (w *rhashWalk) bucketsAt(a kmem.Addr, n uint64) error {
	return w.p.mem.Records(a, n, pointer.Size, func(record []byte) error {
		err := w.bucket(a, pointer.Addr(record))
		if err != nil && err != errFull {
			err = fmt.Errorf("bucket at %v: %w", a, err)
		}
		a += kmem.Addr(pointer.Size)
		return err
	})
}

// bucket copies the elements of the bucket at a.
func (w *rhashWalk) bucket(a, bucket kmem.Addr) error {
	if err := w.p.check(); err != nil {
		return err
	}
	const lock, marker = 1, 1 // bit 0
	node := bucket &^ lock
	if node == 0 {
		return nil
	}
	var seen chain
	for node&marker == 0 {
		if err := seen.next(node); err != nil {
			return err
		}
		next, err := w.element(node - kmem.Addr(w.node))
		if err != nil {
			return err
		}
		node = next
	}
	if node != a|marker && w.copied == nil {
		return corrupt("its list ends as that of the bucket at %v", node&^marker)
	}
	return nil
}

// element copies one element and returns what follows it.
func (w *rhashWalk) element(e kmem.Addr) (next kmem.Addr, err error) {
	p, m := w.p, w.m
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
