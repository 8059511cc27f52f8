package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cilium/ebpf/btf"

	"github.com/ktgen/ktgen/gen"
	"github.com/ktgen/ktgen/object"
	"github.com/ktgen/ktgen/runtime/ktsnap"
	"github.com/ktgen/ktgen/runtime/nearest"
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
	found, err := s.findObject()
	if err != nil {
		return nil, err
	}
	if found != "" {
		return s.openScheduler(found)
	}
	if !plainPath.MatchString(starter.source) {
		return nil, notPlain(starter.source)
	}
	return starter, nil
}

// findObject returns the object in the directory, and nothing if it has no
// scheduler at all.
func (s *site) findObject() (string, error) {
	objects, err := s.glob("*.bpf.o")
	if err != nil {
		return "", err
	}
	sources, err := s.glob("*.bpf.c")
	switch {
	case err != nil:
		return "", err
	case len(objects) == 1:
		return objects[0], nil
	case len(objects) > 1:
		return "", fmt.Errorf("%s has several BPF objects: say which is the scheduler's with -object: %s", shown(s.dir), strings.Join(objects, ", "))
	case len(sources) > 0:
		source, object := sources[0], strings.TrimSuffix(sources[0], ".c")+".o"
		return "", fmt.Errorf("%s is not compiled, and the first test is made for what the object has: build %s (clang-19 -g -O2 -target bpf -c %s -o %s, with the flags that it needs) and run ktgen init again, or say where the object is with -object",
			source, object, source, object)
	}
	return "", nil
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
	text, err := os.ReadFile(s.at(starter.source))
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
		matches, err := fs.Glob(os.DirFS(s.dir), pattern)
		if err != nil {
			return nil, err
		}
		for _, match := range matches {
			if !strings.HasPrefix(match, ".") && !strings.HasPrefix(match, "testdata/") {
				found = append(found, match)
			}
		}
	}
	return found, nil
}

// openChosen reads the object that the user has chosen, from the current
// directory.
func (s *site) openChosen(chosen string) (*scheduler, error) {
	abs, err := filepath.Abs(chosen)
	if err != nil {
		return nil, err
	}
	rel, err := filepath.Rel(s.dir, abs)
	if err != nil {
		return nil, err
	}
	rel = filepath.ToSlash(rel)
	if _, err := os.Stat(abs); errors.Is(err, os.ErrNotExist) {
		return nil, s.noObject(chosen, rel)
	}
	return s.openScheduler(rel)
}

func (s *site) noObject(chosen, rel string) error {
	advice := "build it first, or leave out -object to get a starter scheduler"
	if found, err := s.glob("*.bpf.o"); err == nil && len(found) > 0 {
		advice = "there is " + strings.Join(found, ", ")
		advice += nearest.BareAdvice(rel, found)
	}
	return fmt.Errorf("%s does not exist: %s", chosen, advice)
}

// openScheduler reads the object at a path from the package's directory.
func (s *site) openScheduler(rel string) (*scheduler, error) {
	if !plainPath.MatchString(rel) {
		return nil, notPlain(rel)
	}
	program, err := isProgram(s.at(rel))
	if err != nil {
		return nil, err
	}
	obj, err := object.Open(s.at(rel))
	if err != nil {
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
	switch {
	case program:
		sched.boot = fmt.Sprintf("ktest.Binary(%q)", rel)
	case len(ops) > 1:
		sched.boot += fmt.Sprintf(".Ops(%q)", ops[0])
	}
	sched.reads, err = firstReads(model.Accessors())
	return sched, err
}

// isProgram tells whether a file is a program that has its object inside, as
// schedulers with a loader of their own do.
func isProgram(path string) (bool, error) {
	file, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return false, err
	}
	inside, err := object.Find(file, info.Size())
	if err != nil || len(inside) == 0 {
		return false, nil // object.Open says what is wrong with it
	}
	return inside[0].Offset > 0, nil
}

// opsTypes are the structs that define a scheduler: with CPUs by their numbers,
// and with CPUs in the order of their topology (kernel/sched/ext/internal.h).
var opsTypes = []string{"sched_ext_ops", "sched_ext_ops_cid"}

// schedulerOps returns the names of the schedulers that an object defines.
func schedulerOps(obj *object.Object) ([]string, error) {
	var ops, others []string
	for _, m := range obj.Maps {
		if ktsnap.MapType(m.Type) != ktsnap.MapTypeStructOps {
			continue
		}
		own, ok := btf.As[*btf.Struct](m.Value)
		if ok && slices.Contains(opsTypes, own.Name) {
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

func bootObject(rel string) string { return fmt.Sprintf("ktest.Object(%q)", rel) }
