package sched

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ktgen/ktgen/runtime"
	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// This file reads members of records by name.

// records are those of a table.
type records struct {
	*ktsnap.Table
	places map[string]place
	absent *[]string // of the state
}

// place is where a member is in a record; its shape is nil where there is none.
type place struct {
	at    int
	shape *ctype.Shape
}

// record is one of them.
type record struct {
	*records
	b []byte
}

func (r *records) record(i int) record { return record{r, r.Record(i)} }

// has tells whether records have a member.
func (r *records) has(name string) bool {
	return slices.ContainsFunc(r.Type.Underlying().Fields(), func(m ctype.Member) bool { return m.Name == name })
}

// place finds a member, in records of any of which it is at the same place.
func (r *records) place(path string) place {
	if p, known := r.places[path]; known {
		return p
	}
	p := place{0, r.Type}
	for name := range strings.SplitSeq(path, ".") {
		s := p.shape.Underlying()
		var fields []ctype.Member
		if s != nil {
			fields = s.Fields()
		}
		i := slices.IndexFunc(fields, func(m ctype.Member) bool {
			return m.Name == name && m.Bits == 0 && m.Offset >= 0 && m.Type != nil && m.Type.Underlying() != nil
		})
		if i < 0 {
			*r.absent = append(*r.absent, r.Type.Name+"."+path)
			p = place{}
			break
		}
		m := fields[i]
		p = place{p.at + m.Offset, m.Type}
	}
	r.places[path] = p
	return p
}

// uint returns a number, 0 if there is none.
func (r record) uint(path string) uint64 {
	p := r.place(path)
	if p.shape == nil {
		return 0
	}
	u := p.shape.Underlying()
	switch u.Kind {
	case ctype.KindInt, ctype.KindEnum, ctype.KindBool, ctype.KindPointer, ctype.KindChar:
		if u.Size >= 1 && u.Size <= 8 && p.at+u.Size <= len(r.b) {
			return ctype.LoadBits(r.b[p.at:p.at+u.Size], 0, 8*u.Size)
		}
	}
	return 0
}

// int returns a number with its sign.
func (r record) int(path string) int64 {
	p := r.place(path)
	if p.shape == nil {
		return 0
	}
	return int64(ctype.Extend(r.uint(path), 8*p.shape.Underlying().Size, true))
}

func (r record) bytes(path string) []byte {
	p := r.place(path)
	if p.shape == nil {
		return nil
	}
	n := sizeOf(p.shape)
	if n <= 0 || p.at+n > len(r.b) {
		return nil
	}
	return r.b[p.at : p.at+n]
}

// text returns a C string.
func (r record) text(path string) string {
	return strings.ToValidUTF8(runtime.String(r.bytes(path)), "?")
}

// isLocked tells whether a raw_spinlock_t is held.
func (r record) isLocked(path string) bool {
	b := r.bytes(path)
	return len(b) > 0 && b[0] != 0 // arch_spinlock_t's locked byte
}

func sizeOf(s *ctype.Shape) int {
	u := s.Underlying()
	if u == nil {
		return 0
	}
	if u.Kind == ctype.KindArray {
		return u.Len * sizeOf(u.Elem)
	}
	return u.Size
}

// enum names numbers as an enum of the kernel does.
type enum struct {
	name   string
	values []ctype.EnumValue
}

// value returns an enumerator's number.
func (e enum) value(name string) (uint64, bool) {
	for _, v := range e.values {
		if v.Name == name {
			return v.Value, true
		}
	}
	return 0, false
}

// text returns the name of a number, without a prefix that all names have.
func (e enum) text(n uint64, prefix string) string {
	for _, v := range e.values {
		if rest, ok := strings.CutPrefix(v.Name, prefix); ok && v.Value == n {
			return rest
		}
	}
	return fmt.Sprint(n)
}
