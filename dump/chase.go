package dump

import (
	"errors"
	"fmt"
	"slices"

	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// chaser follows pointers. What a pointer leads to is shown once, where it is
// first met; entries of maps are shown as such, and only named by pointers.
type chaser struct {
	snap  *ktsnap.Snapshot
	seen  map[seenKey]bool
	order []seenKey // of seen
	chain []uint64  // addresses of the objects that are being shown
	brief bool      // objects of the kernel are shown by what tells them apart
}

type seenKey struct {
	addr uint64
	typ  *ctype.Shape
}

// maxChain bounds how many pointers are followed one behind the other.
const maxChain = 16

// maxSeen bounds the objects that one dump remembers.
const maxSeen = 1 << 20

func newChaser(s *ktsnap.Snapshot) *chaser {
	return &chaser{snap: s, seen: make(map[seenKey]bool)}
}

// target is what became of a pointer.
type target struct {
	place    string          // where it leads, if that is in an entry of a map: task_ctxs[7]
	at       ktsnap.Location // the same; of use if place is set
	value    ktsnap.Value    // what is there, if it is to be shown here
	shown    bool            // value is set
	function string          // the function that it leads into, if that is known: schedule+0x4
	identity []string        // if not nil, the members of value to show, which is not entered
	cycle    bool            // it leads to what it is in
	note     string          // why there is nothing to show: "not captured"

	reason string // more of that; may be empty
}

// follow says where a pointer leads.
func (c *chaser) follow(p *ktsnap.Value) target {
	addr, err := p.Uint64()
	if err != nil || addr == 0 {
		return target{}
	}
	var t target
	if place, ok := c.snap.Locate(addr); ok && place.Entry >= 0 {
		t.place, t.at = c.name(place), place
		return t
	}
	u := p.Shape().Underlying()
	elem := u.Elem.Underlying()
	if elem != nil && elem.Kind == ctype.KindFunc {
		if f := c.snap.Frame(ktsnap.Address(addr)); f.Symbol != "" {
			t.function = f.String()
		}
		return t
	}
	if elem == nil || elem.Kind == ctype.KindVoid {
		return t
	}
	v := p.Deref()
	if v.Err() != nil {
		t.note, t.reason = whyNot(v.Err())
		return t
	}
	if t.identity = c.identity(&v); t.identity != nil {
		t.value = v
		return t
	}
	if t.cycle = slices.Contains(c.chain, v.Addr()); t.cycle {
		return t
	}
	if t.note = c.shownAlready(&v); t.note == "" {
		t.value, t.shown = v, true
	}
	return t
}

// shownAlready says why an object is not shown at this place; "" if it is.
func (c *chaser) shownAlready(v *ktsnap.Value) string {
	switch {
	case c.seen[seenKey{v.Addr(), v.Shape()}]:
		return "shown elsewhere"
	case len(c.chain) >= maxChain || len(c.seen) >= maxSeen:
		return "not followed"
	}
	return ""
}

// enter notes that a target is being shown, leave that it has been.
func (c *chaser) enter(t *target) {
	key := seenKey{t.value.Addr(), t.value.Shape()}
	c.seen[key] = true
	c.order = append(c.order, key)
	c.chain = append(c.chain, t.value.Addr())
}

// forget undoes what was noted since order had n elements, where what was
// written is thrown away.
func (c *chaser) forget(n int) {
	for _, key := range c.order[n:] {
		delete(c.seen, key)
	}
	c.order = c.order[:n]
}

func (c *chaser) leave() { c.chain = c.chain[:len(c.chain)-1] }

// whyNot says in a few words why a pointer was not followed, and what more is
// known of that.
func whyNot(err error) (note, reason string) {
	var notCaptured *ktsnap.NotCapturedError
	var notBound *ktsnap.NotBoundError
	var contradiction *ktsnap.ContradictionError
	var unreadable *ktsnap.UnreadableError
	var notFollowed *ktsnap.NotFollowedError
	switch {
	case errors.As(err, &notCaptured):
		return "not captured", ""
	case errors.As(err, &notBound):
		return "type not known", ""
	case errors.As(err, &contradiction):
		return "something else is there", contradiction.Found
	case errors.As(err, &unreadable):
		return "no memory there", ""
	case errors.As(err, &notFollowed):
		return "not followed", notFollowed.Reason
	}
	return "cannot be read", err.Error()
}

// name names the location that a pointer leads to.
func (c *chaser) name(p ktsnap.Location) string {
	name := c.snap.EntryAt(p).Path()
	if p.Offset == 0 {
		return name
	}
	if p.Map.Value != nil && p.CPU < 0 {
		if member := memberAt(p.Map.Value, p.Offset); member != "" {
			return name + "." + member
		}
	}
	return fmt.Sprintf("%s+%#x", name, p.Offset)
}

// memberAt names the member of a struct or section that begins at an offset, or
// the element of an array that is one.
func memberAt(s *ctype.Shape, offset int) string {
	u := s.Underlying()
	if u == nil {
		return ""
	}
	for _, m := range u.Members {
		if m.Name == "" || offset < m.Offset {
			continue
		}
		if m.Offset == offset {
			return m.Name
		}
		a := m.Type.Underlying()
		if in := offset - m.Offset; a != nil && a.Kind == ctype.KindArray && in < a.Size && a.Elem.Size > 0 && in%a.Elem.Size == 0 {
			return fmt.Sprintf("%s[%d]", m.Name, in/a.Elem.Size)
		}
	}
	return ""
}
