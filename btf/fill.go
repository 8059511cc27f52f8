package btf

// This file sets everything of a shape that its own BTF type says.

import (
	"cmp"
	"math"
	"slices"

	"github.com/cilium/ebpf/btf"

	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// fill sets everything of a new shape but the sizes that follow from others.
func (c *conversion) fill(t btf.Type) error {
	shape := c.fresh[t]
	switch t := t.(type) {
	case *btf.Int:
		return c.fillInt(shape, t)
	case *btf.Float:
		*shape = ctype.Shape{Kind: ctype.KindFloat, Name: t.Name, Size: int(t.Size)}
		if !slices.Contains([]uint32{2, 4, 8, 12, 16}, t.Size) {
			return c.broken(t, "", "a float of %d bytes", t.Size)
		}
	case *btf.Enum:
		return c.fillEnum(shape, t)
	case *btf.Pointer:
		return c.fillPointer(shape, t)
	case *btf.Array:
		*shape = ctype.Shape{Kind: ctype.KindArray, Len: int(t.Nelems)}
		return c.element(shape, t.Type)
	case *btf.Typedef:
		*shape = ctype.Shape{Kind: ctype.KindTypedef, Name: t.Name}
		return c.element(shape, t.Type)
	case *btf.Struct:
		*shape = ctype.Shape{Kind: ctype.KindStruct, Name: t.Name, Size: int(t.Size)}
		return c.fillMembers(shape, t, t.Size, t.Members)
	case *btf.Union:
		*shape = ctype.Shape{Kind: ctype.KindUnion, Name: t.Name, Size: int(t.Size)}
		return c.fillMembers(shape, t, t.Size, t.Members)
	case *btf.Datasec:
		return c.fillSection(shape, t)
	case *btf.Fwd:
		*shape = ctype.Shape{Kind: ctype.KindFwd, Name: t.Name}
	case *btf.Func, *btf.FuncProto:
		*shape = ctype.Shape{Kind: ctype.KindFunc, Name: t.TypeName()}
	default:
		return c.broken(t, "", "a %T has no layout", t)
	}
	return nil
}

func (c *conversion) fillInt(shape *ctype.Shape, t *btf.Int) error {
	*shape = ctype.Shape{
		Kind:   intKind(t),
		Name:   t.Name,
		Size:   int(t.Size),
		Signed: t.Encoding&btf.Signed != 0,
	}
	if t.Size == 0 || t.Size > 16 {
		return c.broken(t, "", "an integer of %d bytes", t.Size)
	}
	return nil
}

func intKind(t *btf.Int) ctype.Kind {
	switch {
	case t.Encoding&btf.Bool != 0:
		return ctype.KindBool
	case t.Size == 1 && t.Name == "char":
		return ctype.KindChar
	case t.Size == 1 && t.Encoding&btf.Char != 0 && t.Name != "signed char" && t.Name != "unsigned char":
		return ctype.KindChar
	}
	return ctype.KindInt
}

func (c *conversion) fillEnum(shape *ctype.Shape, t *btf.Enum) error {
	if t.Size == 0 && len(t.Values) == 0 { // enum e;
		*shape = ctype.Shape{Kind: ctype.KindFwd, Name: t.Name}
		return nil
	}
	*shape = ctype.Shape{
		Kind:   ctype.KindEnum,
		Name:   t.Name,
		Size:   int(t.Size),
		Signed: t.Signed,
		Values: make([]ctype.EnumValue, len(t.Values)),
	}
	if !slices.Contains([]uint32{1, 2, 4, 8}, t.Size) {
		return c.broken(t, "", "an enum of %d bytes", t.Size)
	}
	unused := 64 - 8*t.Size // clang writes more bits than the enum has if its type is a typedef
	for i, v := range t.Values {
		value := v.Value << unused >> unused
		if t.Signed {
			value = uint64(int64(v.Value<<unused) >> unused)
		}
		shape.Values[i] = ctype.EnumValue{Name: v.Name, Value: value}
	}
	return nil
}

func (c *conversion) fillPointer(shape *ctype.Shape, t *btf.Pointer) error {
	_, tags, err := peel(t.Target)
	if err != nil {
		return c.broken(t, "", "%v", err)
	}
	*shape = ctype.Shape{Kind: ctype.KindPointer, Size: pointerSize, Tags: tags}
	if name := structName(t.Target); c.shallow && name != "" {
		shape.Elem = c.declaration(name)
		return nil
	}
	return c.element(shape, t.Target)
}

// structName is the name of the struct or union that t is, if it is one.
func structName(t btf.Type) string {
	switch u := btf.UnderlyingType(t).(type) {
	case *btf.Struct:
		return u.Name
	case *btf.Union:
		return u.Name
	case *btf.Fwd:
		return u.Name
	}
	return ""
}

func (c *conversion) element(shape *ctype.Shape, t btf.Type) (err error) {
	shape.Elem, err = c.shape(t)
	return err
}

func (c *conversion) fillMembers(shape *ctype.Shape, t btf.Type, size uint32, members []btf.Member) error {
	return c.fillCastMembers(shape, t, size, members, c.castsIn(t))
}

// fillCastMembers fills in members, some of which hold pointers that they are
// not declared to hold.
func (c *conversion) fillCastMembers(shape *ctype.Shape, t btf.Type, size uint32, members []btf.Member, casts []ktsnap.Cast) error {
	if uint64(size) > maxSize {
		return c.broken(t, "", "its size of %d bytes is more than %d", size, uint64(maxSize))
	}
	shape.Members = make([]ctype.Member, len(members))
	for i, m := range members {
		inMember := casts
		if m.BitfieldSize > 0 {
			inMember = nil
		}
		elem, err := c.castMember(m.Name, m.Type, inMember)
		if err != nil {
			return err
		}
		shape.Members[i] = ctype.Member{
			Name:      m.Name,
			Offset:    int(m.Offset / 8),
			Type:      elem,
			Bits:      uint8(min(m.BitfieldSize, math.MaxUint8)),
			BitOffset: uint8(m.Offset % 8),
			Tags:      m.Tags,
		}
	}
	return nil
}

func (c *conversion) fillSection(shape *ctype.Shape, t *btf.Datasec) error {
	*shape = ctype.Shape{Kind: ctype.KindSection, Name: t.Name, Size: int(t.Size)}
	if len(t.Vars) > 0 && t.Size == 0 {
		return c.broken(t, "", "the section is not laid out: its size is 0, as in an object that was never linked or loaded")
	}
	if uint64(t.Size) > maxSize {
		return c.broken(t, "", "its size of %d bytes is more than %d", t.Size, uint64(maxSize))
	}
	shape.Members = make([]ctype.Member, len(t.Vars))
	vars := make([]*ctype.Shape, len(t.Vars))
	names := VarNames(t)
	for i, info := range t.Vars {
		if end := uint64(info.Offset) + uint64(info.Size); end > uint64(t.Size) {
			return c.broken(t, info.Type.TypeName(), "ends at byte %d of %d", end, t.Size)
		}
		elem, err := c.castMember(names[i], info.Type, c.castsIn(t))
		if err != nil {
			return err
		}
		m := ctype.Member{Name: names[i], Offset: int(info.Offset), Type: elem, Size: int(info.Size)} // see settleVars
		if v, ok := info.Type.(*btf.Var); ok {
			m.Static = v.Linkage == btf.StaticVar
			m.Tags = v.Tags
		}
		shape.Members[i], vars[i] = m, elem
	}
	if c.vars == nil {
		c.vars = make(map[*ctype.Shape][]*ctype.Shape)
	}
	c.vars[shape] = vars
	slices.SortStableFunc(shape.Members, func(a, b ctype.Member) int { return cmp.Compare(a.Offset, b.Offset) })
	return nil
}

// VarNames returns how the variables of a section are called in shapes, in the
// order of t.Vars: those that share a name are numbered in the order of their
// offsets, as [ctype.Shape.TellApart] does.
func VarNames(t *btf.Datasec) []string {
	order := make([]int, len(t.Vars))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(t.Vars[i].Offset, t.Vars[j].Offset) })
	section := ctype.Shape{Kind: ctype.KindSection, Members: make([]ctype.Member, len(order))}
	for k, i := range order {
		section.Members[k].Name = t.Vars[i].Type.TypeName()
	}
	section.TellApart()
	names := make([]string, len(order))
	for k, i := range order {
		names[i] = section.Members[k].Name
	}
	return names
}
