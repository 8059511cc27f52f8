package gen

import (
	"slices"

	"github.com/ktgen/ktgen/runtime/ctype"
)

// pruner copies shapes and cuts the graph where pointers are not followed:
// there the copy says that the pointee is declared, and no more. What is left
// is what gets Go types and what the layout table describes.
type pruner struct {
	kernel map[string]bool
	own    map[string]bool // what the program allocates, so that kptrs to it are followed

	// sibling returns the shape of a struct that the object declares and another
	// one of the package defines, or nil.
	sibling func(name string) *ctype.Shape

	memo  map[*ctype.Shape]*ctype.Shape
	fwds  map[string]*ctype.Shape
	large []string       // types that pointers lead to and that are too large to be read, each once
	queue []*ctype.Shape // originals whose copies are to be filled
	same  unifier
}

func newPruner(kernel, own map[string]bool, sibling func(name string) *ctype.Shape) *pruner {
	return &pruner{
		kernel:  kernel,
		own:     own,
		sibling: sibling,
		memo:    make(map[*ctype.Shape]*ctype.Shape),
		fwds:    make(map[string]*ctype.Shape),
	}
}

// shape returns the copy of s. Equal types have one copy.
func (p *pruner) shape(s *ctype.Shape) *ctype.Shape {
	p.copy(s)
	for i := 0; i < len(p.queue); i++ { // which grows meanwhile
		p.fill(p.queue[i], p.memo[p.queue[i]])
	}
	p.unify()
	return p.memo[s]
}

// unify makes one of the new copies that are equal, or equal to known ones.
func (p *pruner) unify() {
	fresh := make([]*ctype.Shape, len(p.queue))
	for i, s := range p.queue {
		fresh[i] = p.memo[s]
	}
	replaced := p.same.unify(fresh)
	for i, s := range p.queue {
		if other := replaced[fresh[i]]; other != nil {
			p.memo[s] = other
		}
	}
	p.queue = nil
}

func (p *pruner) copy(s *ctype.Shape) *ctype.Shape {
	if c := p.memo[s]; c != nil {
		return c
	}
	c := new(ctype.Shape)
	*c = *s
	p.memo[s] = c
	p.queue = append(p.queue, s)
	return c
}

func (p *pruner) fill(s, c *ctype.Shape) {
	switch s.Kind {
	case ctype.KindPointer:
		c.Elem = p.pointee(s)
	case ctype.KindArray, ctype.KindTypedef:
		c.Elem = p.copy(s.Elem)
	}
	c.Members = slices.Clone(s.Members)
	for i := range c.Members {
		c.Members[i].Type = p.copy(c.Members[i].Type)
	}
}

// pointee returns what a pointer leads to: the whole type if the pointer is
// followed, its name if not.
func (p *pruner) pointee(s *ctype.Shape) *ctype.Shape {
	elem := s.Elem
	if u := elem.Underlying(); u != nil && u.Kind == ctype.KindFwd {
		if own := p.sibling(u.Name); own != nil {
			elem = own
		}
	}
	target := elem.Underlying()
	if target == nil {
		return p.declared("")
	}
	if target.Size > maxGoValue {
		if name := ctype.Spell(target); !slices.Contains(p.large, name) {
			p.large = append(p.large, name)
		}
		return p.declared(targetName(elem))
	}
	switch target.Kind {
	case ctype.KindStruct, ctype.KindUnion:
		if p.kernel[ctype.EssentialName(target.Name)] && kernelStruct(target) == "" || isKernelPointer(s) && !(p.own[target.Name] && isKptr(s)) {
			return p.declared(targetName(elem))
		}
	case ctype.KindFwd:
		return p.declared(target.Name)
	case ctype.KindVoid, ctype.KindFunc, ctype.KindSection:
		return target
	}
	return p.copy(elem)
}

// targetName is the name of a type that a pointer leads to: its tag, or the
// typedef's that names it.
func targetName(s *ctype.Shape) string {
	if u := s.Underlying(); u != nil && u.Name != "" {
		return u.Name
	}
	return s.Name
}

// declared returns the declaration of a struct, or void if it has no name. One of
// the kernel's is declared once, whichever of its flavors is meant.
func (p *pruner) declared(name string) *ctype.Shape {
	if essential := ctype.EssentialName(name); p.kernel[essential] {
		name = essential
	}
	if name == "" {
		return &ctype.Shape{Kind: ctype.KindVoid, Name: "void"}
	}
	if p.fwds[name] == nil {
		p.fwds[name] = &ctype.Shape{Kind: ctype.KindFwd, Name: name}
	}
	return p.fwds[name]
}

// isKernelPointer tells whether a pointer's type tags say that it leads to an
// object of the kernel, or of user space (include/linux/compiler_types.h,
// tools/lib/bpf/bpf_helpers.h).
func isKernelPointer(s *ctype.Shape) bool {
	return slices.ContainsFunc(s.Tags, func(tag string) bool {
		switch tag {
		case "kptr", "kptr_untrusted", "kptr_ref", "percpu_kptr", "percpu", "user", "uptr", "rcu":
			return true
		}
		return false
	})
}

// isKptr tells whether a pointer is a reference that the kernel counts.
func isKptr(s *ctype.Shape) bool {
	return slices.Contains(s.Tags, "kptr") || s.IsPerCPU() || slices.Contains(s.Tags, "kptr_ref")
}

// isFollowed tells whether a pointer of a pruned shape is followed.
func isFollowed(s *ctype.Shape) bool {
	target := s.Elem.Underlying()
	if target == nil {
		return false
	}
	switch target.Kind {
	case ctype.KindVoid, ctype.KindFunc, ctype.KindFwd, ctype.KindSection:
		return false
	}
	return target.Size > 0
}
