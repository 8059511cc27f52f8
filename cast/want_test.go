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

	"github.com/cilium/ebpf/btf"
	"github.com/stretchr/testify/require"

	ktbtf "github.com/ktgen/ktgen/btf"
	"github.com/ktgen/ktgen/cast"
	"github.com/ktgen/ktgen/object"
	"github.com/ktgen/ktgen/runtime/ctype"
)

// compiled returns the objects of the C programs in testdata, by compiler and
// level of optimisation: name.clang-19.O2.o. testdata/compile makes them.
func compiled(t *testing.T, name string) []string {
	t.Helper()
	paths, err := filepath.Glob("testdata/objects/" + name + ".clang-*.O?.o")
	require.NoError(t, err)
	require.Len(t, paths, 4, "objects of %s: run testdata/compile", name)
	return paths
}

// programs returns the C programs below testdata.
func programs(t *testing.T, pattern string) (sources []string) {
	t.Helper()
	sources, err := filepath.Glob(pattern)
	require.NoError(t, err)
	require.NotEmpty(t, sources)
	return sources
}

func programName(source string) string { return strings.TrimSuffix(filepath.Base(source), ".bpf.c") }

// TestObjectsAreOfTheirSources holds the lines that objects were compiled from
// to those of the sources.
func TestObjectsAreOfTheirSources(t *testing.T) {
	for _, source := range append(programs(t, "testdata/*.bpf.c"), programs(t, "testdata/sched/*.bpf.c")...) {
		for _, path := range compiled(t, programName(source)) {
			requireLinesOf(t, path, source)
		}
	}
}

// requireLinesOf fails unless all lines that an object has of a source are
// those of the file.
func requireLinesOf(t *testing.T, path, source string) {
	t.Helper()
	b, err := os.ReadFile(source)
	require.NoError(t, err)
	lines := strings.Split(string(b), "\n")
	obj, err := object.Open(path)
	require.NoError(t, err)
	compared := 0
	for _, c := range obj.Code {
		for _, l := range c.Lines {
			if !strings.HasSuffix(l.File, filepath.Base(source)) || l.Number == 0 {
				continue
			}
			require.LessOrEqual(t, l.Number, len(lines), "%s is older than its source: run testdata/compile", path)
			require.Equal(t, lines[l.Number-1], l.Text, "%s:%d: %s is older than its source: run testdata/compile", source, l.Number, path)
			compared++
		}
	}
	require.Positive(t, compared, "%s has no line of %s", path, source)
}

// TestFindingsAreThoseThatTheSourceWants compares findings and conflicts with
// the want comments of C programs: every finding is wanted, every want is
// found, and the line of the comment is one that the evidence names. The code
// of all compilers gives the same.
func TestFindingsAreThoseThatTheSourceWants(t *testing.T) {
	for _, source := range programs(t, "testdata/*.bpf.c") {
		for _, path := range compiled(t, programName(source)) {
			t.Run(filepath.Base(path), func(t *testing.T) {
				obj, err := object.Open(path)
				require.NoError(t, err)
				r := cast.Analyze(obj)
				require.Empty(t, r.Gaps)
				wanted, found := wants(t, source), findings(r)
				require.Empty(t, missing(wanted, found), "wanted, and not found")
				require.Empty(t, missing(found, wanted), "found, and not wanted")
				for finding, line := range wanted {
					if line > 0 {
						require.Contains(t, found[finding], line, "evidence for %s", finding)
					}
				}
			})
		}
	}
}

// TestPointersOfSchedulersComeBack measures recall on programs in the style of
// sched_ext's, written with pointers that have types.
func TestPointersOfSchedulersComeBack(t *testing.T) {
	for _, source := range programs(t, "testdata/sched/*.bpf.c") {
		for _, path := range compiled(t, programName(source)) {
			t.Run(filepath.Base(path), func(t *testing.T) {
				obj, err := object.Open(path)
				require.NoError(t, err)
				r := cast.Rule(obj, cast.Options{})
				require.Greater(t, r.Touched(), 10)
				require.Empty(t, r.Missed)
				require.Empty(t, r.Wrong)
				require.Empty(t, r.Spurious)
			})
		}
	}
}

// missing returns the keys of a that b does not have.
func missing[V, W any](a map[string]V, b map[string]W) (keys []string) {
	for _, k := range slices.Sorted(maps.Keys(a)) {
		if _, ok := b[k]; !ok {
			keys = append(keys, k)
		}
	}
	return keys
}

// A comment that says holds in place of want stands at a declaration.
var wantComment = regexp.MustCompile(`(?:/\*|//) (want|holds) (.+?)(?: \*/|$)`)

// wants returns the lines of the wanted findings, 0 for those at declarations.
func wants(t *testing.T, source string) map[string]int {
	b, err := os.ReadFile(source)
	require.NoError(t, err)
	lines := make(map[string]int)
	for i, line := range strings.Split(string(b), "\n") {
		for _, m := range wantComment.FindAllStringSubmatch(line, -1) {
			if lines[m[2]] = i + 1; m[1] == "holds" {
				lines[m[2]] = 0
			}
		}
	}
	return lines
}

// findings returns findings as want comments spell them, with the lines of
// their evidence.
func findings(r *cast.Result) map[string][]int {
	found := make(map[string][]int)
	for _, f := range r.Findings {
		text := fmt.Sprintf("%s -> %s (%v, %v)", placeName(f.Container, f.Map, f.Path), ktbtf.Spell(f.Target), spaceInTruth(f.Space), f.Class)
		found[text] = lineNumbers(f.Evidence)
	}
	for _, c := range r.Conflicts {
		found["conflict "+placeName(c.Container, c.Map, c.Path)] = lineNumbers(c.Evidence)
	}
	return found
}

func placeName(container btf.Type, m *object.Map, path string) string {
	if m != nil {
		return m.Name
	}
	return strings.TrimPrefix(strings.TrimPrefix(ktbtf.Spell(container), "struct "), "section ") + "." + path
}

func lineNumbers(evidence []cast.Evidence) (numbers []int) {
	for _, e := range evidence {
		if e.Line != nil {
			numbers = append(numbers, e.Line.Number)
		}
	}
	return numbers
}

// spaceInTruth names a space as the sources of the programs do.
func spaceInTruth(s ctype.Space) string {
	if s == ctype.SpaceMap {
		return "map value"
	}
	return s.String()
}
