package ktest

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"unicode"

	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// This file finds out by itself what a test that has failed wants to know of its run.

// reads are the values that a test has read out of a guest's snapshots.
type reads struct {
	mu  sync.Mutex
	all []ktsnap.Location // of different places, in the order of the last read
}

const (
	maxReads      = 64      // places
	maxReadBytes  = 1 << 20 // of all of them
	maxBlamedRead = 5       // places that are told of
)

func (r *reads) note(at ktsnap.Location) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = slices.DeleteFunc(r.all, func(l ktsnap.Location) bool { return l.Addr == at.Addr && l.Size == at.Size })
	r.all = append(r.all, at)
	r.all = r.all[max(0, len(r.all)-maxReads):]
}

func (r *reads) list() []ktsnap.Location {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.all)
}

// blameReads tells who has written to what a test has read: to what the line names that it
// failed at, to members with a race, and to what it has read by its path.
func (vm *VM) blameReads(ctx context.Context, line string) (string, error) {
	q := newInquiry(ctx, vm)
	bytes := 0
	for _, at := range slices.Backward(vm.reads.list()) {
		if bytes += at.Size; bytes > maxReadBytes {
			break
		}
		// What is no more has no place; the rest is told of.
		if at.Shape != nil && hasMembers(at.Shape) {
			_ = q.addWhole(at)
			continue
		}
		_ = q.add(place(at))
	}
	if len(q.extents()) == 0 {
		return "", nil
	}
	if err := q.run(); err != nil {
		return "", fmt.Errorf("find who has written to what the test has read: %w", err)
	}
	var told []string
	for _, b := range q.worthTelling(line) {
		told = append(told, b.String())
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

// worthTelling chooses from the places of an inquiry.
func (q *inquiry) worthTelling(line string) (chosen []*Blamed) {
	direct := len(q.places)
	all := slices.Clone(q.places)
	for _, w := range q.wholes {
		all = append(all, w.all...)
	}
	words := wordsOf(line)
	for _, reason := range []func(i int, p *suspect) bool{
		func(_ int, p *suspect) bool { return words[folded(lastName(p.Place))] },
		func(_ int, p *suspect) bool { return len(p.Races) > 0 },
		func(_ int, p *suspect) bool { return len(p.Splits) > 0 },
		func(i int, p *suspect) bool { return i < direct && p.changed() },
	} {
		for i, p := range all {
			if len(chosen) < maxBlamedRead && reason(i, p) && !slices.Contains(chosen, &p.Blamed) {
				chosen = append(chosen, &p.Blamed)
			}
		}
	}
	return chosen
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

func wordsOf(line string) map[string]bool {
	words := make(map[string]bool)
	for _, w := range strings.FieldsFunc(line, func(r rune) bool { return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
		words[folded(w)] = true
	}
	return words
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
