package main

import (
	"bufio"
	"errors"
	"fmt"

	"github.com/ktgen/ktgen/btf"
	"github.com/ktgen/ktgen/dump"
	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/ktsnap"
	"github.com/ktgen/ktgen/runtime/nearest"
)

// types lists the types of a snapshot, or of an object.
func (t *tool) types(args []string) error {
	set := t.flags(`ktgen types [-o text|json] [-name NAME] FILE|OBJECT

Prints the structs, unions, enums and sections that a snapshot file or a BPF
object describes, as C declares them, with the offset of each member in bytes.`)
	format := set.String("o", "text", "the `format`: text, or json (dump/SCHEMA.md describes it)")
	name := set.String("name", "", "print only the type of that `name`")
	files, err := t.parseMixed(set, args)
	switch {
	case err != nil:
		return err
	case len(files) != 1:
		return t.misused("types of which file? Say ktgen types FILE")
	case *format != "text" && *format != "json":
		return t.unknown("format", *format, formats[:2])
	}
	shapes, err := t.shapesOf(files[0])
	if err == nil && *name != "" {
		shapes, err = called(*name, shapes, files[0])
	}
	if err != nil {
		return err
	}
	out := bufio.NewWriter(t.stdout)
	if *format == "json" {
		return errors.Join(dump.JSONTypes(out, shapes), out.Flush())
	}
	for _, s := range shapes {
		dump.Type(out, s)
	}
	return out.Flush()
}

// called returns the types of that name.
func called(name string, shapes []*ctype.Shape, file string) ([]*ctype.Shape, error) {
	var found []*ctype.Shape
	var known []string
	for _, s := range shapes {
		known = append(known, s.Name)
		if s.Name == name || ctype.Spell(s) == name {
			found = append(found, s)
		}
	}
	if found == nil {
		return nil, fmt.Errorf("print type %s: %s has none of that name%s", name, file, nearest.Advice(name, known))
	}
	return found, nil
}

// shapesOf returns the types in a snapshot file or an object.
func (t *tool) shapesOf(file string) ([]*ctype.Shape, error) {
	s, err := ktsnap.ReadFile(file)
	if err == nil {
		var all []*ctype.Shape
		for _, p := range s.Programs {
			all = append(all, p.Shapes...)
		}
		return all, nil
	}
	var newer *ktsnap.NewerVersionError
	if errors.As(err, &newer) {
		return nil, err
	}
	obj, objErr := openObject(file)
	if objErr != nil {
		return nil, fmt.Errorf("read types: it is no snapshot (%w), and no object: %w", err, objErr)
	}
	return btf.NewShapes(obj.Types).Named(obj.Types)
}
