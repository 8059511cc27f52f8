package cast_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/cast"
)

// suiteVariants are the compilers, levels and instruction sets that the suite's
// programs are compiled by and for: testdata/suite/compile.
var suiteVariants = []string{"19.O1.v4", "19.O2.v3", "22.O1.v3", "22.O2.v4"}

// suitePrograms returns the programs of the suite. Those of several units, lib_store and
// lib_user or NAME_unit1 and NAME_unit2, are linked, and judged as one with their header.
func suitePrograms(t *testing.T) map[string][]string {
	sources := make(map[string][]string)
	for _, source := range programs(t, "testdata/suite/*.bpf.c") {
		name := programName(source)
		linked, _, isUnit := strings.Cut(name, "_unit")
		if strings.HasPrefix(name, "lib_") {
			linked, isUnit = "lib", true
		}
		if isUnit {
			name = linked + "_linked"
		}
		sources[name] = append(sources[name], source)
	}
	sources["lib_linked"] = append(sources["lib_linked"], "testdata/suite/lib_store.h")
	sources["tdata_linked"] = append(sources["tdata_linked"], "testdata/suite/tdata.h")
	return sources
}

func suiteObject(name, variant string) string {
	return filepath.Join("testdata/suite/objects", name+"."+variant+".o")
}

// A truth comment says what an integer, or an untyped pointer, really holds: a
// pointer to one type in a space, a number, different things, or any of these.
// Places that are declared as pointers need none, and others hold none.
var suiteTruth = regexp.MustCompile(`truth: ((?:map )?\S+) (?:-> (.+?) \((.+?)\)|(number|different|any))`)

type suiteFact struct{ target, space, verdict string }

func suiteFacts(t *testing.T, sources []string) map[string]suiteFact {
	all := make(map[string]suiteFact)
	for _, source := range sources {
		b, err := os.ReadFile(source)
		require.NoError(t, err)
		for _, m := range suiteTruth.FindAllStringSubmatch(string(b), -1) {
			all[m[1]] = suiteFact{m[2], m[3], m[4]}
		}
	}
	return all
}

// suiteScore is how findings agree with the truth.
type suiteScore struct {
	recovered, missed int
	sure              int            // of what is recovered: not only guessed
	wrong             map[string]int // by class
	notes             []string
}

func (s *suiteScore) recall() float64 { return float64(s.recovered) / float64(s.recovered+s.missed) }

// sureRecall is recall without guesses, of which no code is generated.
func (s *suiteScore) sureRecall() float64 { return float64(s.sure) / float64(s.recovered+s.missed) }

func (s *suiteScore) recover(found []cast.Erased) {
	s.recovered += len(found)
	for _, e := range found {
		if e.Class != cast.Guessed.String() {
			s.sure++
		}
	}
}

func (s *suiteScore) miss(e cast.Erased) {
	s.missed++
	s.notes = append(s.notes, fmt.Sprintf("missed %s, %s: %s", placeOf(e), e.Was, e.Why))
}

func (s *suiteScore) mistake(e cast.Erased, want string) {
	s.wrong[e.Class]++
	s.notes = append(s.notes, fmt.Sprintf("wrong %s: %s (%s), is %s: %s", placeOf(e), e.Found, e.Class, want, e.Proof))
}

func (s *suiteScore) add(o *suiteScore) {
	s.recovered += o.recovered
	s.sure += o.sure
	s.missed += o.missed
	for class, n := range o.wrong {
		s.wrong[class] += n
	}
}

// placeOf is a place as truth comments spell it.
func placeOf(e cast.Erased) string {
	if strings.HasPrefix(e.Container, "map ") {
		return e.Container
	}
	return strings.TrimPrefix(strings.TrimPrefix(e.Container, "struct "), "section ") + "." + e.Path
}

// judge holds a ruling against the truth.
func judge(r *cast.Ruling, truths map[string]suiteFact) *suiteScore {
	s := &suiteScore{wrong: make(map[string]int)}
	s.recover(r.Recovered)
	for _, e := range r.Missed {
		s.miss(e)
	}
	for _, e := range r.Wrong {
		s.missed++
		s.mistake(e, e.Was)
	}
	open := maps.Clone(truths)
	for _, e := range r.Spurious {
		place := placeOf(e)
		truth := open[place]
		delete(open, place)
		switch {
		case truth.target == e.Found:
			s.recover([]cast.Erased{e})
		case truth.verdict != "any":
			s.mistake(e, truth.target+truth.verdict)
			if truth.target != "" {
				s.missed++
			}
		}
	}
	for _, place := range slices.Sorted(maps.Keys(open)) {
		if truth := open[place]; truth.target != "" {
			s.miss(cast.Erased{Container: place, Was: truth.target})
		}
	}
	return s
}

// TestPointersOfArenaSchedulersComeBack measures the analysis on programs with
// trees, lists, stacks, allocators and locks in an arena: what it finds of their
// pointers, and that it finds nothing else.
func TestPointersOfArenaSchedulersComeBack(t *testing.T) {
	for _, variant := range suiteVariants {
		t.Run(variant, func(t *testing.T) {
			total := suiteScore{wrong: make(map[string]int)}
			suite := suitePrograms(t)
			for _, name := range slices.Sorted(maps.Keys(suite)) {
				s := judge(rule(t, suiteObject(name, variant), cast.Options{}), suiteFacts(t, suite[name]))
				total.add(s)
				for _, note := range s.notes {
					t.Logf("%s: %s", name, note)
				}
			}
			t.Logf("recall %.3f, with guesses %.3f (%d and %d of %d), wrong by class: %v",
				total.sureRecall(), total.recall(), total.sure, total.recovered, total.recovered+total.missed, total.wrong)
			require.Greater(t, total.recall(), 0.91)
			require.Greater(t, total.sureRecall(), 0.898)
			require.Zero(t, total.wrong["proven"])
			require.Zero(t, total.wrong["likely"])
		})
	}
}
