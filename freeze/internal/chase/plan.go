package chase

import (
	"slices"

	ebtf "github.com/cilium/ebpf/btf"

	"github.com/ktgen/ktgen/btf"
	"github.com/ktgen/ktgen/runtime/ctype"
)

// Type is a struct or union of the kernel, or a struct of the program's that it
// allocates.
type Type struct {
	Name  string
	Shape *ctype.Shape // the guest kernel's, in which pointers lead to declarations, or the program's
	plan  *Plan        // the pointers in it that are followed, nil for none
	claim claim
	own   bool // it is the program's
	each  bool // each CPU has one
	open  bool // objects go on behind the size of the type, as far as the slab's have room
}

// Plan is where the pointers in a value are. The zero Plan has none.
type Plan struct {
	size  int // bytes of the value
	slots []slot
	cut   bool // there are more pointers than maxSlots
	live  bool // it leads to objects that are copied
}

// slot is a pointer at an offset: to a type of the kernel, or to an object of
// the program.
type slot struct {
	offset  int
	kernel  *Type
	program *Plan
	certain bool // no address of the program's is to be expected

	objects *Type // what the program has allocated: that is there, or is in the list or tree
	links   links // how; 0 for a pointer
	node    int   // of objects: where the links are in one, in bytes
}

const (
	maxSlots = 1 << 16 // in one value
)

// Planner makes plans. It is for one goroutine.
type Planner struct {
	spec   *ebtf.Spec // of the kernel
	shapes *btf.Shapes
	types  map[string]*Type // nil for a name that the kernel does not have
	plans  map[*ctype.Shape]*Plan
	queue  []*Plan // of plan, whose pointees have no slots yet
	todo   []*ctype.Shape
	claims *Claims

	allocated map[*ctype.Shape]*Type
	perCPUs   map[*ctype.Shape]*Type    // allocated, for each CPU
	named     func(string) *ctype.Shape // structs of the program that is being planned
}

// NewPlanner returns a planner for a kernel.
func NewPlanner(kernel *ebtf.Spec, claims *Claims) *Planner {
	return &Planner{
		spec: kernel, shapes: btf.NewShallowShapes(kernel), claims: claims,
		types: make(map[string]*Type), plans: make(map[*ctype.Shape]*Plan),
		allocated: make(map[*ctype.Shape]*Type), perCPUs: make(map[*ctype.Shape]*Type),
	}
}

// Plan returns the plan for values of a shape of a program's, nil if there is
// nothing to follow from them. named returns the program's struct of a name, or
// if it has none another program's, or nil.
func (p *Planner) Plan(s *ctype.Shape, named func(string) *ctype.Shape) *Plan {
	p.named = named
	root := p.plan(s)
	for len(p.todo) > 0 {
		next, plan := p.todo[0], p.queue[0]
		p.todo, p.queue = p.todo[1:], p.queue[1:]
		p.fill(plan, next)
	}
	p.enliven()
	if !root.live {
		return nil
	}
	return root
}

// plan returns the plan of a shape, to be filled later if it is new.
func (p *Planner) plan(s *ctype.Shape) *Plan {
	if known := p.plans[s]; known != nil {
		return known
	}
	plan := &Plan{size: s.Size}
	p.plans[s] = plan
	p.todo, p.queue = append(p.todo, s), append(p.queue, plan)
	return plan
}

// fill adds the pointers of what is in the value that plan is of.
func (p *Planner) fill(plan *Plan, s *ctype.Shape) {
	whole := s.Walk(func(at *ctype.Part) ctype.Next {
		switch u := at.Shape; {
		case plan.cut:
			return ctype.Stop
		case !at.MayHoldPointers():
			return ctype.Skip
		case at.Member != nil && p.graph(plan, at):
			return ctype.Skip
		case u.Kind == ctype.KindPointer:
			p.pointer(plan, u, at.Offset)
		}
		return ctype.Enter
	})
	plan.cut = plan.cut || !whole
}

func (p *Planner) pointer(plan *Plan, pointer *ctype.Shape, offset int) {
	if pointer.Size != 8 || slices.ContainsFunc(pointer.Tags, leadsElsewhere) {
		return
	}
	kernel, own := p.target(pointer)
	isStruct := own != nil && own.Kind == ctype.KindStruct
	s := slot{offset: offset, kernel: kernel}
	switch {
	case pointer.IsPerCPU():
		s.kernel = nil
		if isStruct {
			s.objects = p.perCPU(own)
		}
	case pointer.Space == ctype.SpaceKernel || slices.ContainsFunc(pointer.Tags, isKptr):
		s.certain = true
		// As for the kernel's btf_parse_kptr, what vmlinux does not have is the
		// program's.
		if isStruct {
			s.objects = p.object(own)
		}
	case own != nil:
		s.program = p.plan(own)
	}
	plan.add(s)
}

// target returns the type of the kernel's that a pointer leads to, or else the program's
// own. A type that the kernel has too is the kernel's, which programs declare to look into
// its objects.
func (p *Planner) target(pointer *ctype.Shape) (kernel *Type, own *ctype.Shape) {
	elem := pointer.Elem.Underlying()
	if elem == nil {
		return nil, nil
	}
	switch elem.Kind {
	case ctype.KindStruct, ctype.KindUnion:
		if pointer.Space == ctype.SpaceUnknown || pointer.Space == ctype.SpaceKernel {
			kernel = p.Type(elem.Name)
		}
		own = elem
	case ctype.KindFwd:
		if kernel = p.Type(elem.Name); kernel == nil {
			own = p.defined(elem)
		}
		if own != nil && own.Kind != ctype.KindStruct {
			own = nil
		}
	}
	if kernel != nil {
		return kernel, nil
	}
	return nil, own
}

// defined returns what a program declares as another one defines it, or nil.
func (p *Planner) defined(declared *ctype.Shape) *ctype.Shape {
	if p.named == nil {
		return nil
	}
	return p.named(declared.Name).Underlying()
}

func (plan *Plan) add(s slot) {
	if s.kernel == nil && s.program == nil && s.objects == nil {
		return
	}
	if plan.cut = len(plan.slots) == maxSlots; !plan.cut {
		plan.slots = append(plan.slots, s)
	}
}

// leadsElsewhere tells whether a pointer with that type tag is no address of an
// object: of user space, or an offset of per-CPU memory
// (include/linux/compiler_types.h, tools/lib/bpf/bpf_helpers.h).
func leadsElsewhere(tag string) bool {
	return tag == "user" || tag == "uptr" || tag == "percpu"
}

func isKptr(tag string) bool {
	return tag == "kptr" || tag == "kptr_untrusted" || tag == "kptr_ref" || tag == "rcu"
}

// enliven finds out which plans lead to objects of the kernel, through however
// many objects of the program.
func (p *Planner) enliven() {
	for changed := true; changed; {
		changed = false
		for _, plan := range p.plans {
			if plan.live {
				continue
			}
			plan.live = slices.ContainsFunc(plan.slots, func(s slot) bool {
				return s.kernel != nil || s.objects != nil || s.program != nil && s.program.live
			})
			changed = changed || plan.live
		}
	}
}

// maxObject bounds the size of an object of the kernel, in bytes.
const maxObject = 1 << 20

// Type returns the kernel's struct or union of that name, or that it is a flavor
// of; nil if there is none or more than one.
func (p *Planner) Type(name string) *Type {
	name = ctype.EssentialName(name)
	if name == "" {
		return nil
	}
	if known, ok := p.types[name]; ok {
		return known
	}
	p.types[name] = nil
	found := p.find(name)
	if found == nil {
		return nil
	}
	shape, err := p.shapes.Of(found)
	if err != nil || shape.Size <= 0 || shape.Size > maxObject {
		return nil
	}
	t := &Type{Name: name, Shape: shape, claim: p.claims.of(name), open: shape.OpenEnded()}
	p.types[name] = t
	return t
}

func (p *Planner) find(name string) ebtf.Type {
	types, err := p.spec.AnyTypesByName(name)
	if err != nil {
		return nil
	}
	var found ebtf.Type
	for _, t := range types {
		switch t.(type) {
		case *ebtf.Struct, *ebtf.Union:
			if found != nil || t.TypeName() != name {
				return nil
			}
			found = t
		}
	}
	return found
}

// Forget forgets the program's shapes. Plans that were made stay as they are.
func (p *Planner) Forget() {
	clear(p.plans)
	clear(p.allocated)
	clear(p.perCPUs)
}

// Deepen plans the pointers in the kernel's own objects, as far as depth hops
// from those that the program points to. Only those to types that follow names
// are followed.
func (p *Planner) Deepen(depth int, follow []string) {
	for range depth - 1 {
		for _, t := range p.types {
			if t != nil && t.plan == nil {
				t.plan = p.kernelPlan(t, follow)
			}
		}
	}
}

func (p *Planner) kernelPlan(t *Type, follow []string) *Plan {
	plan := &Plan{size: t.Shape.Size}
	p.named = func(string) *ctype.Shape { return nil }
	p.fill(plan, t.Shape)
	p.todo, p.queue = nil, nil
	plan.slots = slices.DeleteFunc(plan.slots, func(s slot) bool {
		return s.kernel == nil || !slices.Contains(follow, s.kernel.Name)
	})
	for i := range plan.slots {
		plan.slots[i].program = nil
	}
	return plan
}
