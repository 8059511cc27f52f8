package ktsnap

import (
	"fmt"
	"slices"
	"sync"

	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/internal/convert"
)

// reader is what the dynamic reads of a snapshot share: maps that were checked,
// types that were indexed, memory that was found. It is made at the first of
// them.
type reader struct {
	snapshot *Snapshot
	maps     []*mapReader // as Snapshot.Maps
	sections []*mapReader // of variables in the arena
	layouts  ctype.Index
	globals  globals
	defined  definitions
	graphs   sync.Map // graphKey to *nodeList

	allocated allocators
}

// reader returns the snapshot's reader. Of two that are made at once either
// will do. A copy of a snapshot makes its own.
func (s *Snapshot) reader() *reader {
	if r := s.dynamic.Load(); r != nil && r.snapshot == s {
		return r
	}
	r := newReader(s)
	s.dynamic.Store(r)
	return r
}

func (r *reader) memory() *Memory { return r.snapshot.Memory() }

func newReader(s *Snapshot) *reader {
	r := &reader{snapshot: s}
	for _, m := range s.Maps {
		r.maps = append(r.maps, r.newMap(m))
	}
	for _, section := range s.ArenaSections() {
		m := r.newMap(section.Is)
		m.arena = section.Arena
		r.sections = append(r.sections, m)
	}
	r.number()
	return r
}

// number tells maps of one name apart, for paths, by their order: main.bss#1, main.bss#2.
func (r *reader) number() {
	same := make(map[string][]*mapReader)
	for _, m := range r.all() {
		same[m.Name] = append(same[m.Name], m)
	}
	for name, maps := range same {
		for i := 0; i < len(maps) && len(maps) > 1; i++ {
			maps[i].Name = fmt.Sprintf("%s#%d", name, i+1)
		}
	}
}

// all are the maps, and the sections of variables in the arena, which have none.
func (r *reader) all() []*mapReader { return slices.Concat(r.maps, r.sections) }

// mapReader is a captured map with its entries in columns that were checked.
type mapReader struct {
	Columns
	r       *reader
	m       *Map
	arena   *Map  // in which m is a section of variables; nil for the snapshot's maps
	damaged error // why there are no columns; nil if there are
	value   checkedShape
	key     checkedShape
	byKey   keyBytes
	byText  keyTexts
}

func (r *reader) newMap(m *Map) *mapReader {
	v := &mapReader{
		r: r, m: m,
		Columns: Columns{Name: m.Name, Slots: 1, Single: m.Value != nil && m.Value.Kind == ctype.KindSection},
	}
	v.Status = *m.incomplete()
	v.Keys = v.keyName
	if v.damaged = v.checkColumns(); v.damaged != nil {
		return v
	}
	if m.Type.IsRing() {
		records := r.snapshot.Records(m)
		v.Single = false
		v.Hold(records)
		v.damaged = records.Err
		return v
	}
	v.Take(m)
	return v
}

// id is the id of the map that the guest has it in.
func (m *mapReader) id() uint32 {
	if m.arena != nil {
		return m.arena.ID
	}
	return m.m.ID
}

func (m *mapReader) checkColumns() error {
	captured := m.m
	if captured.N == 0 {
		return nil
	}
	if err := captured.Check(); err != nil {
		return err
	}
	if m.isTaskStorage() && len(captured.Owners) < captured.N {
		return fmt.Errorf("the snapshot is damaged: map %s has %d owners for %d entries", captured.Name, len(captured.Owners), captured.N)
	}
	return nil
}

// isTaskStorage tells whether entries are known by the pids of tasks.
func (m *mapReader) isTaskStorage() bool { return m.m.Type == MapTypeTaskStorage }

// checkedShape is the shape of one side of a map, once it was checked.
type checkedShape struct {
	once  sync.Once
	shape *ctype.Shape // nil without BTF
	err   error        // why it cannot be used
}

// Check checks s at the first call. Values of it have at most size bytes.
func (c *checkedShape) check(l *ctype.Index, s *ctype.Shape, size int) (*ctype.Shape, error) {
	c.once.Do(func() {
		switch {
		case s == nil:
		case l.Check(s) != nil:
			c.err = fmt.Errorf("the snapshot is damaged: its type: %w", l.Check(s))
		case s.Size > size:
			c.err = fmt.Errorf("the snapshot is damaged: it has %d bytes, and its type %d", size, s.Size)
		default:
			c.shape = s
		}
	})
	return c.shape, c.err
}

func (m *mapReader) valueShape() (*ctype.Shape, error) {
	if m.m.Type.IsRing() {
		return m.recordShape()
	}
	s := m.m.Value
	if t := m.m.Type; s == nil && (t.HoldsReferences() || t.HoldsMaps()) && m.m.ValueSize >= SlotSize {
		s = slotNumber
	}
	if m.hasFrames() && (s == nil || isWords(s)) {
		s = frames
	}
	return m.value.check(&m.r.layouts, s, m.m.ValueSize)
}

func (m *mapReader) keyShape() (*ctype.Shape, error) {
	s := m.m.Key
	if s == nil && m.m.Type == MapTypeStackTrace && m.m.KeySize == indexShape.Size {
		s = indexShape
	}
	return m.key.check(&m.r.layouts, s, m.m.KeySize)
}

// definitions finds types by name: those that one object's BTF declares only,
// another's can define.
type definitions struct {
	once   sync.Once
	byName map[string][]*ctype.Shape
	found  sync.Map // name to definition, of those that were asked for
}

// Definition is what the programs say of a struct or union.
type definition struct {
	shape   *ctype.Shape
	differs bool // from program to program
}

// Definition returns the struct or union that fwd declares. The error is a
// [*NotBoundError] if there is none, or if programs define it differently.
func (s *Snapshot) Definition(fwd *ctype.Shape) (*ctype.Shape, error) {
	switch d := s.reader().defined.of(s, fwd.Name); {
	case d.differs:
		return nil, &NotBoundError{Type: ctype.Spell(fwd), Reason: "its BTF declares it, and the programs that define it do so differently"}
	case d.shape == nil:
		return nil, &NotBoundError{Type: ctype.Spell(fwd), Reason: NotDefined}
	default:
		return d.shape, nil
	}
}

func (x *definitions) of(s *Snapshot, name string) definition {
	x.once.Do(func() {
		x.byName = make(map[string][]*ctype.Shape)
		for _, p := range s.Programs {
			x.add(p)
		}
	})
	if known, ok := x.found.Load(name); ok {
		return known.(definition)
	}
	var d definition
	for _, s := range x.byName[name] {
		if d.shape == nil {
			d.shape = s
		}
		d.differs = d.differs || !sameDefinition(d.shape, s)
	}
	x.found.Store(name, d)
	return d
}

func (x *definitions) add(p *Program) {
	if p == nil {
		return
	}
	for _, s := range p.Shapes {
		if s != nil && s.Name != "" && (s.Kind == ctype.KindStruct || s.Kind == ctype.KindUnion) {
			x.byName[s.Name] = append(x.byName[s.Name], s)
		}
	}
}

// sameDefinition tells whether two structs have the same members, of the same C
// types at the same places.
func sameDefinition(a, b *ctype.Shape) bool {
	if a == b {
		return true
	}
	there, back := convert.New(), convert.New()
	if there.Settle(a) != nil || back.Settle(b) != nil {
		return false
	}
	same := func(v, w ctype.Member) bool {
		return v.Name == w.Name && v.Offset == w.Offset && v.Bits == w.Bits && v.BitOffset == w.BitOffset && ctype.Spell(v.Type) == ctype.Spell(w.Type)
	}
	if a.Kind != b.Kind || a.Size != b.Size || !slices.EqualFunc(a.Fields(), b.Fields(), same) {
		return false
	}
	p, ok := there.Plan("", a, b)
	q, fits := back.Plan("", b, a)
	return ok && fits && p == nil && q == nil
}

// NotDefined is why types that the guest has no definition of are not bound.
const NotDefined = "its BTF declares it and does not define it"
