package ktsnap

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/internal/errtext"
	"github.com/ktgen/ktgen/runtime/internal/keyindex"
)

// This file writes the keys of entries as paths have them, and reads them. A key is
// written as its value is, {tid: 7, comm: "a]b"}, and by its bytes, 0x0700000061, if
// entries with other bytes are written the same.

// keyTexts finds entries by how their keys are written.
type keyTexts struct {
	once    sync.Once
	entries keyindex.Entries[string]
}

func (k *keyTexts) entry(m *mapReader, text string) (entry int, ok bool) {
	k.once.Do(func() {
		k.entries = make(keyindex.Entries[string], m.N)
		for i := range m.N {
			k.entries.Add(m.writtenKey(i), int32(i))
		}
	})
	at, ok := k.entries[text]
	return int(at), ok
}

// keyName names an entry by its key, for paths. No entry with another key has the same
// name.
func (m *mapReader) keyName(entry int) string {
	switch {
	case m.isTaskStorage():
		return fmt.Sprintf("pid=%d", m.m.Owners[entry].PID)
	case entry < len(m.m.Owners):
		return Address(m.m.Owners[entry].Addr).String()
	case m.m.Keys == nil:
		return strconv.Itoa(entry)
	}
	text := m.writtenKey(entry)
	if key := m.keyValue(entry); !key.exact() {
		if only, ok := m.byText.entry(m, text); !ok || only != entry {
			return "0x" + hex.EncodeToString(m.keyData(entry))
		}
	}
	return text
}

// KeyTexts returns what paths call the entries of a map of the snapshot.
func (s *Snapshot) KeyTexts(of *Map) func(entry int) string {
	for _, m := range s.reader().all() {
		if m.m == of && m.damaged == nil {
			return m.keyName
		}
	}
	return strconv.Itoa
}

func (m *mapReader) keyData(entry int) []byte { return m.m.Keys[entry*m.m.KeySize:][:m.m.KeySize] }

// keyValue is the key of an entry, of a map that has keys.
func (m *mapReader) keyValue(entry int) Value {
	v := Value{root: Entry{m: m}, data: m.keyData(entry)}
	if shape, err := m.keyShape(); err == nil && shape != nil {
		v.shape, v.data = shape, v.data[:shape.Size:shape.Size]
	}
	return v
}

// writtenKey is an entry's key as values are written, of a long one the beginning.
func (m *mapReader) writtenKey(entry int) string {
	v := m.keyValue(entry)
	return v.render(errtext.MaxListed).String()
}

// exact tells whether no other bytes than those of v are written as v is: nothing is
// left out, and no bit is set that no member has, or that is behind the end of a string.
func (v *Value) exact() bool {
	u := v.underlying()
	if u == nil {
		return len(v.data) == v.root.m.m.KeySize
	}
	if len(v.data) != v.root.m.m.KeySize {
		return false
	}
	hidden, scalars, sure := append([]byte(nil), v.data...), 0, true
	whole := u.Walk(func(p *ctype.Part) ctype.Next {
		size := p.Shape.Size
		switch {
		case p.Offset < 0 || size < 0 || p.Offset+size > len(hidden):
			return ctype.Stop
		case p.IsBitfield():
			clearBits(hidden, 8*p.Offset+int(p.Member.BitOffset), int(p.Member.Bits))
		case isString(p.Shape):
			data := hidden[p.Offset:][:size]
			clear(data[:len(ctype.Text(data))])
		case p.Shape.Kind == ctype.KindArray || p.Shape.Kind == ctype.KindStruct || p.Shape.Kind == ctype.KindUnion:
			return ctype.Enter
		case p.Shape.Kind == ctype.KindBool:
			data := hidden[p.Offset:][:size]
			data[0] &^= 1
		case p.Shape.Kind == ctype.KindFloat:
			sure = false // a NaN has many forms
		default:
			clear(hidden[p.Offset:][:size])
		}
		scalars++
		return ctype.Skip
	})
	return whole && sure && len(bytes.TrimLeft(hidden, "\x00")) == 0 && scalars <= errtext.MaxListed
}

// clearBits clears n bits from bit first on, as far as there are any.
func clearBits(b []byte, first, n int) {
	for bit := first; bit < min(first+n, 8*len(b)); bit++ {
		b[bit/8] &^= 1 << (bit % 8)
	}
}

// lookupText looks for a key as paths write it; entry is negative if there is none.
func (m *mapReader) lookupText(text string) (entry int, err error) {
	if m.m.Keys == nil || m.isTaskStorage() {
		return -1, nil
	}
	if i, ok := m.byText.entry(m, text); ok && i >= 0 {
		return i, nil
	} else if ok {
		return m.lookupExact(text)
	}
	if digits, ok := strings.CutPrefix(text, "0x"); ok {
		if raw, err := hex.DecodeString(digits); err == nil && len(raw) == m.m.KeySize {
			return m.lookupBytes(raw, text)
		}
	}
	for i := range m.N {
		if v := m.keyValue(i); v.render(maxRendered).String() == text {
			return i, nil
		}
	}
	return -1, nil
}

// lookupExact returns that of several entries whose keys are written as text, of which
// text says all.
func (m *mapReader) lookupExact(text string) (entry int, err error) {
	entry = -1
	for i := range m.N {
		if v := m.keyValue(i); m.writtenKey(i) == text && v.exact() {
			if entry >= 0 {
				entry = -1
				break
			}
			entry = i
		}
	}
	if entry < 0 {
		return -1, m.m.Ambiguous(errtext.Clip(text), func(i int) bool { return m.writtenKey(i) == text })
	}
	return entry, nil
}

// keyBracket returns the key in the bracket at byte at, which may hold brackets and
// quoted text itself, and where the bracket ends.
func keyBracket(path string, at int) (text string, next int, err error) {
	depth := 0
	for i := at; i < len(path); i++ {
		switch path[i] {
		case '"', '\'':
			if quoted, err := strconv.QuotedPrefix(path[i:]); err == nil {
				i += len(quoted) - 1
			}
		case '[', '{':
			depth++
		case ']', '}':
			if depth--; depth > 0 {
				continue
			}
			if path[i] == '}' {
				return "", at, &PathSyntaxError{Requested: path, Offset: i, Problem: "the brace was not opened"}
			}
			if i == at+1 {
				return "", at, &EmptyPathComponentError{Requested: path, Offset: at + 1}
			}
			return path[at+1 : i], i + 1, nil
		}
	}
	return "", at, &PathSyntaxError{Requested: path, Offset: at, Problem: "the bracket is not closed"}
}
