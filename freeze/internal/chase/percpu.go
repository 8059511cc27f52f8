package chase

import (
	"encoding/binary"

	"github.com/ktgen/ktgen/freeze/internal/kmem"
	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// This file follows pointers to what a program has allocated for each CPU
// (bpf_percpu_obj_new). Such a pointer leads into the slab's object that the allocator
// keeps for it (kernel/bpf/memalloc.c), and there is the per-CPU pointer: programs load
// it before they add a CPU's offset (bpf_per_cpu_ptr, kernel/bpf/verifier.c).
//
//	kptr ──► per-CPU pointer; + __per_cpu_offset[cpu] ──► the object of a CPU

// perCPU returns the type of objects that a program allocates for each CPU, nil if they
// are too large. They hold scalars only, which the verifier sees to.
func (p *Planner) perCPU(s *ctype.Shape) *Type {
	if known := p.perCPUs[s]; known != nil {
		return known
	}
	if s.Size <= 0 || s.Size > maxObject {
		return nil
	}
	t := &Type{Name: s.Name, Shape: s, own: true, each: true, plan: new(Plan)}
	p.perCPUs[s] = t
	return t
}

// perCPU copies the objects of all CPUs, and their addresses as an object of the kernel's
// that is at addr.
func (c *Chase) perCPU(addr kmem.Addr, t *Type) {
	key := target{addr, t}
	if _, known := c.seen[key]; known {
		return
	}
	if c.left.objects = len(c.Objects) >= c.limits.Objects; c.left.objects {
		return
	}
	o := ktsnap.KernelObject{Addr: uint64(addr), Name: ktsnap.PerCPUName(t.Name)}
	var pointer kmem.Addr
	pointer, o.Fault, o.Reason = c.perCPUPointer(addr)
	c.seen[key] = o.Fault == ktsnap.FaultNone
	at := len(c.Objects)
	c.Objects = append(c.Objects, o)
	if o.Fault != ktsnap.FaultNone {
		return
	}
	addrs := make([]byte, 8*c.cpus.Len())
	for cpu := range c.cpus.Len() {
		if place, possible := c.cpus.PerCPU(pointer, cpu); possible && c.err == nil {
			c.allocated(place, t)
			binary.LittleEndian.PutUint64(addrs[8*cpu:], uint64(place))
		}
	}
	c.Objects[at].Type, c.Objects[at].Data = ktsnap.PerCPUType(t.Shape, c.cpus.Len()), addrs
}

// perCPUPointer reads the per-CPU pointer that a pointer of a program leads to.
func (c *Chase) perCPUPointer(addr kmem.Addr) (kmem.Addr, ktsnap.Fault, string) {
	if !isKernel(addr) {
		return 0, ktsnap.FaultContradiction, "it is no address of the kernel"
	}
	pointer, err := c.mem.Addr(addr)
	if err != nil {
		return 0, ktsnap.FaultUnreadable, err.Error()
	}
	if why := c.claims.contradiction(c.mem, addr, &Type{own: true}, nil); why != "" {
		return 0, ktsnap.FaultContradiction, why
	}
	return pointer, ktsnap.FaultNone, ""
}
