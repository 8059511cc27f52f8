package ktest

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	goruntime "runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// This file finds out by itself what a test that has failed wants to know of its run.

// reads are the values that a test has read out of a guest's snapshots.
type reads struct {
	mu   sync.Mutex
	n    int // reads so far
	last map[extent]read
}

// extent is the memory of a value.
type extent struct {
	addr uint64 // of the kernel's
	size int
}

// read is the last one of a value.
type read struct {
	ktsnap.Location
	nth int
}

const (
	maxReads      = 1024    // values
	maxReadBytes  = 1 << 20 // of all of them
	maxBlamedRead = 5       // places that are told of
)

func (r *reads) note(at ktsnap.Location) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.last == nil {
		r.last = make(map[extent]read)
	}
	r.n++
	r.last[extent{at.Addr, at.Size}] = read{at, r.n}
	if len(r.last) >= 2*maxReads {
		oldest := r.n - maxReads
		maps.DeleteFunc(r.last, func(_ extent, v read) bool { return v.nth <= oldest })
	}
}

// list returns the values that were read last, in that order.
func (r *reads) list() []ktsnap.Location {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := slices.SortedFunc(maps.Values(r.last), func(a, b read) int { return cmp.Compare(a.nth, b.nth) })
	all = all[max(0, len(all)-maxReads):]
	list := make([]ktsnap.Location, len(all))
	for i, v := range all {
		list[i] = v.Location
	}
	return list
}

// noReads is told of a test that judges something else, such as what the kernel keeps.
const noReads = "the test has read none of the scheduler's variables out of a snapshot that is still in the guest, so that nothing is said of who wrote what: vm.Blame tells of those that you name"

// blameReads tells who has written to what a test has read: to what the line names that it
// failed at, to members with a race, and to what it has read by its path.
func (vm *VM) blameReads(ctx context.Context, line string) (string, error) {
	q := newInquiry(ctx, vm)
	bytes := 0
	for n, at := range slices.Backward(vm.reads.list()) {
		if bytes += at.Size; bytes > maxReadBytes {
			break
		}
		places, wholes := len(q.places), len(q.wholes)
		// What is no more has no place; the rest is told of.
		if at.Shape != nil && hasMembers(at.Shape) {
			_ = q.addWhole(at)
		} else {
			_ = q.add(place(at))
		}
		for _, p := range q.places[places:] {
			p.read = n
		}
		for _, w := range q.wholes[wholes:] {
			w.read = n
		}
	}
	if len(q.extents()) == 0 {
		return noReads, nil
	}
	if err := q.run(); err != nil {
		return "", fmt.Errorf("find who has written to what the test has read: %w", err)
	}
	var told []string
	splits := make(map[string]bool)
	for _, b := range q.worthTelling(line) {
		told = append(told, b.tell(splits))
	}
	return strings.Join(told, "\n"), nil
}

// whyFailed is blameReads for a test that has failed.
func (vm *VM) whyFailed(t *testing.T, line string) string {
	told, err := vm.blameReads(t.Context(), line)
	if err != nil {
		return err.Error()
	}
	return told
}

func hasMembers(s *ctype.Shape) bool {
	switch s.Underlying().Kind {
	case ctype.KindStruct, ctype.KindUnion, ctype.KindSection, ctype.KindArray:
		return true
	}
	return false
}

// maxElements bounds how many elements of one array are told of, which count as one place.
const maxElements = 2

// worthTelling chooses from the places of an inquiry, first what a line names, in its order.
// Where it names elements by variables, one is that which was read last.
func (q *inquiry) worthTelling(line string) (chosen []*Blamed) {
	direct := len(q.places)
	all := slices.Clone(q.places)
	for _, w := range q.wholes {
		for _, p := range w.all {
			p.read = w.read
		}
		all = append(all, w.all...)
	}
	l := parseLine(line)
	named := slices.DeleteFunc(slices.Clone(all), func(p *suspect) bool { return !l.names(p.Place) })
	elements := make(map[string]int) // that are chosen, by the path of their array
	choose := func(from []*suspect, most int, reason func(i int, p *suspect) bool) {
		for i, p := range from {
			array := index.ReplaceAllString(p.Place, "[]")
			switch n := elements[array]; {
			case n == 0 && len(elements) == maxBlamedRead, n >= most, slices.Contains(chosen, &p.Blamed) || !reason(i, p):
				continue
			}
			elements[array]++
			chosen = append(chosen, &p.Blamed)
		}
	}
	inLine := func(a, b *suspect) int {
		return l.words[folded(lastName(a.Place))] - l.words[folded(lastName(b.Place))]
	}
	slices.SortStableFunc(named, func(a, b *suspect) int { return cmp.Or(inLine(a, b), b.read-a.read, a.interest()-b.interest()) })
	choose(named, 1, func(int, *suspect) bool { return true })
	slices.SortStableFunc(named, func(a, b *suspect) int { return cmp.Or(inLine(a, b), a.interest()-b.interest(), b.read-a.read) })
	choose(named, maxElements, func(int, *suspect) bool { return true })
	choose(all, maxElements, func(_ int, p *suspect) bool { return len(p.Races) > 0 })
	choose(all, maxElements, func(_ int, p *suspect) bool { return len(p.Splits) > 0 })
	choose(all, maxElements, func(i int, p *suspect) bool { return i < direct && p.changed() })
	return chosen
}

// interest sorts the elements of an array: first those that raced, then those that programs store to.
func (p *suspect) interest() int {
	switch {
	case len(p.Races)+len(p.Splits) > 0:
		return 0
	case slices.ContainsFunc(p.Stores, func(s Store) bool { return s.Function.BPF }):
		return 1
	}
	return 2
}

// changed reports whether a store has changed the place. Memory is cleared before it becomes a map's.
func (p *suspect) changed() bool {
	return slices.ContainsFunc(p.Stores, func(s Store) bool { return s.Old != s.New })
}

// lastName returns the last member of a path.
func lastName(path string) string {
	path = path[strings.LastIndexByte(path, '.')+1:]
	name, _, _ := strings.Cut(path, "[")
	return name
}

// folded makes one of the names of a member in C and in Go.
func folded(name string) string { return strings.ToLower(strings.ReplaceAll(name, "_", "")) }

// sourceLine is a line of a test, by what it names.
type sourceLine struct {
	words    map[string]int             // and where they are first; folded
	elements map[string]map[string]bool // indexes that are numbers, by the folded names in front
}

var (
	word    = regexp.MustCompile(`[\pL\d_]+`)
	index   = regexp.MustCompile(`\[[^\]]*\]`)
	element = regexp.MustCompile(`([\pL\d_]+)\[(\d+)\]`)
	entry   = regexp.MustCompile(`([\pL\d_]+)\(\)\.(?:At|Get)\((\d+)\)`)
)

func parseLine(line string) sourceLine {
	l := sourceLine{words: make(map[string]int), elements: make(map[string]map[string]bool)}
	for _, at := range word.FindAllStringIndex(line, -1) {
		w := folded(line[at[0]:at[1]])
		if _, ok := l.words[w]; !ok {
			l.words[w] = at[0]
		}
	}
	for _, m := range append(element.FindAllStringSubmatch(line, -1), entry.FindAllStringSubmatch(line, -1)...) {
		array := folded(m[1])
		if l.elements[array] == nil {
			l.elements[array] = make(map[string]bool)
		}
		l.elements[array][m[2]] = true
	}
	return l
}

// names reports whether the line names the last member of a path, and no other elements than the path's.
func (l sourceLine) names(path string) bool {
	for _, m := range element.FindAllStringSubmatch(path, -1) {
		if indexes := l.elements[folded(m[1])]; indexes != nil && !indexes[m[2]] {
			return false
		}
	}
	_, ok := l.words[folded(lastName(path))]
	return ok
}

// failedAt returns the line of a test that ends its goroutine: those of the caller's callers that have
// not returned are those that t.FailNow has ended. It is empty for a test that has returned.
func failedAt() string {
	var pcs [64]uintptr
	frames := goruntime.CallersFrames(pcs[:goruntime.Callers(2, pcs[:])])
	for {
		frame, more := frames.Next()
		if strings.HasSuffix(frame.File, "_test.go") {
			return lineOf(frame.File, frame.Line)
		}
		if !more {
			return ""
		}
	}
}

// lineOf returns a line of a file. Paths are cut short by -trimpath; tests run in their directory.
func lineOf(file string, n int) string {
	f, err := os.Open(file)
	if err != nil {
		f, err = os.Open(filepath.Base(file))
	}
	if err != nil {
		return ""
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for range n {
		if !lines.Scan() {
			return ""
		}
	}
	return lines.Text()
}
