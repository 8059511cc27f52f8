package btf_test

import (
	"os"
	"testing"

	"github.com/cilium/ebpf/btf"
	"github.com/stretchr/testify/require"

	ktbtf "github.com/ktgen/ktgen/btf"
)

// scx mimics how task_struct holds sched_ext's state, with the anonymous
// nesting that kernels move members in and out of.
func taskStruct() *btf.Struct {
	entity := &btf.Struct{Name: "sched_ext_entity", Size: 32, Members: []btf.Member{
		{Name: "dsq", Type: &btf.Pointer{Target: &btf.Void{}}},
		{Type: &btf.Union{Size: 8, Members: []btf.Member{
			{Name: "slice", Type: u64},
			{Type: &btf.Struct{Size: 8, Members: []btf.Member{{Name: "lo", Type: u32}, {Name: "hi", Type: u32, Offset: 32}}}},
		}}, Offset: 64},
		{Name: "weights", Type: &btf.Array{Index: u32, Type: &btf.Array{Index: u32, Type: u32, Nelems: 2}, Nelems: 2}, Offset: 128},
	}}
	return &btf.Struct{Name: "task_struct", Size: 48, Members: []btf.Member{
		{Name: "pid", Type: s32},
		{Name: "on_rq", Type: u32, Offset: 37, BitfieldSize: 2},
		{Name: "scx", Type: &btf.Const{Type: &btf.Typedef{Name: "scx_t", Type: entity}}, Offset: 64},
		{Name: "tail", Type: &btf.Array{Index: u32, Type: u64}, Offset: 320},
	}}
}

func TestOffsetFindsNestedMembers(t *testing.T) {
	spec := specOf(t, taskStruct())
	for path, want := range map[string]ktbtf.Field{
		"pid":               {Offset: 0, Size: 4},
		"on_rq":             {Offset: 4, Size: 4, Bits: 2, BitOffset: 5},
		"scx":               {Offset: 8, Size: 32},
		"scx.slice":         {Offset: 16, Size: 8},
		"scx.hi":            {Offset: 20, Size: 4},
		"scx.weights":       {Offset: 24, Size: 16},
		"scx.weights[1]":    {Offset: 32, Size: 8},
		"scx.weights[1][1]": {Offset: 36, Size: 4},
		"tail":              {Offset: 40, Size: 0},
		"tail[2]":           {Offset: 56, Size: 8},
	} {
		t.Run(path, func(t *testing.T) {
			got, err := ktbtf.Find(spec, "task_struct", path)
			require.NoError(t, err)
			require.NotNil(t, got.Type)
			got.Type = nil
			require.Equal(t, want, got)
		})
	}
}

func TestFailedLookupsSayWhatThereIs(t *testing.T) {
	spec := specOf(t, taskStruct())
	for name, tc := range map[string]struct {
		typ, path string
		is        error
		want      string
	}{
		"type":          {"task_strukt", "pid", ktbtf.ErrNoType, "BTF has no type task_strukt; did you mean task_struct?"},
		"member":        {"task_struct", "pdi", ktbtf.ErrNoMember, "find pdi in struct task_struct: no such member: pdi"},
		"nested member": {"task_struct", "scx.slise", ktbtf.ErrNoMember, "no such member: slise; did you mean slice? (it has dsq, slice, lo, hi, weights)"},
		"through leaf":  {"task_struct", "pid.x", ktbtf.ErrNoMember, "no such member: x"},
		"no pointers":   {"task_struct", "scx.dsq.x", ktbtf.ErrNoMember, "no such member: x"},
		"index":         {"task_struct", "scx.weights[2]", nil, "index 2 of an array of 2"},
		"bad index":     {"task_struct", "scx.weights[1", nil, "[1 is not an index"},
		"no array":      {"task_struct", "pid[0]", nil, "int is not an array"},
		"empty":         {"task_struct", "scx..slice", nil, "empty component"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ktbtf.Offset(spec, tc.typ, tc.path)
			require.ErrorContains(t, err, tc.want)
			if tc.is != nil {
				require.ErrorIs(t, err, tc.is)
			}
		})
	}
}

func TestDefinitionsMustAgreeWhereTheyHaveTheMember(t *testing.T) {
	one := &btf.Struct{Name: "opts", Size: 8, Members: []btf.Member{{Name: "a", Type: u32}, {Name: "b", Type: u32, Offset: 32}}}
	two := &btf.Struct{Name: "opts", Size: 12, Members: []btf.Member{{Name: "a", Type: u32}, {Name: "c", Type: u64, Offset: 32}}}
	three := &btf.Struct{Name: "opts", Size: 8, Members: []btf.Member{{Name: "c", Type: u32, Offset: 0}}}
	spec := specOf(t, one, two, three)

	offset, err := ktbtf.Offset(spec, "opts", "a")
	require.NoError(t, err)
	require.Zero(t, offset)
	offset, err = ktbtf.Offset(spec, "opts", "b")
	require.NoError(t, err)
	require.Equal(t, 4, offset)
	_, err = ktbtf.Offset(spec, "opts", "c")
	require.ErrorIs(t, err, ktbtf.ErrAmbiguous)
	_, err = ktbtf.SizeOf(spec, "opts")
	require.ErrorIs(t, err, ktbtf.ErrAmbiguous)
}

func TestSizeOfNamesStructsAndTypedefs(t *testing.T) {
	spec := specOf(t, taskStruct(), &btf.Typedef{Name: "pid_t", Type: s32}, &btf.Fwd{Name: "pid_t"})
	size, err := ktbtf.SizeOf(spec, "task_struct")
	require.NoError(t, err)
	require.Equal(t, 48, size)
	size, err = ktbtf.SizeOf(spec, "pid_t")
	require.NoError(t, err)
	require.Equal(t, 4, size)
	_, err = ktbtf.SizeOf(spec, "nothing")
	require.ErrorIs(t, err, ktbtf.ErrNoType)
}

// hostBTF is a real kernel's BTF, if this machine has one.
func hostBTF(t testing.TB) []byte {
	t.Helper()
	b, err := os.ReadFile("/sys/kernel/btf/vmlinux")
	if err != nil {
		t.Skipf("this machine's kernel shows no BTF: %v", err)
	}
	return b
}

func TestAllTypesOfAKernelHaveShapes(t *testing.T) {
	spec, err := ktbtf.Parse(hostBTF(t))
	require.NoError(t, err)
	shapes := ktbtf.NewShapes(spec)
	sized := 0
	for typ, err := range spec.All() {
		require.NoError(t, err)
		if sec, ok := typ.(*btf.Datasec); ok && sec.Size == 0 {
			continue
		}
		shape, err := shapes.Of(typ)
		require.NoError(t, err)
		if want, err := btf.Sizeof(typ); err == nil {
			require.Equal(t, want, shape.Size, ktbtf.Spell(typ))
			sized++
		}
	}
	require.Greater(t, sized, 10_000)
}

func BenchmarkKernelOffsets(b *testing.B) {
	raw := hostBTF(b)
	for b.Loop() {
		spec, err := ktbtf.Parse(raw)
		require.NoError(b, err)
		for _, path := range []string{"map_type", "key_size", "value_size", "max_entries", "name", "btf"} {
			_, err := ktbtf.Offset(spec, "bpf_map", path)
			require.NoError(b, err)
		}
	}
}
