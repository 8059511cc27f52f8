package cast_test

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	ktbtf "github.com/ktgen/ktgen/btf"
	"github.com/ktgen/ktgen/cast"
	"github.com/ktgen/ktgen/object"
)

// compilers are those whose code the expectations must hold for; the first one
// has to be there.
var compilers = []string{"clang-19", "clang-16"}

// compile compiles a C file of testdata.
func compile(t *testing.T, clang, level, source string) *object.Object {
	t.Helper()
	if _, err := exec.LookPath(clang); err != nil {
		if os.Getenv("CI") == "true" && clang == compilers[0] {
			t.Fatalf("%s is not installed", clang)
		}
		t.Skipf("%s is not installed: apt-get install %s", clang, clang)
	}
	out := filepath.Join(t.TempDir(), strings.TrimSuffix(filepath.Base(source), ".c")+".o")
	cmd := exec.Command(clang, "-g", level, "-mcpu=v3", "-target", "bpf", "-Wno-visibility", "-c", source, "-o", out)
	msg, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", msg)
	obj, err := object.Open(out)
	require.NoError(t, err)
	return obj
}

// TestFindingsAreThoseThatTheSourceWants compares findings with the want
// comments of C programs: every finding is wanted, every want is found, and the
// line of the comment is one that the evidence names.
func TestFindingsAreThoseThatTheSourceWants(t *testing.T) {
	sources, err := filepath.Glob("testdata/*.bpf.c")
	require.NoError(t, err)
	for _, source := range sources {
		for _, clang := range compilers {
			for _, level := range []string{"-O1", "-O2"} {
				t.Run(fmt.Sprintf("%s/%s%s", filepath.Base(source), clang, level), func(t *testing.T) {
					r := cast.Analyze(compile(t, clang, level, source))
					require.Empty(t, r.Gaps)
					wanted, found := wants(t, source), findings(r)
					require.Empty(t, missing(wanted, found), "wanted, and not found")
					require.Empty(t, missing(found, wanted), "found, and not wanted")
					for finding, line := range wanted {
						require.Contains(t, found[finding], line, "evidence for %s", finding)
					}
				})
			}
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

var wantComment = regexp.MustCompile(`/\* want (.+?) \*/`)

// wants returns the lines of the wanted findings.
func wants(t *testing.T, source string) map[string]int {
	b, err := os.ReadFile(source)
	require.NoError(t, err)
	lines := make(map[string]int)
	for i, line := range strings.Split(string(b), "\n") {
		for _, m := range wantComment.FindAllStringSubmatch(line, -1) {
			lines[m[1]] = i + 1
		}
	}
	return lines
}

// findings returns findings as want comments spell them, with the lines of
// their evidence.
func findings(r *cast.Result) map[string][]int {
	found := make(map[string][]int)
	for _, f := range r.Findings {
		name := strings.TrimPrefix(ktbtf.Spell(f.Container), "struct ") + "." + f.Path
		if f.Map != nil {
			name = f.Map.Name
		}
		text := fmt.Sprintf("%s -> %s (%v, %v)", strings.TrimPrefix(name, "section "), ktbtf.Spell(f.Target), f.Space, f.Class)
		found[text] = nil
		for _, e := range f.Evidence {
			if e.Line != nil {
				found[text] = append(found[text], e.Line.Number)
			}
		}
	}
	return found
}
