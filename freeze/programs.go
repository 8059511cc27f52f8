package freeze

// This file turns the BTF objects of captured maps into programs and shapes.

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"

	ebtf "github.com/cilium/ebpf/btf"

	"github.com/ktgen/ktgen/btf"
	"github.com/ktgen/ktgen/freeze/internal/bpfmap"
	"github.com/ktgen/ktgen/freeze/internal/chase"
	"github.com/ktgen/ktgen/freeze/internal/kmem"
	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// programs are the BTF objects that the last capture met. A BTF object never
// changes while a map refers to it. So what was copied before a stop is right if
// the map still refers to the same object in the stop.
type programs struct {
	kernel program // the kernel's own BTF, for values of its types
	known  map[bpfmap.BTF]*program
	casts  []ktsnap.Cast // by which programs are described

	defined map[*bpfmap.Map]defined // of the last capture
	names   map[identity]string     // of the maps that were met last
}

// program is one BTF object: raw once fetched, decoded once described.
type program struct {
	raw    []byte
	err    error // why there is no raw, or no decoded
	unread bool  // err is of reading the guest's memory: the next capture tries again

	plans   map[planKey]*chase.Plan // what is followed from the keys and values of maps
	decoded bool
	spec    *ebtf.Spec
	shapes  *btf.Shapes
	program *ktsnap.Program

	definitions []*definition // of maps, in their order
}

// planKey is what a map's keys or values are: of a type, or if that is no struct, of
// a map of that name.
type planKey struct {
	name string
	typ  uint32
	keys bool
}

// use changes the casts by which programs are described.
func (p *programs) use(casts []ktsnap.Cast) {
	p.casts, p.known = casts, nil
}

// plan decides what is followed from the keys and values of a map, from the BTF that
// was copied before.
func (p *programs) plan(m *bpfmap.Map, planner *chase.Planner) {
	prog := p.known[m.BTF]
	if prog == nil || m.KernelValueType != 0 {
		return
	}
	if m.KeyType != 0 {
		p.planFor(prog, planKey{m.Name, m.KeyType, true}, m, m.KeySize, planner)
	}
	if m.ValueType != 0 {
		p.planFor(prog, planKey{m.Name, m.ValueType, false}, m, m.ValueSize, planner)
	}
}

// planFor decides what is followed from keys or values of size bytes.
func (p *programs) planFor(prog *program, key planKey, m *bpfmap.Map, size int, planner *chase.Planner) {
	if _, done := prog.plans[key]; done {
		return
	}
	prog.decode(m.BTF, p.casts)
	if prog.err != nil {
		return
	}
	if prog.plans == nil {
		prog.plans = make(map[planKey]*chase.Plan)
	}
	prog.plans[key] = nil
	var shape *ctype.Shape
	var err error
	if key.keys {
		shape, err = prog.shape(key.typ)
	} else {
		shape, err = prog.value(m)
	}
	if err == nil && shape != nil && shape.Size <= size {
		prog.plans[key] = planner.Plan(shape, func(name string) *ctype.Shape { return p.named(prog, name) })
	}
}

// named returns a struct of a name: the program's or, if that has none, the
// first one of another program's, as reads resolve declarations.
func (p *programs) named(prog *program, name string) *ctype.Shape {
	if s := prog.named(name); s != nil {
		return s
	}
	others := slices.SortedFunc(maps.Keys(p.known), func(a, b bpfmap.BTF) int { return cmp.Compare(a.ID, b.ID) })
	for _, b := range others {
		other := p.known[b]
		if other.decode(b, p.casts); other.err != nil {
			continue
		}
		if s := other.named(name); s != nil {
			return s
		}
	}
	return nil
}

// forgetPlans has what is followed be decided again.
func (p *programs) forgetPlans() {
	for _, prog := range p.known {
		prog.plans = nil
	}
}

// planned returns what is followed from the keys and from the values of a map, nil for
// nothing.
func (p *programs) planned(m *bpfmap.Map) (keys, values *chase.Plan) {
	if prog := p.known[m.BTF]; prog != nil {
		keys, values = prog.plans[planKey{m.Name, m.KeyType, true}], prog.plans[planKey{m.Name, m.ValueType, false}]
	}
	return keys, values
}

// prefetch copies an object of the running guest, and tells whether it is a new
// one. A failure means nothing: the object may be gone.
func (p *programs) prefetch(mem *kmem.Space, b bpfmap.BTF) (fresh bool) {
	if _, ok := p.known[b]; ok || b.Addr == 0 {
		return false
	}
	raw, err := bpfmap.ReadBTF(mem, b)
	if err != nil {
		return false
	}
	p.add(b, &program{raw: raw})
	return true
}

// fetch copies an object of the stopped guest unless it is known.
func (p *programs) fetch(mem *kmem.Space, b bpfmap.BTF) {
	if _, ok := p.known[b]; ok || b.Addr == 0 {
		return
	}
	raw, err := bpfmap.ReadBTF(mem, b)
	p.add(b, &program{raw: raw, err: err, unread: err != nil})
}

// forgetUnread has objects read again that could not be read.
func (p *programs) forgetUnread() {
	maps.DeleteFunc(p.known, func(_ bpfmap.BTF, prog *program) bool { return prog.unread })
}

func (p *programs) add(b bpfmap.BTF, prog *program) {
	if p.known == nil {
		p.known = make(map[bpfmap.BTF]*program)
	}
	p.known[b] = prog
}

// keepOnly forgets the objects that no map of a capture refers to, and tells
// whether there were any.
func (p *programs) keepOnly(maps []*bpfmap.Map) (forgot bool) {
	used := make(map[bpfmap.BTF]bool)
	for _, m := range maps {
		used[m.BTF] = true
	}
	for b := range p.known {
		if !used[b] {
			delete(p.known, b)
			forgot = true
		}
	}
	return forgot
}

// describe sets the program and the shapes of a map.
func (p *programs) describe(m *bpfmap.Map) error {
	prog := p.known[m.BTF]
	if prog == nil { // made without BTF, or not reached
		return p.describeByKernel(m)
	}
	prog.decode(m.BTF, p.casts)
	if prog.err != nil {
		return prog.err
	}
	m.Program = prog.program
	if m.KernelValueType != 0 {
		return p.describeByKernel(m)
	}
	var keyErr, valueErr error
	m.Key, keyErr = prog.shape(m.KeyType)
	m.Value, valueErr = prog.value(m)
	return errors.Join(keyErr, valueErr)
}

// describeByKernel sets the shape of values whose type is the kernel's.
func (p *programs) describeByKernel(m *bpfmap.Map) (err error) {
	m.Value, err = p.kernel.shape(m.KernelValueType)
	return err
}

// decode parses the object's BTF, the first time.
func (p *program) decode(b bpfmap.BTF, casts []ktsnap.Cast) {
	if p.decoded || p.err != nil {
		return
	}
	p.decoded = true
	if b.Base != 0 {
		p.err = fmt.Errorf("BTF %d is split from other BTF", b.ID)
		return
	}
	if p.spec, p.err = btf.Parse(p.raw); p.err != nil {
		p.err = fmt.Errorf("read BTF %d of the guest: %w", b.ID, p.err)
		return
	}
	p.raw = nil
	p.shapes = btf.NewShapes(p.spec)
	p.shapes.Casts(casts)
	p.program = &ktsnap.Program{BTFID: b.ID, Name: b.Name}
	p.program.Shapes, p.err = p.shapes.Named(p.spec)
	p.definitions = definitions(p.spec)
}

// shape returns the shape of the type with an id, or nil for id 0: a key or
// value that was declared without a type.
func (p *program) shape(id uint32) (*ctype.Shape, error) {
	if id == 0 {
		return nil, nil
	}
	t, err := p.spec.TypeByID(ebtf.TypeID(id))
	if err != nil {
		return nil, fmt.Errorf("type %d: %w", id, err)
	}
	return p.shapes.Of(t)
}

// value returns the shape of a map's values, or nil if it was made without one.
func (p *program) value(m *bpfmap.Map) (*ctype.Shape, error) {
	if m.ValueType == 0 {
		return nil, nil
	}
	t, err := p.spec.TypeByID(ebtf.TypeID(m.ValueType))
	if err != nil {
		return nil, fmt.Errorf("type %d: %w", m.ValueType, err)
	}
	return p.shapes.OfMap(m.Name, t)
}

// named returns the only struct of that name, or nil.
func (p *program) named(name string) *ctype.Shape {
	var s *ebtf.Struct
	if p.spec.TypeByName(name, &s) != nil {
		return nil
	}
	shape, err := p.shapes.Of(s)
	if err != nil {
		return nil
	}
	return shape
}

func (p *programs) list() []*ktsnap.Program {
	var list []*ktsnap.Program
	for _, prog := range p.known {
		if prog.program != nil {
			list = append(list, prog.program)
		}
	}
	slices.SortFunc(list, func(a, b *ktsnap.Program) int { return cmp.Compare(a.BTFID, b.BTFID) })
	return list
}
