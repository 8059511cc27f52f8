package scx

import (
	ebtf "github.com/cilium/ebpf/btf"

	"github.com/ktgen/ktgen/btf"
	"github.com/ktgen/ktgen/freeze/internal/kmem"
	"github.com/ktgen/ktgen/freeze/internal/kwalk"
	"github.com/ktgen/ktgen/runtime/ctype"
)

// Symbols are those of the guest's kernel.
type Symbols interface {
	Lookup(name string) (addr uint64, ok bool)
}

// Layout is where one kernel keeps what is copied. It belongs to whoever makes the
// captures of a guest: records are looked at through buffers of its own.
type Layout struct {
	types   types
	symbols Symbols
	cpus    *kmem.CPUs

	clock   clockLayout
	tasks   taskLayout
	rqs     cpuLayout
	queues  queueLayout
	scheds  schedLayout
	cgroups cgroupLayout

	programs programLayout
}

// NewLayout finds out what a kernel has. What it lacks is told by the tables.
func NewLayout(spec *ebtf.Spec, symbols Symbols, cpus *kmem.CPUs) *Layout {
	l := &Layout{types: types{spec, btf.NewShallowShapes(spec)}, symbols: symbols, cpus: cpus}
	l.clock.resolve(l)
	l.tasks.resolve(l)
	l.rqs.resolve(l)
	l.scheds.resolve(l)
	l.queues.resolve(l)
	l.cgroups.resolve(l)
	l.programs.resolve(l)
	return l
}

// symbol returns the address of a variable of the kernel, 0 if it has none.
func (l *Layout) symbol(name string) kmem.Addr {
	addr, _ := l.symbols.Lookup(name)
	return kmem.Addr(addr)
}

// offset returns where a member is; ok is false where the kernel has none.
func (l *Layout) offset(of, path string) (offset int, ok bool) {
	f, err := btf.Find(l.types.spec, of, path)
	return f.Offset, err == nil && f.Bits == 0
}

// field returns a member that is an integer or a pointer.
func (l *Layout) field(of, path string) (kmem.Field, bool) {
	f, err := btf.Find(l.types.spec, of, path)
	if err != nil || f.Bits != 0 {
		return kmem.Field{}, false
	}
	switch f.Size {
	case 1, 2, 4, 8:
		return kmem.Field{Offset: f.Offset, Size: f.Size}, true
	}
	return kmem.Field{}, false
}

// isPointer tells whether a member is a pointer: a cpumask_var_t is one, or a mask.
func (l *Layout) isPointer(of, path string) bool {
	f, err := btf.Find(l.types.spec, of, path)
	if err != nil {
		return false
	}
	_, ok := ebtf.UnderlyingType(f.Type).(*ebtf.Pointer)
	return ok
}

// hash returns where an rhashtable keeps its nodes; ok is false where the kernel has
// none.
func (l *Layout) hash() (h kwalk.RHash, table kmem.Field, ok bool) {
	size, err := btf.SizeOf(l.types.spec, "bucket_table")
	found := err == nil
	need := func(of, path string) kmem.Field {
		f, ok := l.field(of, path)
		found = found && ok
		return f
	}
	h.TableSize = size
	h.Size, h.Nest, h.Future = need("bucket_table", "size"), need("bucket_table", "nest"), need("bucket_table", "future_tbl")
	buckets, ok := l.offset("bucket_table", "buckets")
	h.Buckets = buckets
	table = need("rhashtable", "tbl")
	return h, table, found && ok
}

// mask returns the shape of a set of all possible CPUs.
func (l *Layout) mask() *ctype.Shape {
	bits := &ctype.Shape{Kind: ctype.KindArray, Elem: ulong, Len: (l.cpus.Len() + 63) / 64}
	return &ctype.Shape{Kind: ctype.KindStruct, Name: "cpumask", Size: sizeOf(bits), Members: []ctype.Member{{Name: "bits", Type: bits}}}
}
