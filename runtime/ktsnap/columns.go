package ktsnap

import (
	"fmt"

	"github.com/ktgen/ktgen/runtime/internal/errtext"
)

// Columns are the entries of a map of a snapshot, or of an array in a section.
type Columns struct {
	Name string // for paths: the map, or section and variable

	N      int // entries
	Slots  int // values per entry; 1 unless per CPU
	Stride int // bytes
	Size   int // bytes of a value
	Values []byte
	Addrs  []uint64 // see Map.Addrs
	Base   uint64

	Single bool // a section: its path is its name

	Records []Extent // of a ring buffer, with their headers: the values, instead of what is above

	Status IncompleteError // as far as it is not Complete
	Keys   func(entry int) string
}

// Take makes the entries of a map, which was checked, those of the columns.
func (c *Columns) Take(m *Map) {
	c.N, c.Slots, c.Stride, c.Size = m.N, max(m.Slots, 1), m.Stride, m.ValueSize
	c.Values, c.Addrs, c.Base = m.Values, m.Addrs, m.Base
}

// Incomplete is the error for what cannot be known from a part of the entries, nil
// if they are all there.
func (c *Columns) Incomplete() error {
	if c.Status.Status == Complete {
		return nil
	}
	incomplete := c.Status
	return &incomplete
}

// NoMatch is the error for a predicate that nothing satisfied.
func (c *Columns) NoMatch(op string, slot int) *NoMatchError {
	return &NoMatchError{Map: c.Name, Op: op, Len: c.N, Keys: c.FirstKeys()}
}

// FirstKeys names the first entries.
func (c *Columns) FirstKeys() []string {
	var keys []string
	for i := range min(c.N, errtext.MaxListed) {
		keys = append(keys, c.keyText(i))
	}
	return keys
}

// Unreadable is the error for a value that the guest had no memory for.
func (c *Columns) Unreadable(slot int) error {
	if c.Slots > 1 {
		return &PerCPUSlotError{Map: c.Name, CPU: slot, Len: c.Slots, Unmapped: true}
	}
	return &UnreadableError{}
}

// Each calls f with the values that are there.
func (c *Columns) Each(f func(raw []byte)) {
	n := c.N
	if c.Records != nil {
		n = len(c.Records)
	}
	for entry := range n {
		for slot := range max(c.Slots, 1) {
			if raw, _, ok := c.Value(entry, slot); ok {
				f(raw)
			}
		}
	}
}

// Hold makes the records the values.
func (c *Columns) Hold(r RingRecords) {
	c.N, c.Slots, c.Records = len(r.submitted), 1, r.submitted
}

// Value returns the bytes of a value and its address, 0 if it is unknown. ok
// is false if the guest had no memory there.
func (c *Columns) Value(entry, slot int) (value []byte, addr uint64, ok bool) {
	if c.Records != nil {
		r := &c.Records[entry]
		return r.Data[RecordHeaderSize:len(r.Data):len(r.Data)], r.Addr + RecordHeaderSize, true
	}
	i := entry*c.Slots + slot
	value = c.Values[i*c.Stride:][:c.Size:c.Size]
	switch {
	case c.Addrs != nil:
		return value, c.Addrs[i], c.Addrs[i] != 0
	case c.Base != 0:
		return value, c.Base + uint64(i)*uint64(c.Stride), true
	}
	return value, 0, true
}

// Path names an entry: scx_per_task[cpu=1][3].
func (c *Columns) Path(entry, slot int) string {
	path := c.Name
	if c.Single {
		return path
	}
	if c.Slots > 1 {
		path += fmt.Sprintf("[cpu=%d]", slot)
	}
	return fmt.Sprintf("%s[%s]", path, c.keyText(entry))
}

// keyText names an entry within the source.
func (c *Columns) keyText(entry int) string {
	if c.Keys != nil && entry >= 0 && entry < c.N {
		return c.Keys(entry)
	}
	return fmt.Sprint(entry)
}
