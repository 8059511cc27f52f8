package main

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/ktgen/ktgen/gen"
	"github.com/ktgen/ktgen/templates"
)

// This file chooses what the first test of a scheduler reads.

// mapReads are the templates that read a map, the most telling kind first.
var mapReads = []struct {
	returned string // by the accessor
	template string
}{
	{"PerCPUArray", "read_percpu_array"},
	{"Array", "read_array"},
	{"Hash", "read_hash"},
	{"PerCPUHash", "read_percpu_hash"},
	{"TaskStorage", "read_task_storage"},
}

// read is a template and what it is filled with.
type read struct {
	template string
	templates.Read
}

// maxReadValue is the size in bytes of the values that a first test logs.
const maxReadValue = 512

// maxReadVars is how many global variables a first test logs.
const maxReadVars = 3

// firstReads returns the statements of a first test: one reads a map, the other
// global variables, if there are such.
func firstReads(accessors []gen.Accessor) ([]string, error) {
	var chosen []read
	if maps := readableMaps(accessors); len(maps) > 0 {
		chosen = append(chosen, maps[0])
	}
	if sections := readableSections(accessors); len(sections) > 0 {
		chosen = append(chosen, sections[0])
	}
	if len(chosen) == 0 {
		chosen = []read{{template: "read_snapshot"}}
	}
	return renderReads(chosen)
}

func renderReads(reads []read) ([]string, error) {
	var statements []string
	for _, r := range reads {
		text, err := templates.Render(r.template, r.Read)
		if err != nil {
			return nil, err
		}
		statements = append(statements, strings.TrimRight(string(text), "\n"))
	}
	return statements, nil
}

// readableMaps returns how to read each map whose values are decoded and small,
// those that seem to count something first.
func readableMaps(accessors []gen.Accessor) []read {
	var reads []read
	for _, kind := range mapReads {
		for _, each := range accessors {
			if each.Type == kind.returned && each.Size > 0 && each.Size <= maxReadValue {
				reads = append(reads, read{kind.template, templates.Read{Accessor: each.Name, Name: inFormat(each.CName)}})
			}
		}
	}
	return countersFirst(reads, func(r read) string { return r.Name })
}

// readableSections returns how to read some numbers of each section, those that
// change before those that do not.
func readableSections(accessors []gen.Accessor) []read {
	var reads []read
	for _, prefix := range []string{".bss", ".data", ".rodata"} {
		for _, s := range accessors {
			vars := chosenNumbers(s.Numbers)
			if strings.HasPrefix(s.CName, prefix) && len(vars) > 0 {
				reads = append(reads, read{"read_section", templates.Read{Accessor: s.Name, Name: inFormat(s.CName), Vars: vars}})
			}
		}
	}
	return reads
}

// inFormat writes a name of the object, which can have any characters, for the
// format string of a Printf in Go source.
func inFormat(name string) string {
	quoted := strconv.Quote(name)
	return strings.ReplaceAll(quoted[1:len(quoted)-1], "%", "%%")
}

// kernelConstant begins the Go names of variables such as __SCX_SLICE_DFL, which
// the headers of the kernel's own schedulers put into .rodata.
const kernelConstant = "SCX"

// chosenNumbers returns variables of a section that are numbers of the scheduler's.
func chosenNumbers(all []string) []string {
	vars := slices.DeleteFunc(slices.Clone(all), func(name string) bool { return strings.HasPrefix(name, kernelConstant) })
	vars = countersFirst(vars, func(name string) string { return name })
	return vars[:min(len(vars), maxReadVars)]
}

// counter matches names, in C and in Go, that are given to what counts.
var counter = regexp.MustCompile(`(?i)^nr|stats|count|cnt|total`)

// countersFirst puts what is named like a counter first, and changes the order
// in no other way.
func countersFirst[T any](all []T, name func(T) string) []T {
	rank := func(x T) int {
		if counter.MatchString(name(x)) {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(all, func(a, b T) int { return rank(a) - rank(b) })
	return all
}
