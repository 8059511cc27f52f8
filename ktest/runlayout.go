package ktest

import (
	"fmt"
	"reflect"

	"github.com/cilium/ebpf/btf"
)

// This file compares the Go struct that a program is run with to the C struct that the
// program is declared to get. Bytes stand for anything, so that a [8]byte can be a number
// and [2]uint64 a text.

// field is a number in a struct.
type field struct {
	name       string
	start, end uint64 // bytes
	any        bool   // a union or bitfield, which has no single number
}

// differentLayout names the first member of a C struct that is not what a Go struct of the
// same size has in its place. It is empty if there is none.
func differentLayout(own reflect.Type, c *btf.Struct) string {
	inGo := goFields(nil, own, "", 0)
	at := make([]*field, own.Size()) // what has each byte
	for i, f := range inGo {
		for b := f.start; b < f.end; b++ {
			at[b] = &inGo[i]
		}
	}
	for _, m := range cFields(nil, c, "", 0) {
		if why := m.differs(at[min(m.start, uint64(len(at))):min(m.end, uint64(len(at)))]); why != "" {
			return fmt.Sprintf("member %s has bytes %d to %d, where %v has %s", m.name, m.start, m.end-1, own, why)
		}
	}
	return ""
}

// differs says what is in the place of a member that is not like it, if something is not.
func (m field) differs(there []*field) string {
	why := "nothing"
	for _, f := range there {
		if f == nil {
			continue
		}
		if alike := f.start == m.start && f.end == m.end; !alike && !m.any && f.end-f.start > 1 && m.end-m.start > 1 {
			return fmt.Sprintf("%s in bytes %d to %d", f.name, f.start, f.end-1)
		}
		why = ""
	}
	return why
}

func goFields(to []field, t reflect.Type, name string, at uint64) []field {
	switch t.Kind() {
	case reflect.Struct:
		for i := range t.NumField() {
			f := t.Field(i)
			to = goFields(to, f.Type, joined(name, f.Name), at+uint64(f.Offset))
		}
		return to
	case reflect.Array:
		for i := range t.Len() {
			to = goFields(to, t.Elem(), fmt.Sprintf("%s[%d]", name, i), at+uint64(i)*uint64(t.Elem().Size()))
		}
		return to
	}
	return append(to, field{name: name, start: at, end: at + uint64(t.Size())})
}

// cFields adds the numbers in a C type. What lies behind all that contexts can have is left out: members of a
// damaged object can be larger than the struct that they are in.
func cFields(to []field, t btf.Type, name string, at uint64) []field {
	size, err := btf.Sizeof(t)
	if err != nil || at >= mostContext || len(to) >= mostContext {
		return to
	}
	whole := field{name: name, start: at, end: at + uint64(size)}
	switch t := btf.UnderlyingType(t).(type) {
	case *btf.Struct:
		for _, m := range t.Members {
			if m.BitfieldSize != 0 {
				start, bits := uint64(m.Offset), uint64(m.BitfieldSize)
				to = append(to, field{name: joined(name, m.Name), start: at + start/8, end: at + (start+bits+7)/8, any: true})
				continue
			}
			to = cFields(to, m.Type, joined(name, m.Name), at+uint64(m.Offset.Bytes()))
		}
		return to
	case *btf.Array:
		each, err := btf.Sizeof(t.Type)
		if err != nil || each == 0 {
			return to
		}
		for i := range min(uint64(t.Nelems), mostContext) {
			if len(to) >= mostContext {
				break
			}
			to = cFields(to, t.Type, fmt.Sprintf("%s[%d]", name, i), at+i*uint64(each))
		}
		return to
	case *btf.Union:
		whole.any = true
	}
	return append(to, whole)
}

func joined(of, name string) string {
	switch {
	case of == "":
		return name
	case name == "":
		return of
	}
	return of + "." + name
}
