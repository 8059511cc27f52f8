package ktgen

import (
	"go/build"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/ktgen/ktgen/"

// policy says which packages of this module a package may import, tests left
// aside. A folder stands for itself and what is below it; "std" means nothing
// but the standard library.
//
// ARCHITECTURE.md has the reasons. Where this test fails the design is up for
// discussion, not the test.
var policy = map[string][]string{
	"runtime/nearest":            {"std"},
	"runtime/internal/errtext":   {"std"},
	"runtime/ctype":              {"std", "runtime/nearest", "runtime/internal/errtext"},
	"runtime/internal/convert":   {"std", "runtime/ctype", "runtime/nearest", "runtime/internal/errtext"},
	"runtime/internal/shapetest": {"std", "runtime/ctype"},
	"runtime":                    {"std", "runtime"},

	"btf":           {"runtime"},
	"object":        {"btf", "runtime"},
	"cast":          {"btf", "object", "runtime"},
	"gen":           {"runtime", "btf", "object", "cast"},
	"templates":     {},
	"cmd/ktgen":     {"gen", "cast", "btf", "object", "templates", "runtime", "vmm/kernel", "vmm/cache", "dump"},
	"freeze":        {"runtime", "btf", "freeze"},
	"vmm":           {"vmm"},
	"series":        {"runtime"},
	"capture":       {"runtime", "series"},
	"dump":          {"runtime"},
	"scenario":      {"runtime", "vmm/guest", "scenario"},
	"ktest":         {"runtime", "btf", "object", "cast", "freeze", "vmm", "series", "capture", "dump", "scenario", "ktest"},
	"example_sched": {"runtime", "ktest", "series", "freeze", "scenario", "example_sched"},
}

func TestPackagesImportOnlyWhatTheArchitectureAllows(t *testing.T) {
	for _, dir := range packageDirs(t) {
		pkg, err := build.ImportDir(dir, 0)
		require.NoError(t, err)

		rule := ruleFor(dir)
		if !assertRule(t, dir, rule) {
			continue
		}
		for _, path := range pkg.Imports {
			if !allowed(path, policy[rule]) {
				t.Errorf("%s imports %s, and %s may import only %v", dir, path, rule, policy[rule])
			}
		}
	}
}

func assertRule(t *testing.T, dir, rule string) bool {
	if rule == "" {
		t.Errorf("%s has no entry in the import policy", dir)
	}
	return rule != ""
}

func allowed(path string, rule []string) bool {
	own, ours := strings.CutPrefix(path, module)
	if !ours {
		return !slices.Contains(rule, "std") || !strings.Contains(strings.Split(path, "/")[0], ".")
	}
	return slices.ContainsFunc(rule, func(dir string) bool { return within(own, dir) })
}

// ruleFor finds the entry of the policy that dir falls under, the innermost.
func ruleFor(dir string) (rule string) {
	for r := range policy {
		if within(dir, r) && len(r) > len(rule) {
			rule = r
		}
	}
	return rule
}

func within(path, dir string) bool {
	return path == dir || strings.HasPrefix(path, dir+"/")
}

// packageDirs lists the folders with Go files that are not only tests.
func packageDirs(t *testing.T) []string {
	var dirs []string
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") && path != ".") {
			return filepath.SkipDir
		}
		dir := filepath.Dir(path)
		if strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") && !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
		return nil
	})
	require.NoError(t, err)
	require.NotEmpty(t, dirs)
	return dirs
}
