package kwalk

import (
	"fmt"

	"github.com/ktgen/ktgen/freeze/internal/kmem"
)

// RHash is where the tables of an rhashtable keep their members (lib/rhashtable.c):
//
//	struct rhashtable.tbl ──► struct bucket_table ──future_tbl──► the one it is moved to
//	  .buckets[i] ──► struct rhash_head ──► ... ──► address of the bucket | 1
//
// Bit 0 of a bucket is its lock.
type RHash struct {
	TableSize          int        // of struct bucket_table
	Size, Nest, Future kmem.Field // of the same
	Buckets            int        // offset in the same
}

// Walk calls visit for each node of a table and of those that succeed it, until an
// error. The same element can be met twice while the table is being resized, which
// moving tells: it is then in the old table and in the new one for a moment, and the
// list in the old one goes on into the new one. check is called now and then.
func (l *RHash) Walk(mem *kmem.Space, table kmem.Addr, check func() error, visit func(node kmem.Addr, moving bool) (next kmem.Addr, err error)) error {
	w := rhashWalk{RHash: l, mem: mem, check: check, visit: visit}
	return w.tables(table)
}

// rhashWalk is the walk over the nodes of one hash table.
type rhashWalk struct {
	*RHash
	mem    *kmem.Space
	check  func() error
	visit  func(node kmem.Addr, moving bool) (next kmem.Addr, err error)
	pages  int // of nested tables
	moving bool
	record []byte
}

// maxTables bounds the tables of one map. A table that is too small again
// before everything is in it has a successor of twice the size.
const maxTables = 32

// tables visits the nodes of a table, and of those that succeed it.
func (w *rhashWalk) tables(table kmem.Addr) error {
	for n := 0; table != 0; n++ {
		if n == maxTables {
			return Corrupt("more than %d tables succeed one another", maxTables)
		}
		record, err := w.mem.Peek(table, w.TableSize, &w.record)
		if err != nil {
			return fmt.Errorf("read struct bucket_table at %v: %w", table, err)
		}
		size, nest, future := w.Size.Uint(record), w.Nest.Uint(record), w.Future.Addr(record)
		w.moving = w.moving || future != 0
		if err := w.table(table+kmem.Addr(w.Buckets), size, nest); err != nil {
			return fmt.Errorf("table %v of %d buckets: %w", table, size, err)
		}
		table = future
	}
	return nil
}

// tableBits is log2 of how many pointers a page has.
const tableBits = 9

// table visits the nodes of a table. Where nest is not 0 the buckets are in
// pages below a first one of 1<<nest pointers, as the kernel makes them if it
// cannot have them in one piece.
func (w *rhashWalk) table(buckets kmem.Addr, size, nest uint64) error {
	if nest == 0 {
		return w.bucketsAt(buckets, size)
	}
	if nest > tableBits || size>>nest == 0 || size&(size-1) != 0 {
		return Corrupt("%d buckets are nested below %d bits", size, nest)
	}
	first, err := w.mem.Fetch(buckets, pointer)
	if err != nil {
		return fmt.Errorf("read the nested table: %w", err)
	}
	return w.nested(kmem.Addr(first), 1<<nest, size>>nest)
}

// nested visits the nodes below a page of pointers to pages that have a
// number of buckets each. A page without elements need not be there.
func (w *rhashWalk) nested(page kmem.Addr, entries, buckets uint64) error {
	if page == 0 {
		return nil
	}
	if err := w.countPage(page); err != nil {
		return err
	}
	table := make([]byte, entries*uint64(pointer.Size))
	if err := w.mem.Read(page, table); err != nil {
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

// leaf visits the nodes of a page of buckets.
func (w *rhashWalk) leaf(page kmem.Addr, buckets uint64) error {
	if err := w.countPage(page); err != nil {
		return err
	}
	return w.bucketsAt(page, buckets)
}

// countPage counts a page of a nested table that is to be read.
func (w *rhashWalk) countPage(page kmem.Addr) error {
	if w.pages++; w.pages > maxPages {
		return Corrupt("the nested table has more than %d pages, the last at %v", maxPages, page)
	}
	return w.check()
}

// bucketsAt visits the nodes of buckets that follow one another.
func (w *rhashWalk) bucketsAt(a kmem.Addr, n uint64) error {
	return w.mem.Records(a, n, pointer.Size, func(record []byte) error {
		err := w.bucket(a, pointer.Addr(record))
		if err != nil {
			err = fmt.Errorf("bucket at %v: %w", a, err)
		}
		a += kmem.Addr(pointer.Size)
		return err
	})
}

// bucket visits the nodes of the bucket at a.
func (w *rhashWalk) bucket(a, bucket kmem.Addr) error {
	if err := w.check(); err != nil {
		return err
	}
	const lock, marker = 1, 1 // bit 0
	node := bucket &^ lock
	if node == 0 {
		return nil
	}
	var seen Chain
	for node&marker == 0 {
		if err := seen.Next(node); err != nil {
			return err
		}
		next, err := w.visit(node, w.moving)
		if err != nil {
			return err
		}
		node = next
	}
	if node != a|marker && !w.moving {
		return Corrupt("its list ends as that of the bucket at %v", node&^marker)
	}
	return nil
}

// pointer is the shape of a pointer at the start of a record.
var pointer = kmem.Field{Size: 8}

// maxPages bounds the pages of one nested table.
const maxPages = 1 << 16
