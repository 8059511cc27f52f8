package runtime

import (
	"errors"
	"fmt"
	"slices"

	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/internal/convert"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// LoadStructOps returns the operations in the struct_ops map with index i in the layout, as the
// kernel has them registered, decoded at their first use. Functions have the addresses of the
// trampolines that lead to the program. Members that the guest's kernel lacks are zero, as the
// loader demands that they are.
func LoadStructOps[V any](b *Binding, i int, decode Decode[V]) *V {
	m := b.readable(i)
	m.require("read")
	if m.N < 1 {
		m.failIndex("read", 0, 0)
		return nil
	}
	return load(&m.source, "read", 0, 0, decode)
}

// bindStructOps binds the value of a struct_ops map, whose layout is the guest kernel's:
//
//	struct bpf_struct_ops_sched_ext_ops {
//		struct bpf_struct_ops_common_value common;
//		struct sched_ext_ops data;
//	};
//
// Members are bound by name, as the loader does it. What does not fit makes
// the map unreadable and leaves the program's own types alone.
func (m *boundMap) bindStructOps(l *MapLayout) error {
	c := convert.New()
	ops, err := operations(c, m.m)
	if err != nil {
		return err
	}
	m.typ, m.shape, m.Single = m.b.shapes.index[l.Value], ops.Type, true
	m.Values, m.Size = m.Values[min(ops.Offset, len(m.Values)):], ops.Type.Size
	m.Base, m.Addrs = moved(m.Base, ops.Offset), slices.Clone(m.Addrs)
	for i := range m.Addrs {
		m.Addrs[i] = moved(m.Addrs[i], ops.Offset)
	}
	if m.plan = c.PlanOps(m.b.shapes.types[m.typ], ops.Type); len(c.Differences) > 0 {
		return &LayoutError{Object: m.b.layout.Object, Package: m.b.layout.Package, Differences: c.Differences}
	}
	return nil
}

// moved adds an offset in bytes to an address, if there is one.
func moved(addr uint64, offset int) uint64 {
	if addr == 0 {
		return 0
	}
	return addr + uint64(offset)
}

// operations returns the member of the value of a struct_ops map that holds the operations.
func operations(c *convert.Comparison, m *ktsnap.Map) (ctype.Member, error) {
	value := m.Value.Underlying()
	if err := c.Settle(m.Value); err != nil {
		return ctype.Member{}, fmt.Errorf("the snapshot is damaged: the value of map %s: %w", m.Name, err)
	}
	if value.Kind != ctype.KindStruct || value.Size > m.ValueSize {
		return ctype.Member{}, fmt.Errorf("the snapshot is damaged: the value of map %s is a %s in %d bytes", m.Name, convert.Sized(value), m.ValueSize)
	}
	i := slices.IndexFunc(value.Members, func(m ctype.Member) bool { return m.Name == "data" })
	if i < 0 || value.Members[i].Type.Underlying().Kind != ctype.KindStruct {
		return ctype.Member{}, errors.New("its type in the guest's kernel has no struct data")
	}
	return value.Members[i], nil
}
