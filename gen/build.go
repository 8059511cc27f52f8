package gen

import (
	"errors"
	"fmt"
	"slices"

	"github.com/cilium/ebpf/btf"

	ktbtf "github.com/ktgen/ktgen/btf"
	"github.com/ktgen/ktgen/gen/internal/gofile"
	"github.com/ktgen/ktgen/object"
	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/ktsnap"
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

	// Maps and Types choose what is generated: maps and sections by name or
	// pattern ("stats_*", ".bss"), types by name ("task_ctx", "struct task_ctx"),
	// and what those reach. Without either, all maps and sections are.
	Maps, Types []string

	Renames []Rename

	// Payloads says what is behind the headers of allocations, for each place that
	// holds pointers to them: "task_slot.data=struct task_ctx", or
	// "task_slot.data+16=struct task_ctx" with the size of the header.
	Payloads []string

	// Header is the text of a comment above everything, such as a license.
	Header string

	// Split is the number of lines beyond which a file is divided; see [Package.Files].
	// 0 stands for DefaultSplit, less than 0 for never.
	Split int

	Version string // of the ktgen that generates, for the file's first line; empty for none
}

// maxEager is the size in bytes up to which an array in a section is decoded with it.
// A larger one is read element by element.
const maxEager = 4096

// builder makes the model of an object.
type builder struct {
	*part
	opts   Options
	model  *gofile.Model
	prune  *pruner
	writer ctype.Writer

	fieldOptions []string
	kernel       map[string]*ctype.Shape // types of the kernel with members, by name

	maps     []mapShapes
	sections []sectionShape
	chosen   []chosenType            // by name
	objects  map[string]*ctype.Shape // of lists and trees, by name

	siblings []*part // all objects of the package

	renames *renamer
	clashes []error // of chosen names
	tags    map[tagged][]string
	missing map[string]error  // choices that the object has nothing for
	differ  map[string]string // Go names that objects do not share, and which objects

	scope   *scope // of the package
	types   typeNames
	inKeys  map[*ctype.Shape]bool // structs that keys of maps consist of: Go has to compare them
	codecs  map[string]*gofile.Codec
	ids     map[string]string // constants that number types, by reference
	idNames *scope
}

// mapShapes is a map with the shapes of its two sides, nil without BTF.
type mapShapes struct {
	*object.Map
	key, value *ctype.Shape
	unread     string // why the map is read as bytes though it has types; empty if it is not
	isInner    bool   // of the map before it
}

type sectionShape struct {
	*object.Section
	shape *ctype.Shape
	texts int // how many variables are left out because nobody reads them
}

func newBuilder(p *part, opts Options, renames *renamer) *builder {
	obj := p.obj
	b := &builder{
		part: p,
		opts: opts,
		model: &gofile.Model{
			Package: opts.Package, Tags: opts.Tags, Header: opts.Header, Choices: opts.Flags(), Version: opts.Version,
			Object: obj.Name, Prefix: p.prefix, Digest: obj.Digest(), Fields: opts.Fields,
		},
		renames: renames,
		missing: make(map[string]error),
		tags:    make(map[tagged][]string),
		codecs:  make(map[string]*gofile.Codec),
		ids:     make(map[string]string),
		types:   newTypeNames(),
		inKeys:  make(map[*ctype.Shape]bool),
		writer:  ctype.Writer{Natural: true},

		fieldOptions: opts.Fields,
	}
	b.model.Warnings = slices.Clone(obj.Warnings)
	b.prune = newPruner(p.kernels, allocatedTypes(obj), b.siblingShape)
	b.scope = b.newScope()
	b.idNames = b.newScope()
	return b
}

func (b *builder) warnf(format string, args ...any) {
	b.model.Warnings = append(b.model.Warnings, fmt.Sprintf(format, args...))
}

// collect finds the shapes of everything that gets an accessor.
func (b *builder) collect() error {
	maps, sections, err := b.selectMaps()
	if err != nil {
		return err
	}
	for _, m := range maps {
		if err := b.collectMap(m, false); err != nil {
			return err
		}
	}
	for _, s := range sections {
		if err := b.collectSection(s); err != nil {
			return err
		}
	}
	b.chosen, err = b.selectTypes()
	for _, name := range b.prune.large {
		b.warnf("pointers to %s are not followed: it has more than the %d bytes that are read as one value", name, maxGoValue)
	}
	return err
}

// collectMap finds the shapes of a map, and of the maps in it.
func (b *builder) collectMap(m *object.Map, isInner bool) error {
	shapes := mapShapes{Map: m, isInner: isInner}
	var keyErr, valueErr error
	shapes.key, keyErr = b.shape(m.Key)
	shapes.value, valueErr = b.mapValue(m)
	if err := damage(keyErr, valueErr); err != nil {
		return fmt.Errorf("map %s: %w", m.Name, err)
	}
	switch {
	case keyErr != nil:
		shapes.unread = fmt.Sprintf("its keys cannot be read: %v", keyErr)
	case valueErr != nil:
		shapes.unread = fmt.Sprintf("its values cannot be read: %v", valueErr)
	case shapes.key != nil && shapes.key.Size > maxGoValue:
		shapes.unread = fmt.Sprintf("its keys have %d bytes each, more than the %d that are read as one", shapes.key.Size, maxGoValue)
	case shapes.value != nil && shapes.value.Size > maxGoValue:
		shapes.unread = fmt.Sprintf("its values have %d bytes each, more than the %d that are read as one", shapes.value.Size, maxGoValue)
	}
	b.maps = append(b.maps, shapes)
	if isInner || !ktsnap.MapType(m.Type).HoldsMaps() {
		return nil
	}
	if m.Inner == nil {
		return b.collectMap(&object.Map{Name: m.Name + ".inner"}, true)
	}
	return b.collectMap(m.Inner, true)
}

// valueType is the type of a map's values: of a ring buffer's records, which
// its definition can name in a tag.
func (b *builder) valueType(m *object.Map) btf.Type {
	if !ktsnap.MapType(m.Type).IsRing() {
		return m.Value
	}
	name, types, tagged := ktbtf.RecordTypes(b.obj.Types, m.Tags)
	switch {
	case !tagged:
		return nil
	case len(types) == 0:
		b.warnf("map %s is read as bytes: its tag names the type %s, which is not in the object: clang leaves out a type that only local variables use; a global that points to it keeps it (const struct %s *unused_%[2]s __attribute__((unused));)", m.Name, name, name)
		return nil
	case len(types) != 1:
		b.warnf("map %s is read as bytes: its tag names the type %s, and the object has %d of that name", m.Name, name, len(types))
		return nil
	}
	return types[0]
}

// damage returns the first error that says that BTF is not well-formed. The other errors
// are of types that Go has no value for, and cost only the map or section that has one.
func damage(errs ...error) error {
	for _, err := range errs {
		if malformed := (*ktbtf.FormatError)(nil); errors.As(err, &malformed) {
			return err
		}
	}
	return nil
}

func (b *builder) collectSection(s *object.Section) error {
	if s.Type == nil || len(s.Vars) == 0 {
		return nil // such as string literals
	}
	shape, err := b.shape(s.Type)
	if err != nil {
		return fmt.Errorf("section %s: %w", s.Name, err)
	}
	whole := shape
	shape = withoutTexts(s, shape)
	texts := len(whole.Members) - len(shape.Members)
	if shape = cutFrom(whole, b.withoutLarge(shape)); len(shape.Members) > 0 {
		b.sections = append(b.sections, sectionShape{s, shape, texts})
	}
	return nil
}

// cutFrom notes that the last variable of a section is not the last one any more,
// so that nobody takes it for the one that loaders resize.
func cutFrom(whole, left *ctype.Shape) *ctype.Shape {
	n := len(left.Members)
	if n == 0 || left.Members[n-1].Name == whole.Members[len(whole.Members)-1].Name {
		return left
	}
	cut := *left
	cut.Cut = true
	return &cut
}

// withoutLarge leaves out the variables of a section that are too large to be
// read, as a whole or by element.
func (b *builder) withoutLarge(section *ctype.Shape) *ctype.Shape {
	out := *section
	out.Members = slices.DeleteFunc(slices.Clone(section.Members), func(v ctype.Member) bool {
		size := v.Type.Size
		if elem := lazyElem(v.Type); elem != nil {
			size = elem.Size
		}
		if size > maxGoValue {
			b.warnf("variable %s of %s is left out: it has %d bytes, more than the %d that are read as one value", v.Name, section.Name, size, maxGoValue)
		}
		return size > maxGoValue
	})
	if len(out.Members) == len(section.Members) {
		return section
	}
	return &out
}

// mapValue is shape for the values of a map, which can be casts themselves.
func (b *builder) mapValue(m *object.Map) (*ctype.Shape, error) {
	t := b.valueType(m)
	if d := b.declared(t); t == nil || d != nil {
		return b.shape(t)
	}
	s, err := b.shapes.OfMap(m.Name, t)
	return b.pruned(s, err)
}

// declared returns the definition of a type that the object only declares, nil
// for other types, and if no object of the package has one.
func (b *builder) declared(t btf.Type) *definition {
	if fwd, ok := t.(*btf.Fwd); ok {
		return b.definition(fwd.Name)
	}
	return nil
}

// shape converts a type and cuts off what is not followed from it. It returns
// nil for no type.
func (b *builder) shape(t btf.Type) (*ctype.Shape, error) {
	if t == nil {
		return nil, nil
	}
	d := b.declared(t)
	if d == nil {
		d = &definition{b.part, t}
	}
	return b.pruned(d.shape())
}

func (b *builder) pruned(s *ctype.Shape, err error) (*ctype.Shape, error) {
	if err != nil {
		return nil, err
	}
	pruned := b.prune.shape(s)
	if u := pruned.Underlying(); u == nil || u.Kind == ctype.KindVoid {
		return nil, nil
	}
	if u := pruned.Underlying(); u.Kind == ctype.KindFwd {
		return nil, errors.New("its type is declared and not defined in the object")
	}
	return pruned, nil
}
