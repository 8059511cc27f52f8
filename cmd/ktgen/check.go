package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/ktgen/ktgen/gen"
	"github.com/ktgen/ktgen/object"
	"github.com/ktgen/ktgen/runtime"
	"github.com/ktgen/ktgen/runtime/ctype"
)

// check tells whether a generated file is what its objects give.
func (t *tool) check(args []string) error {
	set := t.flags("ktgen check -object FILE... [-package NAME] GENERATED")
	paths := objectFlag(set)
	pkg := set.String("package", "", "the `name` of the Go package (default: that of the generated file)")
	if err := t.parseFlags(set, args); err != nil {
		return err
	}
	switch {
	case len(*paths) == 0:
		return t.misused("check against which object? Say -object FILE")
	case set.NArg() != 1:
		return t.misused("check takes one generated file, such as mysched_ktgen.go, after its flags")
	}
	file := set.Arg(0)
	old, err := readParts(file)
	if err != nil {
		return err
	}
	was, err := gen.ReadLayouts(file, old[0])
	if err != nil {
		return err
	}
	if *pkg != "" && *pkg != was[0].Package {
		return fmt.Errorf("%s is of package %s, not of package %s", file, was[0].Package, *pkg)
	}
	return t.compare(file, old, was, *paths)
}

// compare compares a generated file with what the objects at paths give.
func (t *tool) compare(file string, old [][]byte, was []*runtime.Layout, paths []string) error {
	opts, err := gen.ReadChoices(old[0])
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	opts.Package, opts.Tags, opts.Fields = was[0].Package, buildConstraint(old[0]), was[0].Fields
	opts.Header = gen.ReadHeader(old[0])
	objs, paths, err := objectsOf(file, was, paths)
	if err != nil {
		return err
	}
	command := regenerate(file, paths, opts)
	p, refused, err := t.rebuild(objs, opts)
	switch {
	case err != nil:
		return err
	case p == nil:
		return outdated(file, strings.Join(paths, " and "), command, refused, nil)
	}
	src, err := p.Files(opts.Split)
	if err != nil {
		return err
	}
	at, differences, err := firstDrift(file, was, src[0])
	switch {
	case err != nil:
		return err
	case len(differences) > 0:
		return outdated(file, paths[at], command, refused, differences)
	case len(refused) > 0:
		return outdated(file, strings.Join(paths, " and "), command, refused, nil)
	}
	if !slices.EqualFunc(old, src, bytes.Equal) {
		fmt.Fprintf(t.stderr, "ktgen: note: %s has the layout of %s, and this ktgen writes it differently; to have it so: %s\n", file, strings.Join(paths, " and "), command)
	}
	return nil
}

// firstDrift returns how the first layout of a file that changed differs from
// what would be generated as src, and which one it is.
func firstDrift(file string, was []*runtime.Layout, src []byte) (i int, differences []ctype.Difference, err error) {
	is, err := gen.ReadLayouts(file, src)
	if err != nil {
		return 0, nil, err
	}
	for i := range was {
		differences, err := gen.Drift(was[i], is[i])
		if err != nil {
			return i, nil, fmt.Errorf("%s: %w", file, err)
		}
		if len(differences) > 0 {
			return i, differences, nil
		}
	}
	return 0, nil, nil
}

// objectsOf reads the objects at paths, in the order in which the file has
// them. With one on both sides its name does not matter.
func objectsOf(file string, was []*runtime.Layout, paths []string) ([]*object.Object, []string, error) {
	objs, order := make([]*object.Object, len(was)), make([]string, len(was))
	for _, path := range paths {
		obj, err := openObject(path)
		if err != nil {
			return nil, nil, err
		}
		i := slices.IndexFunc(was, func(l *runtime.Layout) bool { return l.Object == obj.Name })
		switch {
		case i >= 0:
		case len(was) == 1 && len(paths) == 1:
			i = 0
		default:
			return nil, nil, fmt.Errorf("%s is generated from %s, not from %s: leave out -object %s, or regenerate", file, objectNames(was), obj.Name, path)
		}
		objs[i], order[i] = obj, path
	}
	for i, obj := range objs {
		if obj == nil {
			return nil, nil, fmt.Errorf("%s is generated from %s: say -object FILE for %s, too", file, objectNames(was), was[i].Object)
		}
	}
	return objs, order, nil
}

func objectNames(layouts []*runtime.Layout) string {
	all := make([]string, len(layouts))
	for i, l := range layouts {
		all[i] = l.Object
	}
	return strings.Join(all, " and ")
}

// regenerate is the command that writes the file.
func regenerate(file string, paths []string, opts gen.Options) string {
	command := "ktgen"
	for _, path := range paths {
		command += " -object " + path
	}
	command += fmt.Sprintf(" -package %s -output %s", opts.Package, file)
	if opts.Tags != "" {
		command += fmt.Sprintf(" -tags %q", opts.Tags)
	}
	if flags := opts.Flags(); flags != "" {
		command += " " + flags
	}
	if opts.Header != "" {
		command += " -header FILE"
	}
	for _, fields := range opts.Fields {
		command += fmt.Sprintf(" -fields %q", fields)
	}
	return command
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

// rebuild generates with those of a file's choices that the objects still
// have something for, and returns why the others are refused. The package is
// nil if that leaves nothing to compare with.
func (t *tool) rebuild(objs []*object.Object, opts gen.Options) (p *gen.Package, refused []string, err error) {
	quiet := &tool{stdout: t.stdout, stderr: io.Discard} // generating has warned
	for {
		p, err = quiet.sourceOf(objs, opts)
		var choice *gen.ChoiceError
		if !errors.As(err, &choice) {
			return p, refused, err
		}
		refused = append(refused, choice.Error())
		rest, ok := opts.Without(choice)
		if !ok {
			return nil, refused, nil
		}
		opts = rest
	}
}

// outdated is the error for a file that its object has drifted from. refused
// says which of its choices cannot be had any more.
func outdated(file, object, command string, refused []string, differences []ctype.Difference) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s was not generated from %s as it is:", file, object)
	for _, r := range refused {
		fmt.Fprintf(&b, "\n\t%s", r)
	}
	for _, d := range differences {
		fmt.Fprintf(&b, "\n\t%s: generated %s, the object has %s", d.Path, d.Want, d.Have)
	}
	if len(refused) > 0 {
		b.WriteString("\nchoose what there is, and ")
	} else {
		b.WriteString("\n")
	}
	fmt.Fprintf(&b, "regenerate it: go generate (%s)", command)
	return errors.New(b.String())
}
