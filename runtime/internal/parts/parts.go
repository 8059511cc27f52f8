// Package parts tells which parts of a Go value were written before.
package parts

import (
	"cmp"
	"reflect"
	"slices"
)

// Part is a run of Go memory.
type Part struct{ start, end uintptr }

// Of is the memory of a value, which is addressable.
func Of(v reflect.Value) Part {
	start := v.Addr().Pointer()
	return Part{start, start + v.Type().Size()}
}

func (p Part) contains(q Part) bool { return p.start <= q.start && q.end <= p.end }

// List are parts of a value, ascending, apart from one another.
type List []Part

// within tells the parts that are inside p, as a run of the list.
func (l List) within(p Part) (first, end int) {
	first, _ = slices.BinarySearchFunc(l, p.start, func(q Part, start uintptr) int {
		return cmp.Compare(q.start, start)
	})
	for end = first; end < len(l) && p.contains(l[end]); end++ {
	}
	return first, end
}

// Has tells whether the part was decoded, by itself or with one that it is in.
func (l List) Has(p Part) bool {
	i, _ := slices.BinarySearchFunc(l, p.start+1, func(q Part, start uintptr) int {
		return cmp.Compare(q.start, start)
	})
	return i > 0 && l[i-1].contains(p)
}

// Add notes a part, and returns those in it that were decoded before.
func (l *List) Add(p Part) (before []Part) {
	first, end := l.within(p)
	before = slices.Clone((*l)[first:end])
	*l = slices.Replace(*l, first, end, p)
	return before
}

// CopyAround sets dst to src but for some parts: of dst, or of elements of a slice that
// is a field of it.
func CopyAround(dst, src reflect.Value, but []Part) {
	all := Of(dst)
	switch {
	case len(but) == 0:
		dst.Set(src)
	case slices.ContainsFunc(but, func(p Part) bool { return p.contains(all) }):
	case dst.Kind() == reflect.Struct:
		for i := range dst.NumField() {
			if field := dst.Field(i); field.Kind() == reflect.Slice {
				copySlice(field, src.Field(i), but)
			} else {
				CopyAround(field, src.Field(i), overlapping(but, Of(field)))
			}
		}
	case dst.Kind() == reflect.Array:
		copyElements(dst, src, but)
	}
}

// copySlice sets a slice, or the elements of one that some parts may be of.
func copySlice(dst, src reflect.Value, but []Part) {
	if dst.IsNil() || dst.Len() != src.Len() {
		dst.Set(src)
		return
	}
	copyElements(dst, src, but)
}

func copyElements(dst, src reflect.Value, but []Part) {
	for i := range dst.Len() {
		CopyAround(dst.Index(i), src.Index(i), overlapping(but, Of(dst.Index(i))))
	}
}

// overlapping are those of parts, which ascend, that have bytes of p.
func overlapping(parts []Part, p Part) []Part {
	first, _ := slices.BinarySearchFunc(parts, p.start, func(q Part, start uintptr) int {
		if q.end <= start {
			return -1
		}
		return 1
	})
	end := first
	for end < len(parts) && parts[end].start < p.end {
		end++
	}
	return parts[first:end]
}
