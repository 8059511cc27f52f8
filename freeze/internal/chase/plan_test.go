package chase_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/cilium/ebpf/btf"
	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/freeze"
	"github.com/ktgen/ktgen/freeze/internal/fakeguest"
	"github.com/ktgen/ktgen/freeze/internal/memimage"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// holding captures an array with one value of a type, which begins with a pointer.
func holding(g *fakeguest.Guest, t *testing.T, typ btf.Type, pointer uint64) *ktsnap.Snapshot {
	t.Helper()
	b, err := btf.NewBuilder(nil, nil)
	require.NoError(t, err)
	id, err := b.Add(typ)
	require.NoError(t, err)
	raw, err := b.Marshal(nil, nil)
	require.NoError(t, err)
	size, err := btf.Sizeof(typ)
	require.NoError(t, err)
	g.Add(1, g.Array(memimage.Map{
		ID: 1, Type: 2, Name: "holders", KeySize: 4, ValueSize: uint32(size), MaxEntries: 1,
		BTF: g.BTF(12, "sched", bytes.Clone(raw)), ValueType: uint32(id),
	}, [][]byte{binary.LittleEndian.AppendUint64(nil, pointer)}))
	return g.Capture(t, freeze.Options{})
}

// nested is a struct around typ, and so on, n of them.
func nested(typ btf.Type, n int) btf.Type {
	for i := range n {
		size, _ := btf.Sizeof(typ)
		typ = &btf.Struct{Name: fmt.Sprintf("level%d", i), Size: uint32(size), Members: []btf.Member{{Name: "in", Type: typ}}}
	}
	return typ
}

func TestPointersDeepInAValueAreFollowed(t *testing.T) {
	task := &btf.Pointer{Target: &btf.Fwd{Name: "task_struct"}}
	u32 := &btf.Int{Name: "u32", Size: 4}
	for name, typ := range map[string]btf.Type{
		"structs in structs":          nested(task, 60),
		"structs in arrays":           &btf.Struct{Name: "holder", Size: 16, Members: []btf.Member{{Name: "in", Type: &btf.Array{Index: u32, Type: nested(task, 50), Nelems: 2}}}},
		"structs in arrays in arrays": &btf.Struct{Name: "holder", Size: 16, Members: []btf.Member{{Name: "in", Type: &btf.Array{Index: u32, Type: nested(&btf.Array{Index: u32, Type: nested(task, 20), Nelems: 1}, 20), Nelems: 2}}}},
	} {
		t.Run(name, func(t *testing.T) {
			g := fakeguest.New()
			require.Len(t, holding(g, t, typ, g.TaskAt(g.Alloc(2048), 7)).Kernel, 1)
		})
	}
}

// A pointer with the tag of a kptr leads to an object that the program has
// allocated, where the kernel has no type of its name. One without is an address
// of the program's memory, in which there is nothing to be found here.
func TestPointersAreKptrsByTheirTags(t *testing.T) {
	for tag, objects := range map[string]int{
		"kptr": 1, "kptr_untrusted": 1, "kptr_ref": 1, "rcu": 1,
		"percpu_kptr": 1 + memimage.CPUs, "percpu": 0, "user": 0, "uptr": 0, "other": 0,
	} {
		t.Run(tag, func(t *testing.T) {
			node := &btf.Struct{Name: "node", Size: 16, Members: []btf.Member{{Name: "id", Type: &btf.Int{Name: "u64", Size: 8}}}}
			holder := &btf.Struct{Name: "holder", Size: 8, Members: []btf.Member{
				{Name: "node", Type: &btf.Pointer{Target: &btf.TypeTag{Value: tag, Type: node}}},
			}}
			g := fakeguest.New()
			require.Len(t, holding(g, t, holder, g.Slab(g.SlabCache("kmalloc-16", 16))).Kernel, objects)
		})
	}
}

// Typedefs that go on for longer than anyone follows them hide what a value is.
func TestTypesThatCannotBeToldAreNotFollowed(t *testing.T) {
	var typ btf.Type = &btf.Pointer{Target: &btf.Fwd{Name: "task_struct"}}
	for i := range 70 {
		typ = &btf.Typedef{Name: fmt.Sprintf("level%d", i), Type: typ}
	}
	holder := &btf.Struct{Name: "holder", Size: 8, Members: []btf.Member{
		{Name: "in", Type: &btf.Array{Index: &btf.Int{Name: "u32", Size: 4}, Type: typ, Nelems: 1}},
	}}
	g := fakeguest.New()
	snap := holding(g, t, holder, g.TaskAt(g.Alloc(2048), 7))
	require.Empty(t, snap.Kernel)
	require.Equal(t, ktsnap.Complete, fakeguest.MapOf(t, snap, 1).Status)
}
