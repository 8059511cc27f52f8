package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"

	"github.com/ktgen/ktgen/gen"
)

const generateSynopsis = "-object FILE [-package NAME] [-output FILE] [-tags EXPR] [-fields TYPE:MEMBER,...]"

// generate writes the code for an object.
func (t *tool) generate(args []string) error {
	set := t.flags("ktgen " + generateSynopsis)
	path := set.String("object", "", "the BPF object `file`, as clang -target bpf -g makes it")
	pkg := set.String("package", os.Getenv("GOPACKAGE"), "the `name` of the Go package; go generate knows it")
	output := set.String("output", "", "the `file` to write, - for standard output (default \"NAME_ktgen.go\" in the current directory)")
	tags := set.String("tags", "", "build the file only where this build `constraint` holds, such as \"linux && !race\"")
	var fields []string
	set.Func("fields", "`members` of a struct of the kernel that the data points to, such as task_struct:pid,comm,scx.slice, or task_struct:* for all; once for each struct (default: all of a struct that the object declares with up to 48 members, else those that its programs read)", func(s string) error {
		fields = append(fields, s)
		return nil
	})
	if err := t.parse(set, args); err != nil {
		return err
	}
	switch {
	case *path == "":
		return t.misused("which object? Say -object FILE")
	case *pkg == "":
		return t.misused("which package? Say -package NAME")
	case *output == "":
		*output = *pkg + "_ktgen.go"
	}
	src, err := t.source(*path, gen.Options{Package: *pkg, Tags: *tags, Fields: fields})
	if err != nil {
		return err
	}
	if *output == "-" {
		_, err := t.stdout.Write(src)
		return err
	}
	return replace(*output, src)
}

// source generates the code for the object at path.
func (t *tool) source(path string, opts gen.Options) ([]byte, error) {
	obj, err := openObject(path)
	if err != nil {
		return nil, err
	}
	model, err := gen.Build(obj, opts)
	if err != nil {
		return nil, err
	}
	for _, warning := range model.Warnings {
		fmt.Fprintf(t.stderr, "ktgen: warning: %s: %s\n", filepath.Base(path), warning)
	}
	return model.Render()
}

// replace writes a file as a whole or not at all, and leaves it alone if it
// has this content.
func replace(path string, content []byte) error {
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, content) {
		return nil
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name()) // fails once it is renamed
	_, err = tmp.Write(content)
	if closeErr := tmp.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	if err := os.Chmod(tmp.Name(), 0o644); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}
