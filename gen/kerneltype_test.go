package gen_test

import (
	"encoding/binary"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/cilium/ebpf/btf"
	"github.com/stretchr/testify/require"

	ktbtf "github.com/ktgen/ktgen/btf"
	"github.com/ktgen/ktgen/gen"
	"github.com/ktgen/ktgen/object"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// generated returns what is generated of the example with these -fields.
func generated(t *testing.T, fields ...string) (string, error) {
	t.Helper()
	obj, err := object.Open("../example_sched/bpf/sched.bpf.o")
	require.NoError(t, err)
	model, err := gen.Build(obj, gen.Options{Package: "x", Fields: fields})
	if err != nil {
		return "", err
	}
	src, err := model.Render()
	require.NoError(t, err)
	return string(src), nil
}

// structOf returns the fields of a generated struct, as they are declared.
func structOf(src, name string) string {
	body := regexp.MustCompile(`(?s)type ` + name + ` struct \{\n(.*?)\}`).FindStringSubmatch(src)
	if body == nil {
		return ""
	}
	return regexp.MustCompile(`[ \t]+`).ReplaceAllString(strings.ReplaceAll(body[1], "\t", ""), " ")
}

func TestFieldsNarrowWhatIsGeneratedOfKernelTypes(t *testing.T) {
	src, err := generated(t, "task_struct:comm,scx.weight")
	require.NoError(t, err)
	require.Equal(t, "Comm string // char comm[16]\nScx SchedExtEntity // struct sched_ext_entity scx\n", structOf(src, "TaskStruct"))

	whole, err := generated(t, "task_struct:*")
	require.NoError(t, err)
	usual, err := generated(t)
	require.NoError(t, err)
	require.Equal(t, structOf(usual, "TaskStruct"), structOf(whole, "TaskStruct"))

	layout, err := gen.ReadLayouts("x_ktgen.go", []byte(src))
	require.NoError(t, err)
	require.Equal(t, []string{"task_struct:comm,scx.weight"}, layout[0].Fields)
	before, err := gen.ReadLayouts("x_ktgen.go", []byte(usual))
	require.NoError(t, err)
	differences, err := gen.Drift(before[0], layout[0])
	require.NoError(t, err)
	require.NotEmpty(t, differences, "members were left out")
}

func TestFieldsThatThereAreNotAreRefused(t *testing.T) {
	for fields, want := range map[string]string{
		"task_struct:pid,com":   "-fields: struct task_struct has no member com in the object's BTF; did you mean comm?",
		"task_struct:scx.wight": "-fields: struct task_struct.scx has no member wight in the object's BTF; did you mean weight?",
		"task_struct:pid.x":     "-fields: struct task_struct.pid has no member x",
		"task_struc:pid":        "-fields task_struc: no pointer in the object's data leads to struct task_struc; did you mean task_struct?",
		"task_struct":           "want a struct of the kernel and its members, such as task_struct:pid,comm,scx.slice",
		"task_struct:":          "want a struct of the kernel and its members",
	} {
		_, err := generated(t, fields)
		require.ErrorContains(t, err, want, fields)
	}
}

// A kfunc's parameters say that a type is the kernel's. Some of these are in the
// values of maps, too, and some have no bytes.
func TestPointersToKernelTypesWithoutMembersCompile(t *testing.T) {
	long := &btf.Int{Name: "long", Size: 8}
	root := &btf.Struct{Name: "bpf_rb_root", Size: 16, Members: []btf.Member{{Name: "__opaque", Type: &btf.Array{Type: long, Index: long, Nelems: 2}}}}
	empty := &btf.Struct{Name: "bpf_ws_lock"}
	pointers := []btf.Type{&btf.Pointer{Target: root}, &btf.Pointer{Target: empty}, &btf.Pointer{Target: &btf.TypeTag{Value: "kptr", Type: root}}}
	holder := &btf.Struct{Name: "holder", Size: 24}
	for i, p := range pointers {
		holder.Members = append(holder.Members, btf.Member{Name: fmt.Sprint("p", i), Type: p, Offset: btf.Bits(64 * i)})
	}
	proto := &btf.FuncProto{Return: &btf.Void{}, Params: []btf.FuncParam{{Name: "root", Type: pointers[0]}, {Name: "lock", Type: pointers[1]}}}
	src := ofHolder(t, holder, proto)
	require.Equal(t, "P0 *ktrt.RBRoot // struct bpf_rb_root *p0\n"+
		"P1 ktrt.Ptr[BpfWsLock] // struct bpf_ws_lock *p1\n"+
		"P2 ktrt.Ptr[BpfRbRoot] // struct bpf_rb_root __kptr *p2\n", structOf(src, "Holder"))
}

// Only a struct of the kernel leads to that which -fields names.
func TestFieldsNameTypesThatOnlyTheKernelsOwnLeadTo(t *testing.T) {
	u64 := &btf.Int{Name: "u64", Size: 8}
	node := &btf.Struct{Name: "kernfs_node", Size: 16, Members: []btf.Member{{Name: "id", Type: u64}, {Name: "rest", Type: u64, Offset: 64}}}
	cgroup := &btf.Struct{Name: "cgroup", Size: 16, Members: []btf.Member{{Name: "level", Type: u64}, {Name: "kn", Type: &btf.Pointer{Target: node}, Offset: 64}}}
	holder := &btf.Struct{Name: "holder", Size: 8, Members: []btf.Member{{Name: "cgroup", Type: &btf.Pointer{Target: cgroup}}}}
	proto := &btf.FuncProto{Return: &btf.Void{}, Params: []btf.FuncParam{{Name: "cgroup", Type: &btf.Pointer{Target: cgroup}}}}
	require.Contains(t, ofHolder(t, holder, proto), "type KernfsNode struct{}")
	src := ofHolder(t, holder, proto, "kernfs_node:id")
	require.Equal(t, "Id uint64 // u64 id\n", structOf(src, "KernfsNode"))
	require.Contains(t, src, "v.Kn = ktrt.PtrAt(d, ")
}

// ofHolder returns what is generated for an array of a type, of an object with a kfunc.
func ofHolder(t *testing.T, holder *btf.Struct, kfunc *btf.FuncProto, fields ...string) string {
	t.Helper()
	builder, err := btf.NewBuilder([]btf.Type{holder, kfunc}, nil)
	require.NoError(t, err)
	raw, err := builder.Marshal(nil, nil)
	require.NoError(t, err)
	types, err := ktbtf.Parse(raw)
	require.NoError(t, err)
	value, err := types.AnyTypeByName(holder.Name)
	require.NoError(t, err)
	obj := &object.Object{
		Name: "kfuncs.bpf.o", ByteOrder: binary.LittleEndian, Types: types,
		Externs: []object.Extern{{Name: "bpf_kfunc", Kind: object.ExternFunc, Type: &btf.Func{Name: "bpf_kfunc", Type: kfunc}}},
		Maps:    []object.Map{{Name: "m", Type: uint32(ktsnap.MapTypeArray), KeySize: 4, ValueSize: holder.Size, Value: value, MaxEntries: 1}},
	}
	model, err := gen.Build(obj, gen.Options{Package: "x", Fields: fields})
	require.NoError(t, err)
	src, err := model.Render()
	require.NoError(t, err)
	return string(src)
}
