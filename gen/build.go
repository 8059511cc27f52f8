package gen

import (
	"errors"
	"fmt"
	"go/build/constraint"
	"go/token"
	"slices"
	"strings"

	"github.com/cilium/ebpf/btf"

	ktbtf "github.com/ktgen/ktgen/btf"
	"github.com/ktgen/ktgen/cast"
	"github.com/ktgen/ktgen/object"
	"github.com/ktgen/ktgen/runtime"
)

// Options are what a user decides about a generated file.
type Options struct {
	Package string // name of the Go package
	Tags    string // build constraint, as a //go:build line has it; empty for none

	// Fields narrows or widens what is generated of the kernel's types that the
	// object's data points to: "task_struct:pid,comm,scx.slice" for each, with
	// "*" for all members. A type that is not named gets all members if the object
	// declares up to 48, and else those that its instructions read.
	Fields []string
}

// maxEager is the size in bytes from which on an array in a section is read
// element by element.
const maxEager = 4096

// Build decides what is generated for an object.
func Build(obj *object.Object, opts Options) (*Model, error) {
	if !token.IsIdentifier(opts.Package) || opts.Package == "_" {
		return nil, fmt.Errorf("%q cannot be the name of a Go package", opts.Package)
	}
	if opts.Tags != "" {
		expr, err := constraint.Parse("//go:build " + opts.Tags)
		if err != nil {
			return nil, fmt.Errorf("%q cannot be a build constraint, such as \"linux && !race\": %w", opts.Tags, err)
		}
		opts.Tags = expr.String()
	}
	b := newBuilder(obj, opts)
	if err := b.collect(); err != nil {
		return nil, fmt.Errorf("%s: %w", obj.Name, err)
	}
	if len(b.maps) == 0 && len(b.sections) == 0 {
		b.warnf("there is nothing to read: the object has no maps, and no global variables that are read")
	}
	if err := b.name(); err != nil {
		return nil, fmt.Errorf("%s: %w", obj.Name, err)
	}
	if err := b.declare(); err != nil {
		return nil, fmt.Errorf("%s: %w", obj.Name, err)
	}
	return b.model, nil
}

// builder is one call of Build.
type builder struct {
	obj    *object.Object
	model  *Model
	shapes *ktbtf.Shapes
	prune  *pruner
	writer runtime.ShapeWriter

	fieldOptions []string
	kernel       map[string]*runtime.Shape // types of the kernel with members, by name

	maps     []mapShapes
	sections []sectionShape

	scope   *scope // of the package
	types   typeNames
	inKeys  map[*runtime.Shape]bool // structs that keys of maps consist of: Go has to compare them
	codecs  map[string]*Codec
	ids     map[string]string // constants that number types, by reference
	idNames *scope
}

// mapShapes is a map with the shapes of its two sides, nil without BTF.
type mapShapes struct {
	*object.Map
	key, value *runtime.Shape
}

type sectionShape struct {
	*object.Section
	shape *runtime.Shape
}

func newBuilder(obj *object.Object, opts Options) *builder {
	b := &builder{
		obj:    obj,
		model:  &Model{Package: opts.Package, Tags: opts.Tags, Object: obj.Name, Digest: obj.Digest(), Fields: opts.Fields},
		shapes: ktbtf.NewShapes(obj.Types),
		codecs: make(map[string]*Codec),
		ids:    make(map[string]string),
		types:  newTypeNames(),
		inKeys: make(map[*runtime.Shape]bool),

		fieldOptions: opts.Fields,
	}
	b.shapes.Casts(cast.Analyze(obj).Casts())
	b.model.Warnings = slices.Clone(obj.Warnings)
	b.prune = newPruner(kernelTypes(obj))
	b.scope = newScope(b.warnf, "Snap", "Bind", "Open", fixtureType)
	b.idNames = newScope(b.warnf)
	return b
}

func (b *builder) warnf(format string, args ...any) {
	b.model.Warnings = append(b.model.Warnings, fmt.Sprintf(format, args...))
}

// collect finds the shapes of everything that gets an accessor.
func (b *builder) collect() error {
	for i := range b.obj.Maps {
		m := &b.obj.Maps[i]
		key, err := b.shape(m.Key)
		if err != nil {
			return fmt.Errorf("key of map %s: %w", m.Name, err)
		}
		value, err := b.mapValue(m)
		if err != nil {
			return fmt.Errorf("value of map %s: %w", m.Name, err)
		}
		b.maps = append(b.maps, mapShapes{m, key, value})
	}
	for i := range b.obj.Sections {
		if err := b.collectSection(&b.obj.Sections[i]); err != nil {
			return err
		}
	}
	return nil
}

// recordTag, before the name of a type, is the decl tag of a ring buffer that
// says of which type its records are.
const recordTag = "ktgen:record:"

// valueType is the type of a map's values: of a ring buffer's records, which
// its definition can name in a tag.
func (b *builder) valueType(m *object.Map) btf.Type {
	if t := runtime.MapType(m.Type); t != runtime.MapTypeRingBuf && t != runtime.MapTypeUserRingBuf {
		return m.Value
	}
	for _, tag := range m.Tags {
		name, isRecord := strings.CutPrefix(tag, recordTag)
		if !isRecord {
			continue
		}
		types, err := b.obj.Types.AnyTypesByName(name)
		if err != nil || len(types) != 1 {
			b.warnf("map %s is read as bytes: its tag names the type %s, and the object has %d of that name", m.Name, name, len(types))
			return nil
		}
		return types[0]
	}
	return nil
}

func (b *builder) collectSection(s *object.Section) error {
	if s.Type == nil || len(s.Vars) == 0 {
		return nil // such as string literals
	}
	if s.Kind == object.Arena {
		b.warnf("section %s is skipped: %s variables are not read yet", s.Name, s.Kind)
		return nil
	}
	shape, err := b.shape(s.Type)
	if err != nil {
		return fmt.Errorf("section %s: %w", s.Name, err)
	}
	b.sections = append(b.sections, sectionShape{s, shape})
	return nil
}

// mapValue is shape for the values of a map, which can be casts themselves.
func (b *builder) mapValue(m *object.Map) (*runtime.Shape, error) {
	t := b.valueType(m)
	if t == nil {
		return nil, nil
	}
	s, err := b.shapes.OfMap(m.Name, t)
	return b.pruned(s, err)
}

// shape converts a type and cuts off what is not followed from it. It returns
// nil for no type.
func (b *builder) shape(t btf.Type) (*runtime.Shape, error) {
	if t == nil {
		return nil, nil
	}
	s, err := b.shapes.Of(t)
	return b.pruned(s, err)
}

func (b *builder) pruned(s *runtime.Shape, err error) (*runtime.Shape, error) {
	if err != nil {
		return nil, err
	}
	pruned := b.prune.shape(s)
	if u := pruned.Underlying(); u == nil || u.Kind == runtime.KindVoid {
		return nil, nil
	}
	if u := pruned.Underlying(); u.Kind == runtime.KindFwd {
		return nil, errors.New("its type is declared and not defined in the object")
	}
	return pruned, nil
}
