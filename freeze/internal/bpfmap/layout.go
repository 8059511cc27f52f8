package bpfmap

import (
	"strings"

	ebtf "github.com/cilium/ebpf/btf"

	"github.com/ktgen/ktgen/btf"
	"github.com/ktgen/ktgen/freeze/internal/kmem"
	"github.com/ktgen/ktgen/freeze/internal/kwalk"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// Layout is where one kernel keeps the members that a walk reads. It does not
// change and may be shared.
type Layout struct {
	header headerLayout
	idr    kwalk.IDR
	btf    btfLayout
	left   leftLayout

	// families has how to copy each map type that can be copied, and why has
	// the reason for those that this kernel lays out in an unknown way.
	families map[ktsnap.MapType]copier
	why      map[ktsnap.MapType]string
}

// MissingMembersError names the kernel types and members that a walk needs and
// a kernel's BTF lacks.
type MissingMembersError struct{ Members []string }

func (e *MissingMembersError) Error() string {
	return "the guest kernel's BTF lacks " + strings.Join(e.Members, ", ") +
		": this kernel keeps its BPF maps in a way that is not known here"
}

// NewLayout looks up the members that walking needs in the kernel's BTF. The
// error is a [MissingMembersError] if maps could not even be found; what only
// some map types need makes just those unsupported.
func NewLayout(kernel *ebtf.Spec) (*Layout, error) {
	r := &resolver{spec: kernel}
	l := &Layout{
		families: make(map[ktsnap.MapType]copier),
		why:      make(map[ktsnap.MapType]string),
	}
	l.header.resolve(r)
	l.idr = r.numbered()
	l.btf.resolve(r)
	l.left.resolve(r)
	if err := r.err(); err != nil {
		return nil, err
	}
	for _, f := range families {
		r := &resolver{spec: kernel}
		c := f.resolve(r)
		for _, t := range f.types {
			if err := r.err(); err != nil {
				l.why[t] = err.Error()
				continue
			}
			l.families[t] = c
		}
	}
	return l, nil
}

// resolver looks members up and collects the names of those that are missing.
type resolver struct {
	spec    *ebtf.Spec
	missing []string
}

func (r *resolver) err() error {
	if len(r.missing) == 0 {
		return nil
	}
	return &MissingMembersError{Members: r.missing}
}

// size returns the size of a kernel type in bytes.
func (r *resolver) size(typeName string) int {
	size, err := btf.SizeOf(r.spec, typeName)
	if err != nil || size <= 0 || size > maxStruct {
		r.missing = append(r.missing, typeName)
		return 1
	}
	return size
}

// id returns the id of a kernel struct.
func (r *resolver) id(typeName string) uint32 {
	var t *ebtf.Struct
	if err := r.spec.TypeByName(typeName, &t); err != nil {
		r.missing = append(r.missing, typeName)
		return 0
	}
	id, err := r.spec.TypeID(t)
	if err != nil {
		r.missing = append(r.missing, typeName)
	}
	return uint32(id)
}

// numbered finds where struct idr keeps its entries.
func (r *resolver) numbered() (l kwalk.IDR) {
	l.Head, l.Base = r.field("idr", "idr_rt.xa_head"), r.field("idr", "idr_base")
	l.NodeSize, l.Shift = r.size("xa_node"), r.field("xa_node", "shift")
	slots, size := r.member("xa_node", "slots")
	l.Slots, l.Fanout = slots, size/8
	if l.Slots+8*l.Fanout > l.NodeSize {
		r.missing = append(r.missing, "xa_node.slots")
	}
	return l
}

// maxStruct bounds the size of the kernel structs that are read whole.
const maxStruct = 1 << 16

// member returns where a member of any type is, and its size, which is 0 for a
// flexible array.
func (r *resolver) member(typeName, path string) (offset, size int) {
	f, err := btf.Find(r.spec, typeName, path)
	if err != nil {
		r.missing = append(r.missing, typeName+"."+path)
	}
	return f.Offset, f.Size
}

// at returns the offset of a member of any type.
func (r *resolver) at(typeName, path string) int {
	offset, _ := r.member(typeName, path)
	return offset
}

// field returns a member that is an integer or a pointer.
func (r *resolver) field(typeName, path string) kmem.Field {
	f, ok := r.optional(typeName, path)
	if !ok {
		r.missing = append(r.missing, typeName+"."+path)
	}
	return f
}

// optional is field for a member that only some kernels have.
func (r *resolver) optional(typeName, path string) (kmem.Field, bool) {
	f, err := btf.Find(r.spec, typeName, path)
	if err != nil || f.Bits != 0 {
		return kmem.Field{Size: 1}, false
	}
	size, err := btf.SizeOf(r.spec, typeName)
	if err != nil || f.Offset+f.Size > size {
		return kmem.Field{Size: 1}, false
	}
	switch f.Size {
	case 1, 2, 4, 8:
		return kmem.Field{Offset: f.Offset, Size: f.Size}, true
	}
	return kmem.Field{Size: 1}, false
}

func corrupt(format string, args ...any) error { return kwalk.Corrupt(format, args...) }
