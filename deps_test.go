package ktgen

import (
	"go/build"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/ktgen/ktgen/"

// policy is the table of packages in ARCHITECTURE.md: which packages of this module
// one may import, tests left aside. A folder stands for itself and what is below it,
// and the innermost row counts. What is below a package it may import without a word.
//
// ARCHITECTURE.md has the reasons. Where this test fails the design is up for
// discussion, not the test.
func policy(t *testing.T) map[string][]string {
	text, err := os.ReadFile("ARCHITECTURE.md")
	require.NoError(t, err)
	_, table, found := strings.Cut(string(text), "\n| package | does | imports of ours |\n|---|---|---|\n")
	require.True(t, found, "ARCHITECTURE.md has no table of packages")
	rules := make(map[string][]string)
	for line := range strings.Lines(table) {
		cells := strings.Split(strings.TrimSpace(line), "|")
		if len(cells) != 5 {
			break
		}
		dir := strings.Trim(cells[1], " `")
		require.NotContains(t, rules, dir, "a package has two rows")
		rules[dir] = append(strings.FieldsFunc(cells[3], func(r rune) bool { return r == ',' || r == ' ' }), dir)
	}
	return rules
}

// onlyStd is the folder whose packages import the standard library and nothing else of
// other people's, so that generated code adds nothing to the module that uses it.
const onlyStd = "runtime"

func TestPackagesImportOnlyWhatTheArchitectureAllows(t *testing.T) {
	rules := policy(t)
	used := make(map[string]bool) // rows, and what rows allow: "row: package"
	for _, dir := range packageDirs(t) {
		pkg, err := build.ImportDir(dir, 0)
		require.NoError(t, err)

		rule := ruleFor(rules, dir)
		if rule == "" {
			t.Errorf("%s has no row in ARCHITECTURE.md", dir)
			continue
		}
		used[rule] = true
		for _, path := range pkg.Imports {
			by, isAllowed := allowed(dir, path, rules[rule])
			if !isAllowed {
				t.Errorf("%s imports %s, and %s may import only %v", dir, path, rule, rules[rule])
			}
			used[rule+": "+by] = true
		}
	}
	for dir, imports := range rules {
		if !used[dir] {
			t.Errorf("ARCHITECTURE.md has a row of %s, which is no package", dir)
		}
		for _, other := range imports {
			if !used[dir+": "+other] && other != dir {
				t.Errorf("ARCHITECTURE.md says that %s imports %s, which it does not", dir, other)
			}
		}
	}
}

// allowed tells whether a package may import what has a path, and which entry of its row
// says so, if the path is one of this module's.
func allowed(dir, path string, rule []string) (by string, ok bool) {
	own, ours := strings.CutPrefix(path, module)
	if !ours {
		return "", !within(dir, onlyStd) || !strings.Contains(strings.Split(path, "/")[0], ".")
	}
	i := slices.IndexFunc(rule, func(dir string) bool { return within(own, dir) })
	if i < 0 {
		return "", false
	}
	return rule[i], true
}

// ruleFor finds the row that dir falls under, the innermost.
func ruleFor(rules map[string][]string, dir string) (rule string) {
	for r := range rules {
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
