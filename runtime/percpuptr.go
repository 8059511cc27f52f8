package runtime

import (
	"iter"
	"reflect"

	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// PerCPU is a pointer to objects that the program has allocated, one for each CPU
// (bpf_percpu_obj_new). An object is that of one CPU, so CPU comes first.
type PerCPU[T any] Ptr[T]

// PerCPUAt returns a pointer to objects of type typ of the layout.
func PerCPUAt[T any](d *Decoder, addr uint64, typ int, decode Decode[T]) PerCPU[T] {
	return PerCPU[T](PtrAt(d, addr, typ, decode))
}

// PerCPUOf returns a pointer for a fixture, to the objects of the CPUs from 0 on.
func PerCPUOf[T any](objects ...*T) PerCPU[T] { return PerCPU[T]{target: &target[T]{given: objects}} }

// Addr returns the address as the guest's program stored it.
func (p PerCPU[T]) Addr() uint64 { return uint64(p.addr) }

// IsNull tells whether the pointer is NULL.
func (p PerCPU[T]) IsNull() bool { return p.addr == 0 && p.givenNodes() == nil }

// String returns the address in hexadecimal, or "NULL".
func (p PerCPU[T]) String() string { return p.addr.String() }

// CPU returns the object of CPU n. It fails with a [*ktsnap.PerCPUSlotError] if there is no
// such CPU, and otherwise as [Ptr.Deref] does.
func (p PerCPU[T]) CPU(n int) *T {
	if objects := p.givenNodes(); n >= 0 && n < len(objects) {
		return objects[n].Interface().(*T)
	}
	addrs := p.addrs("CPU")
	if n < 0 || n >= len(addrs) || addrs[n] == 0 {
		Ptr[T](p).fail("CPU", &ktsnap.PerCPUSlotError{Map: "the " + reflect.TypeFor[T]().Name(), CPU: n, Len: len(addrs)})
		return nil
	}
	return LoadAt(p.target.b, addrs[n], p.target.typ, p.target.decode)
}

// Each ranges over the CPUs' objects. It fails as [Ptr.Deref] does.
func (p PerCPU[T]) Each() iter.Seq2[int, *T] {
	return func(yield func(int, *T) bool) {
		addrs := p.addrs("Each")
		for cpu := range max(len(addrs), len(p.givenNodes())) {
			if (addrs == nil || addrs[cpu] != 0) && !yield(cpu, p.CPU(cpu)) {
				return
			}
		}
	}
}

// Sum adds up a number over the CPUs' objects, such as a counter that each CPU has a part of.
func (p PerCPU[T]) Sum(number func(*T) uint64) uint64 { return sum(p.Each(), number) }

// addrs returns the addresses of the objects by CPU, 0 for a CPU that there cannot be.
func (p PerCPU[T]) addrs(op string) (addrs []ktsnap.Address) {
	if p.givenNodes() != nil {
		return nil
	}
	o, err := (*ktsnap.KernelObject)(nil), Ptr[T](p).none()
	if p.addr != 0 && p.target != nil {
		o, err = p.target.b.snapshot.PerCPU(uint64(p.addr), p.target.b.shapes.types[p.target.typ])
	}
	if err != nil {
		Ptr[T](p).fail(op, err)
		return nil
	}
	for raw := o.Data; len(raw) >= 8; raw = raw[8:] {
		addrs = append(addrs, ktsnap.Address(ctype.IntPlace{Bits: 64}.Load(raw)))
	}
	return addrs
}

func (p PerCPU[T]) givenNodes() []reflect.Value {
	if p.target == nil {
		return nil
	}
	return pointersTo(p.target.given)
}
