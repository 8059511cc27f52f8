package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

//go:generate make -s -C testdata/golden/objects

const golden = "testdata/golden"

// Each folder is a command line of ktgen, an argument on each line of args, and
// what it prints and writes. Of choices it is what they change: how the file differs
// from what is generated of the same objects without them, unless that is longer.
// Objects are those in testdata/golden/objects.
func TestGolden(t *testing.T) {
	cases, err := filepath.Glob(golden + "/*/args")
	require.NoError(t, err)
	require.NotEmpty(t, cases)
	for _, args := range cases {
		dir := filepath.Dir(args)
		t.Run(filepath.Base(dir), func(t *testing.T) {
			args := goldenArgs(t, dir)
			first, second := runGolden(t, args), runGolden(t, args)
			require.Equal(t, first, second, "the same command line gives the same")
			if without := withoutChoices(args); len(without) < len(args) {
				showChoices(t, first, runGolden(t, without))
			}
			if *update {
				updateGolden(t, dir, first)
			}
			require.Equal(t, readWanted(t, dir), first, "go test ./cmd/ktgen -run TestGolden -update accepts what there is")
		})
	}
}

// goldenArgs returns the arguments of a case.
func goldenArgs(t *testing.T, dir string) []string {
	t.Helper()
	args := strings.Split(strings.TrimSpace(fileText(t, filepath.Join(dir, "args"))), "\n")
	for i, arg := range args {
		if i > 0 && (args[i-1] == "-object" || args[i-1] == "-header") {
			args[i] = filepath.Join(goldenObjects(t), arg)
		}
	}
	return args
}

func goldenObjects(t *testing.T) string {
	t.Helper()
	objects, err := filepath.Abs(golden + "/objects")
	require.NoError(t, err)
	return objects
}

// withoutChoices are the arguments that name objects.
func withoutChoices(args []string) (objects []string) {
	for i, arg := range args {
		if i > 0 && args[i-1] == "-object" {
			objects = append(objects, "-object", arg)
		}
	}
	return objects
}

// showChoices has a difference in the place of the one file that there is with and
// without choices.
func showChoices(t *testing.T, got, without map[string]string) {
	t.Helper()
	const file, split = "want_ktgen.go", "want_ktgen_2.go"
	if got[file] == "" || got[split] != "" || without[file] == "" {
		return
	}
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "without"), []byte(without[file]), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "with"), []byte(got[file]), 0o600))
	cmd := exec.Command("diff", "-U1", "--label", "without", "--label", "with", "without", "with")
	cmd.Dir = dir
	out, _ := cmd.Output() // which fails if they differ
	require.NotEmpty(t, out, "the choices change nothing")
	if len(out) < len(got[file]) {
		delete(got, file)
		got["want_diff"] = string(out)
	}
}

// runGolden runs a command line, and returns what it wrote, by the names of the
// files.
func runGolden(t *testing.T, args []string) map[string]string {
	t.Helper()
	out, objects := t.TempDir(), goldenObjects(t)
	args = append(slices.Clone(args), "-package", "p", "-output", filepath.Join(out, "p_ktgen.go"))
	var stdout, stderr bytes.Buffer
	run(context.Background(), args, &stdout, &stderr)
	got := map[string]string{}
	if stderr.Len() > 0 {
		got["want_stderr"] = strings.ReplaceAll(strings.ReplaceAll(stderr.String(), objects+"/", ""), out+"/", "")
	}
	require.Empty(t, stdout.String())
	files, err := filepath.Glob(out + "/*")
	require.NoError(t, err)
	for _, file := range files {
		got["want_"+strings.TrimPrefix(filepath.Base(file), "p_")] = fileText(t, file)
	}
	return got
}

func fileText(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(b)
}

func readWanted(t *testing.T, dir string) map[string]string {
	t.Helper()
	files, err := filepath.Glob(dir + "/want_*")
	require.NoError(t, err)
	wanted := map[string]string{}
	for _, file := range files {
		wanted[filepath.Base(file)] = fileText(t, file)
	}
	return wanted
}

func updateGolden(t *testing.T, dir string, got map[string]string) {
	t.Helper()
	for name := range readWanted(t, dir) {
		require.NoError(t, os.Remove(filepath.Join(dir, name)))
	}
	for name, text := range got {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	}
}

// Linters have nothing to say about generated code, though they are told that
// people wrote it.
func TestGeneratedCodeIsCleanToLinters(t *testing.T) {
	root, err := filepath.Abs("../..")
	require.NoError(t, err)
	module := t.TempDir()
	for _, file := range []string{"go.mod", "go.sum"} {
		require.NoError(t, os.WriteFile(filepath.Join(module, file), []byte(fileText(t, filepath.Join(root, file))), 0o600))
	}
	runIn(t, module, "go", "mod", "edit", "-module", "generated", "-require", "github.com/ktgen/ktgen@v0.0.0", "-replace", "github.com/ktgen/ktgen="+root)
	for pkg, file := range map[string]string{"sample": "internal/sample/sample_ktgen.go", "sched": "example_sched/examplesched_ktgen.go"} {
		addGenerated(t, module, pkg, filepath.Base(file), fileText(t, filepath.Join(root, file)))
	}
	cases, err := filepath.Glob(golden + "/*/args")
	require.NoError(t, err)
	for _, args := range cases {
		dir := filepath.Dir(args)
		for name, text := range runGolden(t, goldenArgs(t, dir)) {
			if strings.HasSuffix(name, ".go") {
				addGenerated(t, module, filepath.Base(dir), name, text)
			}
		}
	}
	runIn(t, module, "go", "vet", "./...")
	// Where "go tool -n" says that a tool is, there is nothing until it has run.
	staticcheck := filepath.Join(t.TempDir(), "staticcheck")
	runIn(t, root, "go", "build", "-o", staticcheck, "honnef.co/go/tools/cmd/staticcheck")
	runIn(t, module, staticcheck, "./...")
}

// addGenerated adds a generated file to a module as if a person had written
// it.
func addGenerated(t *testing.T, module, pkg, file, text string) {
	t.Helper()
	require.Contains(t, text, "// Code generated ", file)
	dir := filepath.Join(module, pkg)
	require.NoError(t, os.MkdirAll(dir, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, file), []byte(strings.Replace(text, "// Code generated ", "// By hand: ", 1)), 0o600))
}

func runIn(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s %v:\n%s", name, args, out)
	return string(out)
}
