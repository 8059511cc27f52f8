package ktsnap

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/internal/errtext"
	"github.com/ktgen/ktgen/runtime/nearest"
)

// Get returns the value at a path through the snapshot, as errors and diffs
// write paths:
//
//	scx_per_task[cpu=1][0].ctx.weight   an entry of a map, for a CPU
//	task_ctxs[1234].comm                by its key: a number, or "text" in quotes
//	edges[{from: 1, to: 2}]             as keys are written; or by its bytes, 0x0100000002000000
//	tasks[pid=17].weight                by the task that it belongs to
//	task_ctxs[#2]                       by its place in the capture
//	queues[1][0].pid                    an entry of the map in a map of maps
//	mysched.bss#2.nr_dispatched         of the second map of that name
//	mysched.bss.nr_dispatched           a variable of a section
//	nr_dispatched                       a variable that only one section has
//	["running.calls"]                   a static variable of a function, in quotes or not
//
// The value's error is that of [Snapshot.Map] or of the reads that follow, or a
// [*PathSyntaxError] for what is no path.
func (s *Snapshot) Get(path string) Value {
	if len(path) > maxPath {
		return Value{err: &PathSyntaxError{Requested: path, Offset: maxPath, Problem: fmt.Sprintf("it is longer than %d bytes", maxPath)}}
	}
	name, rest := splitMap(s, path)
	if name == "" {
		name, rest = splitName(quoteDotted(path, s.hasVar))
		v := s.Var(name)
		if v.Err() != nil {
			if strings.HasPrefix(rest, "[") || len(s.Maps) > 0 && closer(s, name) {
				return Value{err: s.Map(name).Err()}
			}
			return v
		}
		return v.Get(rest)
	}
	m := s.Map(name)
	if err := m.Err(); err != nil {
		return Value{err: err}
	}
	if m.m.Single && (!strings.HasPrefix(rest, "[") || strings.HasPrefix(rest, `["`)) {
		return m.At(0).Get(quoteDotted(rest, m.m.hasVar))
	}
	return findEntry(m, path, len(path)-len(rest))
}

// splitMap returns the map that a path begins with, and what follows its name;
// the name is empty if there is none.
func splitMap(s *Snapshot, path string) (name, rest string) {
	end := len(path)
	if i := strings.IndexByte(path, '['); i >= 0 {
		end = i
	}
	for end > 0 {
		if !unknown(s.Map(path[:end]).Err()) {
			return path[:end], strings.TrimPrefix(path[end:], ".")
		}
		end = max(0, strings.LastIndexByte(path[:end], '.'))
	}
	return "", path
}

// quoteDotted puts the name that a path begins with in brackets and quotes if it has
// dots, as those of static variables of functions have: has tells which names there are.
func quoteDotted(path string, has func(string) bool) string {
	first, _ := splitName(path)
	for end := len(path); end > len(first) && !has(first); end = strings.LastIndexAny(path[:end], ".[") {
		if has(path[:end]) {
			return "[" + strconv.Quote(path[:end]) + "]" + path[end:]
		}
	}
	return path
}

// hasVar tells whether a section has a variable of that name.
func (s *Snapshot) hasVar(name string) bool {
	r := s.reader()
	r.globals.load(r)
	return len(r.globals.byName[name]) > 0
}

// hasVar tells whether a section has a variable of that name.
func (m *mapReader) hasVar(name string) bool {
	shape, err := m.valueShape()
	return err == nil && shape != nil && slices.ContainsFunc(shape.Members, func(m ctype.Member) bool { return m.Name == name })
}

// splitName splits a path behind its first component.
func splitName(path string) (name, rest string) {
	if strings.HasPrefix(path, `["`) {
		if quoted, next, err := quotedBracket(path, 0); err == nil {
			name, _ = strconv.Unquote(quoted)
			return name, strings.TrimPrefix(path[next:], ".")
		}
	}
	end := strings.IndexAny(path, ".[")
	if end <= 0 {
		return path, ""
	}
	return path[:end], strings.TrimPrefix(path[end:], ".")
}

// closer tells whether a name is more like that of a map than like that of any
// variable.
func closer(s *Snapshot, name string) bool {
	var names []string
	for _, v := range s.Views() {
		names = append(names, v.Map().Name)
	}
	near := nearest.Name(name, names)
	return near != "" && slices.Contains(names, near)
}

// findEntry goes through the brackets that choose an entry.
func findEntry(m MapView, path string, at int) Value {
	var entry Entry
	chosen, perCPU := false, m.Map().Slots > 1 || m.Map().Type.IsPerCPU()
	for !chosen && at < len(path) && path[at] == '[' {
		text, next, err := keyBracket(path, at)
		if err != nil {
			return Value{err: err}
		}
		if number, isCPU := strings.CutPrefix(text, "cpu="); isCPU {
			cpu, err := strconv.Atoi(number)
			if err != nil {
				return Value{err: &PathSyntaxError{Requested: path, Offset: at, Problem: "a CPU is chosen by its number: [cpu=1]"}}
			}
			if m = m.CPU(cpu); m.Err() != nil {
				return Value{err: m.Err()}
			}
			at = next
			continue
		}
		if entry, err = pick(m, path, at, text); err != nil {
			return Value{err: err}
		}
		chosen, at = true, next
	}
	switch {
	case !chosen:
		return Value{err: &PathSyntaxError{Requested: path, Offset: at, Problem: howToChoose(m, perCPU)}}
	case m.Map().Type.HoldsMaps() && at < len(path):
		if m = entry.Inner(); m.Err() != nil {
			return Value{err: m.Err()}
		}
		return findEntry(m, path, at)
	}
	return entry.Get(strings.TrimPrefix(path[at:], "."))
}

func howToChoose(m MapView, perCPU bool) string {
	n, _ := m.Partial().Len() // none if the map cannot be read
	if n == 0 {
		return "the map has no entries"
	}
	e := m.At(0)
	if perCPU {
		e = e.CPU(0)
	}
	return fmt.Sprintf("the map has %s: choose one, as in %s", errtext.Count(n, "entry", "entries"), e.Path())
}

// fromC writes the NULs of a quoted text as Go does: \x00, where C takes \0.
func fromC(text string) string {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		b.WriteByte(text[i])
		if text[i] != '\\' || i+1 == len(text) {
			continue
		}
		i++
		if text[i] == '0' && (i+1 == len(text) || text[i+1] < '0' || text[i+1] > '7') {
			b.WriteString("x0")
		}
		b.WriteByte(text[i])
	}
	return b.String()
}

// keyOf returns the text or the number that a bracket has as a key.
func keyOf(text string) any {
	if quoted, err := strconv.Unquote(fromC(text)); err == nil {
		return quoted
	}
	if n, err := strconv.ParseInt(text, 0, 64); err == nil {
		return n
	}
	if n, err := strconv.ParseUint(text, 0, 64); err == nil {
		return n
	}
	return text
}

// pick returns the entry that a bracket names.
func pick(m MapView, path string, at int, text string) (Entry, error) {
	text = strings.TrimPrefix(text, "pid=")
	var e Entry
	if number, ok := strings.CutPrefix(text, "#"); ok {
		i, err := strconv.Atoi(number)
		if err != nil {
			return e, &PathSyntaxError{Requested: path, Offset: at, Problem: "# goes before the number of an entry: [#2]"}
		}
		e = m.At(i)
		return e, e.Err()
	}
	key := keyOf(text)
	n, isNumber := key.(int64)
	if isNumber && m.Map().Keys == nil && len(m.Map().Owners) == 0 {
		e = m.At(int(n))
		return e, e.Err()
	}
	e = m.Lookup(key)
	if e.Err() == nil || m.broken() {
		return e, e.Err()
	}
	switch i, err := m.m.lookupText(text); {
	case err != nil:
		return e, &Error{Op: "Lookup", Path: m.m.Name, Err: err}
	case i >= 0:
		e = m.At(i)
	case m.Map().Keys != nil && !(isNumber && m.m.hasIntegralKeys()):
		e = m.lacks(text) // keys of any type are written so
	}
	return e, e.Err()
}

func unknown(err error) bool {
	var notFound *MapNotFoundError
	return errors.As(err, &notFound)
}
