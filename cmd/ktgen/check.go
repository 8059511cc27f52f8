package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/ktgen/ktgen/gen"
	"github.com/ktgen/ktgen/runtime"
)

// check tells whether a generated file is what its object gives.
func (t *tool) check(args []string) error {
	set := t.flags("ktgen check -object FILE [-package NAME] GENERATED")
	path := set.String("object", "", "the BPF object `file`")
	pkg := set.String("package", "", "the `name` of the Go package (default: that of the generated file)")
	if err := t.parseFlags(set, args); err != nil {
		return err
	}
	switch {
	case *path == "":
		return t.misused("check against which object? Say -object FILE")
	case set.NArg() != 1:
		return t.misused("check takes one generated file, such as mysched_ktgen.go, after its flags")
	}
	file := set.Arg(0)
	old, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	was, err := gen.ReadLayout(file, old)
	if err != nil {
		return err
	}
	if *pkg != "" && *pkg != was.Package {
		return fmt.Errorf("%s is of package %s, not of package %s", file, was.Package, *pkg)
	}
	return t.compare(file, old, was, *path)
}

// compare compares a generated file with what the object at path gives.
func (t *tool) compare(file string, old []byte, was *runtime.Layout, path string) error {
	quiet := &tool{stdout: t.stdout, stderr: io.Discard} // generating has warned
	tags := buildConstraint(old)
	src, err := quiet.source(path, gen.Options{Package: was.Package, Tags: tags, Fields: was.Fields})
	if err != nil {
		return err
	}
	is, err := gen.ReadLayout(path, src)
	if err != nil {
		return err
	}
	differences, err := gen.Drift(was, is)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	command := fmt.Sprintf("ktgen -object %s -package %s -output %s", path, was.Package, file)
	if tags != "" {
		command += fmt.Sprintf(" -tags %q", tags)
	}
	for _, fields := range was.Fields {
		command += fmt.Sprintf(" -fields %q", fields)
	}
	if len(differences) > 0 {
		return outdated(file, path, command, differences)
	}
	if !bytes.Equal(old, src) {
		fmt.Fprintf(t.stderr, "ktgen: note: %s has the layout of %s, and this ktgen writes it differently; to have it so: %s\n", file, path, command)
	}
	return nil
}

// buildConstraint returns the build constraint of a Go file, empty if it has
// none.
func buildConstraint(src []byte) string {
	for line := range strings.Lines(string(src)) {
		if strings.HasPrefix(line, "package ") {
			break
		}
		if expr, found := strings.CutPrefix(line, "//go:build "); found {
			return strings.TrimSpace(expr)
		}
	}
	return ""
}

// outdated is the error for a file that its object has drifted from.
func outdated(file, object, command string, differences []runtime.Difference) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s was not generated from %s as it is:", file, object)
	for _, d := range differences {
		fmt.Fprintf(&b, "\n\t%s: generated %s, the object has %s", d.Path, d.Want, d.Have)
	}
	fmt.Fprintf(&b, "\nregenerate it: go generate (%s)", command)
	return errors.New(b.String())
}
