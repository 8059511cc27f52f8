package runtime

import (
	"fmt"

	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/internal/convert"
)

// source is a table of values in a snapshot: those of a map, or of an array
// in a section.
type source struct {
	b      *Binding
	name   string       // for paths: the map, or section and variable
	typ    int          // of the values, in Layout.Types
	shape  *ctype.Shape // of the values, in the guest
	plan   *convert.Plan
	number int // of the source in its binding, from 1, for values without an address

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

// value returns the bytes of a value and its address, 0 if it is unknown. ok
// is false if the guest had no memory there.
func (s *source) value(entry, slot int) (value []byte, addr uint64, ok bool) {
	if s.records != nil {
		r := &s.records[entry]
		return r.Data[recordHeader:len(r.Data):len(r.Data)], r.Addr + recordHeader, true
	}
	i := entry*s.slots + slot
	value = s.values[i*s.stride:][:s.size:s.size]
	switch {
	case s.addrs != nil:
		return value, s.addrs[i], s.addrs[i] != 0
	case s.base != 0:
		return value, s.base + uint64(i)*uint64(s.stride), true
	}
	return value, 0, true
}

// path names an entry: scx_per_task[cpu=1][3].
func (s *source) path(entry, slot int) string {
	path := s.name
	if s.single {
		return path
	}
	if s.slots > 1 {
		path += fmt.Sprintf("[cpu=%d]", slot)
	}
	return fmt.Sprintf("%s[%s]", path, s.keyText(entry))
}

// keyText names an entry within the source.
func (s *source) keyText(entry int) string {
	if s.keys != nil && entry >= 0 && entry < s.n {
		return s.keys(entry)
	}
	return fmt.Sprint(entry)
}

// fail reports that an operation on the source as a whole failed.
func (s *source) fail(op string, err error) {
	s.b.fail(&Error{Op: op, Path: s.name, Err: err})
}

// require fails unless every entry is there: what is missing from a part
// proves nothing.
func (s *source) require(op string) {
	if s.status.Status != Complete {
		incomplete := s.status
		s.fail(op, &incomplete)
	}
}

// boundMap is a map of the layout in the snapshot.
type boundMap struct {
	source
	m       *Map  // nil if it is not there
	err     error // why it cannot be read; nil if it can
	key     *convert.Plan
	keySize int // bytes
	index   lazyIndex
}

// bindMap finds map i of the layout and compares its types.
func (b *Binding) bindMap(c *convert.Comparison, i int) *boundMap {
	l := &b.layout.Maps[i]
	bound := &boundMap{source: source{b: b, name: l.Name, number: i + 1, typ: -1}}
	if l.Inner {
		bound.err = &MapNotFound{Requested: l.Name}
		return bound
	}
	if l.Type == MapTypeStructOps && l.Value != "" {
		b.types[b.shapes.index[l.Value]].why = kernelsOwn
	}
	bound.m, bound.err = b.find(l.Name,
		func(m *Map) bool { return l.fits(m) },
		func(m *Map) bool { return b.resembles(m, i) })
	if bound.m == nil {
		return bound
	}
	if bound.m.Type.family() != l.Type.family() {
		c.Differ("map "+l.Name, l.Type.String(), bound.m.Type.String())
		return bound
	}
	bound.err = bound.take(c, l, b.shapes.keys[i])
	return bound
}

// fits tells whether a map can be the one of the layout by its name. One that the
// kernel has cut short can be another's, and says nothing of a map of another type.
func (l *MapLayout) fits(m *Map) bool {
	if m.Name == l.Name {
		return true
	}
	return m.Name == kernelName(l.Name) && m.Type.family() == l.Type.family()
}

// resembles tells whether a map has the type of map i of the layout, and a
// value of the same name and size.
func (b *Binding) resembles(m *Map, i int) bool {
	l := &b.layout.Maps[i]
	if m.Type.family() != l.Type.family() {
		return false
	}
	if l.Value == "" || m.Value == nil {
		return l.Value == "" && m.Value == nil
	}
	want := b.shapes.types[b.shapes.index[l.Value]]
	return ctype.Spell(stripTypedefs(want)) == ctype.Spell(stripTypedefs(m.Value)) && want.Size == m.Value.Size
}

// take takes over the captured map's columns.
func (m *boundMap) take(c *convert.Comparison, l *MapLayout, key *ctype.Shape) error {
	captured := m.m
	m.status = Incomplete{Map: l.Name, Status: captured.Status, Held: captured.N, Total: captured.Total, Reason: captured.Reason}
	if captured.Status == Unsupported || captured.Status == Failed && captured.N == 0 {
		incomplete := m.status
		return &incomplete
	}
	if captured.Type.isRing() {
		return m.takeRecords(l)
	}
	if l.Value == "" && captured.N == 0 {
		m.slots = max(captured.Slots, 1)
		return nil
	}
	if err := captured.check(); err != nil {
		return err
	}
	m.columns(captured)
	if err := m.bindKey(c, l, key); err != nil {
		return err
	}
	return m.bindValue(c, l)
}

// takeRecords takes over the records of a ring buffer. Their type is bound by
// its name: the kernel keeps none for the map.
func (m *boundMap) takeRecords(l *MapLayout) error {
	records := m.b.snapshot.records(m.m)
	m.hold(records)
	if l.Value != "" {
		m.typ = m.b.shapes.index[l.Value]
	}
	return records.err
}

// bindKey compares the keys of a hash map or trie. The keys of arrays are the numbers
// of their entries, and storage maps have owners instead.
func (m *boundMap) bindKey(c *convert.Comparison, l *MapLayout, want *ctype.Shape) error {
	captured := m.m
	switch captured.Type.family() {
	case MapTypeTaskStorage, MapTypeCgroupStorage, MapTypeInodeStorage, MapTypeSkStorage:
		if len(captured.Owners) < m.n {
			return fmt.Errorf("the snapshot is damaged: map %s has %d owners for %d entries", m.name, len(captured.Owners), m.n)
		}
		return nil
	case MapTypeHash, MapTypePerCPUHash, MapTypeHashOfMaps, MapTypeLPMTrie, MapTypeStackTrace:
	default:
		return nil
	}
	if m.keySize = captured.KeySize; len(captured.Keys) < m.n*m.keySize {
		return fmt.Errorf("the snapshot is damaged: map %s has entries without keys", m.name)
	}
	if want == nil {
		return nil
	}
	have := captured.Key
	if have == nil && (l.Inner || captured.Type.untypedKeys()) && want.Size == m.keySize {
		have = want
	}
	if have == nil {
		return &NoShape{Map: m.name, Side: "key"}
	}
	m.key, _ = c.Plan("key of "+m.name, want, have)
	if have.Size > m.keySize {
		return fmt.Errorf("its keys have %d bytes, and their type %d", m.keySize, have.Size)
	}
	return nil
}

func (m *boundMap) columns(captured *Map) {
	m.n, m.slots, m.stride, m.size = captured.N, captured.Slots, captured.Stride, captured.ValueSize
	m.values, m.addrs, m.base = captured.Values, captured.Addrs, captured.Base
}

func (m *boundMap) bindValue(c *convert.Comparison, l *MapLayout) error {
	captured := m.m
	if l.Value == "" {
		return nil
	}
	have, own := captured.Value, m.b.shapes.types[m.b.shapes.index[l.Value]]
	if have == nil && (l.Inner || captured.Type.untypedValues()) && own.Size == captured.ValueSize {
		have = own
	}
	if have == nil {
		return &NoShape{Map: l.Name, Side: "value"}
	}
	if captured.Type == MapTypeStructOps {
		return m.bindStructOps(c.BigEndian, l)
	}
	m.typ, m.shape = m.b.shapes.index[l.Value], have
	m.plan, _ = c.Plan("value of "+l.Name, own, have)
	m.b.bindType(c, m.typ, have)
	if have.Size > captured.ValueSize {
		return fmt.Errorf("its values have %d bytes, and their type %d", captured.ValueSize, have.Size)
	}
	return nil
}

// check checks that the columns of a map are as long as its header says.
func (m *Map) check() error {
	if m.N < 0 || m.Slots < 1 || m.KeySize < 0 || m.ValueSize < 1 || m.Stride < m.ValueSize {
		return fmt.Errorf("the snapshot is damaged: map %s has %d entries with %d values of %d bytes, %d bytes apart", m.Name, m.N, m.Slots, m.ValueSize, m.Stride)
	}
	n := int64(m.N)
	switch {
	case !fits(int64(len(m.Values))+int64(m.Stride-m.ValueSize), n, int64(m.Slots), int64(m.Stride)):
		return fmt.Errorf("the snapshot is damaged: map %s has %d bytes of values, too few for %d entries with %d values, %d bytes apart", m.Name, len(m.Values), m.N, m.Slots, m.Stride)
	case m.Keys != nil && !fits(int64(len(m.Keys)), n, int64(m.KeySize)):
		return fmt.Errorf("the snapshot is damaged: map %s has %d bytes of keys, too few for %d keys of %d bytes", m.Name, len(m.Keys), m.N, m.KeySize)
	case m.Addrs != nil && !fits(int64(len(m.Addrs)), n, int64(m.Slots)):
		return fmt.Errorf("the snapshot is damaged: map %s has %d addresses for %d entries with %d values", m.Name, len(m.Addrs), m.N, m.Slots)
	}
	return nil
}

// fits tells whether the product of factors, none of them negative, is at most
// limit.
func fits(limit int64, factors ...int64) bool {
	for _, f := range factors {
		if f == 0 {
			return true
		}
	}
	for _, f := range factors {
		limit /= f
	}
	return limit > 0
}
