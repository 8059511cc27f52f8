package ktsnap

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ktgen/ktgen/runtime/internal/errtext"
	"github.com/ktgen/ktgen/runtime/nearest"
)

// Error is what a failed read reports: what was being done, to what, and why
// it failed. Err is one of this package's error types, such as [*MapNotFoundError]
// or [*IndexOutOfRangeError], for errors.As.
type Error struct {
	Op   string // "Bind", "At", "Get", ...
	Path string // what was read: scx_per_task[cpu=1][3].ctx
	Addr uint64 // guest address that was read; 0 if none was
	Err  error
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Op)
	if e.Path != "" {
		b.WriteString(" " + e.Path)
	}
	if e.Addr != 0 {
		fmt.Fprintf(&b, " at %#x", e.Addr)
	}
	return b.String() + ": " + e.Err.Error()
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// MapNotFoundError says that the snapshot holds no map of that name.
type MapNotFoundError struct {
	Requested string
	Available []string
	Sections  []string // that have a variable of that name
}

func (e *MapNotFoundError) Error() string {
	if len(e.Available) == 0 {
		return fmt.Sprintf("no map %q: the snapshot holds no maps at all; was a scheduler loaded when it was taken?", e.Requested)
	}
	if len(e.Sections) > 0 {
		return fmt.Sprintf("no map %q in the snapshot: it is a variable of %s; read that section, or the variable with Var or ktgen get", e.Requested, errtext.List(e.Sections))
	}
	return fmt.Sprintf("no map %q in the snapshot%s; it holds %s", e.Requested, nearest.Hint(e.Requested, e.Available), errtext.List(e.Available))
}

// AmbiguousMapError says that several captured maps answer to one name, as they do
// when an object is loaded twice, or when the name is a part of theirs.
type AmbiguousMapError struct {
	Requested string
	IDs       []uint32 // map ids, ascending
	Names     []string // of the maps with these ids
}

// Ambiguous is the error for a name that several maps answer to.
func Ambiguous(requested string, found []*Map) *AmbiguousMapError {
	e := &AmbiguousMapError{Requested: requested}
	for _, m := range found {
		e.IDs, e.Names = append(e.IDs, m.ID), append(e.Names, m.Name)
	}
	return e
}

func (e *AmbiguousMapError) Error() string {
	if len(e.Names) == len(e.IDs) && distinct(e.Names) {
		they := make([]string, len(e.IDs))
		for i, id := range e.IDs {
			they[i] = fmt.Sprintf("%s (id %d)", errtext.Clip(e.Names[i]), id)
		}
		return fmt.Sprintf("%d maps answer to %q: %s: choose with ktrt.MapIDs, or by the whole name where maps are read by name", len(e.IDs), e.Requested, errtext.List(they))
	}
	byName := "MapByID"
	if len(e.Names) > 0 {
		byName += fmt.Sprintf(" or as %q", e.Names[0]+"#1")
	}
	return fmt.Sprintf("%d maps are called %q (ids %v): choose with ktrt.MapIDs, or with %s where maps are read by name", len(e.IDs), e.Requested, e.IDs, byName)
}

func distinct(names []string) bool {
	sorted := slices.Sorted(slices.Values(names))
	return len(slices.Compact(sorted)) == len(names)
}

// VarNotFoundError says that no global section has a variable of that name.
type VarNotFoundError struct {
	Requested string
	Section   string // where it was looked for; empty for all sections
	Available []string
}

func (e *VarNotFoundError) Error() string {
	where := "in any global section"
	if e.Section != "" {
		where = "in " + e.Section
	}
	if len(e.Available) == 0 {
		return fmt.Sprintf("no variable %q %s: the snapshot holds none at all; was a scheduler loaded when it was taken?", e.Requested, where)
	}
	return fmt.Sprintf("no variable %q %s%s; there are %s", e.Requested, where, nearest.Hint(e.Requested, e.Available), errtext.List(e.Available))
}

// IndexOutOfRangeError says that an array was read past its end.
type IndexOutOfRangeError struct {
	Map     string
	Index   int
	Len     int
	Unsized uint64 // where the array begins if it may have more than Len, see [Value.MayHaveMore]; else 0
}

func (e *IndexOutOfRangeError) Error() string {
	if e.Unsized != 0 {
		return fmt.Sprintf("index %d is out of range: of %s %s known, since an arena does not say how large its objects are; "+
			"read on from %#x with the generated arena's Bytes", e.Index, e.Map, errtext.Count(e.Len, "element is", "elements are"), e.Unsized)
	}
	switch e.Len {
	case 0:
		return fmt.Sprintf("index %d is out of range: %s is empty", e.Index, e.Map)
	case 1:
		return fmt.Sprintf("index %d is out of range: %s has one entry, [0]", e.Index, e.Map)
	}
	return fmt.Sprintf("index %d is out of range: %s has entries [0] to [%d]", e.Index, e.Map, e.Len-1)
}

// PerCPUSlotError says that a per-CPU map has no value for a CPU: there is no such
// CPU, or it is possible and has no memory (Unmapped).
type PerCPUSlotError struct {
	Map      string
	CPU      int
	Len      int // possible CPUs
	Unmapped bool
}

func (e *PerCPUSlotError) Error() string {
	if e.Unmapped {
		return fmt.Sprintf("%s has no memory for CPU %d: it is possible and was never brought up; Guest.Online has those that were", e.Map, e.CPU)
	}
	return fmt.Sprintf("no CPU %d: %s has a value for each of the CPUs 0 to %d", e.CPU, e.Map, e.Len-1)
}

// KeyNotFoundError says that a map has no entry for a key.
type KeyNotFoundError struct {
	Map  string
	Key  string   // as %v prints it
	Len  int      // entries there are
	Keys []string // the first of them
}

func (e *KeyNotFoundError) Error() string {
	if e.Len == 0 {
		return fmt.Sprintf("no entry for %s: %s is empty", e.Key, e.Map)
	}
	return fmt.Sprintf("no entry for %s; %s has %s: %s", e.Key, e.Map, errtext.Count(e.Len, "entry", "entries"), errtext.First(e.Keys, e.Len))
}

// NoMatchError says that no entry satisfied a predicate.
type NoMatchError struct {
	Map  string
	Op   string   // "Find", "MaxBy"
	Len  int      // entries that were tried
	Keys []string // the first of them

	// Cause is the first error that the predicate met when it read, nil if it
	// met none. Reads through generated code have none: they end the test.
	Cause error
}

func (e *NoMatchError) Error() string {
	if e.Len == 0 {
		return fmt.Sprintf("%s is empty", e.Map)
	}
	cause := ""
	if e.Cause != nil {
		cause = fmt.Sprintf("; reading them failed: %v", e.Cause)
	}
	if e.Len == 1 {
		return fmt.Sprintf("the one entry of %s does not match%s; its key: %s", e.Map, cause, errtext.First(e.Keys, e.Len))
	}
	return fmt.Sprintf("none of the %d entries of %s matches%s; their keys: %s", e.Len, e.Map, cause, errtext.First(e.Keys, e.Len))
}

// Unwrap returns Cause.
func (e *NoMatchError) Unwrap() error { return e.Cause }

// NoShapeError says that a map was created without BTF for one side, so that only
// its bytes can be read.
type NoShapeError struct {
	Map     string
	Side    string // "key" or "value"
	Section bool   // the value is the variables of a section
}

func (e *NoShapeError) Error() string {
	if e.Section {
		return fmt.Sprintf("the guest has no BTF for the variables of %s: its loader leaves it out, or is libbpf, which does so if bpf_map__set_value_size made a section smaller than its variables; read its bytes, or give it room for them", e.Map)
	}
	return fmt.Sprintf("the guest has no BTF for the %s of %s: the program that created the map did not say its type; read its bytes, or give the map's definition a __type(%[1]s, ...)", e.Side, e.Map)
}

// IncompleteError says that the snapshot holds a part of a map only, or nothing of
// it, so that what is absent from it proves nothing.
type IncompleteError struct {
	Map    string
	Status Status
	Held   int // entries held
	Total  int // entries the guest had; 0 if unknown
	Reason string
}

// incomplete is the error for reads that need all of a map, if its Status says that not
// all is there.
func (m *Map) incomplete() *IncompleteError {
	return &IncompleteError{Map: m.Name, Status: m.Status, Held: m.N, Total: m.Total, Reason: m.Reason}
}

func (e *IncompleteError) Error() string {
	switch {
	case e.Status == Unsupported:
		return fmt.Sprintf("%s was not captured: %s", e.Map, e.Reason)
	case e.Held == 0:
		return fmt.Sprintf("%s could not be captured: %s; another capture may hold it", e.Map, e.Reason)
	case e.Total > e.Held:
		return fmt.Sprintf("only %d of %d entries of %s were captured: %s; .Partial() reads those", e.Held, e.Total, e.Map, e.Reason)
	}
	return fmt.Sprintf("%s was captured in part, %s: %s; .Partial() reads those", e.Map, errtext.Count(e.Held, "entry", "entries"), e.Reason)
}

// UnreadableError says that the guest had no memory at an address when the
// snapshot was taken.
type UnreadableError struct{ Addr uint64 }

func (e *UnreadableError) Error() string {
	if e.Addr == 0 {
		return "the guest had no memory for the value when the snapshot was taken; capture again"
	}
	return fmt.Sprintf("the guest had no memory at %#x when the snapshot was taken: the pointer is stale, or no pointer", e.Addr)
}

// NullError says that a pointer of the guest is NULL.
type NullError struct{}

func (*NullError) Error() string {
	return "the pointer is NULL; test it before you read its target"
}

// NotCapturedError says that a pointer leads to memory that the snapshot does not
// hold: it is neither in a captured map or section nor in a captured arena.
type NotCapturedError struct {
	Addr uint64
	Type string // C type that is expected there

	Reason string // why, where it is known
}

func (e *NotCapturedError) Error() string {
	if e.Reason != "" {
		return fmt.Sprintf("the %s at %#x is not in the snapshot: %s", e.Type, e.Addr, e.Reason)
	}
	return fmt.Sprintf("the %s at %#x was not captured: no map, section or arena page of the snapshot holds that address; the pointer is stale, or its target was left out of the capture: Status tells which maps are incomplete", e.Type, e.Addr)
}

// NotFollowedError says that a pointer was left alone, although what it leads to
// was captured: because one read had reached as many objects as it may, or
// because it is inside a union and need not be a pointer.
type NotFollowedError struct {
	Addr  uint64
	Limit int // objects; 0 for pointers inside a union

	Reason string // another one, if it is not empty
}

func (e *NotFollowedError) Error() string {
	if e.Reason != "" {
		return fmt.Sprintf("the pointer to %#x was not followed: %s", e.Addr, e.Reason)
	}
	if e.Limit == 0 {
		return fmt.Sprintf("the pointer to %#x was not followed: it shares its bytes with other members of a union; if this member is in use, read the target by its address", e.Addr)
	}
	return fmt.Sprintf("the pointer to %#x was not followed: the read had reached %d objects; raise the limit with ktrt.MaxObjects", e.Addr, e.Limit)
}

// FieldAbsentError says that the guest's kernel lacks a member of a struct of the
// kernel's, or has it with a type that the generated one cannot hold.
type FieldAbsentError struct {
	Field  string // struct task_struct.scx
	Reason string
}

func (e *FieldAbsentError) Error() string {
	return fmt.Sprintf("the guest's kernel has no %s: %s; ktrt.Absent tells that before a read", e.Field, e.Reason)
}

// NotBoundError says that a pointer was left alone because the guest's BTF does not
// describe what it points at in a way that the generated code can read.
type NotBoundError struct {
	Type   string
	Reason string
}

func (e *NotBoundError) Error() string {
	return fmt.Sprintf("%s cannot be read in this guest: %s", e.Type, e.Reason)
}

// EmptySlotError is asking for the map in a slot that has none.
type EmptySlotError struct {
	Map   string
	Index int
}

func (e *EmptySlotError) Error() string {
	return fmt.Sprintf("slot %d of %s is empty; ID and All tell which slots are not", e.Index, e.Map)
}

// InnerMapNotFoundError is a map that another map refers to and that the snapshot
// does not hold.
type InnerMapNotFoundError struct{ ID uint32 }

func (e *InnerMapNotFoundError) Error() string {
	return fmt.Sprintf("the inner map with id %d is not in the snapshot: it was freed, or left out of the capture", e.ID)
}
