package main

import (
	"cmp"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/ktgen/ktgen/gen"
	"github.com/ktgen/ktgen/object"
	"github.com/ktgen/ktgen/templates"
	"github.com/ktgen/ktgen/vmm/kernel"
)

// These tests do what a user does with a repository of ktgen init: they follow
// what it says, and run what the CI workflow runs.

// A new repository with a starter scheduler: from nothing to a test that
// passes, and a workflow that passes until the generated code is out of date.
func TestStarterRepositoryWorksAsItIsTold(t *testing.T) {
	needPrograms(t)
	repo := newCheckout(t, nil)
	said := ktgenInit(t, "-module", "example.com/fifo")

	for _, command := range steps(said) {
		repo.run(command)
	}
	require.FileExists(t, "fifo_ktgen.go")
	require.Contains(t, repo.run("go test -v -count 1 ."), "ran ", "the first test reads the map")
	require.Empty(t, repo.run("gofmt -l ."))
	repo.run("go vet ./...")

	repo.commit()
	for _, script := range repo.workflow() {
		repo.run(script)
	}

	// The workflow fails if the code is not that of the object.
	repo.replace("bpf/fifo.bpf.c", "nr_dispatched", "nr_taken")
	out, err := repo.try(checkStep(repo.workflow()))
	require.Error(t, err, out)
	require.Contains(t, out, "+\tNrTaken ")
}

// A repository that has a scheduler, a package, and a makefile, in a
// subdirectory. Its object has a map of each kind that a first test can read.
func TestRepositoryWithASchedulerWorksAsItIsTold(t *testing.T) {
	needPrograms(t)
	repo := newCheckout(t, tree{
		"go.mod":            "module example.com/zoo\n\ngo " + templates.Go + "\n",
		"zoo/zoo.go":        "// Package zoo has a scheduler.\npackage zoo\n",
		"zoo/Makefile":      "bpf/zoo.bpf.o: bpf/zoo.bpf.c\n\tclang-19 -g -O2 -Wall -Werror -target bpf -mcpu=v3 -c $< -o $@\n",
		"zoo/bpf/bpf.h":     "@../../templates/starter.h.tmpl",
		"zoo/bpf/maps.h":    "@testdata/init/maps.h",
		"zoo/bpf/zoo.bpf.c": "@../../templates/starter.bpf.c.tmpl",
	})
	repo.replace("zoo/bpf/zoo.bpf.c", "{{.Package}}", "zoo")
	repo.replace("zoo/bpf/zoo.bpf.c", `#include "bpf.h"`, `#include "bpf.h"`+"\n"+`#include "maps.h"`)
	repo.replace("zoo/bpf/zoo.bpf.c", "u64 slice_ns", "u64 sevens = 7;\nconst volatile u64 slice_ns")
	repo.replace("zoo/bpf/zoo.bpf.c", "\tscx_bpf_dsq_insert(", "\tfill_maps(p);\n\tscx_bpf_dsq_insert(")
	repo.run("git init -q . && make -C zoo bpf/zoo.bpf.o")

	for _, command := range steps(ktgenInit(t, "-dir", "zoo")) {
		repo.run(command)
	}
	require.FileExists(t, "zoo/zoo_ktgen.go")

	repo.writeEveryRead("zoo", "bpf/zoo.bpf.o")
	repo.commit()
	for _, script := range repo.workflow() {
		repo.run(script)
	}
	log := repo.run("cd zoo && go vet . && go test -v -count 1 -run TestEveryRead .")
	for _, line := range []string{
		`an_array\[0\] = 7`,
		`a_percpu_array\[0\] on CPU [01] = {Value:7}`,
		`a_percpu_hash\[0\] on CPU [01] = 7`,
		`a_task_storage of .*spin.* = {Value:7}`,
		`tasks\[\d+\] = {Comm:spin-0 NrRuns:\d+ `,
		`\.bss: NrEnqueued is [1-9]`,
		`\.rodata: Sevens is 7`,
		`the snapshot holds \d+ maps`,
	} {
		require.Regexp(t, line, log)
	}
}

// A scheduler that is started by its own program. The object is inside of it.
func TestRepositoryWithAProgramWorksAsItIsTold(t *testing.T) {
	needPrograms(t)
	repo := newCheckout(t, tree{
		"go.mod":          "module example.com/watch\n\ngo " + templates.Go + "\n",
		"src/loader.go":   "@testdata/init/loader.go.txt",
		"src/bpf.h":       "@../../templates/starter.h.tmpl",
		"src/watch.bpf.c": "@testdata/init/watch.bpf.c",
	})
	repo.run("cd src && clang-19 -g -O2 -target bpf -mcpu=v3 -c watch.bpf.c -o watch.bpf.o")
	repo.run("top=$PWD && cd " + repo.module + " && go build -o $top/watch $top/src/loader.go && rm -r $top/src")

	for _, command := range steps(ktgenInit(t, "-object", "watch")) {
		repo.run(command)
	}
	require.Contains(t, slurp(t, "sched_test.go"), `ktest.Binary("watch")`)
	require.Regexp(t, `runs\[\d+\] = [1-9]`, repo.run("go test -v -count 1 ."))
}

// needPrograms skips the test where something is missing that a user of ktgen
// init would install, except in CI.
func needPrograms(t *testing.T) {
	t.Helper()
	missing := missingPackages()
	if _, err := exec.LookPath("git"); err != nil {
		missing = append(missing, "git")
	}
	if _, err := kernel.Find(t.Context()); err != nil {
		missing = append(missing, "a kernel ("+err.Error()+")")
	}
	if ci, err := strconv.ParseBool(os.Getenv("CI")); len(missing) > 0 && (err != nil || !ci) {
		t.Skipf("to use a repository takes %s", strings.Join(missing, ", "))
	}
	require.Empty(t, missing, "CI has what it takes to use a repository")
}

// checkout is a repository that is worked in. The test's current directory is
// its root.
type checkout struct {
	t      *testing.T
	module string // directory of this module
	dir    string
	env    []string
}

func newCheckout(t *testing.T, files tree) *checkout {
	module, err := filepath.Abs("../..")
	require.NoError(t, err)
	dependOnSources(t, module)
	c := &checkout{t: t, module: module, dir: plant(t, files), env: os.Environ()}
	bin := plant(t, tree{"apt-get": aptGet})
	require.NoError(t, os.Chmod(filepath.Join(bin, "apt-get"), 0o755))
	c.env = append(c.env,
		"PATH="+bin+string(filepath.ListSeparator)+os.Getenv("PATH"),
		"GOSUMDB=off", // what is in the module cache is enough, also without network
		"GOFLAGS=",
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com",
		"GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com",
		"MAKEFLAGS=", "MAKELEVEL=",
	)
	t.Chdir(c.dir)
	return c
}

// dependOnSources lists the directories of this module, so that go test does not
// take an earlier result when a file in one has changed: what these tests run
// is compiled by go commands that it does not see.
func dependOnSources(t *testing.T, module string) {
	require.NoError(t, filepath.WalkDir(module, func(path string, d fs.DirEntry, err error) error {
		if d != nil && d.IsDir() && d.Name() == ".git" {
			return filepath.SkipDir
		}
		return err
	}))
}

// aptGet stands for apt-get: it installs nothing, and fails if a package is not
// one of Debian's.
const aptGet = `#!/bin/sh
[ "$1" = install ] || exit 0
shift
for package; do
	case $package in
	-*) ;;
	*) dpkg-query -W "$package" || apt-cache show "$package" || exit 1 ;;
	esac
done >/dev/null
`

// try runs a script as the workflow's shell does.
func (c *checkout) try(script string) (out string, err error) {
	c.t.Logf("$ %s", strings.TrimSpace(script))
	sh := exec.CommandContext(c.t.Context(), "sh", "-e", "-c", script)
	sh.Dir, sh.Env = c.dir, c.env
	combined, err := sh.CombinedOutput()
	return string(combined), err
}

func (c *checkout) run(script string) (out string) {
	c.t.Helper()
	out, err := c.try(script)
	require.NoError(c.t, err, out)
	return out
}

// commit commits all files, and gives them to another user, as a container
// sees them that GitHub runs a workflow in.
func (c *checkout) commit() {
	c.run("git init -q . && git add -A && git commit -q -m all")
	if os.Getuid() != 0 {
		return
	}
	const nobody = 65534
	require.NoError(c.t, filepath.WalkDir(c.dir, func(path string, _ fs.DirEntry, err error) error {
		return cmp.Or(err, os.Lchown(path, nobody, nobody))
	}))
}

// workflow returns the scripts of the workflow's steps.
func (c *checkout) workflow() []string {
	var workflow struct {
		Jobs map[string]struct {
			Steps []struct{ Run string }
		}
	}
	text := slurp(c.t, filepath.Join(c.dir, ".github/workflows/ktgen.yml"))
	require.NoError(c.t, yaml.Unmarshal([]byte(text), &workflow))
	var scripts []string
	for _, step := range workflow.Jobs["test"].Steps {
		if step.Run != "" {
			scripts = append(scripts, step.Run)
		}
	}
	require.Len(c.t, scripts, 3, "steps that install, check and test")
	return scripts
}

// checkStep is the script that compares the generated code.
func checkStep(scripts []string) string {
	return scripts[slices.IndexFunc(scripts, func(s string) bool { return strings.Contains(s, "git") && strings.Contains(s, "diff") })]
}

func (c *checkout) replace(name, old, new string) {
	text := slurp(c.t, name)
	require.Contains(c.t, text, old)
	require.NoError(c.t, os.WriteFile(name, []byte(strings.ReplaceAll(text, old, new)), 0o644))
}

// writeEveryRead adds a test that reads everything that a first test could have
// been made to read.
func (c *checkout) writeEveryRead(dir, path string) {
	obj, err := object.Open(filepath.Join(dir, path))
	require.NoError(c.t, err)
	model, err := gen.Build(obj, gen.Options{Package: "zoo"})
	require.NoError(c.t, err)

	reads := slices.Concat(readableMaps(model.Accessors()), readableSections(model.Accessors()), []read{{template: "read_snapshot"}})
	require.Len(c.t, reads, len(mapReads)+3, "maps, .bss, .rodata, and the snapshot")
	statements, err := renderReads(reads)
	require.NoError(c.t, err)
	for i, s := range statements {
		statements[i] = "\t{\n" + s + "\n\t}" // each in a scope, as in a test of its own
	}
	text, err := templates.Render("first_test.go", templates.Repository{
		Package: "zoo", Scheduler: bootObject(path), Reads: statements,
	})
	require.NoError(c.t, err)
	test := strings.Replace(string(text), "TestSpinningTasksRun", "TestEveryRead", 1)
	require.NoError(c.t, os.WriteFile(filepath.Join(dir, "every_test.go"), []byte(test), 0o644))
}

// steps returns the commands that ktgen init says come next.
func steps(said string) []string {
	var commands []string
	cd := ""
	for line := range strings.Lines(said) {
		command, ok := strings.CutPrefix(strings.TrimRight(line, "\n"), "\t")
		switch {
		case !ok:
		case strings.HasPrefix(command, "cd "):
			cd = command + " && "
		default:
			commands = append(commands, cd+command)
		}
	}
	return commands
}
