package scx

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/ktgen/ktgen/freeze/internal/kmem"
	"github.com/ktgen/ktgen/freeze/internal/kwalk"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// State is what one walk has copied.
type State struct {
	Tables []*ktsnap.Table

	order []kmem.Addr // of tasks, for the next walk
}

// Bytes is how much that is.
func (s *State) Bytes() (n int) {
	if s == nil {
		return 0
	}
	for _, t := range s.Tables {
		n += len(t.Data)
	}
	return n
}

// walk copies one state.
type walk struct {
	*Layout
	mem   *kmem.Space
	check func() error
	warm  *State
	state *State

	idle    masks
	running []kmem.Addr // tasks that CPUs run, other than their own when they idle
}

// Copy copies what a kernel keeps. check is called now and then, and its error ends
// the walk: tables say what is missing from them then. warm is what an earlier walk
// has found, nil for none; its memory, which is in use already, is taken over.
func (l *Layout) Copy(mem *kmem.Space, check func() error, warm *State) *State {
	w := &walk{Layout: l, mem: mem, check: check, warm: warm, state: new(State)}
	w.clocks()
	w.allCPUs()
	w.allTasks()
	w.schedulers()
	w.allQueues()
	w.allCgroups()
	w.allPrograms()
	return w.state
}

// table is a table that is being filled.
type table struct {
	*ktsnap.Table
	p *projection
}

// begin adds a table to the state. Without a projection it is one that cannot be
// copied.
func (w *walk) begin(name string, p *projection, lacks string) *table {
	t := &table{&ktsnap.Table{Name: name}, p}
	w.state.Tables = append(w.state.Tables, t.Table)
	if p == nil || lacks != "" {
		t.Type = columnsOnly(name).shape
		t.Status, t.Reason = ktsnap.Unsupported, fmt.Sprintf("the guest's kernel has no %s", lacks)
		return t
	}
	t.Type = p.shape
	if w.warm == nil {
		return t
	}
	for _, before := range w.warm.Tables {
		if before.Name == name {
			t.Data, t.Addrs = before.Data[:0], before.Addrs[:0]
			before.Data, before.Addrs, before.N = nil, nil, 0
		}
	}
	return t
}

func (t *table) missing() bool { return t.Status == ktsnap.Unsupported }

// add adds a record of zeroes for the object at a.
func (t *table) add(a kmem.Addr) (record []byte) {
	size := t.p.shape.Size
	at := len(t.Data)
	if cap(t.Data)-at >= size {
		t.Data = t.Data[:at+size]
		clear(t.Data[at:])
	} else {
		t.Data = append(t.Data, make([]byte, size)...)
	}
	t.Addrs = append(t.Addrs, uint64(a))
	t.N++
	return t.Data[at : at+size : at+size]
}

// fault says what is wrong with the last record.
func (t *table) fault(format string, args ...any) {
	t.Faults = append(t.Faults, ktsnap.TableFault{Record: t.N - 1, Reason: fmt.Sprintf(format, args...)})
}

// failed says why a table is not complete.
func (t *table) failed(err error) {
	if err == nil || t.Status != ktsnap.Complete {
		return
	}
	t.Status, t.Reason = ktsnap.Truncated, fmt.Sprintf("%d records, and then: %v", t.N, err)
	if errors.Is(err, kwalk.ErrCorrupt) || t.N == 0 {
		t.Status = ktsnap.Failed
	}
}

// copyAt adds a record with the members of the struct at a.
func (w *walk) copyAt(t *table, a kmem.Addr) (record, view []byte, err error) {
	view, err = t.p.view(w.mem, a)
	if err != nil {
		return nil, nil, err
	}
	record = t.add(a)
	t.p.copy(record, view)
	return record, view, nil
}

// list calls visit for each node of a list_head but the head itself, until an error.
// visit returns the node behind, which it has read anyway.
func (w *walk) list(head kmem.Addr, visit func(node kmem.Addr) (next kmem.Addr, err error)) error {
	next, err := w.mem.Addr(head)
	var seen kwalk.Chain
	for n := 0; err == nil && next != head; n++ {
		if next == 0 || n == maxList {
			return kwalk.Corrupt("the list at %v does not return to its head after %d nodes", head, n)
		}
		if err := seen.Next(next); err != nil {
			return err
		}
		if err := w.check(); err != nil {
			return err
		}
		next, err = visit(next)
	}
	return err
}

// maxList bounds the nodes of one list.
const maxList = 1 << 20

func put32(record []byte, at int, v uint32) { binary.LittleEndian.PutUint32(record[at:], v) }
func put64(record []byte, at int, v uint64) { binary.LittleEndian.PutUint64(record[at:], v) }

// named returns a table that has been begun.
func (s *State) named(name string) *ktsnap.Table {
	for _, t := range s.Tables {
		if t.Name == name {
			return t
		}
	}
	return new(ktsnap.Table)
}
