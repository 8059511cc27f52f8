package ktsnap

import (
	"encoding/hex"
	"fmt"

	"github.com/ktgen/ktgen/runtime/ctype"
)

// AmbiguousKeyError says that several entries decode to the same key. Their bytes are
// the same, or differ where the key's type has no member: the program does not
// clear the padding of its keys, or leaves bytes behind the NUL of a text. In task storage
// several tasks have had the same pid.
type AmbiguousKeyError struct {
	Map     string
	Key     string
	Entries int
	Tasks   bool // the map is task storage

	Bytes []string // of the keys of two entries, in hexadecimal, if they differ
	Where string   // they differ: "in padding, ..."
}

func (e *AmbiguousKeyError) Error() string {
	switch {
	case e.Tasks:
		return fmt.Sprintf("%d tasks with pid %s have storage in %s: one that has ended keeps it until its task_struct is freed, and its pid can be another's by then; range over All, whose Owner has the task_struct's address", e.Entries, e.Key, e.Map)
	case len(e.Bytes) < 2:
		return fmt.Sprintf("%d entries of %s have the key %s, by the same bytes; range over All instead", e.Entries, e.Map, e.Key)
	}
	return fmt.Sprintf("%d entries of %s have the key %s: their bytes, such as %s and %s, differ %s; range over All instead, or read one by its bytes: Map(%q).Lookup([]byte{...}) of the Snapshot, or in a path %s[%s]",
		e.Entries, e.Map, e.Key, e.Bytes[0], e.Bytes[1], e.Where, e.Map, e.Map, e.Bytes[0])
}

// Ambiguous is the error for a key that several entries have, which same tells.
func (m *Map) Ambiguous(key string, same func(entry int) bool) *AmbiguousKeyError {
	e := &AmbiguousKeyError{Map: m.Name, Key: key, Tasks: m.Type == MapTypeTaskStorage}
	var first []byte
	for i := range m.N {
		if !same(i) {
			continue
		}
		e.Entries++
		if e.Tasks || len(m.Keys) < (i+1)*m.KeySize || e.Bytes != nil {
			continue
		}
		raw := m.Keys[i*m.KeySize:][:m.KeySize]
		if first == nil {
			first = raw
		} else if string(raw) != string(first) {
			e.Bytes = []string{"0x" + hex.EncodeToString(first), "0x" + hex.EncodeToString(raw)}
			e.Where = whereKeysDiffer(m.Key, first, raw)
		}
	}
	return e
}

// whereKeysDiffer says where keys differ that are the same values of a type.
func whereKeysDiffer(key *ctype.Shape, a, b []byte) string {
	inText := make([]bool, len(a))
	if key != nil {
		key.Walk(func(p *ctype.Part) ctype.Next {
			if isString(p.Shape) && p.Offset >= 0 && p.Offset+p.Shape.Size <= len(inText) {
				for i := range p.Shape.Size {
					inText[p.Offset+i] = true
				}
			}
			return ctype.Enter
		})
	}
	var text, padding bool
	for i := range a {
		text = text || a[i] != b[i] && inText[i]
		padding = padding || a[i] != b[i] && !inText[i]
	}
	switch {
	case text && padding:
		return "behind the NUL of a char array and in padding, which the program leaves uninitialised"
	case text:
		return "behind the NUL of a char array, where a C string ends"
	}
	return "in padding, which the program leaves uninitialised"
}
