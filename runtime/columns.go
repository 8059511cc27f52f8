package runtime

import (
	"fmt"

	"github.com/ktgen/ktgen/runtime/internal/errtext"
)

// columns are the entries of a map of a snapshot, or of an array in a section.
type columns struct {
	name string // for paths: the map, or section and variable

	n      int // entries
	slots  int // values per entry; 1 unless per CPU
	stride int // bytes
	size   int // bytes of a value
	values []byte
	addrs  []uint64 // see Map.Addrs
	base   uint64

	single bool // a section: its path is its name

	records []Extent // of a ring buffer, with their headers: the values, instead of what is above

	status Incomplete // as far as it is not Complete
	keys   func(entry int) string
}

// take makes the entries of a map, which was checked, those of the columns.
func (c *columns) take(m *Map) {
	c.n, c.slots, c.stride, c.size = m.N, max(m.Slots, 1), m.Stride, m.ValueSize
	c.values, c.addrs, c.base = m.Values, m.Addrs, m.Base
}

// incomplete is the error for what cannot be known from a part of the entries, nil
// if they are all there.
func (c *columns) incomplete() error {
	if c.status.Status == Complete {
		return nil
	}
	incomplete := c.status
	return &incomplete
}

// noMatch is the error for a predicate that nothing satisfied.
func (c *columns) noMatch(op string, slot int) *NoMatch {
	return &NoMatch{Map: c.name, Op: op, Len: c.n, Keys: c.firstKeys()}
}

// firstKeys names the first entries.
func (c *columns) firstKeys() []string {
	var keys []string
	for i := range min(c.n, errtext.MaxListed) {
		keys = append(keys, c.keyText(i))
	}
	return keys
}

// unreadable is the error for a value that the guest had no memory for.
func (c *columns) unreadable(slot int) error {
	if c.slots > 1 {
		return &PerCPUSlot{Map: c.name, CPU: slot, Len: c.slots, Unmapped: true}
	}
	return &Unreadable{}
}

// each calls f with the values that are there.
func (c *columns) each(f func(raw []byte)) {
	n := c.n
	if c.records != nil {
		n = len(c.records)
	}
	for entry := range n {
		for slot := range max(c.slots, 1) {
			if raw, _, ok := c.value(entry, slot); ok {
				f(raw)
			}
		}
	}
}

// hold makes the records the values.
func (c *columns) hold(r ringRecords) {
	c.n, c.slots, c.records = len(r.submitted), 1, r.submitted
}

// value returns the bytes of a value and its address, 0 if it is unknown. ok
// is false if the guest had no memory there.
func (c *columns) value(entry, slot int) (value []byte, addr uint64, ok bool) {
	if c.records != nil {
		r := &c.records[entry]
		return r.Data[recordHeader:len(r.Data):len(r.Data)], r.Addr + recordHeader, true
	}
	i := entry*c.slots + slot
	value = c.values[i*c.stride:][:c.size:c.size]
	switch {
	case c.addrs != nil:
		return value, c.addrs[i], c.addrs[i] != 0
	case c.base != 0:
		return value, c.base + uint64(i)*uint64(c.stride), true
	}
	return value, 0, true
}

// path names an entry: scx_per_task[cpu=1][3].
func (c *columns) path(entry, slot int) string {
	path := c.name
	if c.single {
		return path
	}
	if c.slots > 1 {
		path += fmt.Sprintf("[cpu=%d]", slot)
	}
	return fmt.Sprintf("%s[%s]", path, c.keyText(entry))
}

// keyText names an entry within the source.
func (c *columns) keyText(entry int) string {
	if c.keys != nil && entry >= 0 && entry < c.n {
		return c.keys(entry)
	}
	return fmt.Sprint(entry)
}
