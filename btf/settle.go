package btf

// This file computes the sizes that follow from other sizes, and holds every
// member against the bounds of what contains it.

import (
	"fmt"

	"github.com/cilium/ebpf/btf"

	"github.com/ktgen/ktgen/runtime/ctype"
)

// settle computes the sizes that follow from others and checks that members
// lie where they are said to. depth bounds the recursion before heights are
// known.
func (c *conversion) settle(t btf.Type, shape *ctype.Shape, depth int) error {
	switch height := c.height[shape]; {
	case !nests(shape) || height > 0:
		return nil
	case height == underway:
		return c.broken(t, "", "the type contains itself")
	case depth == 0:
		return c.tooDeep(t)
	}
	c.height[shape] = underway
	height, err := c.settleBody(t, shape, depth-1)
	if err == nil && height >= maxNesting {
		err = c.tooDeep(t)
	}
	if err != nil {
		delete(c.height, shape)
		return err
	}
	c.height[shape] = height + 1
	return nil
}

// nests tells whether a type holds others by value.
func nests(shape *ctype.Shape) bool {
	switch shape.Kind {
	case ctype.KindTypedef, ctype.KindArray, ctype.KindStruct, ctype.KindUnion, ctype.KindSection:
		return true
	}
	return false
}

func (c *conversion) tooDeep(t btf.Type) error {
	return c.broken(t, "", "types are nested more than %d deep", maxNesting)
}

// settleBody settles what shape is made of and returns the height of that.
func (c *conversion) settleBody(t btf.Type, shape *ctype.Shape, depth int) (height int, err error) {
	switch t := t.(type) {
	case *btf.Typedef:
		height, err = c.settleElem(t.Type, shape.Elem, depth)
		shape.Size = shape.Elem.Size
		return height, err
	case *btf.Array:
		return c.settleArray(t, shape, depth)
	case *btf.Struct:
		return c.settleMembers(t, shape, t.Members, depth)
	case *btf.Union:
		return c.settleMembers(t, shape, t.Members, depth)
	case *btf.Datasec:
		return c.settleVars(t, shape, depth)
	}
	return 0, nil
}

func (c *conversion) settleArray(t *btf.Array, shape *ctype.Shape, depth int) (height int, err error) {
	height, err = c.settleElem(t.Type, shape.Elem, depth)
	if err != nil {
		return 0, err
	}
	if t.Nelems > 0 && !ctype.HasSize(shape.Elem) {
		return 0, c.broken(t, "", "a %s has no size", describe(shape.Elem))
	}
	size := uint64(shape.Elem.Size) * uint64(t.Nelems)
	if size > maxSize || uint64(t.Nelems) > maxSize {
		return 0, c.broken(t, "", "its size of %d bytes is more than %d", size, uint64(maxSize))
	}
	shape.Size = int(size)
	return height, nil
}

// settleElem settles the shape of t and returns its height.
func (c *conversion) settleElem(t btf.Type, shape *ctype.Shape, depth int) (height int, err error) {
	t, _, err = peel(t)
	if err != nil {
		return 0, c.broken(t, "", "%v", err)
	}
	if fwd, ok := t.(*btf.Fwd); ok {
		t = c.definition(fwd)
	}
	err = c.settle(t, shape, depth)
	return c.height[shape], err
}

func (c *conversion) settleMembers(t btf.Type, shape *ctype.Shape, members []btf.Member, depth int) (height int, err error) {
	for i := range shape.Members {
		m := &shape.Members[i]
		h, err := c.settleElem(members[i].Type, m.Type, depth)
		if err != nil {
			return 0, err
		}
		height = max(height, h)
		if rule := checkMember(m, members[i], shape.Size); rule != "" {
			return 0, c.broken(t, memberName(members[i], i), "%s", rule)
		}
		if int(m.Bits) == 8*m.Type.Size && m.BitOffset == 0 {
			m.Bits = 0
		}
	}
	return height, nil
}

// checkMember returns what is wrong with a member of a struct of size bytes.
func checkMember(m *ctype.Member, raw btf.Member, size int) string {
	bits := 8 * uint64(m.Type.Size)
	switch {
	case !ctype.HasSize(m.Type):
		return fmt.Sprintf("a %s has no size", describe(m.Type))
	case raw.BitfieldSize == 0 && m.BitOffset != 0:
		return fmt.Sprintf("starts at bit %d, inside a byte", raw.Offset)
	case raw.BitfieldSize > 0 && !ctype.IsIntegral(m.Type):
		return "is a bitfield and no integer"
	case uint64(raw.BitfieldSize) > bits:
		return fmt.Sprintf("is %d bits wide, and its type %d", raw.BitfieldSize, bits)
	case raw.BitfieldSize > 0:
		bits = uint64(raw.BitfieldSize)
	}
	if end := uint64(raw.Offset) + bits; end > 8*uint64(size) {
		return fmt.Sprintf("ends at bit %d of %d", end, 8*uint64(size))
	}
	return ""
}

func describe(s *ctype.Shape) string {
	switch u := s.Underlying(); u.Kind {
	case ctype.KindVoid:
		return "void"
	case ctype.KindFunc:
		return "function"
	default:
		return "type without definition"
	}
}

func (c *conversion) settleVars(t *btf.Datasec, shape *ctype.Shape, depth int) (height int, err error) {
	for i, info := range t.Vars {
		elem := c.vars[shape][i]
		h, err := c.settleElem(info.Type, elem, depth)
		if err != nil {
			return 0, err
		}
		height = max(height, h)
		if end := uint64(info.Offset) + uint64(elem.Size); end > uint64(t.Size) {
			return 0, c.broken(t, info.Type.TypeName(), "ends at byte %d of %d", end, t.Size)
		}
	}
	for i := range shape.Members {
		if m := &shape.Members[i]; m.Size <= m.Type.Size || !m.Type.OpenEnded() {
			m.Size = 0
		}
	}
	return height, nil
}

func memberName(m btf.Member, i int) string {
	if m.Name == "" {
		return fmt.Sprintf("%d (anonymous)", i)
	}
	return m.Name
}
