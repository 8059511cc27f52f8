package ktsnap

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strconv"

	"github.com/ktgen/ktgen/runtime/ctype"
)

// This file goes through all that is in a value, for programs that show values
// of types which they do not know.

// Kind says what the value is, in the words of READING.md: "Uint", "Int", "Bool", "Char",
// "Float", "Enum", "Ptr", "Array", "Struct", "Union", or "Bytes" for a value without a
// type. It is empty if the value was not found.
func (v *Value) Kind() string {
	if v.err != nil {
		return ""
	}
	return kindName(v.underlying())
}

// IsString tells whether the value is a char array, which Str takes.
func (v *Value) IsString() bool { return v.err == nil && isString(v.underlying()) }

// Len returns the number of elements of an array, or of members of a struct, union or
// section, and 0 for everything else. A flexible array has as many elements as there is
// room for. The members of anonymous members count, too.
func (v *Value) Len() int {
	u := v.underlying()
	if v.err != nil || u == nil {
		return 0
	}
	switch u.Kind {
	case ctype.KindArray:
		return v.elements(u)
	case ctype.KindStruct, ctype.KindUnion, ctype.KindSection:
		if x, err := v.root.m.r.layouts.Fields(u); err == nil {
			return len(x.Fields)
		}
	}
	return 0
}

// At returns member or element i, less than Len, and the member's name. Names
// are not joined while walking: its Path is that of v.
func (v *Value) At(i int) (name string, member Value) {
	member = *v
	if u := v.underlying(); u.Kind == ctype.KindArray {
		member.enterElement(u, i)
		return "", member
	}
	x, err := v.root.m.r.layouts.Fields(v.underlying())
	if err != nil {
		return "", v.failed("At", err)
	}
	member.enter(&x.Fields[i])
	return x.Fields[i].Name, member
}

// Part makes part a part of the value by its place: m is a member of a struct
// that the value is or holds, with its offset from the value's first byte. It is
// At for programs that go through many values of one type. The part's Path is
// that of v.
func (v *Value) Part(m *ctype.Member, part *Value) {
	end := m.EndIn(len(v.data))
	switch {
	case v.err != nil:
		*part = *v
		return
	case m.Offset < 0 || end < m.Offset || end > len(v.data):
		*part = v.failed("Part", fmt.Errorf("%s from byte %d on does not fit a value of %d bytes", ctype.Spell(m.Type), m.Offset, len(v.data)))
		return
	}
	part.root, part.key, part.path, part.err = v.root, v.key, v.path, nil
	part.shape, part.data, part.bits, part.first = m.Type, v.data[m.Offset:end:end], m.Bits, m.BitOffset
	part.nodes, part.heads = nil, nil
	if part.addr = v.addr; v.addr != 0 {
		part.addr += uint64(m.Offset)
	}
	if _, _, ok := m.Contains(); ok {
		part.expand(m)
	}
}

// Size returns the value's size in bytes, for a bitfield that of the bytes that
// hold it.
func (v *Value) Size() int { return len(v.data) }

// IsZero tells whether all bits of the value are zero.
func (v *Value) IsZero() bool {
	if v.bits > 0 {
		return v.load(v.underlying()) == 0
	}
	for data := v.data; len(data) > 0; {
		n := min(len(data), len(zeroes))
		if !bytes.Equal(data[:n], zeroes[:n]) {
			return false
		}
		data = data[n:]
	}
	return true
}

var zeroes [512]byte

// SameBits tells whether two values have the same bits. The bytes that hold
// bitfields are compared as far as they belong to them.
func (v *Value) SameBits(w *Value) bool {
	if v.bits > 0 && w.bits > 0 {
		return v.bits == w.bits && v.load(v.underlying()) == w.load(w.underlying())
	}
	return v.bits == w.bits && bytes.Equal(v.data, w.data)
}

// AppendText appends a scalar, a string or the bytes of a value without a type
// as [Value.Rendered] writes them. Of values that have members or elements it
// appends nothing.
func (v *Value) AppendText(b []byte) []byte {
	u := v.underlying()
	switch {
	case v.err != nil:
		return b
	case u == nil:
		return hex.AppendEncode(append(b, "0x"...), v.data)
	}
	switch u.Kind {
	case ctype.KindInt:
		return v.appendInteger(b, u)
	case ctype.KindPointer:
		if addr := v.load(u); addr != 0 {
			return strconv.AppendUint(append(b, "0x"...), addr, 16)
		}
	case ctype.KindBool:
		return strconv.AppendBool(b, v.unsigned(u) != 0)
	case ctype.KindFloat:
		if f, ok := v.float(u); ok {
			return strconv.AppendFloat(b, f, 'g', -1, 64)
		}
	case ctype.KindStruct, ctype.KindUnion, ctype.KindSection:
		return b
	case ctype.KindArray:
		if !isString(u) {
			return b
		}
		return appendQuoted(b, v.data)
	}
	return append(b, v.scalarText(u)...)
}

// appendQuoted appends the C string in a char array, in quotes.
func appendQuoted(b, data []byte) []byte {
	start := len(b)
	b = append(b, '"')
	for _, c := range data {
		switch {
		case c == 0:
			return append(b, '"')
		case c < ' ' || c > '~' || c == '"' || c == '\\':
			return strconv.AppendQuote(b[:start], ctype.Text(data))
		}
		b = append(b, c)
	}
	return append(b, '"')
}

func (v *Value) appendInteger(b []byte, u *ctype.Shape) []byte {
	if len(v.data) > 8 {
		return append(b, v.integer(u).String()...)
	}
	n := v.load(u)
	if u.Signed {
		return strconv.AppendInt(b, int64(n), 10)
	}
	return strconv.AppendUint(b, n, 10)
}

// View returns the map with its entries, whatever its name or id is: that of
// s.Maps[i].
func (s *Snapshot) View(i int) MapView { return s.reader().maps[i].view() }

// Views returns what there is to read in the order of s.Maps: each map with its
// entries, and behind an arena the sections of variables in it, which read as
// maps of their own; see [MapView.Arena].
func (s *Snapshot) Views() []MapView {
	var views []MapView
	r := s.reader()
	for _, m := range r.maps {
		views = append(views, m.view())
		for _, section := range r.sections {
			if section.arena == m.m {
				views = append(views, section.view())
			}
		}
	}
	return views
}
