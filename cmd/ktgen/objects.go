package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/ktgen/ktgen/object"
)

// This file finds BPF objects: for the commands that take one, and to list
// them.

// openObject reads the object that a user names: a *.bpf.o, or a program with
// one inside. FILE:NAME chooses one of several.
func openObject(spec string) (*object.Object, error) {
	obj, err := object.Open(spec)
	switch {
	case errors.Is(err, object.ErrSeveral):
		return nil, fmt.Errorf("%w: %s:NAME (\"ktgen objects %[2]s\" lists them)", err, spec)
	case errors.Is(err, fs.ErrNotExist):
		if path, name, ok := splitName(spec); ok {
			return object.OpenNamed(path, name)
		}
	}
	return obj, err
}

// splitName splits FILE:NAME, if there is such a file.
func splitName(spec string) (path, name string, ok bool) {
	i := strings.LastIndexByte(spec, ':')
	if i <= 0 || i == len(spec)-1 {
		return "", "", false
	}
	_, err := os.Stat(spec[:i])
	return spec[:i], spec[i+1:], err == nil
}

// listedObject is a line of ktgen objects, and an element of its JSON.
type listedObject struct {
	File   string `json:"file"`
	Name   string `json:"name"`
	Offset int64  `json:"offset"` // bytes into the file
	Size   int64  `json:"size"`   // bytes
	Maps   int    `json:"maps"`
	Vars   int    `json:"variables"`
	Error  string `json:"error,omitempty"` // why it cannot be read
}

// objects lists the objects in files.
func (t *tool) objects(args []string) error {
	set := t.flags(`ktgen objects [-json] FILE...

Lists the BPF objects in object files and in executables: C programs with a
skeleton, Go programs with an embedded file, Rust programs, or any other file
that has the bytes of an object in one piece. "ktgen -object FILE:NAME" takes
one of several.
`)
	asJSON := set.Bool("json", false, "print JSON")
	if err := t.parseFlags(set, args); err != nil {
		return err
	}
	if set.NArg() == 0 {
		return t.misused("objects in which file? Say ktgen objects FILE...")
	}
	listed := []listedObject{}
	for _, path := range set.Args() {
		found, err := listObjects(path)
		if err != nil {
			return err
		}
		listed = append(listed, found...)
	}
	if *asJSON {
		return t.printJSON(listed)
	}
	w := tabwriter.NewWriter(t.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "FILE\tNAME\tOFFSET\tBYTES\tMAPS\tVARIABLES\tREADABLE")
	for _, o := range listed {
		readable := "yes"
		if o.Error != "" {
			readable = "no: " + o.Error
		}
		fmt.Fprintf(w, "%s\t%s\t%#x\t%d\t%d\t%d\t%s\n", o.File, o.Name, o.Offset, o.Size, o.Maps, o.Vars, readable)
	}
	return w.Flush()
}

func listObjects(path string) ([]listedObject, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	found, err := object.Find(f, info.Size())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if len(found) == 0 {
		_, err := object.Open(path) // says why there is none
		if err == nil {
			err = fmt.Errorf("%s changes while it is read", path)
		}
		return nil, err
	}
	listed := make([]listedObject, len(found))
	for i, e := range found {
		listed[i] = listedObject{File: path, Name: e.Name, Offset: e.Offset, Size: e.Size}
		obj, err := object.OpenNamed(path, e.Name)
		if err != nil {
			listed[i].Error = err.Error()
			continue
		}
		listed[i].Maps = len(obj.Maps)
		for _, s := range obj.Sections {
			listed[i].Vars += len(s.Vars)
		}
	}
	return listed, nil
}
