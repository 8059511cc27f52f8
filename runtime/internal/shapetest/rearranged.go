package shapetest

import "github.com/ktgen/ktgen/runtime/ctype"

// Rearranged returns s as another build of the program could have it: members
// in another order, with other holes, integers wider, bitfields elsewhere, and
// members that are new.
func (r *Maker) Rearranged(s *ctype.Shape) *ctype.Shape {
	return r.rearranged(s, make(map[*ctype.Shape]*ctype.Shape))
}

func (r *Maker) rearranged(s *ctype.Shape, memo map[*ctype.Shape]*ctype.Shape) *ctype.Shape {
	if done := memo[s]; done != nil {
		return done
	}
	c := new(ctype.Shape)
	*c = *s
	memo[s] = c
	switch s.Kind {
	case ctype.KindStruct:
		r.rearrangeMembers(s, c, memo)
	case ctype.KindArray:
		c.Elem = r.rearranged(s.Elem, memo)
		c.Size = c.Elem.Size * c.Len
	case ctype.KindTypedef:
		c.Elem = r.rearranged(s.Elem, memo)
		c.Size = c.Elem.Size
	case ctype.KindInt:
		if r.IntN(3) == 0 {
			c.Size = min(8, 2*s.Size)
		}
	}
	return c
}

func (r *Maker) rearrangeMembers(s, c *ctype.Shape, memo map[*ctype.Shape]*ctype.Shape) {
	c.Members, c.Size = nil, r.IntN(4)
	if r.IntN(2) == 0 {
		r.Add(c, r.Name("new"), r.Scalar())
	}
	for _, i := range r.Perm(len(s.Members)) {
		m := s.Members[i]
		c.Size += r.IntN(3)
		m.Offset = c.Size
		if m.Bits > 0 {
			m.BitOffset = uint8(r.IntN(8))
			c.Size += m.Width()
		} else {
			m.Type = r.rearranged(m.Type, memo)
			c.Size += m.Type.Size
		}
		c.Members = append(c.Members, m)
	}
}
