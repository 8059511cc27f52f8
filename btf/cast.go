package btf

// This file makes pointers of members that the program declares as integers,
// where an analysis of its instructions has found out that they are.

import (
	"slices"
	"strings"

	"github.com/cilium/ebpf/btf"

	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// castTable holds casts by what they are in.
type castTable map[string][]ktsnap.Cast

// Casts makes pointers of the places that casts name. It is called before anything is
// converted. A place stays as it is declared if it is no integer of 8 bytes, no void * and
// no array of them, or if it leads to a type that the specs do not describe.
func (s *Shapes) Casts(casts []ktsnap.Cast) {
	s.casts = make(castTable)
	for _, c := range casts {
		s.casts[c.In] = append(s.casts[c.In], c)
	}
}

// Beside adds types that casts can lead to and that none of the specs has, by how C
// spells them. It is called before anything is converted.
func (s *Shapes) Beside(types map[string]btf.Type) { s.beside = types }

// OfMap is [Shapes.Of] for the values of the map with that name in the source,
// which can be integers that hold pointers.
func (s *Shapes) OfMap(name string, value btf.Type) (*ctype.Shape, error) {
	casts := s.casts["map "+name]
	if len(casts) == 0 || len(Members(value)) > 0 {
		return s.Of(value)
	}
	c := conversion{Shapes: s, fresh: make(map[btf.Type]*ctype.Shape)}
	root, err := c.runFrom(func() (*ctype.Shape, error) { return c.castType(value, casts) })
	c.keep(err)
	return root, err
}

// castsIn returns the casts of places in t.
func (c *conversion) castsIn(t btf.Type) []ktsnap.Cast {
	if len(c.casts) == 0 || t.TypeName() == "" {
		return nil
	}
	switch t := t.(type) {
	case *btf.Struct:
		return c.casts["struct "+t.Name]
	case *btf.Union:
		return c.casts["union "+t.Name]
	case *btf.Datasec:
		return c.casts["section "+t.Name]
	}
	return nil
}

// castMember returns the shape of a member, given the casts of places in what
// it is a member of.
func (c *conversion) castMember(name string, t btf.Type, casts []ktsnap.Cast) (*ctype.Shape, error) {
	if len(casts) == 0 {
		return c.shape(t)
	}
	var below []ktsnap.Cast
	for _, cast := range casts {
		if name == "" && slices.Contains(MemberNames(t), firstComponent(cast.Path)) {
			below = append(below, cast)
			continue
		}
		rest, ok := strings.CutPrefix(cast.Path, name)
		if name != "" && ok && (rest == "" || rest[0] == '.' || rest[0] == '[') {
			cast.Path = strings.TrimPrefix(rest, ".")
			below = append(below, cast)
		}
	}
	return c.castType(t, below)
}

func firstComponent(path string) string {
	end := strings.IndexAny(path, ".[")
	if end < 0 {
		return path
	}
	return path[:end]
}

// castType returns a shape of its own for t, with casts at places in it. The
// shape is made of the same kinds as t is, for settle to walk along both.
func (c *conversion) castType(t btf.Type, casts []ktsnap.Cast) (*ctype.Shape, error) {
	peeled, _, err := peel(t)
	if err != nil || peeled == nil || len(casts) == 0 {
		return c.shape(t)
	}
	switch q := peeled.(type) {
	case *btf.Typedef:
		elem, err := c.castType(q.Type, casts)
		if err != nil || elem.Kind == ctype.KindPointer && elem.Declared != "" {
			return named(elem, q.Name), err
		}
		return &ctype.Shape{Kind: ctype.KindTypedef, Name: q.Name, Elem: elem}, nil
	case *btf.Array:
		elem, err := c.castType(q.Type, inElements(casts))
		return &ctype.Shape{Kind: ctype.KindArray, Len: int(q.Nelems), Elem: elem}, err
	case *btf.Struct:
		if q.Name != "" {
			return c.shape(t)
		}
		s := &ctype.Shape{Kind: ctype.KindStruct, Size: int(q.Size)}
		return s, c.fillCastMembers(s, q, q.Size, q.Members, casts)
	case *btf.Union:
		if q.Name != "" {
			return c.shape(t)
		}
		s := &ctype.Shape{Kind: ctype.KindUnion, Size: int(q.Size)}
		return s, c.fillCastMembers(s, q, q.Size, q.Members, casts)
	}
	if len(casts) != 1 || casts[0].Path != "" {
		return c.shape(t)
	}
	return c.castPointer(t, peeled, casts[0])
}

// named is a cast that is declared with a typedef.
func named(pointer *ctype.Shape, name string) *ctype.Shape {
	if pointer == nil {
		return nil
	}
	s := *pointer
	s.Declared = name
	return &s
}

// inElements returns the casts of places in the elements of an array.
func inElements(casts []ktsnap.Cast) []ktsnap.Cast {
	var below []ktsnap.Cast
	for _, cast := range casts {
		if rest, ok := strings.CutPrefix(cast.Path, "[]"); ok {
			cast.Path = strings.TrimPrefix(rest, ".")
			below = append(below, cast)
		}
	}
	return below
}

// castPointer returns the pointer that t holds, or the shape of t if it cannot
// hold one.
func (c *conversion) castPointer(t, peeled btf.Type, cast ktsnap.Cast) (*ctype.Shape, error) {
	pointer := &ctype.Shape{Kind: ctype.KindPointer, Size: pointerSize, Space: cast.Space}
	var header btf.Type
	switch q := peeled.(type) {
	case *btf.Int:
		if q.Size != pointerSize || q.Encoding&btf.Bool != 0 {
			return c.shape(t)
		}
		pointer.Declared = q.Name
	case *btf.Pointer:
		target, tags, err := peel(q.Target)
		header, pointer.Tags = btf.UnderlyingType(target), tags
		switch {
		case err != nil || target != nil && (cast.Behind == 0 || structName(header) == ""):
			return c.shape(t)
		case target == nil:
			pointer.Declared, header = "void *", nil
		default:
			pointer.Space = ctype.SpaceUnknown // as of all pointers that BTF declares
		}
	default:
		return c.shape(t)
	}
	target, err := c.castTarget(cast, header)
	if err != nil || target == nil {
		return c.shape(t)
	}
	pointer.Elem = target
	return pointer, nil
}

// castTarget returns the shape of what a cast leads to, nil if it is not
// described. What belongs to the kernel is declared only: its layout is that of
// the kernel that runs, and not in the program's BTF.
func (c *conversion) castTarget(cast ktsnap.Cast, header btf.Type) (*ctype.Shape, error) {
	keyword, name, tagged := strings.Cut(cast.To, " ")
	tagged = tagged && (keyword == "struct" || keyword == "union")
	if cast.Space == ctype.SpaceKernel && tagged {
		return c.declaration(name), nil
	}
	found := c.named(cast.To)
	switch {
	case cast.Behind > 0:
		return c.headed(header, found, cast.Behind)
	case found != nil:
		return c.shape(found)
	case tagged && !c.ambiguous(cast.To):
		return c.declaration(name), nil
	}
	return nil, nil
}

// named returns the only type that C spells like that, or nil.
func (s *Shapes) named(spelled string) btf.Type {
	if all := s.spelled(spelled); len(all) == 1 {
		return all[0]
	}
	return nil
}

func (s *Shapes) ambiguous(spelled string) bool { return len(s.spelled(spelled)) > 1 }

// spelled returns the types that C spells like that.
func (s *Shapes) spelled(spelled string) (found []btf.Type) {
	keyword, name, tagged := strings.Cut(spelled, " ")
	if tagged = tagged && (keyword == "struct" || keyword == "union"); !tagged {
		keyword, name = "", spelled
	}
	for _, spec := range s.specs {
		types, err := spec.AnyTypesByName(name)
		if err != nil {
			continue
		}
		for _, t := range types {
			if t.TypeName() == name && keywordOf(t) == keyword {
				found = append(found, t)
			}
		}
	}
	if t := s.beside[spelled]; t != nil && len(found) == 0 {
		found = append(found, t)
	}
	return found
}

func keywordOf(t btf.Type) string {
	switch t.(type) {
	case *btf.Struct:
		return "struct"
	case *btf.Union:
		return "union"
	case *btf.Int, *btf.Typedef, *btf.Float:
		return ""
	}
	return "none that a cast names"
}

// declaration returns the shape of a struct of which only the name is known.
func (s *Shapes) declaration(name string) *ctype.Shape {
	if s.declared == nil {
		s.declared = make(map[string]*ctype.Shape)
	}
	if s.declared[name] == nil {
		s.declared[name] = &ctype.Shape{Kind: ctype.KindFwd, Name: name}
	}
	return s.declared[name]
}
