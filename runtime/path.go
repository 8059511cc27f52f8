package runtime

import (
	"fmt"
	"strings"

	"github.com/ktgen/ktgen/runtime/ctype"
)

// This file names objects by how they were reached. Nothing of it is recorded
// while decoding but the object that a pointer was found in.

// maxSteps bounds the pointers that a path spells out.
const maxSteps = 12

// path names an object.
func (b *Binding) path(o *object) string {
	var steps []string // from the last to the first
	from := o.from
	for at := o; ; {
		if from.kernel {
			return fmt.Sprintf("(%s at %#x)", ctype.Spell(at.shape), at.key.addr) + joinSteps(steps)
		}
		if from.parent == nil {
			if from.followed {
				steps = append(steps, b.stepTo(at.key.addr, from.source.shape, from.entryBytes()))
			}
			break
		}
		steps = append(steps, b.stepTo(at.key.addr, from.parent.shape, from.parent.raw))
		at, from = from.parent, from.parent.from
	}
	return from.source.Path(from.entry, from.slot) + joinSteps(steps)
}

// joinSteps puts steps in the order of the path and leaves out the middle of a
// long one.
func joinSteps(steps []string) string {
	var b strings.Builder
	for i := len(steps) - 1; i >= 0; i-- {
		if left := len(steps) - 1 - i; len(steps) > maxSteps && left >= maxSteps/2 && i >= maxSteps/2 {
			if left == maxSteps/2 {
				fmt.Fprintf(&b, "...(%d more)...", len(steps)-maxSteps)
			}
			continue
		}
		b.WriteString(steps[i])
	}
	return b.String()
}

func (o *origin) entryBytes() []byte {
	raw, _, _ := o.source.Value(o.entry, o.slot)
	return raw
}

// stepTo returns the path within a value to the first pointer in it that leads
// to addr.
func (b *Binding) stepTo(addr uint64, s *ctype.Shape, raw []byte) string {
	f := pointerFinder{b: b, addr: addr, left: ctype.MaxFields}
	return f.find(s, raw, ctype.MaxNesting)
}

type pointerFinder struct {
	b    *Binding
	addr uint64
	left int // values that may still be looked at
}

// find returns the path to the pointer in a value, or the empty string.
func (f *pointerFinder) find(s *ctype.Shape, raw []byte, depth int) string {
	u := s.Underlying()
	if f.left--; f.left < 0 || depth == 0 || u == nil || u.Size > len(raw) {
		return ""
	}
	switch u.Kind {
	case ctype.KindStruct, ctype.KindUnion, ctype.KindSection:
		for _, m := range u.Fields() {
			if m.Bits > 0 || m.Offset > len(raw) {
				continue
			}
			if step, ok := f.step(m.Type, raw[m.Offset:], depth); ok {
				return "." + m.Name + step
			}
		}
	case ctype.KindArray:
		for i := range u.Len {
			if step, ok := f.step(u.Elem, raw[i*u.Elem.Size:], depth); ok {
				return fmt.Sprintf("[%d]%s", i, step)
			}
		}
	}
	return ""
}

// step looks at one member or element.
func (f *pointerFinder) step(s *ctype.Shape, raw []byte, depth int) (path string, ok bool) {
	u := s.Underlying()
	if u != nil && u.Size == ctype.PointerSize && len(raw) >= ctype.PointerSize && (u.Kind == ctype.KindPointer || u.Kind == ctype.KindInt) {
		place := ctype.IntPlace{Bits: 64}
		value := place.Load(raw)
		return "", value != 0 && f.b.memory().Canonical(value) == f.addr
	}
	path = f.find(s, raw, depth-1)
	return path, path != ""
}
