package runtime

import (
	"errors"
	"fmt"
	"slices"

	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/internal/convert"
	"github.com/ktgen/ktgen/runtime/internal/errtext"
	"github.com/ktgen/ktgen/runtime/ktsnap"
	"github.com/ktgen/ktgen/runtime/nearest"
)

// boundSection is a global section of the layout in the snapshot.
type boundSection struct {
	source
	m    *ktsnap.Map // the array map that the section is; nil if it is not there
	err  error       // why it cannot be read; nil if it can
	vars []boundVar
}

// boundVar is a variable of a section.
type boundVar struct {
	name   string
	want   *ctype.Shape
	have   *ctype.Shape
	offset int           // bytes, in the guest's section
	size   int           // bytes, in the guest
	plan   *convert.Plan // nil if the bytes can stay as they are
}

// bindSection finds section i of the layout and compares its variables, each
// for itself: a linker moves them as it likes.
func (b *Binding) bindSection(c *convert.Comparison, i int, want *ctype.Shape) *boundSection {
	bound := &boundSection{source: source{b: b, Columns: ktsnap.Columns{Name: want.Name, Single: true}, number: -1 - i, typ: -1 - i}}
	if ctype.IsArenaSection(want.Name) {
		bound.m, bound.err = b.findArenaSection(want)
	} else {
		bound.m, bound.err = b.find(want.Name,
			func(m *ktsnap.Map) bool { return m.IsSection(want.Name) },
			func(m *ktsnap.Map) bool { return m.Value != nil && len(m.Value.Members) == len(want.Members) })
	}
	if bound.err != nil {
		return bound
	}
	if bound.err = bound.m.CheckSection(); bound.err != nil {
		return bound
	}
	if err := c.Settle(bound.m.Value); err != nil {
		bound.err = fmt.Errorf("the snapshot is damaged: the type of section %s: %w", want.Name, err)
		return bound
	}
	m := bound.m
	bound.N, bound.Slots, bound.Stride, bound.Size = 1, 1, m.Stride, m.ValueSize
	bound.Values, bound.Addrs, bound.Base = m.Values, m.Addrs, m.Base
	bound.shape = m.Value
	b.bindVars(c, bound, want)
	return bound
}

// bindVars binds the variables of a section that is found.
func (b *Binding) bindVars(c *convert.Comparison, bound *boundSection, want *ctype.Shape) {
	have := bound.shape.Members
	members := make(map[string]ctype.Member, len(have))
	names, same := make([]string, len(have)), make(map[string]int)
	for i, member := range have {
		members[member.Name], names[i] = member, member.Name
		same[ctype.PlainName(member.Name)]++
	}
	last, resizable := want.Resizable()
	for i, w := range want.Members {
		h, exists := members[w.Name]
		if !exists {
			c.Differ(want.Name+"."+w.Name, ctype.Spell(w.Type), "no such variable"+nearest.Hint(w.Name, names))
		} else if plain := ctype.PlainName(w.Name); plain != w.Name && same[plain] != want.SameNamed(plain) {
			// Which of them has which number cannot be told any more.
			c.Differ(want.Name+"."+w.Name, ctype.Spell(w.Type), fmt.Sprintf("%s of that name", errtext.Count(same[plain], "variable", "variables")))
		}
		bound.vars = append(bound.vars, bound.bindVar(c, w, h, resizable && i == last))
	}
}

// bindVar compares a variable. One that is resizable has any length.
func (s *boundSection) bindVar(c *convert.Comparison, want, have ctype.Member, resizable bool) boundVar {
	v := boundVar{name: want.Name, want: want.Type, have: have.Type, offset: have.Offset}
	if have.Type == nil {
		return v
	}
	v.size = have.Width()
	path := s.Name + "." + want.Name
	var ok bool
	compare := c.Plan
	if resizable && isArray(have.Type) {
		compare = c.PlanElements
	}
	if v.plan, ok = compare(path, want.Type, have.Type); ok && isArray(want.Type) {
		// Its elements may be read one by one; see VarArray.
		c.Pointees = append(c.Pointees, convert.Pair{Want: want.Type.Underlying().Elem, Have: have.Type.Underlying().Elem})
	}
	if int64(have.Offset)+int64(v.size) > int64(s.Size) {
		c.Differ(path, ctype.Spell(want.Type), fmt.Sprintf("it at +%d, beyond the %d bytes of the section", have.Offset, s.Size))
	}
	return v
}

// Vars are the variables of a section that is being decoded, in their order.
type Vars struct {
	s    *boundSection
	d    *Decoder
	b    []byte
	next int // of the section's variables
}

// Next returns the next variable, in the layout that the code was generated for.
// It is valid until the next call.
func (v *Vars) Next() []byte {
	bound := &v.s.vars[v.next]
	v.next++
	return v.d.arrange(v.b[bound.offset:][:bound.size:bound.size], bound.plan)
}

// LoadSection returns the section with index i in the layout, decoded at its first use.
func LoadSection[S any](b *Binding, i int, decode func(*S, *Vars, *Decoder)) *S {
	s := b.sections[i]
	if s.err != nil {
		s.fail("read", s.err)
		return nil
	}
	raw, addr, ok := s.Value(0, 0)
	if !ok {
		s.fail("read", &ktsnap.UnreadableError{})
		return nil
	}
	if known := b.known(objectKey{addr: addr, typ: s.typ}); known != nil {
		return known.value.(*S)
	}
	v, err := decodeSection(s, addr, raw, decode)
	if err != nil {
		b.fail(&ktsnap.Error{Op: "read", Path: s.Name, Addr: addr, Err: err})
	}
	return v
}

func decodeSection[S any](s *boundSection, addr uint64, raw []byte, decode func(*S, *Vars, *Decoder)) (*S, error) {
	d := newDecoder(s.b)
	d.lock()
	defer d.unlock()
	key := objectKey{addr: addr, typ: s.typ}
	if known := s.b.memo[key]; known != nil {
		return known.value.(*S), nil
	}
	slot := slotFor[S](s.b, key, len(raw))
	o := slot.claim(&object{key: key, shape: s.m.Value, raw: raw, from: &origin{source: &s.source}})
	s.b.remember(o)
	vars := func(v *S, b []byte, d *Decoder) { decode(v, &Vars{s: s, d: d, b: b}, d) }
	decodeInto(d, slot.v, raw, nil, &origin{parent: o}, around(vars, slot.before))
	return slot.v, d.err
}

// VarArray returns the next variable, an array of values of type typ of the layout,
// for reading element by element: it is too large to be decoded as a whole.
func VarArray[V any](v *Vars, typ int, decode Decode[V]) Array[V] {
	i := v.next
	bound := &v.s.vars[i]
	v.next++
	have := bound.have.Underlying()
	a := &source{
		b: v.s.b, typ: typ, shape: have.Elem, plan: v.s.b.types[typ].plan,
		number: v.s.number<<16 - i, // apart from those of maps and sections
		Columns: ktsnap.Columns{
			Name: v.s.Name + "." + bound.name,
			N:    have.Len, Slots: 1, Stride: have.Elem.Size, Size: have.Elem.Size,
			Values: v.b[bound.offset:][:bound.size],
		},
	}
	if _, addr, _ := v.s.Value(0, 0); addr != 0 {
		a.Base = addr + uint64(bound.offset)
	}
	return Array[V]{s: a, decode: decode}
}

func isArray(s *ctype.Shape) bool {
	u := s.Underlying()
	return u != nil && u.Kind == ctype.KindArray
}

// findArenaSection returns the map that stands for a section of variables in the arena.
func (b *Binding) findArenaSection(want *ctype.Shape) (*ktsnap.Map, error) {
	var found []*ktsnap.Map
	chosen := func(m *ktsnap.Map, id uint32) bool {
		return m.Value != nil && m.IsSection(want.Name) && (len(b.options.mapIDs) == 0 || slices.Contains(b.options.mapIDs, id))
	}
	for _, m := range b.snapshot.Maps {
		if chosen(m, m.ID) {
			found = append(found, m)
		}
	}
	for _, section := range b.snapshot.ArenaSections() {
		if chosen(section.Is, section.Arena.ID) {
			found = append(found, section.Is)
		}
	}
	found = preferred(found, func(m *ktsnap.Map) bool { return len(m.Value.Members) == len(want.Members) })
	switch len(found) {
	case 0:
		return nil, errors.New("no arena of the snapshot holds it: there must be one, whose pages were captured, and a program whose BTF describes the section")
	case 1:
		if found[0].Status == ktsnap.Failed {
			return nil, found[0].CheckSection()
		}
		return found[0], nil
	}
	return nil, ktsnap.Ambiguous(want.Name, found)
}
