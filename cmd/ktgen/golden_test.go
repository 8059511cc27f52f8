package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

//go:generate make -s -C testdata/golden/objects

const golden = "testdata/golden"

// Each folder is a command line of ktgen, an argument on each line of args, and
// what it prints and writes. Objects are those in testdata/golden/objects.
func TestGolden(t *testing.T) {
	cases, err := filepath.Glob(golden + "/*/args")
	require.NoError(t, err)
	require.NotEmpty(t, cases)
	for _, args := range cases {
		dir := filepath.Dir(args)
		t.Run(filepath.Base(dir), func(t *testing.T) {
			first, second := runGolden(t, dir), runGolden(t, dir)
			require.Equal(t, first, second, "the same command line gives the same")
			if *update {
				updateGolden(t, dir, first)
			}
			require.Equal(t, readWanted(t, dir), first, "go test ./cmd/ktgen -run TestGolden -update accepts what there is")
		})
	}
}

// runGolden runs the command line of a case, and returns what it wrote, by the
// names of the files.
func runGolden(t *testing.T, dir string) map[string]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "args"))
	require.NoError(t, err)
	out := t.TempDir()
	objects, err := filepath.Abs(golden + "/objects")
	require.NoError(t, err)
	args := strings.Split(strings.TrimSpace(string(text)), "\n")
	for i, arg := range args {
		if i > 0 && (args[i-1] == "-object" || args[i-1] == "-header") {
			args[i] = filepath.Join(objects, arg)
		}
	}
	args = append(args, "-package", "p", "-output", filepath.Join(out, "p_ktgen.go"))
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
	addGenerated(t, module, "sample", filepath.Join(root, "gen/internal/sample/sample_ktgen.go"))
	addGenerated(t, module, "sched", filepath.Join(root, "example_sched/examplesched_ktgen.go"))
	cases, err := filepath.Glob(golden + "/*/want_*.go")
	require.NoError(t, err)
	for _, file := range cases {
		addGenerated(t, module, filepath.Base(filepath.Dir(file)), file)
	}
	runIn(t, module, "go", "vet", "./...")
	// Where "go tool -n" says that a tool is, there is nothing until it has run.
	staticcheck := filepath.Join(t.TempDir(), "staticcheck")
	runIn(t, root, "go", "build", "-o", staticcheck, "honnef.co/go/tools/cmd/staticcheck")
	runIn(t, module, staticcheck, "./...")
}

// addGenerated adds a generated file to a module as if a person had written
// it.
func addGenerated(t *testing.T, module, pkg, file string) {
	t.Helper()
	text := fileText(t, file)
	require.Contains(t, text, "// Code generated ", file)
	dir := filepath.Join(module, pkg)
	require.NoError(t, os.MkdirAll(dir, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, filepath.Base(file)), []byte(strings.Replace(text, "// Code generated ", "// By hand: ", 1)), 0o600))
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
