package gen_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/gen"
	"github.com/ktgen/ktgen/object"
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
