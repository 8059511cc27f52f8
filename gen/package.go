package gen

import (
	"errors"
	"fmt"
	"go/build/constraint"
	"go/token"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/cilium/ebpf/btf"

	ktbtf "github.com/ktgen/ktgen/btf"
	"github.com/ktgen/ktgen/cast"
	"github.com/ktgen/ktgen/gen/internal/gofile"
	"github.com/ktgen/ktgen/object"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// This file makes one package of several objects. Each has a Snap of its own.
// Types that are the same in all of them are declared once; types that differ
// and would have one name get the object's name in front of it.

// Package is what is generated for objects, before it is printed.
type Package struct {
	file *gofile.Package
}

// File is what is printed, for ktgen's own tests.
func (p *Package) File() *gofile.Package { return p.file }

// Render prints the package as one Go file, which is formatted. Whether it compiles is
// not looked at.
func (p *Package) Render() ([]byte, error) { return p.file.Render() }

// DefaultSplit is the number of lines beyond which a file is divided.
const DefaultSplit = gofile.DefaultSplit

// Files prints the package as Go files. There is one, or, if that has more lines than
// limit, the parts that it is divided into, of about as many lines each. A limit of 0
// stands for DefaultSplit, and a negative one for no limit.
func (p *Package) Files(limit int) ([][]byte, error) { return p.file.Files(limit) }

// PartOf tells which part of a divided package a generated file is, from 1 on, and how
// many there are. ok is false for other files.
func PartOf(src []byte) (part, parts int, ok bool) { return gofile.PartOf(src) }

// Warning names something that is left out of the generated code, or differs from C.
type Warning struct {
	Object string // file name, without directories
	Text   string
}

// Warnings returns the warnings, object by object.
func (p *Package) Warnings() (warnings []Warning) {
	for _, m := range p.file.Models {
		for _, text := range m.Warnings {
			warnings = append(warnings, Warning{m.Object, text})
		}
	}
	return warnings
}

// Accessor is a method of the generated Snap, which returns a map or a section.
type Accessor struct {
	Name    string   // Go method
	CName   string   // the map or section
	Type    string   // the type of package runtime that a map's returns, such as "Hash"; empty for sections
	Size    int      // bytes of a value; 0 where values are not decoded
	Numbers []string // a section's Go fields that are integers
}

// Accessors lists the accessors of maps, and then those of sections, object by object.
func (p *Package) Accessors() (all []Accessor) {
	for _, m := range p.file.Models {
		for _, a := range m.Maps {
			if a.IsInner {
				continue
			}
			accessor := Accessor{Name: a.Name, CName: a.CName, Type: string(a.Access)}
			if a.Value != nil {
				accessor.Size = a.Value.Size
			}
			all = append(all, accessor)
		}
		for _, s := range m.Sections {
			all = append(all, Accessor{Name: s.Name, CName: s.CName, Numbers: numbers(s)})
		}
	}
	return all
}

// numbers lists the integers among the variables of a section.
func numbers(s *gofile.Section) (names []string) {
	for _, v := range s.Vars {
		if v.Type.Kind == gofile.Basic && strings.Contains(v.Type.Name, "int") {
			names = append(names, v.Name)
		}
	}
	return names
}

// part is an object of a package.
type part struct {
	obj     *object.Object
	casts   []ktsnap.Cast
	shapes  *ktbtf.Shapes   // of obj.Types, with casts
	kernels map[string]bool // structs that belong to the kernel
	word    string          // the object in renames and messages: layered
	prefix  string          // of its Go names: Layered; empty if it is the only one

	beside map[string]btf.Type // types that only DWARF or other objects of the package define, by how C spells them

	byEssentialName map[string][]btf.Type // structs and unions; nil until one is asked for
}

// BuildPackage decides what is generated for several objects together. Choices
// that cannot be had are a [*ChoiceError].
func BuildPackage(objs []*object.Object, opts Options) (*Package, error) {
	if err := opts.check(); err != nil {
		return nil, err
	}
	parts, err := newParts(objs, opts.Payloads)
	if err != nil {
		return nil, err
	}
	differ := make(map[string]string) // Go names: which objects have them differently
	for {
		p, err := buildParts(parts, opts, differ)
		if err != nil {
			return nil, err
		}
		found, err := conflicts(p, parts, opts.Renames, differ)
		if err != nil {
			return nil, err
		}
		if len(found) == 0 {
			nameEnumerators(p)
			p.Merge()
			return &Package{p}, nil
		}
		maps.Copy(differ, found)
	}
}

func (o *Options) check() error {
	if !token.IsIdentifier(o.Package) || o.Package == "_" {
		return fmt.Errorf("%q cannot be the name of a Go package", o.Package)
	}
	if o.Tags != "" {
		expr, err := constraint.Parse("//go:build " + o.Tags)
		if err != nil {
			return fmt.Errorf("%q cannot be a build constraint, such as \"linux && !race\": %w", o.Tags, err)
		}
		o.Tags = expr.String()
	}
	return nil
}

// newParts gives each object its name in the package.
func newParts(objs []*object.Object, payloads []string) ([]*part, error) {
	parts := make([]*part, len(objs))
	for i, obj := range objs {
		p := &part{obj: obj, casts: cast.Analyze(obj).Casts(), shapes: ktbtf.NewShapes(obj.Types), kernels: kernelTypes(obj), word: objectWord(obj.Name)}
		if len(objs) > 1 {
			p.prefix = exported(p.word)
		}
		for _, other := range parts[:i] {
			if other.prefix == p.prefix {
				return nil, fmt.Errorf("%s and %s would both be %s in Go: copy or link one of them to another name", other.obj.Name, obj.Name, p.prefix)
			}
		}
		parts[i] = p
	}
	if err := applyPayloads(parts, payloads); err != nil {
		return nil, err
	}
	for _, p := range parts {
		p.shapes.Casts(p.casts)
		p.shapes.Beside(p.beside)
	}
	return parts, nil
}

// objectWord is the name of an object without the ending of its file: layered for
// layered.bpf.o.
func objectWord(name string) string {
	for _, ending := range []string{".o", ".bpf"} {
		name = strings.TrimSuffix(name, ending)
	}
	return name
}

// buildParts builds the models. differ are the names that objects do not
// share.
func buildParts(parts []*part, opts Options, differ map[string]string) (*gofile.Package, error) {
	p := new(gofile.Package)
	renames := newRenamer(opts.Renames)
	var builders []*builder
	for _, part := range parts {
		b := newBuilder(part, opts, renames)
		b.differ, b.siblings = differ, parts
		b.reserve(parts)
		if err := b.build(); err != nil {
			return nil, fmt.Errorf("%s: %w", part.obj.Name, err)
		}
		builders = append(builders, b)
		p.Models = append(p.Models, b.model)
	}
	if err := missing(builders); err != nil {
		return nil, err
	}
	return p, renames.check()
}

// reserve takes the names that the file declares for each object whatever is in it, such as
// LayeredSnap, and those of the sections of other objects.
func (b *builder) reserve(parts []*part) {
	for _, part := range parts {
		for _, name := range []string{part.prefix + "Snap", "Bind" + part.prefix, "Open" + part.prefix, "Initial" + part.prefix, part.prefix + gofile.FixtureType} {
			b.scope.taken[name] = "a name that every generated file has"
		}
		if part.obj == b.obj {
			continue
		}
		for _, s := range part.obj.Sections {
			b.scope.taken[part.prefix+sectionName(&s)] = "section " + s.Name + " of " + part.obj.Name
		}
	}
}

// missing returns a [*ChoiceError] for the first choice that no object has anything
// for.
func missing(builders []*builder) error {
	for _, choice := range slices.Sorted(maps.Keys(builders[0].missing)) {
		if slices.ContainsFunc(builders, func(b *builder) bool { return b.missing[choice] == nil }) {
			continue
		}
		flag, value, _ := strings.Cut(choice, " ")
		b := builders[0]
		if len(builders) == 1 {
			return fmt.Errorf("%s: %w", b.obj.Name, &ChoiceError{flag, value, b.missing[choice]})
		}
		if i := slices.IndexFunc(builders, func(b *builder) bool { return strings.Contains(b.missing[choice].Error(), "did you mean") }); i >= 0 {
			b = builders[i]
		}
		err := fmt.Errorf("%w; the other objects have none either", b.missing[choice])
		return fmt.Errorf("%s: %w", b.obj.Name, &ChoiceError{flag, value, err})
	}
	return nil
}

// conflicts returns the Go names that several objects have for different
// types, and which objects those are. Known ones are resolved already, unless
// the user chose the names.
func conflicts(p *gofile.Package, parts []*part, renames []Rename, known map[string]string) (map[string]string, error) {
	type owned struct {
		*gofile.Type
		*part
	}
	first := make(map[string]owned)
	found := make(map[string]string)
	for i, m := range p.Models {
		for _, t := range m.Types {
			other, exists := first[t.Name]
			switch {
			case !exists:
				first[t.Name] = owned{t, parts[i]}
			case reflect.DeepEqual(other.Type, t):
			case known[t.Name] != "":
				old := "OLD"
				if k := slices.IndexFunc(renames, func(r Rename) bool { return r.Go == t.Name }); k >= 0 {
					old = renames[k].C
				}
				return nil, fmt.Errorf("%s is chosen for two types that differ, one in %s and one in %s; choose for each, such as -rename %q",
					t.Name, other.obj.Name, parts[i].obj.Name, fmt.Sprintf("%s:%s=%s,%s:%[2]s=%[5]s", other.word, old, other.prefix+t.Name, parts[i].word, parts[i].prefix+t.Name))
			default:
				found[t.Name] = other.obj.Name + " and " + parts[i].obj.Name
			}
		}
	}
	return found, nil
}

// own returns the name of a type: with the object's in front if objects
// differ in what it is.
func (b *builder) own(name, what string) string {
	objects := b.differ[name]
	if objects == "" {
		return name
	}
	own := b.prefix + name
	if !b.renames.has(b.ways(what, name)) {
		b.warnf("%s is called %s in Go: %s differ in what %s is (-rename %q names it)", what, own, objects, name, b.way(what)+"=NAME")
	}
	return own
}

// Build is BuildPackage for one object.
func Build(obj *object.Object, opts Options) (*Package, error) {
	return BuildPackage([]*object.Object{obj}, opts)
}

func (b *builder) build() error {
	if err := b.collect(); err != nil {
		return err
	}
	if len(b.maps) == 0 && len(b.sections) == 0 && len(b.chosen) == 0 && len(b.missing) == 0 {
		b.warnf("there is nothing to read: the object has no maps, and no global variables but texts (choose types that are read by their address with -type)")
	}
	if err := b.name(); err != nil {
		return err
	}
	if err := b.declare(); err != nil {
		return err
	}
	if len(b.clashes) == 0 {
		return nil
	}
	if err := b.renames.ambiguous(); err != nil {
		return err // which is why they clash
	}
	return errors.Join(b.clashes...)
}
