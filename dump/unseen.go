package dump

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// This file says what a diff of two snapshots cannot tell.

// Unseen says, a sentence each, what [Diff] of two snapshots leaves open: maps that are
// not compared, or in part only, since a snapshot does not hold them, and masks that
// match no path of either snapshot.
func Unseen(before, after *ktsnap.Snapshot, masks ...string) []string {
	var list []string
	keys, ours := named(before)
	_, theirs := named(after)
	for _, key := range keys {
		if w, exists := theirs[key]; exists {
			if text := uncompared(ours[key], w); text != "" {
				list = append(list, text)
			}
		}
	}
	for _, mask := range unmatched(masks, before, after) {
		list = append(list, fmt.Sprintf("the mask %q matches no path: a mask is for a whole path and what is in it, such as %q", clean(mask), "task_ctxs[*].runtime_ns"))
	}
	return list
}

// uncompared says what is not compared of a map, empty if all of it is.
func uncompared(v, w ktsnap.MapView) string {
	a, b := v.Map(), w.Map()
	what := ""
	switch {
	case v.Err() != nil || w.Err() != nil:
		what = "is not compared"
	case a.Status != ktsnap.Complete || b.Status != ktsnap.Complete:
		what = "is compared in part: entries that only one snapshot holds are left out"
	default:
		return ""
	}
	old, is := statusOf(v), statusOf(w)
	if old == is {
		return fmt.Sprintf("map %s %s: in both it is %s", clean(v.Path()), what, old)
	}
	return fmt.Sprintf("map %s %s: it is %s; in the other snapshot %s", clean(v.Path()), what, old, is)
}

// statusOf says how much a snapshot holds of a map, and why it cannot be read.
func statusOf(v ktsnap.MapView) string {
	if m := v.Map(); m.Status != ktsnap.Complete || v.Err() == nil {
		return statusText(m)
	}
	return clean(v.Err().Error())
}

// unmatched are the masks that match no path that a diff with other snapshots could print.
func unmatched(masks []string, snaps ...*ktsnap.Snapshot) []string {
	left := slices.Clone(masks)
	p := pather{yield: func(path string) bool {
		left = slices.DeleteFunc(left, func(mask string) bool { return covers(mask, path) })
		return len(left) > 0
	}}
	for _, s := range snaps {
		for _, v := range s.Views() {
			if len(left) > 0 {
				p.view(v)
			}
		}
		if len(left) > 0 {
			for _, o := range objectsOf(s).all {
				p.value(o.path, &o.value, maxDepth)
			}
		}
	}
	return left
}

// pather goes through the paths of maps, entries, and values without members.
type pather struct {
	yield   func(path string) bool
	pointer func(path string, v *ktsnap.Value) // is called with each pointer; nil for all values
	holds   map[*ctype.Shape]bool              // whether there are pointers in a type
	done    bool
}

// passes tells whether there is nothing in values of a type that is asked for.
func (p *pather) passes(s *ctype.Shape) bool {
	if p.pointer == nil {
		return false
	}
	holds, known := p.holds[s]
	if !known {
		holds = s != nil && (s.HoldsPointers() || hasPointer(s))
		p.holds[s] = holds
	}
	return !holds
}

// hasPointer tells whether there is a pointer in a type, also in unions.
func hasPointer(s *ctype.Shape) (has bool) {
	s.WalkTypes(func(part *ctype.Part) ctype.Next {
		if has = part.Shape.Kind == ctype.KindPointer; has {
			return ctype.Stop
		}
		return ctype.Enter
	})
	return has
}

func (p *pather) say(path string) { p.done = p.done || !p.yield(path) }

func (p *pather) view(v ktsnap.MapView) {
	p.say(v.Path())
	m := v.Map()
	if p.passes(m.Value) {
		return
	}
	for i := 0; i < held(v) && !p.done; i++ {
		e := v.At(i)
		p.say(e.Path())
		if m.Slots <= 1 && !m.Type.IsPerCPU() {
			value := e.Get("")
			p.value(e.Path(), &value, maxDepth)
			continue
		}
		for cpu := range max(m.Slots, 1) {
			value := e.CPU(cpu).Get("")
			p.value(e.CPU(cpu).Path(), &value, maxDepth)
		}
	}
}

func (p *pather) value(path string, v *ktsnap.Value, depth int) {
	if p.done || depth == 0 || v.Err() != nil || p.passes(v.Shape()) {
		return
	}
	list := v.Kind() == "Array" && !v.IsString()
	if !list && v.Kind() != "Struct" && v.Kind() != "Union" {
		p.say(path)
		if p.pointer != nil && v.Kind() == "Ptr" {
			p.pointer(path, v)
		}
		return
	}
	for i := range v.Len() {
		if name, member := v.At(i); list {
			p.value(path+"["+strconv.Itoa(i)+"]", &member, depth-1)
		} else {
			p.value(join(path, name), &member, depth-1)
		}
	}
}
