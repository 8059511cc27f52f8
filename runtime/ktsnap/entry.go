package ktsnap

import (
	"encoding/binary"
	"fmt"

	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/internal/errtext"
)

// Entry is an entry of a captured map, or the reason why there is none. Errors
// stick, as those of a [Value] do.
type Entry struct {
	m     *mapReader // nil if the map was not found
	entry int
	slot  int   // notNarrowed until a CPU is chosen
	seen  *seen // of the predicate that the entry was given to
	err   error
}

// NotNarrowed is the slot of a per-CPU map's entry before a CPU was chosen.
const NotNarrowed = -1

// Get returns the value along a path that begins at the entry's value; see
// [Value.Get]. The value of a per-CPU map is that of one CPU: it fails with a
// [*PerCPUNotNarrowedError] before CPU has chosen one.
func (e Entry) Get(path string) Value {
	v := e.value()
	v.walk(path)
	return v
}

// Value is the value that the entry's paths begin at.
func (e *Entry) value() Value {
	v := Value{root: *e, err: e.Err()}
	if v.err != nil {
		return v
	}
	if e.slot == NotNarrowed {
		return v.failed("Get", &PerCPUNotNarrowedError{Map: e.m.Name, CPUs: e.m.Slots, Path: e.CPU(0).Path()})
	}
	shape, err := e.m.valueShape()
	if err != nil {
		return v.failed("Get", err)
	}
	data, addr, ok := e.m.Columns.Value(e.entry, e.slot)
	if !ok {
		return v.failed("Get", e.m.Unreadable(e.slot))
	}
	v.shape, v.data, v.addr = shape, data, addr
	switch {
	case shape == frames:
		v.data = framesIn(data)
	case shape != nil:
		v.data = data[:shape.Extent(data):shape.Extent(data)]
	}
	return v
}

// Key returns the entry's key: for arrays the number of the entry, for task
// storage the pid of the task.
func (e Entry) Key() Value {
	v := Value{root: e, key: true, err: e.Err()}
	switch {
	case v.err != nil:
		return v
	case e.m.isTaskStorage():
		return e.number(pidShape, uint32(e.m.m.Owners[e.entry].PID))
	case e.m.m.Keys == nil:
		return e.number(indexShape, uint32(e.entry))
	}
	shape, err := e.m.keyShape()
	if err != nil {
		return v.failed("Key", err)
	}
	size := e.m.m.KeySize
	v.shape, v.data = shape, e.m.m.Keys[e.entry*size:][:size:size]
	if shape != nil {
		v.data = v.data[:shape.Size:shape.Size]
	}
	return v
}

// Keys that are not in the guest's memory.
var (
	indexShape = &ctype.Shape{Kind: ctype.KindInt, Name: "u32", Size: 4}
	pidShape   = &ctype.Shape{Kind: ctype.KindInt, Name: "s32", Size: 4, Signed: true}
)

// number returns a key that the snapshot does not hold as bytes.
func (e *Entry) number(s *ctype.Shape, n uint32) Value {
	data := make([]byte, s.Size)
	binary.LittleEndian.PutUint32(data, n)
	return Value{root: *e, key: true, shape: s, data: data}
}

// CPU returns what CPU n has of an entry of a per-CPU map. Entries of other
// maps are the same on all CPUs.
func (e Entry) CPU(n int) Entry {
	if e.Err() != nil || !e.m.isPerCPU() {
		return e
	}
	if err := e.m.checkCPU(n); err != nil {
		return e.failed("CPU", err)
	}
	e.slot = n
	return e
}

// Owner returns the kernel object that an entry of a storage map belongs to;
// ok is false if the map is no storage map.
func (e Entry) Owner() (owner Owner, ok bool) {
	if e.Err() != nil || e.entry >= len(e.m.m.Owners) {
		return Owner{}, false
	}
	return e.m.m.Owners[e.entry], true
}

// Index returns the number of the entry in the order of the capture, and -1 if
// there is no entry.
func (e Entry) Index() int {
	if e.Err() != nil {
		return -1
	}
	return e.entry
}

// Err returns why there is no entry, or nil.
func (e Entry) Err() error {
	if e.m == nil && e.err == nil {
		return &Error{Op: "At", Err: &NoCaptureError{}}
	}
	return e.err
}

// Path names the entry as errors do: scx_per_task[cpu=1][3].
func (e Entry) Path() string { return e.text(false, "") }

// text names what a path from the entry leads to.
func (e *Entry) text(key bool, path string) string {
	if e.m == nil {
		return errtext.Clip(path)
	}
	name := e.m.Name
	switch {
	case e.err != nil:
	case e.slot == NotNarrowed:
		name = fmt.Sprintf("%s[%s]", name, e.m.keyText(e.entry))
	default:
		name = e.m.Path(e.entry, e.slot)
	}
	if key {
		name = "the key of " + name
	}
	return joinPath(name, errtext.Clip(path))
}

func (e Entry) failed(op string, err error) Entry {
	failure := &Error{Op: op, Path: e.text(false, ""), Err: err}
	e.seen.note(failure)
	return Entry{m: e.m, err: failure}
}

// Inner returns the map that an entry of a map of maps holds, for reading it
// without generated code.
func (e Entry) Inner() MapView {
	v := e.value()
	if v.err == nil && e.m.m.Type != MapTypeArrayOfMaps && e.m.m.Type != MapTypeHashOfMaps {
		v = v.failed("Inner", &TypeMismatchError{Expected: "a map of maps", Actual: e.m.m.Type.String(), Hint: "Get reads the entry"})
	}
	if v.err == nil && len(v.data) != SlotSize {
		v = v.failed("Inner", fmt.Errorf("the snapshot is damaged: its values have %d bytes, and ids %d", len(v.data), SlotSize))
	}
	if v.err != nil {
		return MapView{err: v.err}
	}
	id := uint32(ctype.IntPlace{Bits: 32}.Load(v.data))
	if id == 0 {
		return MapView{err: v.failed("Inner", &EmptySlotError{Map: e.m.Name, Index: e.entry}).err}
	}
	for _, m := range e.m.r.maps {
		if m.m.ID == id {
			return m.view()
		}
	}
	return MapView{err: v.failed("Inner", &InnerMapNotFoundError{ID: id}).err}
}
