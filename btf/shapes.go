package btf

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/cilium/ebpf/btf"

	"github.com/ktgen/ktgen/runtime/ctype"
)

// maxSize bounds the size of a type in bytes, as the kernel does (U32_MAX,
// btf_array_resolve in kernel/bpf/btf.c), and to what an int holds.
const maxSize = min(math.MaxUint32, math.MaxInt)

// Sizes that BTF leaves to the target: BPF and every kernel that runs it here
// are 64-bit.
const pointerSize = 8

// Shapes converts BTF types to shapes. Converting a type converts everything it
// refers to, through pointers too. The same type always gives the same *Shape, so
// types that refer to one another become shapes that do.
//
// Decisions that BTF leaves open:
//   - A one-byte integer is a Char if it is called "char", whatever its
//     encoding: clang never sets BTF's CHAR bit, and sets SIGNED on x86. Where
//     a producer sets the bit it counts too, except on "signed char" and
//     "unsigned char", which are s8 and u8: numbers, not text.
//   - A type tag belongs to the pointer it follows. One that follows anything
//     else, such as the address space of an array, is dropped.
//   - A bitfield as wide as its type and aligned to a byte is an ordinary
//     member.
//   - A forward declaration becomes the definition of the same name and
//     keyword, if exactly one of the specs has exactly one.
//
// A Shapes is not safe for concurrent use; the shapes it returns are.
type Shapes struct {
	specs []*btf.Spec
	memo  map[btf.Type]*ctype.Shape
	void  *ctype.Shape
	casts castTable

	// shallow makes pointers to structs and unions lead to declarations.
	shallow bool

	beside      map[string]btf.Type     // what no spec has, by how C spells it
	declared    map[string]*ctype.Shape // declarations that no BTF has
	allocations map[allocation]*btf.Struct

	// height is how many types a converted type nests by value, itself
	// included. Types that cannot nest are left out.
	height map[*ctype.Shape]int
}

// NewShapes returns a converter for the types of specs. Their order is the
// order in which definitions of forward declarations are looked for.
func NewShapes(specs ...*btf.Spec) *Shapes {
	return &Shapes{
		specs:  specs,
		memo:   make(map[btf.Type]*ctype.Shape),
		void:   &ctype.Shape{Kind: ctype.KindVoid, Name: "void"},
		height: make(map[*ctype.Shape]int),
	}
}

// NewShallowShapes returns a converter that does not go along pointers: those
// to structs and unions lead to declarations of these. It is for the kernel's
// types, all of which lead to all the others.
func NewShallowShapes(specs ...*btf.Spec) *Shapes {
	s := NewShapes(specs...)
	s.shallow = true
	return s
}

// Of returns the shape of t. It returns a [*FormatError] if t, or a type that
// it refers to, has no valid layout.
func (s *Shapes) Of(t btf.Type) (*ctype.Shape, error) {
	c := conversion{Shapes: s, fresh: make(map[btf.Type]*ctype.Shape)}
	root, err := c.runFrom(func() (*ctype.Shape, error) { return c.shape(t) })
	c.keep(err)
	return root, err
}

// keep makes the shapes of a conversion that has not failed the Shapes' own.
func (c *conversion) keep(err error) {
	for t, shape := range c.fresh {
		if err != nil {
			delete(c.height, shape)
			continue
		}
		c.memo[t] = shape
	}
}

// runFrom converts what root returns, and everything that it refers to.
func (c *conversion) runFrom(first func() (*ctype.Shape, error)) (*ctype.Shape, error) {
	root, err := first()
	if err != nil {
		return nil, err
	}
	// The queue grows while it is worked off.
	for i := 0; i < len(c.queue); i++ {
		if err := c.fill(c.queue[i]); err != nil {
			return nil, err
		}
	}
	for _, t := range c.queue {
		if err := c.settle(t, c.fresh[t], maxNesting); err != nil {
			return nil, err
		}
	}
	return root, nil
}

// Named returns the shapes of the named structs, unions, enums, typedefs and
// laid out sections of spec, ordered by name, kind and type id.
func (s *Shapes) Named(spec *btf.Spec) ([]*ctype.Shape, error) {
	var shapes []*ctype.Shape
	for t, err := range spec.All() {
		if err != nil {
			return nil, err
		}
		if !isNamed(t) {
			continue
		}
		shape, err := s.Of(t)
		if err != nil {
			return nil, err
		}
		shapes = append(shapes, shape)
	}
	slices.SortStableFunc(shapes, func(a, b *ctype.Shape) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Kind, b.Kind))
	})
	return shapes, nil
}

func isNamed(t btf.Type) bool {
	switch t := t.(type) {
	case *btf.Struct, *btf.Union, *btf.Enum, *btf.Typedef:
		return t.TypeName() != ""
	case *btf.Datasec:
		return t.Size > 0
	}
	return false
}

// conversion is one call of Of. Its shapes become the Shapes' own only if all
// of them are valid.
type conversion struct {
	*Shapes
	fresh map[btf.Type]*ctype.Shape
	queue []btf.Type                      // keys of fresh, in order of discovery
	vars  map[*ctype.Shape][]*ctype.Shape // of sections, in BTF's order
}

// underway is the height of a type whose members are being settled.
const underway = -1

// shape returns the shape of t, to be filled later if it is new.
func (c *conversion) shape(t btf.Type) (*ctype.Shape, error) {
	t, _, err := peel(t)
	if err != nil {
		return nil, c.broken(t, "", "%v", err)
	}
	if fwd, ok := t.(*btf.Fwd); ok {
		t = c.definition(fwd)
	}
	if t == nil {
		return c.void, nil
	}
	if shape := c.memo[t]; shape != nil {
		return shape, nil
	}
	if shape := c.fresh[t]; shape != nil {
		return shape, nil
	}
	shape := new(ctype.Shape)
	c.fresh[t] = shape
	c.queue = append(c.queue, t)
	return shape, nil
}

// peel removes what has no layout of its own: qualifiers, type tags and the
// variable around a variable's type. It returns nil for void, and the values
// of the type tags in order.
func peel(t btf.Type) (btf.Type, []string, error) {
	var tags []string
	for range maxNesting {
		switch q := t.(type) {
		case *btf.Const:
			t = q.Type
		case *btf.Volatile:
			t = q.Type
		case *btf.Restrict:
			t = q.Type
		case *btf.Var:
			t = q.Type
		case *btf.TypeTag:
			tags = append(tags, q.Value)
			t = q.Type
		case nil, *btf.Void:
			return nil, tags, nil
		default:
			return t, tags, nil
		}
	}
	return t, nil, fmt.Errorf("more than %d qualifiers follow one another", maxNesting)
}

// definition returns the struct or union that fwd declares, or fwd itself.
func (c *conversion) definition(fwd *btf.Fwd) btf.Type {
	var found btf.Type
	for _, spec := range c.specs {
		def := define(spec, fwd)
		if def == nil {
			continue
		}
		if found != nil && found != def {
			return fwd
		}
		found = def
	}
	if found == nil {
		return fwd
	}
	return found
}

// define returns the only struct or union of spec that fwd can stand for, or
// nil.
func define(spec *btf.Spec, fwd *btf.Fwd) btf.Type {
	if fwd.Name == "" {
		return nil
	}
	types, err := spec.AnyTypesByName(fwd.Name)
	if err != nil {
		return nil
	}
	var found btf.Type
	for _, t := range types {
		_, isStruct := t.(*btf.Struct)
		_, isUnion := t.(*btf.Union)
		if t.TypeName() != fwd.Name || !isStruct && !isUnion || isUnion != (fwd.Kind == btf.FwdUnion) {
			continue
		}
		if found != nil {
			return nil
		}
		found = t
	}
	return found
}

// broken returns a FormatError about t, with its type id if one of the specs
// knows it.
func (s *Shapes) broken(t btf.Type, member, format string, args ...any) error {
	e := &FormatError{Offset: -1, Type: Spell(t), Member: member, Rule: fmt.Sprintf(format, args...)}
	for _, spec := range s.specs {
		if id, err := spec.TypeID(t); err == nil {
			e.ID = id
			break
		}
	}
	return e
}
