package dump

import (
	"slices"

	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// This file shows objects of the kernel by what tells them apart: a struct
// task_struct has hundreds of members, of which most are not what somebody who
// looks at a scheduler's maps is after.

// identity returns the members that stand for an object, nil if it is shown
// whole.
func (c *chaser) identity(v *ktsnap.Value) []string {
	u := v.Shape().Underlying()
	if !c.brief || u == nil || u.Kind != ctype.KindStruct {
		return nil
	}
	return ktsnap.KernelIdentity(u.Name)
}

// brief writes an object of the kernel's by the members that tell it apart.
func (p *printer) brief(t *target, depth int) {
	p.buf = append(p.buf, " {"...)
	for i := range t.value.Len() {
		if name, member := t.value.At(i); slices.Contains(t.identity, name) {
			p.name(name)
			p.inline(&member, 1<<30, depth-1)
			p.buf = append(p.buf, ", "...)
		}
	}
	p.colored(dim, "...")
	p.buf = append(p.buf, '}')
}
