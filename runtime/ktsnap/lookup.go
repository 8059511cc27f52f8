package ktsnap

import (
	"encoding/binary"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/internal/errtext"
	"github.com/ktgen/ktgen/runtime/internal/keyindex"
)

// keyBytes finds entries by the bytes of their keys.
type keyBytes struct {
	once    sync.Once
	entries keyindex.Entries[string]
}

// entry returns the entry with that key, or -n for n entries with it. ok is false if
// there is none.
func (k *keyBytes) entry(m *mapReader, key []byte) (entry int, ok bool) {
	k.once.Do(func() {
		k.entries = make(keyindex.Entries[string], m.N)
		for i := range m.N {
			k.entries.Add(string(m.m.Keys[i*m.m.KeySize:][:m.m.KeySize]), int32(i))
		}
	})
	at, ok := k.entries[string(key)]
	return int(at), ok
}

// Lookup returns the entry for a key. The key is an integer for keys that are integers or
// enums, for the indices of arrays, for the pids of task storage and for the addresses of the
// objects that other storage belongs to. It is a string for
// keys that are char arrays, with what is behind a NUL of it if it has one, or the name of an
// enumerator. For any key it can be its bytes
// in the guest, a []byte.
//
// There is a [*KeyNotFoundError] if the map has no such key, and a [*TypeMismatchError] if
// it can have none. There is an [*AmbiguousKeyError] if several entries read as that key,
// as those of two tasks with one pid do.
func (v MapView) Lookup(key any) Entry {
	if v.broken() {
		return v.none()
	}
	i, err := v.m.lookup(key)
	switch {
	case err != nil:
		return v.failed("Lookup", err).none()
	case i >= 0:
		return v.At(i)
	}
	return v.lacks(fmt.Sprint(key))
}

// lacks is the entry for a key that the map does not have.
func (v MapView) lacks(key string) Entry {
	if v = v.whole("Lookup"); v.err != nil {
		return v.none()
	}
	return v.failed("Lookup", &KeyNotFoundError{Map: v.m.Name, Key: errtext.Clip(key), Len: v.m.N, Keys: v.m.FirstKeys()}).none()
}

// lookup returns the entry for a key, negative if there is none.
func (m *mapReader) lookup(key any) (entry int, err error) {
	if raw, ok := key.([]byte); ok {
		return m.lookupBytes(raw, fmt.Sprintf("%#x", raw))
	}
	switch k := reflect.ValueOf(key); {
	case k.CanInt():
		return m.lookupInt(uint64(k.Int()), k.Int() < 0, key)
	case k.CanUint():
		return m.lookupInt(k.Uint(), false, key)
	case k.Kind() == reflect.String:
		return m.lookupString(k.String(), key)
	}
	return -1, m.keyMismatch(key)
}

// lookupBytes looks for a key by its bytes. Messages call it name.
func (m *mapReader) lookupBytes(raw []byte, name string) (entry int, err error) {
	if m.m.Keys == nil || m.isTaskStorage() {
		return -1, m.keyMismatch(raw)
	}
	if len(raw) != m.m.KeySize {
		return -1, m.keyMismatch(raw)
	}
	i, ok := m.byKey.entry(m, raw)
	switch {
	case !ok:
		return -1, nil
	case i < 0:
		return -1, &AmbiguousKeyError{Map: m.Name, Key: name, Entries: -i}
	}
	return i, nil
}

// lookupInt looks for an integer, which is a two's complement number if
// negative is set.
func (m *mapReader) lookupInt(n uint64, negative bool, key any) (entry int, err error) {
	if m.isTaskStorage() {
		return m.lookupPID(n)
	}
	if m.m.Keys == nil {
		if i := slices.IndexFunc(m.m.Owners, func(o Owner) bool { return o.Addr != 0 && o.Addr == n }); i >= 0 && i < m.N {
			return i, nil
		}
		if !negative && n < uint64(m.N) {
			return int(n), nil
		}
		return -1, nil
	}
	shape, err := m.keyShape()
	if err != nil {
		return -1, err
	}
	if shape == nil {
		return -1, &NoShapeError{Map: m.Name, Side: "key"}
	}
	u := shape.Underlying()
	if !ctype.IsIntegral(shape) || u.Size > 8 || u.Size != m.m.KeySize {
		return -1, m.keyMismatch(key)
	}
	place := ctype.IntPlace{Bits: 8 * u.Size, Signed: u.Signed}
	if !place.Fits(n, negative) {
		return -1, m.keyMismatch(key)
	}
	return m.lookupBytes(binary.LittleEndian.AppendUint64(nil, n)[:u.Size], fmt.Sprint(key))
}

func (m *mapReader) hasIntegralKeys() bool {
	shape, err := m.keyShape()
	return err == nil && shape != nil && ctype.IsIntegral(shape)
}

// lookupPID looks for the storage of a task. Two tasks can have one pid.
func (m *mapReader) lookupPID(pid uint64) (entry int, err error) {
	found, matches := -1, 0
	for i, owner := range m.m.Owners[:m.N] {
		if owner.PID >= 0 && uint64(owner.PID) == pid {
			found = i
			matches++
		}
	}
	if matches > 1 {
		return -1, &AmbiguousKeyError{Map: m.Name, Key: fmt.Sprint(pid), Entries: matches, Tasks: true}
	}
	return found, nil
}

// lookupString looks for a string, or for the name of an enumerator.
func (m *mapReader) lookupString(text string, key any) (entry int, err error) {
	shape, err := m.keyShape()
	if err != nil {
		return -1, err
	}
	if m.m.Keys == nil || m.isTaskStorage() || !isString(underlying(shape)) && kindName(underlying(shape)) != "Enum" {
		return -1, m.keyMismatch(key)
	}
	found, matches := -1, 0
	is := func(i int) bool {
		s, err := (Entry{m: m, entry: i}).Key().Str()
		return err == nil && s == text
	}
	if strings.Contains(text, "\x00") && isString(underlying(shape)) {
		is = func(i int) bool {
			return strings.TrimRight(string(m.keyData(i)), "\x00") == strings.TrimRight(text, "\x00")
		}
	}
	for i := range m.N {
		if is(i) {
			found = i
			matches++
		}
	}
	if matches > 1 {
		return -1, m.m.Ambiguous(text, is)
	}
	return found, nil
}

func underlying(s *ctype.Shape) *ctype.Shape {
	if s == nil {
		return nil
	}
	return s.Underlying()
}

// keyMismatch is the error for a key that the map cannot have.
func (m *mapReader) keyMismatch(key any) error {
	want := "the index of an array, an integer"
	switch {
	case m.isTaskStorage():
		want = "the pid of a task, an integer"
	case m.m.Keys != nil:
		want = fmt.Sprintf("a key of %d bytes", m.m.KeySize)
		if m.m.Key != nil {
			want += ", " + ctype.Spell(m.m.Key)
		}
	}
	return &TypeMismatchError{
		Expected: want, Actual: fmt.Sprintf("Go %T", key), Type: errtext.Clip(fmt.Sprint(key)),
		Hint: "other keys are found with Find and Key, or by their bytes",
	}
}
