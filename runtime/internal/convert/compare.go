package convert

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/internal/errtext"
	"github.com/ktgen/ktgen/runtime/nearest"
)

// This file compares the shapes that code was generated for with those of the
// guest, and finds the plan that takes the one to the other.

// Comparison compares shapes and collects what differs.
type Comparison struct {
	Differences   []ctype.Difference
	Pointees      []Pair // what pointers lead to
	ctype.Settler        // of the guest's shapes

	// Absent collects the members that the guest lacks, or has with a type that
	// cannot be converted, where these are no differences: in the kernel's types.
	// They become zero. It is nil elsewhere.
	Absent map[Member]string
}

// New begins to compare the shapes of a guest.
func New() *Comparison { return &Comparison{} }

// Member is a member of a struct of the layout.
type Member struct {
	In   *ctype.Shape // underlying
	Name string
}

// Pair is an expected shape and the guest's.
type Pair struct{ Want, Have *ctype.Shape }

// Differ records a difference, once.
func (c *Comparison) Differ(path, want, have string) {
	d := ctype.Difference{Path: path, Want: want, Have: have}
	if !slices.Contains(c.Differences, d) {
		c.Differences = append(c.Differences, d)
	}
}

// Plan compares two shapes and returns the plan from have to want; nil if the
// bytes can stay as they are. ok is false if there is a difference that no
// plan can bridge; it has been recorded.
func (c *Comparison) Plan(path string, want, have *ctype.Shape) (p *Plan, ok bool) {
	if err := c.Settle(have); err != nil {
		c.Differ(path, ctype.Spell(want), fmt.Sprintf("a damaged type: %v", err))
		return nil, false
	}
	before := len(c.Differences)
	ops := c.value(path, want, have, place{})
	tails := c.tails(path, want, have, place{}, ctype.OpenEnd, ctype.OpenEnd, ops)
	if len(c.Differences) > before {
		return nil, false
	}
	p = &Plan{size: want.Size, need: have.Size, ops: merge(ops), tails: tails}
	if p.isIdentity() && len(c.Absent) == 0 {
		return nil, true
	}
	return p, true
}

// PlanElements is plan for two arrays that need not have the same length: of the
// elements there are, each is rearranged.
func (c *Comparison) PlanElements(path string, want, have *ctype.Shape) (p *Plan, ok bool) {
	before := len(c.Differences)
	err := c.Settle(have)
	w, h := want.Underlying().Elem, have.Underlying().Elem
	switch {
	case err != nil:
		c.Differ(path, ctype.Spell(want), fmt.Sprintf("a damaged type: %v", err))
	case h.Size == 0:
		c.Differ(path, ctype.Spell(want), ctype.Spell(have))
	default:
		p = &Plan{tails: c.flexible(path, w, h, place{}, ctype.OpenEnd, ctype.OpenEnd, nil)}
	}
	if len(c.Differences) > before {
		return nil, false
	}
	if p.isIdentity() {
		return nil, true
	}
	return p, true
}

// isIdentity tells whether every byte stays where it is. Bytes between members
// have no meaning and may stay too.
func (p *Plan) isIdentity() bool {
	for _, t := range p.tails {
		if !identityOps([]op{t.op}) || t.dstEnd < t.srcEnd {
			return false
		}
	}
	return p.size <= p.need && identityOps(p.ops)
}

// tails compares the flexible arrays of two values at a place, whose room goes up
// to dstEnd and srcEnd. ops are those of what else is in them.
func (c *Comparison) tails(path string, want, have *ctype.Shape, at place, dstEnd, srcEnd int, ops []op) (tails []tail) {
	w, h := want.Underlying(), have.Underlying()
	switch {
	case w == nil || h == nil || Class(w) != Class(h) || !want.OpenEnded() || !have.OpenEnded():
		return nil
	case w.Kind == ctype.KindArray:
		return c.flexible(path, w.Elem, h.Elem, at, dstEnd, srcEnd, ops)
	}
	byName := make(map[string]ctype.Member)
	for _, m := range h.Fields() {
		byName[m.Name] = m
	}
	for _, wm := range w.Fields() {
		if hm := byName[wm.Name]; wm.End > 0 && hm.End > 0 {
			in := place{at.dst + wm.Offset, at.src + hm.Offset}
			tails = append(tails, c.tails(typePath(path, want)+"."+wm.Name, wm.Type, hm.Type, in, endFrom(at.dst, wm.End, dstEnd), endFrom(at.src, hm.End, srcEnd), ops)...)
		}
	}
	return tails
}

// endFrom is where the room of a member ends, if that is end from the start of what
// has it, which begins at a place and has room up to limit.
func endFrom(start, end, limit int) int {
	if end == ctype.OpenEnd {
		return limit
	}
	return min(start+end, limit)
}

// flexible compares the elements of flexible arrays. Of a union they share bytes
// with others.
func (c *Comparison) flexible(path string, want, have *ctype.Shape, at place, dstEnd, srcEnd int, ops []op) []tail {
	t := tail{dstEnd: dstEnd, srcEnd: srcEnd, op: op{
		kind: repeat, dst: at.dst, src: at.src, dstStride: want.Size, srcStride: have.Size,
		body: merge(c.value(path+"[]", want, have, place{})),
	}}
	for i := range ops {
		_, end := ops[i].extent()
		t.n = max(t.n, (end-t.dst)/t.dstStride)
	}
	if conflict(ops, []op{t.op}) {
		c.Differ(path, ctype.Spell(want)+" []", "a layout in which members of a union would have to be rearranged differently")
	}
	return []tail{t}
}

func identityOps(ops []op) bool {
	for _, o := range ops {
		switch {
		case o.dst != o.src:
			return false
		case o.kind == convert && o.from != o.to:
			return false
		case o.kind == repeat && (o.dstStride != o.srcStride || !identityOps(o.body)):
			return false
		}
	}
	return true
}

// place is where a member is in both layouts, in bytes.
type place struct{ dst, src int }

// sameWords says whether two structs are one of which a side knows the size only,
// as of a bpf_timer.
func sameWords(w, h *ctype.Shape) bool {
	return (len(w.Members) == 0 || len(h.Members) == 0) && w.Name == h.Name && w.Size == h.Size && w.Size > 0
}

// value compares values that are at a place.
func (c *Comparison) value(path string, want, have *ctype.Shape, at place) []op {
	w, h := want.Underlying(), have.Underlying()
	if w != nil && h != nil && castMeetsInteger(w, h) {
		return c.bytes(path, want, have, at)
	}
	if w == nil || h == nil || Class(w) != Class(h) {
		c.Differ(path, ctype.Spell(want), ctype.Spell(have))
		return nil
	}
	switch w.Kind {
	case ctype.KindStruct, ctype.KindUnion:
		if sameWords(w, h) {
			return []op{{kind: copyBytes, dst: at.dst, src: at.src, n: w.Size}}
		}
		return c.fields(typePath(path, want), w, h, at)
	case ctype.KindArray:
		return c.array(path, w, h, at)
	case ctype.KindPointer:
		c.Pointees = append(c.Pointees, Pair{w.Elem, h.Elem})
		return c.bytes(path, want, have, at)
	case ctype.KindFloat:
		return c.bytes(path, want, have, at)
	}
	return c.integer(path, want, have, at)
}

// castMeetsInteger tells whether one side has found a pointer in what both
// declare as an integer.
func castMeetsInteger(a, b *ctype.Shape) bool {
	return a.IsCast() && b.Kind == ctype.KindInt || b.IsCast() && a.Kind == ctype.KindInt
}

// Class groups the kinds that can be converted into each other.
func Class(s *ctype.Shape) ctype.Kind {
	switch s.Kind {
	case ctype.KindChar, ctype.KindEnum:
		return ctype.KindInt
	case ctype.KindUnion:
		return ctype.KindStruct
	}
	return s.Kind
}

// typePath is the path of members: that of their type, if it has a name.
func typePath(path string, s *ctype.Shape) string {
	if s.Name == "" {
		return path
	}
	return ctype.Spell(s)
}

// bytes compares values that can change their place and nothing else.
func (c *Comparison) bytes(path string, want, have *ctype.Shape, at place) []op {
	if want.Size != have.Size {
		c.Differ(path, Sized(want), Sized(have))
		return nil
	}
	return []op{{kind: copyBytes, dst: at.dst, src: at.src, n: want.Size}}
}

func (c *Comparison) integer(path string, want, have *ctype.Shape, at place) []op {
	w, h := want.Underlying(), have.Underlying()
	if w.Kind == ctype.KindEnum && h.Kind == ctype.KindEnum {
		c.enumerators(w, h)
	}
	if w.Size == h.Size && w.Signed == h.Signed || w.Kind == ctype.KindChar && h.Kind == ctype.KindChar {
		return c.bytes(path, want, have, at)
	}
	if w.Size > 8 || h.Size > 8 {
		c.Differ(path, Sized(want), Sized(have))
		return nil
	}
	return []op{{
		kind: convert, dst: at.dst, src: at.src, field: path, want: ctype.Spell(want),
		from: ctype.IntPlace{Bits: 8 * h.Size, Signed: h.Signed},
		to:   ctype.IntPlace{Bits: 8 * w.Size, Signed: w.Signed},
	}}
}

// enumeratorPrefix begins what a difference of enumerators wants.
const enumeratorPrefix = "enumerator "

// enumerators compares the values of an enum. The guest may have more.
func (c *Comparison) enumerators(want, have *ctype.Shape) {
	if c.Absent != nil {
		return // the numbers are the kernel's, and read as such
	}
	values := make(map[string]uint64, len(have.Values))
	for _, v := range have.Values {
		values[v.Name] = v.Value
	}
	for _, v := range want.Values {
		got, exists := values[v.Name]
		switch {
		case !exists:
			c.Differ(ctype.Spell(want), enumeratorPrefix+v.Name, "none of that name")
		case got != v.Value:
			c.Differ(ctype.Spell(want), v.Name+" = "+want.Number(v.Value), v.Name+" = "+have.Number(got))
		}
	}
}

func (c *Comparison) array(path string, want, have *ctype.Shape, at place) []op {
	if want.Len != have.Len {
		c.Differ(path, ctype.Spell(want), ctype.Spell(have))
		return nil
	}
	body := merge(c.value(path+"[]", want.Elem, have.Elem, place{}))
	if want.Len == 0 || len(body) == 0 {
		return nil
	}
	if size := want.Elem.Size; size == have.Elem.Size && len(body) == 1 && body[0].kind == copyBytes && body[0].n == size {
		return []op{{kind: copyBytes, dst: at.dst, src: at.src, n: want.Size}}
	}
	return []op{{
		kind: repeat, dst: at.dst, src: at.src, n: want.Len,
		dstStride: want.Elem.Size, srcStride: have.Elem.Size, body: body,
	}}
}

func (c *Comparison) fields(path string, want, have *ctype.Shape, at place) []op {
	members := have.Fields()
	byName := make(map[string]ctype.Member, len(members))
	names := make([]string, len(members))
	for i, m := range members {
		byName[m.Name], names[i] = m, m.Name
	}
	var ops []op
	end := 0 // of the fields so far, in want
	for _, w := range want.Fields() {
		h, exists := byName[w.Name]
		memberPath := path + "." + w.Name
		if why, ok := c.lacks(memberPath, w, h, exists); ok {
			c.Absent[Member{want, w.Name}] = why
			continue
		}
		switch {
		case !exists:
			c.Differ(memberPath, fmt.Sprintf("+%d %s", w.Offset, ctype.Spell(w.Type)), "no such member"+nearest.Hint(w.Name, names))
		case int64(h.Offset)+int64(h.Width()) > int64(have.Size):
			c.Differ(memberPath, fmt.Sprintf("+%d %s", w.Offset, ctype.Spell(w.Type)), fmt.Sprintf("it at +%d, beyond the %d bytes of its struct", h.Offset, have.Size))
		default:
			memberOps := c.member(memberPath, w, h, at)
			if w.Offset < end && conflict(ops, memberOps) {
				c.Differ(memberPath, fmt.Sprintf("+%d %s", w.Offset, ctype.Spell(w.Type)), "a layout in which members of a union would have to be rearranged differently")
				continue
			}
			ops = append(ops, memberOps...)
		}
		end = max(end, w.Offset+w.Width())
	}
	return ops
}

// lacks tells whether a type of the kernel's lacks a member, and why so. Elsewhere
// nothing may lack.
func (c *Comparison) lacks(path string, want, have ctype.Member, exists bool) (why string, lacks bool) {
	switch {
	case c.Absent == nil:
		return "", false
	case !exists:
		return "it has no member of that name", true
	}
	if w, h := want.Type.Underlying(), have.Type.Underlying(); w != nil && h != nil && Class(w) == ctype.KindStruct && Class(h) == ctype.KindStruct {
		return "", false // their members are looked at one by one
	}
	trial := Comparison{Settler: c.Settler}
	trial.member(path, want, have, place{})
	trial.Differences = slices.DeleteFunc(trial.Differences, func(d ctype.Difference) bool { return strings.HasPrefix(d.Want, enumeratorPrefix) })
	if len(trial.Differences) > 0 {
		return fmt.Sprintf("its %s is %s", have.Name, trial.Differences[0].Have), true
	}
	return "", false
}

func (c *Comparison) member(path string, want, have ctype.Member, at place) []op {
	at = place{at.dst + want.Offset, at.src + have.Offset}
	if want.Bits == 0 && have.Bits == 0 {
		return c.value(path, want.Type, have.Type, at)
	}
	w, h := want.Type.Underlying(), have.Type.Underlying()
	if w == nil || h == nil || !ctype.IsIntegral(w) || !ctype.IsIntegral(h) || Class(w) != Class(h) {
		c.Differ(path, ctype.Spell(want.Type), ctype.Spell(have.Type))
		return nil
	}
	if w.Kind == ctype.KindEnum && h.Kind == ctype.KindEnum {
		c.enumerators(w, h)
	}
	return []op{{
		kind: convert, dst: at.dst, src: at.src, field: path, want: ctype.Spell(want.Type),
		from: have.IntPlace(), to: want.IntPlace(),
	}}
}

// conflict tells whether two members of a union need the same byte of the
// generated layout from different places, as those of a union do whose guest has
// divided its bytes differently.
func conflict(ops, more []op) bool {
	for i := range more {
		for j := range ops {
			if ops[j].overlaps(&more[i]) && !ops[j].agrees(&more[i]) {
				return true
			}
		}
	}
	return false
}

// extent is the bytes that an op writes.
func (o *op) extent() (from, to int) {
	switch o.kind {
	case convert:
		return o.dst, o.dst + o.to.Bytes()
	case repeat:
		return o.dst, o.dst + o.n*o.dstStride
	}
	return o.dst, o.dst + o.n
}

func (o *op) overlaps(other *op) bool {
	from, to := o.extent()
	otherFrom, otherTo := other.extent()
	if o.kind == convert && other.kind == convert {
		a, b := 8*o.dst+o.to.First, 8*other.dst+other.to.First
		return a < b+other.to.Bits && b < a+o.to.Bits
	}
	return from < otherTo && otherFrom < to
}

// agrees tells whether two ops that overlap write the same to each byte.
func (o *op) agrees(other *op) bool {
	return o.isShift() && other.isShift() && o.dst-o.src == other.dst-other.src
}

// isShift tells whether an op moves bits to another byte and does nothing else
// to them.
func (o *op) isShift() bool {
	switch o.kind {
	case copyBytes:
		return true
	case convert:
		return o.from == o.to
	case repeat:
		return o.dstStride == o.srcStride && identityOps(o.body)
	}
	return false
}

// merge joins copies of neighbouring bytes.
func merge(ops []op) []op {
	var merged []op
	for _, o := range ops {
		if n := len(merged); n > 0 && o.kind == copyBytes && merged[n-1].kind == copyBytes &&
			merged[n-1].dst+merged[n-1].n == o.dst && merged[n-1].src+merged[n-1].n == o.src {
			merged[n-1].n += o.n
			continue
		}
		merged = append(merged, o)
	}
	return merged
}

// Sized is the C type of a shape, with its size.
func Sized(s *ctype.Shape) string {
	return fmt.Sprintf("%s of %s", ctype.Spell(s), errtext.Count(s.Size, "byte", "bytes"))
}

// PlanOps is plan for a struct of which the guest may lack members: these
// become zero.
func (c *Comparison) PlanOps(want, have *ctype.Shape) *Plan {
	known := *want.Underlying()
	members := have.Fields()
	known.Members = slices.DeleteFunc(known.Fields(), func(w ctype.Member) bool {
		return !slices.ContainsFunc(members, func(h ctype.Member) bool { return h.Name == w.Name })
	})
	ops := c.value(ctype.Spell(want), &known, have, place{})
	p := &Plan{size: want.Size, need: have.Size, ops: merge(ops)}
	if len(known.Members) == len(want.Underlying().Fields()) && p.isIdentity() {
		return nil
	}
	return p
}
