package ktest

import (
	"fmt"
	"slices"
	"strings"
)

// Access is a load of a place, or a store to it.
type Access struct {
	Store
	Place string
	Load  bool // Old and New are what is loaded
}

func (a Access) String() string {
	what := "stored: " + a.became()
	if a.Load {
		what = "loaded, as " + a.kind.text(a.New)
	}
	return fmt.Sprintf("%v  CPU %d, %s, %s: %s is %s", a.Time, a.CPU, a.Task, a.Function, a.Place, what)
}

// Split is code on one CPU that accesses two places, between which code on another CPU accesses
// both: one code had the first place before the other, and the second place after it. So the two did
// not run one after the other for either, as when a reader has the old value of one member and the
// new value of another. Of two accesses of one place at least one is a store.
//
// The two places can be one that is loaded twice, with different values: then there is one access
// between, the last store.
type Split struct {
	First, Last Access   // by one call of a function
	Between     []Access // by one on another CPU, in their order
}

func (s Split) String() string {
	what := "that the others came between"
	if len(s.Between) == 1 {
		what = "which so has read two values"
	}
	var told strings.Builder
	for _, a := range slices.Concat([]Access{s.First}, s.Between, []Access{s.Last}) {
		fmt.Fprintln(&told, a)
	}
	return told.String() + "of which the first and the last are of one call, " + what
}

// splits finds them among accesses that it is given in their order. A call is accesses of one
// actor at ascending addresses of code.
type splits struct {
	seq    int
	latest map[int][]*call // by CPU; the latest first
}

type call struct {
	actor    actor
	touches  []*touch
	reported map[pair]bool // what has come between this one's accesses
}

// pair is places between whose accesses a call came.
type pair struct {
	other       *call
	first, last *suspect
}

// touch is an access of a call's.
type touch struct {
	Access
	seq  int
	on   *suspect
	call *call
	// then are the accesses of the place by other CPUs that came later and do not commute.
	then []*touch
}

// Bounds of what is compared.
const (
	maxCalls   = 4 // of a CPU
	maxTouches = 64
	maxSplits  = 1 << 10
)

func (t *touch) conflicts(with *touch) bool { return t.on == with.on && (!t.Load || !with.Load) }

// add takes an access to a place.
func (f *splits) add(p *suspect, a Access) {
	f.seq++
	c := f.callOf(a)
	t := &touch{Access: a, seq: f.seq, on: p, call: c}
	for _, first := range c.touches {
		f.between(first, t)
	}
	for cpu, calls := range f.latest {
		if cpu == a.CPU {
			continue
		}
		for _, other := range calls {
			for _, earlier := range other.touches {
				if earlier.conflicts(t) && len(earlier.then) < maxTouches {
					earlier.then = append(earlier.then, t)
				}
			}
		}
	}
	c.touches = append(c.touches, t)
}

// callOf returns the call that an access is of: the CPU's latest one of the same actor, or a new one.
func (f *splits) callOf(a Access) *call {
	calls := f.latest[a.CPU]
	for _, c := range calls {
		if c.actor != a.actor() {
			continue
		}
		last := c.touches[len(c.touches)-1]
		onward := a.PC > last.PC || a.PC == last.PC && last.Load && !a.Load // an atomic instruction
		if onward && len(c.touches) < maxTouches {
			return c
		}
		break
	}
	c := &call{actor: a.actor(), reported: make(map[pair]bool)}
	calls = slices.Insert(calls, 0, c)
	if len(calls) > maxCalls {
		for _, t := range calls[maxCalls].touches {
			t.then = nil // or calls of all times would stay reachable
		}
		calls = calls[:maxCalls]
	}
	f.latest[a.CPU] = calls
	return c
}

// between reports the accesses of another CPU's that came after the first and before the last of
// one call, and commute with neither.
func (f *splits) between(first, last *touch) {
	if first.on == last.on {
		twice(first, last)
		return
	}
	for _, after := range first.then {
		other := after.call
		found := pair{other, first.on, last.on}
		if last.call.reported[found] {
			continue
		}
		i := slices.IndexFunc(other.touches, func(t *touch) bool { return t.conflicts(last) })
		if i < 0 {
			continue
		}
		last.call.reported[found] = true
		s := Split{First: first.Access, Last: last.Access, Between: []Access{after.Access, other.touches[i].Access}}
		if other.touches[i].seq < after.seq {
			slices.Reverse(s.Between)
		}
		for _, p := range []*suspect{first.on, last.on} {
			if len(p.Splits) < maxSplits {
				p.Splits = append(p.Splits, s)
			}
		}
	}
}

// twice reports another CPU's store between two loads of a place by one call, which have
// different values.
func twice(first, last *touch) {
	n := len(first.then)
	if !first.Load || !last.Load || !first.whole || first.New == last.New || n == 0 || len(first.on.Splits) == maxSplits {
		return
	}
	first.on.Splits = append(first.on.Splits, Split{First: first.Access, Last: last.Access, Between: []Access{first.then[n-1].Access}})
}

// tellSplit tells of the last split of the place from one that is as near as any: members of one
// struct belong together. That it was read twice is told if there is nothing else.
func (b *Blamed) tellSplit(s *strings.Builder, before map[string]bool) {
	var told *Split
	nearest := -1
	for i := range b.Splits {
		n := 0
		if len(b.Splits[i].Between) != 1 {
			n = 1 + sharedParts(b.Splits[i].First.Place, b.Splits[i].Last.Place)
		}
		if n >= nearest {
			told, nearest = &b.Splits[i], n
		}
	}
	switch {
	case told == nil:
	case before[told.String()]:
		s.WriteString("\naccesses of another CPU came between two of one call, as told of above")
	default:
		before[told.String()] = true
		fmt.Fprintf(s, "\naccesses of another CPU came between two of one call, as these:\n\t%s", indent(told.String()))
	}
}

// sharedParts returns how many parts of two paths are the same at their beginning.
func sharedParts(a, b string) (n int) {
	of, with := strings.FieldsFunc(a, isPathEnd), strings.FieldsFunc(b, isPathEnd)
	for n < min(len(of), len(with)) && of[n] == with[n] {
		n++
	}
	return n
}

func isPathEnd(r rune) bool { return r == '.' || r == '[' }
