package freeze

import (
	"cmp"
	"encoding/binary"
	"maps"
	"slices"

	ebtf "github.com/cilium/ebpf/btf"

	"github.com/ktgen/ktgen/freeze/internal/bpfmap"
)

// This file tells which map is which of those that a program defines, where the
// kernel has cut their names or keeps no BTF of theirs.

// declare finds the definitions of maps that are copied, and gives maps their
// names in full.
func (p *programs) declare(all []*bpfmap.Map) {
	p.nameMaps(all)
	p.declareInner(all)
}

// nameMaps gives maps their names in full, and notes them for later captures.
func (p *programs) nameMaps(all []*bpfmap.Map) {
	p.defined = make(map[*bpfmap.Map]defined)
	owned := make(map[*program][]*bpfmap.Map)
	programs := p.inOrder()
	for _, m := range all {
		if prog := p.owner(m, programs, all); prog != nil {
			owned[prog] = append(owned[prog], m)
		}
	}
	for _, prog := range programs {
		prog.match(owned[prog], func(m *bpfmap.Map, d *definition) {
			p.defined[m] = defined{prog, d}
			if len(d.name) > maxName && cut(d.name) == m.Name {
				m.Name = d.name
			}
		})
	}
	p.names = make(map[identity]string, len(all))
	for _, m := range all {
		p.nameSection(m)
		p.names[identity{m.Addr, m.BTF, m.ID}] = m.Name
	}
}

// identity tells a map from one that reuses its id or its memory.
type identity struct {
	addr uint64
	btf  bpfmap.BTF
	id   uint32
}

// recall gives maps the names that were noted, and tells whether it had those of
// all whose names the kernel can have cut.
func (p *programs) recall(all []*bpfmap.Map) bool {
	whole := true
	for _, m := range all {
		name, known := p.names[identity{m.Addr, m.BTF, m.ID}]
		if known && cut(name) == m.Name {
			m.Name = name
			continue
		}
		whole = whole && len(m.Name) < maxName
	}
	return whole
}

// defined is a definition, and the program that has it.
type defined struct {
	*program
	*definition
}

// inOrder decodes the programs that are known, by their ids.
func (p *programs) inOrder() []*program {
	var list []*program
	for _, b := range slices.SortedFunc(maps.Keys(p.known), func(a, b bpfmap.BTF) int { return cmp.Compare(a.ID, b.ID) }) {
		prog := p.known[b]
		if prog.decode(b, p.casts); prog.err == nil {
			list = append(list, prog)
		}
	}
	return list
}

// owner returns the program that defines a map: its BTF's or, where the kernel
// keeps none, the one that defines a map like it, and of several the one with
// the map whose id is nearest: a loader makes its maps one after the other.
func (p *programs) owner(m *bpfmap.Map, programs []*program, all []*bpfmap.Map) *program {
	if m.BTF.Addr != 0 {
		return p.known[m.BTF]
	}
	var best *program
	var nearest uint32
	for _, prog := range programs {
		mayBe := func(d *definition) bool { return d.isCalled(m.Name) && d.fits(m) && !p.hasSection(prog, d, all) }
		if !slices.ContainsFunc(prog.definitions, mayBe) {
			continue
		}
		if d := p.distance(prog, m, all); best == nil || d < nearest {
			best, nearest = prog, d
		}
	}
	return best
}

// hasSection tells whether a program's section is there with its type: then a map
// that is called like it is another program's.
func (p *programs) hasSection(prog *program, d *definition, all []*bpfmap.Map) bool {
	return d.section != nil && slices.ContainsFunc(all, func(m *bpfmap.Map) bool {
		return m.BTF.Addr != 0 && p.known[m.BTF] == prog && m.ValueType == uint32(d.valueID)
	})
}

// distance is how far a map's id is from the next one of a program's.
func (p *programs) distance(prog *program, m *bpfmap.Map, all []*bpfmap.Map) uint32 {
	least := ^uint32(0)
	for _, other := range all {
		if other.BTF.Addr != 0 && p.known[other.BTF] == prog {
			least = min(least, max(other.ID, m.ID)-min(other.ID, m.ID))
		}
	}
	return least
}

// cut is a name as the kernel keeps it.
func cut(name string) string { return name[:min(len(name), maxName)] }

// match tells which of a program's maps are which of its definitions.
func (p *program) match(all []*bpfmap.Map, found func(*bpfmap.Map, *definition)) {
	slices.SortFunc(all, func(a, b *bpfmap.Map) int { return cmp.Compare(a.ID, b.ID) })
	named := make(map[string][]*bpfmap.Map)
	for _, m := range all {
		named[cut(m.Name)] = append(named[cut(m.Name)], m)
	}
	for name, alike := range named {
		var defs []*definition
		for _, d := range p.definitions {
			if d.isCalled(name) {
				defs = append(defs, d)
			}
		}
		matchAlike(alike, defs, found)
	}
}

// matchAlike does for maps whose names are the same to the kernel. If all are
// there they are in the order of their definitions, in which libbpf makes them;
// else those are told that fit one definition only.
func matchAlike(alike []*bpfmap.Map, defs []*definition, found func(*bpfmap.Map, *definition)) {
	inOrder := len(alike) == len(defs)
	for i := range min(len(alike), len(defs)) {
		inOrder = inOrder && defs[i].fits(alike[i])
	}
	if inOrder {
		for i, m := range alike {
			found(m, defs[i])
		}
		return
	}
	for _, m := range alike {
		fits := slices.DeleteFunc(slices.Clone(defs), func(d *definition) bool { return !d.fits(m) })
		if len(fits) == 1 {
			found(m, fits[0])
		}
	}
}

// declareInner finds the definitions of the maps in maps of maps that have none
// of their own: those are like the template of what they are in.
func (p *programs) declareInner(all []*bpfmap.Map) {
	byID := make(map[uint32]*bpfmap.Map, len(all))
	for _, m := range all {
		byID[m.ID] = m
	}
	for _, outer := range all {
		def := p.defined[outer]
		if def.definition == nil || def.inner == nil || outer.ValueSize != 4 || outer.Stride < 4 {
			continue
		}
		for at := 0; at+outer.Stride <= len(outer.Values); at += outer.Stride {
			inner := byID[binary.LittleEndian.Uint32(outer.Values[at:])]
			if inner == nil || inner.BTF.Addr != 0 || p.defined[inner].definition != nil || !def.inner.fits(inner) {
				continue
			}
			p.defined[inner] = defined{def.program, def.inner}
		}
	}
}

// complete sets the types that a map's definition has and the kernel does not.
func (p *programs) complete(m *bpfmap.Map) error {
	d := p.defined[m]
	if d.definition == nil {
		return nil
	}
	if err := d.describe(m, d.shapes); err != nil {
		return err
	}
	if m.Program == nil && (m.Key != nil || m.Value != nil) {
		m.Program = d.program.program
	}
	return nil
}

// nameSection gives a section whose name the kernel has cut the one that its
// type has.
func (p *programs) nameSection(m *bpfmap.Map) {
	prog := p.known[m.BTF]
	if prog == nil || prog.err != nil || m.KernelValueType != 0 {
		return
	}
	t, err := prog.spec.TypeByID(ebtf.TypeID(m.ValueType))
	if v, ok := t.(*ebtf.Datasec); err == nil && ok && len(v.Name) > maxName && m.Name == cut(v.Name) {
		m.Name = v.Name
	}
}
