package ktsnap

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/internal/errtext"
	"github.com/ktgen/ktgen/runtime/nearest"
)

// This file has the errors of reads by name and path. Paths in them are what
// the caller wrote, with the paths before it in a chain.

// FieldNotFoundError says that a struct, union or section has no member of that
// name.
type FieldNotFoundError struct {
	Requested string   // the whole path
	Walked    string   // the part of it that led somewhere
	Component string   // the name there is no member of
	Type      string   // C type that Walked leads to
	Available []string // its members
}

func (e *FieldNotFoundError) Error() string {
	there := "; it has no members at all"
	if same := ctype.SameNamed(e.Component, e.Available); len(same) > 0 {
		return fmt.Sprintf("%s is a %s, which has %s called %s, as static variables of objects that were linked can be: say which, %s",
			placeName(e.Walked), e.Type, errtext.Count(len(same), "variable", "variables"), quote(e.Component), errtext.List(same))
	}
	if len(e.Available) > 0 {
		there = "; it has " + errtext.List(e.Available)
	}
	return fmt.Sprintf("%s is a %s, which has no member %s%s%s", placeName(e.Walked), e.Type, quote(e.Component), nearest.Hint(e.Component, e.Available), there)
}

// NotAStructError says that a path goes on to a member of something that has no
// members.
type NotAStructError struct {
	Requested string // the whole path
	Walked    string // the part of it that led somewhere
	Component string // the member that was asked for
	Kind      string // what is there: "Uint", "Array", ...
	Type      string // its C type
}

func (e *NotAStructError) Error() string {
	next := "end the path there"
	switch e.Kind {
	case "Array":
		next = "choose an element first, as in [0]"
	case "Void":
		next = "the program does not say what it points at: end the path at the pointer, whose address Uint64 reads"
	case "Ptr":
		next = manyHops
	}
	return fmt.Sprintf("%s is %s (%s), which has no members and so no %s; %s", placeName(e.Walked), kindPhrase(e.Kind), e.Type, quote(e.Component), next)
}

// manyHops is what to do where a path has met more pointers in a row than are
// followed.
var manyHops = fmt.Sprintf("it is behind %d pointers in a row, and a path follows no more: go on with Deref from there", maxHops)

// NotAnArrayError says that a path goes on to an element of something that has no
// elements.
type NotAnArrayError struct {
	Requested string // the whole path
	Walked    string // the part of it that led somewhere
	Index     int    // the element that was asked for
	Kind      string // what is there: "Uint", "Struct", ...
	Type      string // its C type
}

func (e *NotAnArrayError) Error() string {
	next := "end the path there"
	if e.Kind == "Struct" || e.Kind == "Union" {
		next = "choose a member by its name"
	} else if e.Kind == "Ptr" {
		next = manyHops
	}
	return fmt.Sprintf("%s is %s (%s), which has no elements and so no [%d]; %s", placeName(e.Walked), kindPhrase(e.Kind), e.Type, e.Index, next)
}

// TypeMismatchError says that a value cannot be read as what was asked for: because
// of its type, or because this value does not fit.
type TypeMismatchError struct {
	Expected  string // "uint64", "bool", "Enum", ...
	Actual    string // what the value is: "Uint", "Struct", ...
	Requested string // the whole path; empty if there was none
	Type      string // C type of the value
	Value     string // the value, if it is what does not fit
	Hint      string // what can be read instead; may be empty
}

func (e *TypeMismatchError) Error() string {
	actual := kindPhrase(e.Actual)
	if e.Value != "" {
		actual = fmt.Sprintf("the %s %s", e.Actual, e.Value)
	}
	hint := e.Hint
	if hint != "" {
		hint = "; " + hint
	}
	return fmt.Sprintf("cannot read %s (%s) as %s%s", actual, e.Type, e.Expected, hint)
}

// EmptyPathComponentError says that a path has nothing between two dots, at its
// beginning or end, or in a bracket.
type EmptyPathComponentError struct {
	Requested string
	Offset    int // byte of the path that is missing
}

func (e *EmptyPathComponentError) Error() string {
	return fmt.Sprintf("path %s has an empty component at byte %d: write each member once between dots, as in %s", quote(e.Requested), e.Offset, quote(withoutEmpty(e.Requested)))
}

// withoutEmpty is a path without its empty components.
func withoutEmpty(path string) string {
	names := strings.FieldsFunc(errtext.Clip(path), func(r rune) bool { return r == '.' })
	return strings.ReplaceAll(strings.Join(names, "."), "[]", "[0]")
}

// PathSyntaxError says that a path cannot be taken apart.
type PathSyntaxError struct {
	Requested string
	Offset    int // byte of the path that is wrong
	Problem   string
}

func (e *PathSyntaxError) Error() string {
	return fmt.Sprintf("path %s is wrong at byte %d: %s", quote(e.Requested), e.Offset, e.Problem)
}

// PerCPUNotNarrowedError says that a value of a per-CPU map was asked for without
// saying of which CPU.
type PerCPUNotNarrowedError struct {
	Map  string
	CPUs int    // possible CPUs
	Path string // of what was asked for on CPU 0
}

func (e *PerCPUNotNarrowedError) Error() string {
	return fmt.Sprintf("%s has a value for each of %s: choose one with CPU(n) first, or in a path, as in %s", e.Map, errtext.Count(e.CPUs, "CPU", "CPUs"), e.Path)
}

// AmbiguousVarError says that several variables have that name: of several global
// sections, or static ones of objects that were linked.
type AmbiguousVarError struct {
	Requested string
	FoundIn   []string // the section's map of each, in the order of the capture
	MapIDs    []uint32 // its id
	Names     []string // what each is called in the section: calls#1; nil if as was requested
}

func (e *AmbiguousVarError) Error() string {
	places := make([]string, len(e.FoundIn))
	numbered := ""
	for i, name := range e.FoundIn {
		places[i] = fmt.Sprintf("%s (id %d)", name, e.MapIDs[i])
		if i < len(e.Names) && e.Names[i] != e.Requested {
			places[i] = e.Names[i] + " in " + places[i]
			numbered = e.Names[i]
		}
	}
	if numbered != "" {
		return fmt.Sprintf("%s are called %q, as static variables of objects that were linked can be: %s: say which, such as %q, or read one with MapByID(id).At(0).Get",
			errtext.Count(len(places), "variable", "variables"), e.Requested, errtext.List(places), numbered)
	}
	return fmt.Sprintf("%s are called %q, in %s: choose the active scheduler's with Active().Var, or one with MapByID(id).At(0).Get", errtext.Count(len(places), "variable", "variables"), e.Requested, errtext.List(places))
}

// NoActiveSchedulerError says that it cannot be told which of the captured programs
// the kernel schedules with.
type NoActiveSchedulerError struct{ Reason string }

func (e *NoActiveSchedulerError) Error() string {
	return fmt.Sprintf("no active scheduler: %s; choose maps with Select(ids...)", e.Reason)
}

// NoEntriesError says that a map holds memory and no entries, as an arena does.
type NoEntriesError struct {
	Map  string
	Type MapType
}

func (e *NoEntriesError) Error() string {
	return fmt.Sprintf("%s, %s, has pages and no entries: follow a pointer into it with Get, or take its pages from Map().Extents", e.Map, kindPhrase(e.Type.String()))
}

// NoCaptureError says that there is no snapshot to read.
type NoCaptureError struct{}

func (*NoCaptureError) Error() string {
	return "the snapshot is nil: its capture failed, and series.Capture.NoSnapshot says why"
}

// quote quotes what a caller wrote, cut short.
func quote(s string) string { return strconv.Quote(errtext.Clip(s)) }

// placeName names where a path has led to.
func placeName(walked string) string {
	if walked == "" {
		return "the value"
	}
	return errtext.Clip(walked)
}

func kindPhrase(kind string) string {
	if kind != "" && strings.ContainsRune("AEI", rune(kind[0])) {
		return "an " + kind
	}
	return "a " + kind
}
