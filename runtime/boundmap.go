package runtime

import (
	"fmt"

	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/internal/convert"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// boundMap is a map of the layout in the snapshot.
type boundMap struct {
	source
	m       *ktsnap.Map // nil if it is not there
	err     error       // why it cannot be read; nil if it can
	key     *convert.Plan
	keySize int // bytes
	index   lazyIndex

	keyShape *ctype.Shape // as generated
}

// bindMap finds map i of the layout and compares its types.
func (b *Binding) bindMap(c *convert.Comparison, i int) *boundMap {
	l, typ := &b.layout.Maps[i], b.shapes.mapTypes[i]
	bound := &boundMap{source: source{b: b, Columns: ktsnap.Columns{Name: l.Name}, number: i + 1, typ: -1}}
	if l.Inner {
		bound.err = &ktsnap.MapNotFoundError{Requested: l.Name}
		return bound
	}
	if typ == ktsnap.MapTypeStructOps && l.Value != "" {
		b.types[b.shapes.index[l.Value]].why = kernelsOwn
	}
	bound.m, bound.err = b.find(l.Name,
		func(m *ktsnap.Map) bool { return l.fits(m, typ) },
		func(m *ktsnap.Map) bool { return b.resembles(m, i) })
	if bound.m == nil {
		return bound
	}
	if bound.m.Type.Family() != typ.Family() {
		c.Differ("map "+l.Name, typ.String(), bound.m.Type.String())
		return bound
	}
	bound.err = bound.take(c, l, b.shapes.keys[i])
	return bound
}

// fits tells whether a map can be the one of the layout by its name. One that the
// kernel has cut short can be another's, and says nothing of a map of another type.
func (l *MapLayout) fits(m *ktsnap.Map, typ ktsnap.MapType) bool {
	if m.Name == l.Name {
		return true
	}
	return m.Name == ktsnap.KernelName(l.Name) && m.Type.Family() == typ.Family()
}

// resembles tells whether a map has the type of map i of the layout, and a
// value of the same name and size.
func (b *Binding) resembles(m *ktsnap.Map, i int) bool {
	l := &b.layout.Maps[i]
	if m.Type.Family() != b.shapes.mapTypes[i].Family() {
		return false
	}
	if l.Value == "" || m.Value == nil {
		return l.Value == "" && m.Value == nil
	}
	want := b.shapes.types[b.shapes.index[l.Value]]
	return ctype.Spell(want.Stripped()) == ctype.Spell(m.Value.Stripped()) && want.Size == m.Value.Size
}

// take takes over the captured map's columns.
func (m *boundMap) take(c *convert.Comparison, l *MapLayout, key *ctype.Shape) error {
	captured := m.m
	m.Status = ktsnap.IncompleteError{Map: l.Name, Status: captured.Status, Held: captured.N, Total: captured.Total, Reason: captured.Reason}
	if captured.Status == ktsnap.Unsupported || captured.Status == ktsnap.Failed && captured.N == 0 {
		incomplete := m.Status
		return &incomplete
	}
	if captured.Type.IsRing() {
		return m.takeRecords(l)
	}
	if l.Value == "" && captured.N == 0 {
		m.Slots = max(captured.Slots, 1)
		return nil
	}
	if err := captured.Check(); err != nil {
		return err
	}
	m.Columns.Take(captured)
	m.keyShape = key
	if err := m.bindKey(c, l, key); err != nil {
		return err
	}
	return m.bindValue(c, l)
}

// takeRecords takes over the records of a ring buffer. Their type is bound by
// its name: the kernel keeps none for the map.
func (m *boundMap) takeRecords(l *MapLayout) error {
	records := m.b.snapshot.Records(m.m)
	m.Hold(records)
	if l.Value != "" {
		m.typ = m.b.shapes.index[l.Value]
	}
	return records.Err
}

// bindKey compares the keys of a hash map or trie. The keys of arrays are the numbers
// of their entries, and storage maps have owners instead.
func (m *boundMap) bindKey(c *convert.Comparison, l *MapLayout, want *ctype.Shape) error {
	captured := m.m
	switch t := captured.Type; {
	case t.HasKeys():
	case t.HasOwners() && len(captured.Owners) < m.N:
		return fmt.Errorf("the snapshot is damaged: map %s has %d owners for %d entries", m.Name, len(captured.Owners), m.N)
	default:
		return nil
	}
	if m.keySize = captured.KeySize; len(captured.Keys) < m.N*m.keySize {
		return fmt.Errorf("the snapshot is damaged: map %s has entries without keys", m.Name)
	}
	if want == nil {
		return nil
	}
	have := captured.Key
	if have == nil && (l.Inner || captured.Type.UntypedKeys()) && want.Size == m.keySize {
		have = want
	}
	if have == nil {
		return &ktsnap.NoShapeError{Map: m.Name, Side: "key"}
	}
	m.key, _ = c.Plan("key of "+m.Name, want, have)
	if have.Size > m.keySize {
		return fmt.Errorf("its keys have %d bytes, and their type %d", m.keySize, have.Size)
	}
	return nil
}

func (m *boundMap) bindValue(c *convert.Comparison, l *MapLayout) error {
	captured := m.m
	if l.Value == "" {
		return nil
	}
	have, own := captured.Value, m.b.shapes.types[m.b.shapes.index[l.Value]]
	if have == nil && (l.Inner || captured.Type.UntypedValues()) && own.Size == captured.ValueSize {
		have = own
	}
	if have == nil {
		return &ktsnap.NoShapeError{Map: l.Name, Side: "value"}
	}
	if captured.Type == ktsnap.MapTypeStructOps {
		return m.bindStructOps(l)
	}
	m.typ, m.shape = m.b.shapes.index[l.Value], have
	m.plan, _ = c.Plan("value of "+l.Name, own, have)
	m.b.bindType(c, m.typ, have)
	if have.Size > captured.ValueSize {
		return fmt.Errorf("its values have %d bytes, and their type %d", captured.ValueSize, have.Size)
	}
	return nil
}
