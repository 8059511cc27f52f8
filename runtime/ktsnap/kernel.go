package ktsnap

import (
	"cmp"
	"fmt"
	"slices"
	"sync"

	"github.com/ktgen/ktgen/runtime/ctype"
)

// KernelObject is an object in the kernel's memory that the program's data
// points to, as it was while the guest stood still: one of the kernel, or one
// that the program has allocated.
type KernelObject struct {
	Addr uint64
	Name string // of the struct or union that the program takes it for: "task_struct"

	// Allocated tells that the program has allocated it (bpf_obj_new), so that
	// Type is the program's.
	Allocated bool

	Type *ctype.Shape // the guest kernel's; nil if there is no Data
	Data []byte       // Type.Size bytes, and more of an open-ended type: see [ctype.Shape.OpenEnded]

	// Fault and Reason say why there is no Data.
	Fault  Fault
	Reason string
}

// Fault says why a pointer's target was not copied.
type Fault uint8

const (
	FaultNone          Fault = iota
	FaultUnreadable          // there is no memory at its address
	FaultContradiction       // what is there is something else, or nothing any more
	FaultLimit               // a limit of the capture was reached
)

// fits tells whether the object has as many bytes as its type can have.
func (o *KernelObject) fits() bool {
	return o.Type != nil && (len(o.Data) == o.Type.Size || len(o.Data) > o.Type.Size && o.Type.OpenEnded())
}

// Bytes are the bytes of an object that has them.
func (o *KernelObject) Bytes() []byte {
	n := o.Type.Extent(o.Data)
	return o.Data[:n:n]
}

// Err is the error for a pointer to the object, nil if it was copied.
func (o *KernelObject) Err() error {
	switch o.Fault {
	case FaultNone:
		if o.Type == nil || len(o.Data) < o.Type.Size {
			return &NotCapturedError{Addr: o.Addr, Type: "struct " + o.Name}
		}
		return nil
	case FaultUnreadable:
		return &UnreadableError{Addr: o.Addr}
	case FaultLimit:
		return &NotFollowedError{Addr: o.Addr, Reason: o.Reason}
	}
	return &ContradictionError{Addr: o.Addr, Type: "struct " + o.Name, Found: o.Reason}
}

// NotCopied is the error for a pointer to an object of the kernel that is not in
// the snapshot.
func (s *Snapshot) NotCopied(addr uint64, of *ctype.Shape) error {
	if s.KernelStatus != Complete {
		return &NotFollowedError{Addr: addr, Reason: "the capture was cut off: " + s.KernelReason}
	}
	return &NotCapturedError{Addr: addr, Type: ctype.Spell(of), Reason: fmt.Sprintf(
		"captures have the objects of the kernel that pointers in maps lead to; from those on they follow pointers to types that Chase.Follow names (ktest.Config.Capture), such as %q", targetName(of))}
}

// ContradictionError says that what a pointer leads to is not what the program takes
// it for.
type ContradictionError struct {
	Addr  uint64
	Type  string // C type that is expected there
	Found string // what is there
}

func (e *ContradictionError) Error() string {
	return fmt.Sprintf("there is no %s at %#x: %s", e.Type, e.Addr, e.Found)
}

// KernelIdentity returns the members of a struct of the kernel by which people tell
// its objects apart, nil for structs that are not known. They are generated although
// no instruction reads them, and stand for the object in text.
func KernelIdentity(name string) []string {
	if name == "task_struct" {
		return []string{"pid", "tgid", "comm"}
	}
	return nil
}

// PerCPU returns the object that has the addresses of what a program has allocated for each
// CPU, of type of, by the address that the program keeps.
func (s *Snapshot) PerCPU(addr uint64, of *ctype.Shape) (*KernelObject, error) {
	o := s.Memory().KernelObject(addr, PerCPUName(of.Stripped().Name))
	if o == nil {
		return nil, &NotCapturedError{Addr: addr, Type: ctype.Spell(of) + " of each CPU"}
	}
	return o, o.Err()
}

// PerCPUName is the name of the object that has the addresses of what a program has
// allocated for each CPU: structs of that name. Its address is that which the program keeps.
func PerCPUName(of string) string { return of + " __percpu_kptr" }

// PerCPUType is the type of such an object, for that many CPUs: NULL is there for one that
// the guest cannot have.
func PerCPUType(of *ctype.Shape, cpus int) *ctype.Shape {
	pointer := &ctype.Shape{Kind: ctype.KindPointer, Size: 8, Elem: of}
	return &ctype.Shape{Kind: ctype.KindArray, Size: 8 * cpus, Elem: pointer, Len: cpus}
}

// kernelIndex finds objects of the kernel.
type kernelIndex struct {
	once    sync.Once
	objects []*KernelObject // by address and name
}

// KernelObject returns the object of that name at an address, or nil.
func (m *Memory) KernelObject(addr uint64, name string) *KernelObject {
	x := m.kernel.load(m.of)
	i, ok := slices.BinarySearchFunc(x.objects, addr, func(o *KernelObject, addr uint64) int {
		return cmp.Or(cmp.Compare(o.Addr, addr), cmp.Compare(o.Name, name))
	})
	if !ok {
		return nil
	}
	return x.objects[i]
}

// hasKernelObject tells whether an object of any name that could be read is at an address.
func (m *Memory) hasKernelObject(addr uint64) bool {
	x := m.kernel.load(m.of)
	i, _ := slices.BinarySearchFunc(x.objects, addr, func(o *KernelObject, addr uint64) int { return cmp.Compare(o.Addr, addr) })
	for ; i < len(x.objects) && x.objects[i].Addr == addr; i++ {
		if x.objects[i].Fault == FaultNone {
			return true
		}
	}
	return false
}

// load indexes a snapshot's objects once.
func (x *kernelIndex) load(s *Snapshot) *kernelIndex {
	x.once.Do(func() {
		x.objects = make([]*KernelObject, len(s.Kernel))
		for i := range s.Kernel {
			x.objects[i] = &s.Kernel[i]
		}
		slices.SortStableFunc(x.objects, func(a, b *KernelObject) int {
			return cmp.Or(cmp.Compare(a.Addr, b.Addr), cmp.Compare(a.Name, b.Name))
		})
	})
	return x
}
