package btf

// This file makes structs of allocations: a header that a program declares, and
// behind it what the program takes the rest for.

import (
	"cmp"
	"math"
	"slices"

	"github.com/cilium/ebpf/btf"

	"github.com/ktgen/ktgen/runtime/ctype"
)

// allocation is a header with what is behind it.
type allocation struct {
	header, payload btf.Type
	behind          int
}

// headed returns the shape of a header with a payload behind it, nil if these do
// not fit. A header that is declared only has the members of union sdt_id, if
// that has its size, as with tools/sched_ext/scx_sdt.h; else bytes.
func (c *conversion) headed(header, payload btf.Type, behind int) (*ctype.Shape, error) {
	if payload == nil {
		return nil, nil
	}
	key := allocation{header, payload, behind}
	if c.allocations[key] == nil {
		whole := c.allocate(key)
		if whole == nil {
			return nil, nil
		}
		if c.allocations == nil {
			c.allocations = make(map[allocation]*btf.Struct)
		}
		c.allocations[key] = whole
	}
	return c.shape(c.allocations[key])
}

func (s *Shapes) allocate(a allocation) *btf.Struct {
	size, err := btf.Sizeof(a.payload)
	if err != nil || size <= 0 || a.behind < 0 || int64(size)+int64(a.behind) > math.MaxUint32/8 {
		return nil
	}
	members, ok := s.headerMembers(a)
	if !ok {
		return nil
	}
	payload := btf.Member{Name: payloadName(a), Type: a.payload, Offset: btf.Bits(8 * a.behind), Tags: []string{ctype.PayloadTag}}
	return &btf.Struct{
		Name: cmp.Or(structName(a.header), "allocation"), Size: uint32(a.behind + size),
		Members: append(members, payload),
	}
}

// payloadName is the name of the array that a header ends in, and what
// tools/sched_ext/scx_sdt.h calls it for others.
func payloadName(a allocation) string {
	if header, ok := a.header.(*btf.Struct); ok {
		for _, m := range header.Members {
			if int(m.Offset/8) == a.behind && m.Name != "" {
				return m.Name
			}
		}
	}
	return "payload"
}

// headerMembers returns what of a header is in front of the payload; ok is false
// if a member reaches into it.
func (s *Shapes) headerMembers(a allocation) (members []btf.Member, ok bool) {
	if header, defined := a.header.(*btf.Struct); defined {
		for _, m := range header.Members {
			size, err := btf.Sizeof(m.Type)
			start := int(m.Offset / 8)
			switch {
			case err != nil || start < a.behind && start+size > a.behind:
				return nil, false
			case start < a.behind:
				members = append(members, m)
			}
		}
		return slices.Clip(members), true
	}
	const idSize = 8
	if id, isUnion := s.named("union sdt_id").(*btf.Union); isUnion && id.Size == idSize && a.behind == idSize {
		return []btf.Member{{Name: "tid", Type: id}}, true
	}
	bytes := &btf.Array{Type: &btf.Int{Name: "unsigned char", Size: 1}, Index: &btf.Int{Name: "unsigned int", Size: 4}, Nelems: uint32(a.behind)}
	return []btf.Member{{Name: "header", Type: bytes}}, true
}
