package cast

// This file tells the members of unions apart. Those that overlap are one place to
// the instructions, and hold different things at different times: which one an
// instruction means shows in the line of C that it comes from.

import (
	"slices"
	"strings"

	"github.com/cilium/ebpf/btf"
)

// view is one of the members that lie at the same bytes.
type view struct {
	place place
	path  string // from the container, as pathAt spells it
}

// maxViews bounds the members that lie at the same bytes.
const maxViews = 16

// views returns the members of 8 bytes at an offset of t if there are several, and
// they are not just another way to spell one: a row of members beside an array.
func (l *layouts) views(t btf.Type, off offset) []view {
	q := question{t, off, slotSize}
	if known, ok := l.overlaps[q]; ok {
		return known
	}
	c := viewCollector{layouts: l}
	if whole, err := btf.Sizeof(t); err == nil && whole > 0 && off != anyOffset {
		if off.stride != 0 && off.stride%uint64(whole) == 0 && !openEnded(t) {
			off = offset{base: mod(off.base, uint64(whole))}
		}
		c.into(view{place: place{container: t, typ: t}}, t, off, 0, maxNesting)
	}
	l.overlaps[q] = distinct(c.found)
	return l.overlaps[q]
}

// distinct returns views unless they are one member, or elements of an array beside
// single members.
func distinct(views []view) []view {
	arrays := 0
	for i, v := range views {
		views[i].place.view = v.path
		if strings.Contains(v.path, "[]") {
			arrays++
		}
	}
	if len(views) < 2 || len(views) > maxViews || arrays != 0 && arrays != len(views) {
		return nil
	}
	return views
}

type viewCollector struct {
	*layouts
	found []view
}

// into looks at type t, which begins at byte start of the container, for what lies
// at off in it.
func (c *viewCollector) into(v view, t btf.Type, off offset, start uint32, depth int) {
	t = btf.UnderlyingType(t)
	n, err := btf.Sizeof(t)
	if err != nil || depth == 0 || len(c.found) > maxViews || off.base < 0 || off.base >= int64(n) && n > 0 && !openEnded(t) {
		return
	}
	switch t := t.(type) {
	case *btf.Struct:
		c.members(v, t, t.Members, off, start, depth)
	case *btf.Union:
		c.members(v, t, t.Members, off, start, depth)
	case *btf.Datasec:
		v.place.container = t
		if variable, at := variableAt(t, off.base); variable != nil {
			c.into(v.at(variable.Name), variable.Type, off.add(constant(-at)), uint32(at), depth-1)
		}
	case *btf.Array:
		c.element(v, t, off, start, depth)
	default:
		if off == (offset{}) && n == slotSize {
			v.place.off, v.place.typ = start, t
			c.found = append(c.found, v)
		}
	}
}

func (v view) at(name string) view {
	v.path = join(v.path, name)
	return v
}

func (c *viewCollector) members(v view, t btf.Type, members []btf.Member, off offset, start uint32, depth int) {
	if t.TypeName() != "" {
		v, start = view{place: place{container: t}}, 0
	}
	for _, m := range members {
		at := int64(m.Offset / 8)
		n, err := btf.Sizeof(m.Type)
		if err != nil || m.BitfieldSize != 0 || off.base < at || n > 0 && off.base >= at+int64(n) {
			continue
		}
		c.into(v.at(m.Name), m.Type, off.add(constant(-at)), start+uint32(at), depth-1)
	}
}

func (c *viewCollector) element(v view, t *btf.Array, off offset, start uint32, depth int) {
	n, err := btf.Sizeof(t.Type)
	if err != nil || n == 0 {
		return
	}
	base, v := mod(off.base, uint64(n)), v.at("[]")
	if off.stride != 0 && off.stride%uint64(n) != 0 {
		c.into(v, t.Type, offset{base, gcd(off.stride, uint64(n))}, start, depth-1)
		return
	}
	c.into(v, t.Type, offset{base: base}, start, depth-1)
}

// isNamed tells whether the last member of a view's path is called name.
func (v view) isNamed(name string) bool {
	path := strings.TrimRight(v.path, "[]")
	return path[strings.LastIndexByte(path, '.')+1:] == name
}

// meantViews returns the members that an access of 8 bytes is to, of several that
// lie there: those that the line of C names, else all. It is nil where there is only
// one.
func (w *walk) meantViews(p pointer, size int) []view {
	if size != slotSize {
		return nil
	}
	views := w.layouts.views(p.typ, p.off)
	if len(views) == 0 {
		return nil
	}
	names := w.membersNamed(instruction{w.fn.code, w.at})
	if named := viewsNamed(views, slices.Concat(names.once, names.often)); len(named) > 0 {
		return named
	}
	if named := viewsNamed(views, w.namesOfAddress()); len(named) == 1 {
		return named
	}
	return views
}

// readViews is what is read from several members that lie at the same bytes.
func (w *walk) readViews(p pointer, views []view) (v value) {
	for _, view := range views {
		v = w.meet(v, w.readPlace(p, view.place, slotSize))
	}
	if v.from.state == manyOrigins {
		v.from.slot = w.layouts.overlapOf(p, views)
	}
	return v
}

// writeViews stores in several members that lie at the same bytes. What all of them held
// in another object of the type is copied as it is: each holds what it held there.
func (w *walk) writeViews(p pointer, views []view, v value) {
	isCopy := len(views) > 1 && v.from.state == manyOrigins && v.from.slot == w.layouts.overlapOf(p, views)
	for _, view := range views {
		if s, ok := slotOf(p, view.place); ok && isCopy && !w.isSplit(s) && !w.without(unions) {
			w.noteSlot(s)
			w.hold(s, w.through(s), w.objectsOf(v))
			continue
		}
		w.writePlace(p, view.place, v)
	}
}

// overlapOf is the place that several members share, the zero slot if these are not all
// that lie there.
func (l *layouts) overlapOf(p pointer, views []view) slot {
	s, ok := slotIn(p, views[0].place)
	if !ok || len(views) != len(l.views(p.typ, p.off)) {
		return slot{}
	}
	s.view = ""
	return s
}

func viewsNamed(views []view, names []string) (named []view) {
	for _, v := range views {
		if slices.ContainsFunc(names, v.isNamed) {
			named = append(named, v)
		}
	}
	return named
}

// namesOfAddress returns the members that lines name in which the address of an access
// is computed, just before it: loads that several paths have in common are moved to
// where these meet, and lose their line.
func (w *walk) namesOfAddress() []string {
	insn := w.fn.code.Insns[w.at]
	base := insn.Dst
	if insn.Op&classMask == classLdx {
		base = insn.Src
	}
	at := w.at - 1
	if at < w.fn.start {
		return nil
	}
	before := w.fn.code.Insns[at]
	if before.Op&classMask != classAlu8 || before.Op&opMask != opAdd || before.Dst != base {
		return nil
	}
	names := namesIn(instruction{w.fn.code, at}.line())
	return slices.Concat(names.once, names.often)
}
