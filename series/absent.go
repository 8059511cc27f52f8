package series

import (
	"bytes"
	"encoding"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/ktgen/ktgen/runtime/nearest"
)

// This file finds what statistics lack: encoding/json leaves a member that is
// absent or null at its zero value, which a series would take for a number.

// AbsentStatisticError says that the statistics of a capture lack a member that the type
// they are decoded into has, or have null there. Members that may be absent are
// pointers, or tagged omitempty or omitzero. Statistics that a capture lacks as a
// whole are [NoStatisticsError].
type AbsentStatisticError struct {
	Capture string   // its name, such as "periodic_003"
	Path    string   // of the member in the JSON, such as "queues[2].len"; empty for all of it
	Null    bool     // it is there, and null
	Have    []string // the members beside it
}

func (e *AbsentStatisticError) Error() string {
	where := "the statistics of " + strconv.Quote(e.Capture)
	if e.Null {
		return fmt.Sprintf("%s have null at %s: make the field a pointer if that is a value", where, e.path())
	}
	have := "there is nothing in its place"
	if len(e.Have) > 0 {
		have = "there are " + strings.Join(e.Have, ", ")
	}
	if near := nearest.Name(e.member(), e.Have); near != "" {
		have += "; did you mean " + near + "?"
	}
	return fmt.Sprintf("%s have no member %s: %s (tag the field omitempty if it may be absent)", where, e.Path, have)
}

func (e *AbsentStatisticError) path() string {
	if e.Path == "" {
		return "their top"
	}
	return e.Path
}

// member is the last name of the path.
func (e *AbsentStatisticError) member() string { return e.Path[strings.LastIndexByte(e.Path, '.')+1:] }

var (
	jsonUnmarshaler = reflect.TypeFor[json.Unmarshaler]()
	textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// absentValue returns the first member of a type that a JSON document lacks which
// can be decoded into it, nil if there is none. Path is where the document is.
// Types that decode themselves are left alone.
func absentValue(raw json.RawMessage, t reflect.Type, path string) *AbsentStatisticError {
	if t.Kind() == reflect.Interface {
		return nil
	}
	if string(bytes.TrimSpace(raw)) == "null" {
		return absentNull(t, path)
	}
	if p := reflect.PointerTo(t); p.Implements(jsonUnmarshaler) || p.Implements(textUnmarshaler) {
		return nil
	}
	switch t.Kind() {
	case reflect.Pointer:
		return absentValue(raw, t.Elem(), path)
	case reflect.Struct:
		var members map[string]json.RawMessage
		json.Unmarshal(raw, &members)
		return absentFields(members, t, path)
	case reflect.Map:
		return absentEntry(raw, t, path)
	case reflect.Slice, reflect.Array:
		return absentElement(raw, t, path)
	}
	return nil
}

// absentNull tells whether null is a value of its own for a type.
func absentNull(t reflect.Type, path string) *AbsentStatisticError {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice:
		return nil
	}
	if reflect.PointerTo(t).Implements(jsonUnmarshaler) {
		return nil
	}
	return &AbsentStatisticError{Path: path, Null: true}
}

func absentFields(members map[string]json.RawMessage, t reflect.Type, path string) *AbsentStatisticError {
	for i := range t.NumField() {
		if found := absentField(members, t.Field(i), path); found != nil {
			return found
		}
	}
	return nil
}

// absentField looks for one field among the members of an object. Those of an embedded
// struct without a name are in the same object.
func absentField(members map[string]json.RawMessage, f reflect.StructField, path string) *AbsentStatisticError {
	tag := f.Tag.Get("json")
	name, options, _ := strings.Cut(tag, ",")
	embedded := f.Anonymous && name == "" && f.Type.Kind() == reflect.Struct
	switch {
	case tag == "-" || !f.IsExported() && !embedded:
		return nil
	case embedded:
		return absentFields(members, f.Type, path)
	case name == "":
		name = f.Name
	}
	raw, there := lookFold(members, name)
	if !there {
		if f.Type.Kind() == reflect.Pointer || optional(options) {
			return nil
		}
		return &AbsentStatisticError{Path: join(path, name), Have: slices.Sorted(maps.Keys(members))}
	}
	return absentValue(raw, f.Type, join(path, name))
}

// optional tells whether the options of a tag say that a member may be absent.
func optional(options string) bool {
	all := strings.Split(options, ",")
	return slices.Contains(all, "omitempty") || slices.Contains(all, "omitzero")
}

// lookFold finds a member as encoding/json does: the same name, else one that
// differs in letter case only.
func lookFold(members map[string]json.RawMessage, name string) (json.RawMessage, bool) {
	if raw, ok := members[name]; ok {
		return raw, true
	}
	for other, raw := range members {
		if strings.EqualFold(other, name) {
			return raw, true
		}
	}
	return nil, false
}

func absentEntry(raw json.RawMessage, t reflect.Type, path string) *AbsentStatisticError {
	var members map[string]json.RawMessage
	json.Unmarshal(raw, &members)
	for _, key := range slices.Sorted(maps.Keys(members)) {
		if found := absentValue(members[key], t.Elem(), join(path, key)); found != nil {
			return found
		}
	}
	return nil
}

// absentElement looks at those of an array. One that is shorter than a Go array has
// nothing for the rest.
func absentElement(raw json.RawMessage, t reflect.Type, path string) *AbsentStatisticError {
	if t.Elem().Kind() == reflect.Uint8 && t.Kind() == reflect.Slice {
		return nil // base64
	}
	var all []json.RawMessage
	json.Unmarshal(raw, &all)
	for i, element := range all {
		if found := absentValue(element, t.Elem(), fmt.Sprintf("%s[%d]", path, i)); found != nil {
			return found
		}
	}
	if t.Kind() == reflect.Array && len(all) < t.Len() {
		return &AbsentStatisticError{Path: fmt.Sprintf("%s[%d]", path, len(all))}
	}
	return nil
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
