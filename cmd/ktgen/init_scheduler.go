package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/cilium/ebpf/btf"

	"github.com/ktgen/ktgen/gen"
	"github.com/ktgen/ktgen/object"
	"github.com/ktgen/ktgen/runtime"
	"github.com/ktgen/ktgen/templates"
)

// scheduler is what is tested. Paths are from the package's directory, with
// slashes.
type scheduler struct {
	object  string
	boot    string   // Go expression of type ktest.Scheduler
	reads   []string // what the first test reads
	starter bool     // it is written by ktgen init
	source  string   // starter: in C
	header  string
}

// chooseScheduler finds the object to test. chosen is the user's choice.
func (s *site) chooseScheduler(chosen string) (*scheduler, error) {
	if chosen != "" {
		return s.openChosen(chosen)
	}
	starter := s.starter()
	if same, err := s.holds(starter); err != nil || same {
		return starter, err
	}
	objects, err := s.glob("*.bpf.o")
	if err != nil {
		return nil, err
	}
	sources, err := s.glob("*.bpf.c")
	switch {
	case err != nil:
		return nil, err
	case len(objects) == 1:
		return s.openScheduler(objects[0])
	case len(objects) > 1:
		return nil, fmt.Errorf("%s has several BPF objects: say which is the scheduler's with -object: %s", shown(s.dir), strings.Join(objects, ", "))
	case len(sources) > 0:
		object := strings.TrimSuffix(sources[0], ".c") + ".o"
		return nil, fmt.Errorf("%s is not compiled, and the first test is made for what the object has: build %s (clang-19 -g -O2 -target bpf -c %s -o %s, with the flags that it needs) and run ktgen init again, or say where the object is with -object",
			sources[0], object, sources[0], object)
	}
	return starter, nil
}

// starter is the scheduler of a repository that has none.
func (s *site) starter() *scheduler {
	name := path.Join("bpf", s.pkg+".bpf")
	return &scheduler{
		object:  name + ".o",
		source:  name + ".c",
		header:  "bpf/bpf.h",
		boot:    bootObject(name + ".o"),
		starter: true,
	}
}

// holds tells whether the site has the source of the starter, as it was
// written.
func (s *site) holds(starter *scheduler) (bool, error) {
	text, err := os.ReadFile(filepath.Join(s.dir, starter.source))
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	written, err := templates.Render("starter.bpf.c", s.repository(starter))
	return bytes.Equal(text, written), err
}

// glob finds files in the directory and those in it, by the last element of
// their path.
func (s *site) glob(pattern string) ([]string, error) {
	var found []string
	for _, pattern := range []string{pattern, path.Join("*", pattern)} {
		matches, err := filepath.Glob(filepath.Join(globQuote(s.dir), pattern))
		if err != nil {
			return nil, err
		}
		for _, match := range matches {
			rel, err := s.rel(match)
			if err != nil {
				return nil, err
			}
			if !strings.HasPrefix(rel, ".") && !strings.HasPrefix(rel, "testdata/") {
				found = append(found, rel)
			}
		}
	}
	return found, nil
}

// globQuote keeps the characters of a path from being a pattern.
func globQuote(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}

// rel returns the path from the package's directory.
func (s *site) rel(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	rel, err := filepath.Rel(s.dir, abs)
	return filepath.ToSlash(rel), err
}

func (s *site) openChosen(chosen string) (*scheduler, error) {
	rel, err := s.rel(chosen)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(chosen); errors.Is(err, os.ErrNotExist) {
		return nil, s.noObject(chosen, rel)
	}
	return s.openScheduler(rel)
}

func (s *site) noObject(chosen, rel string) error {
	advice := "build it first, or leave out -object to get a starter scheduler"
	if found, err := s.glob("*.bpf.o"); err == nil && len(found) > 0 {
		advice = "there is " + strings.Join(found, ", ")
		if near := runtime.Nearest(rel, found); near != "" {
			advice += fmt.Sprintf("; did you mean %s?", near)
		}
	}
	return fmt.Errorf("%s does not exist: %s", chosen, advice)
}

// openScheduler reads the object at a path from the package's directory.
func (s *site) openScheduler(rel string) (*scheduler, error) {
	if !plainPath.MatchString(rel) {
		return nil, notPlain(rel)
	}
	obj, err := object.Open(filepath.Join(s.dir, filepath.FromSlash(rel)))
	if err != nil {
		return nil, err
	}
	if err := isFile(obj, rel); err != nil {
		return nil, err
	}
	ops, err := schedulerOps(obj)
	if err != nil {
		return nil, err
	}
	model, err := gen.Build(obj, gen.Options{Package: s.pkg})
	if err != nil {
		return nil, err
	}
	sched := &scheduler{object: rel, boot: bootObject(rel)}
	if len(ops) > 1 {
		sched.boot += fmt.Sprintf(".Ops(%q)", ops[0])
	}
	sched.reads, err = firstReads(model)
	return sched, err
}

// isFile says what to do about an object that is inside of a program.
func isFile(obj *object.Object, rel string) error {
	if obj.Name == path.Base(rel) {
		return nil
	}
	return fmt.Errorf("%s is a program with the BPF object %s inside, and the first test attaches an object by itself: say -object with the *.bpf.o that the program is built with (a test can also run the program: see ktest.Binary)", rel, obj.Name)
}

// schedulerOps returns the names of the schedulers that an object defines.
func schedulerOps(obj *object.Object) ([]string, error) {
	var ops, others []string
	for _, m := range obj.Maps {
		if runtime.MapType(m.Type) != runtime.MapTypeStructOps {
			continue
		}
		own, ok := btf.As[*btf.Struct](m.Value)
		if ok && own.Name == "sched_ext_ops" {
			ops = append(ops, m.Name)
		} else if ok {
			others = append(others, "struct "+own.Name)
		}
	}
	if len(ops) > 0 {
		return ops, nil
	}
	defined := "no struct_ops at all"
	if len(others) > 0 {
		defined = strings.Join(others, ", ")
	}
	return nil, fmt.Errorf("%s defines no scheduler: it has %s, and a struct sched_ext_ops in the section .struct_ops.link is wanted; say -object with the object that has one", obj.Name, defined)
}

func bootObject(rel string) string { return "ktest.Object(" + strconv.Quote(rel) + ")" }
