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

// joinSteps puts steps in the order of the path and leaves out the middle of a long one.
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
// to addr, or the empty string.
func (b *Binding) stepTo(addr uint64, s *ctype.Shape, raw []byte) (path string) {
	s.Walk(func(p *ctype.Part) ctype.Next {
		u := p.Shape
		switch {
		case p.IsBitfield(), p.Offset+u.Size > len(raw):
			return ctype.Skip
		case u.Size == ctype.PointerSize && (u.Kind == ctype.KindPointer || u.Kind == ctype.KindInt):
			place := ctype.IntPlace{Bits: 64}
			if value := place.Load(raw[p.Offset:]); value != 0 && b.memory().Canonical(value) == addr {
				path = p.Path()
				return ctype.Stop
			}
		}
		return ctype.Enter
	})
	return path
}
