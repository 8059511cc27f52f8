package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ktgen/ktgen/templates"
)

// This file decides which files a repository is to have, and writes them.

// initFile is a file that a repository is to have.
type initFile struct {
	path      string   // absolute
	templates []string // that it is made of, one after the other
	content   []byte
	exists    bool   // and is left alone
	instead   string // what the user has to do if it exists, if anything
}

// String says what becomes of the file.
func (f *initFile) String() string {
	verb := "write"
	if f.exists {
		verb = "exists"
	}
	return fmt.Sprintf("%-7s %s", verb, shown(f.path))
}

// files returns the files that the repository is to have.
func (s *site) files(sched *scheduler) ([]*initFile, error) {
	files := s.wanted(sched)
	repo := s.repository(sched)
	for _, f := range files {
		_, err := os.Lstat(f.path)
		f.exists = err == nil
		for _, name := range f.templates {
			text, err := templates.Render(name, repo)
			if err != nil {
				return nil, err
			}
			f.content = append(f.content, text...)
		}
	}
	return files, nil
}

// wanted lists the files of a repository with a scheduler.
func (s *site) wanted(sched *scheduler) []*initFile {
	firstTest, rules := "first_test.go", []string{"targets.mk"}
	var files []*initFile
	if !s.module.exists {
		files = append(files, &initFile{path: s.module.file, templates: []string{"go.mod"}})
	}
	if sched.starter {
		firstTest, rules = "starter_test.go", append(rules, "object.mk")
		files = append(files,
			&initFile{path: s.at(sched.header), templates: []string{"starter.h"}},
			&initFile{path: s.at(sched.source), templates: []string{"starter.bpf.c"}})
	}
	return append(files,
		s.generateFile(sched.object),
		s.mainTest(),
		&initFile{path: s.at("sched_test.go"), templates: []string{firstTest}},
		&initFile{path: s.at(s.make.file), templates: rules},
		s.workflow())
}

// workflow is the CI workflow. GitHub finds it at the root of the repository,
// which may have several packages.
func (s *site) workflow() *initFile {
	f := &initFile{
		path:      filepath.Join(s.root, ".github", "workflows", "ktgen.yml"),
		templates: []string{"workflow.yml"},
	}
	test := s.makeCommand() + " " + s.make.prefix + "test"
	if text, err := os.ReadFile(f.path); err == nil && !strings.Contains(string(text), test) {
		f.instead = fmt.Sprintf("Add a step to %s: run: %s", shown(f.path), test)
	}
	return f
}

// makeCommand is what runs make for the package from the root of the repository.
func (s *site) makeCommand() string {
	if dir := s.fromRoot(s.dir); dir != "." {
		return "make -C " + dir
	}
	return "make"
}

// generateFile is the file with the go:generate line.
func (s *site) generateFile(object string) *initFile {
	if name := s.generates(object); name != "" {
		return &initFile{path: s.at(name)}
	}
	name := "generate.go"
	if s.isNew {
		name = "doc.go"
	}
	return &initFile{
		path:      s.at(name),
		templates: []string{name},
		instead:   fmt.Sprintf("Add this line to %s: //go:generate go tool ktgen -object %s -package %s", name, object, s.pkg),
	}
}

// mainTest is the file with TestMain, of which a package has one.
func (s *site) mainTest() *initFile {
	switch {
	case s.testMain == "":
		return &initFile{
			path:      s.at("main_test.go"),
			templates: []string{"main_test.go"},
			instead:   "Add this function to main_test.go, so that the test binary can be a guest's init: func TestMain(m *testing.M) { ktest.Main(m) }",
		}
	case s.callsMain:
		return &initFile{path: s.at(s.testMain)}
	}
	return &initFile{
		path:    s.at(s.testMain),
		instead: fmt.Sprintf("Call ktest.Main(m) in the TestMain of %s, in place of m.Run: it makes the test binary a guest's init", s.testMain),
	}
}

// at returns the absolute path of a file in the package's directory.
func (s *site) at(rel string) string { return filepath.Join(s.dir, filepath.FromSlash(rel)) }

// repository is what the templates are filled with.
func (s *site) repository(sched *scheduler) *templates.Repository {
	return &templates.Repository{
		Module:    s.module.path,
		Go:        templates.Go,
		Package:   s.pkg,
		Object:    sched.object,
		Source:    sched.source,
		Header:    sched.header,
		Scheduler: sched.boot,
		Reads:     sched.reads,
		Prefix:    s.make.prefix,
		Make:      s.makeCommand(),
		GoMod:     s.fromRoot(s.module.file),
		Packages:  strings.Join(workflowPackages(sched), " "),
	}
}

// workflowPackages are the Debian packages that the workflow needs.
func workflowPackages(sched *scheduler) []string {
	packages := []string{"ca-certificates", "git", "make", "qemu-system-x86"}
	if sched.starter {
		packages = append(packages, "clang-19")
	}
	slices.Sort(packages)
	return packages
}

// fromRoot returns the path from the root of the repository, with slashes.
func (s *site) fromRoot(path string) string {
	rel, err := filepath.Rel(s.root, path)
	if err != nil {
		return filepath.ToSlash(path)
	}
	return filepath.ToSlash(rel)
}

// create writes a file that does not exist. It never overwrites one.
func (f *initFile) create() error {
	if f.exists {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(f.path), 0o755); err != nil {
		return err
	}
	out, err := os.OpenFile(f.path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = out.Write(f.content)
	if err = errors.Join(err, out.Close()); err != nil {
		os.Remove(f.path)
	}
	return err
}
