package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/tools/txtar"
)

// This file is the command ktgen init, and what it says.

// initOptions are the choices of a user of ktgen init.
type initOptions struct {
	dir, object, pkg, module string
}

// initialize adds to a directory what it takes to test a scheduler. It writes
// files that are not there, and changes none.
func (t *tool) initialize(args []string) error {
	set := t.flags("ktgen init [-n] [-dir DIR] [-object FILE] [-package NAME] [-module PATH]")
	var opts initOptions
	set.StringVar(&opts.dir, "dir", ".", "the `directory` of the Go package")
	set.StringVar(&opts.object, "object", "", "the `file` with the scheduler's BPF object: a *.bpf.o, or the program that loads it from inside of it (default: the *.bpf.o in DIR or DIR/*; a starter scheduler is written if there is none)")
	set.StringVar(&opts.pkg, "package", "", "the `name` of the Go package (default: that of the Go files in DIR, else the last element of the import path)")
	set.StringVar(&opts.module, "module", "", "the `path` of the Go module, to have a go.mod written where there is none")
	dry := set.Bool("n", false, "write nothing, and print as a txtar archive what would be written")
	if err := t.parse(set, args); err != nil {
		return err
	}

	s, err := surveySite(opts)
	if err != nil {
		return err
	}
	sched, err := s.chooseScheduler(opts.object)
	if err != nil {
		return err
	}
	files, err := s.files(sched)
	if err != nil {
		return err
	}
	if *dry {
		_, err := t.stdout.Write(archive(files))
		return err
	}
	for _, f := range files {
		if err := f.create(); err != nil {
			return err
		}
		fmt.Fprintln(t.stdout, f)
	}
	_, err = fmt.Fprintf(t.stdout, "\n%s", s.farewell(sched, files))
	return err
}

// archive is what a dry run prints.
func archive(files []*initFile) []byte {
	a := new(txtar.Archive)
	for _, f := range files {
		a.Comment = fmt.Appendln(a.Comment, f)
		if !f.exists {
			a.Files = append(a.Files, txtar.File{Name: filepath.ToSlash(shown(f.path)), Data: f.content})
		}
	}
	return txtar.Format(a)
}

// farewell says what is left to do.
func (s *site) farewell(sched *scheduler, files []*initFile) string {
	var b strings.Builder
	for _, f := range files {
		if f.exists && f.instead != "" {
			fmt.Fprintf(&b, "%s\n\n", f.instead)
		}
	}
	if !slices.ContainsFunc(files, func(f *initFile) bool { return !f.exists }) {
		b.WriteString("Nothing to write: all of it is there.\n")
		return b.String()
	}
	b.WriteString("Next:\n\n")
	for _, command := range s.commands() {
		fmt.Fprintf(&b, "\t%s\n", command)
	}
	if s.replacement() != "" {
		b.WriteString(unpublished)
	}
	fmt.Fprintf(&b, "\n%s\n", sched.commit())
	return b.String()
}

// unpublished says what a replaced module means for others.
const unpublished = `
ktgen has no published version: go.mod takes it from that checkout. Whoever builds
the repository elsewhere, such as its CI, needs a checkout and the same line.
`

// commit says what belongs into the repository.
func (sched *scheduler) commit() string {
	if sched.starter {
		return "Then commit all of it, and the generated code as well."
	}
	return fmt.Sprintf("Then commit all of it, and the generated code as well. The CI workflow needs %s:\ncommit it, or give make a rule for it and the workflow the packages that this takes.", sched.object)
}

// Packages of this module that go commands name.
const (
	toolPackage = "github.com/ktgen/ktgen/cmd/ktgen"
	testPackage = "github.com/ktgen/ktgen/ktest"
)

// commands are what leads from the files to a test that passes.
func (s *site) commands() []string {
	var commands []string
	if dir := shown(s.dir); dir != "." {
		commands = append(commands, "cd "+quoted(dir))
	}
	if missing := missingPackages(); len(missing) > 0 {
		commands = append(commands, "apt-get install "+strings.Join(missing, " "))
	}
	commands = append(commands, s.getCommands()...)
	if s.make.include {
		commands = append(commands, fmt.Sprintf("echo 'include %s' >> %s", s.make.file, s.make.existing))
	}
	return append(commands, "make "+s.make.prefix+"test")
}

// getCommands are what makes the module use ktgen. "go get" of a package asks the
// proxy even for a module that is replaced, and fails where it answers that there
// is none; "go mod tidy" takes what go.mod requires.
func (s *site) getCommands() []string {
	if from := s.replacement(); from != "" {
		return []string{
			"go mod edit -replace " + ourModule + "=" + quoted(from) + " -require " + ourModule + "@v0.0.0 -tool " + toolPackage,
			"go mod tidy",
		}
	}
	get := "go get " + testPackage
	if s.module.hasTool {
		return []string{get}
	}
	return []string{"go get -tool " + toolPackage, get}
}

// replacement returns the checkout that the module is to take ktgen from, and
// nothing if its go.mod says already, or a published version is to be had.
func (s *site) replacement() string {
	if s.module.hasOurs {
		return ""
	}
	return replacement()
}

// quoted is how a shell reads a path.
func quoted(path string) string {
	if plainPath.MatchString(path) {
		return path
	}
	return strconv.Quote(path)
}

// programs are what the make targets run, and the Debian packages that have
// them.
var programs = []struct{ name, debian string }{
	{"clang-19", "clang-19"},
	{"make", "make"},
	{"qemu-system-x86_64", "qemu-system-x86"},
}

// missingPackages returns the Debian packages with the programs that this
// machine lacks.
func missingPackages() []string {
	var missing []string
	for _, program := range programs {
		if _, err := exec.LookPath(program.name); err != nil {
			missing = append(missing, program.debian)
		}
	}
	return missing
}

// shown is how messages name a path: from the current directory, unless that is
// far away.
func shown(path string) string {
	wd, err := os.Getwd()
	if err != nil {
		return path
	}
	rel, err := filepath.Rel(wd, path)
	if err != nil || strings.HasPrefix(rel, filepath.Join("..", "..", "..")) {
		return path
	}
	return rel
}
