package repeats_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/gen"
	"github.com/ktgen/ktgen/gen/internal/gofile"
	"github.com/ktgen/ktgen/gen/internal/repeats"
	"github.com/ktgen/ktgen/ktest"
	"github.com/ktgen/ktgen/object"
	ktrt "github.com/ktgen/ktgen/runtime"
)

func TestMain(m *testing.M) { ktest.Main(m) }

func build(t *testing.T) *gofile.Model {
	t.Helper()
	obj, err := object.Open("testdata/repeats.bpf.o")
	require.NoError(t, err)
	model, err := gen.Build(obj, gen.Options{Package: "p"})
	require.NoError(t, err)
	return model.File().Models[0]
}

// One type has the members that either file declares, and those of the flavors.
func TestTasksAreReadAsBothFilesAndFlavorsDeclareThem(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{Scheduler: ktest.Object("testdata/repeats.bpf.o")})
	_, err := vm.Work(t.Context(), ktest.Sleep, 2)
	require.NoError(t, err)
	taken := vm.Freeze("working")
	snap := repeats.Bind(t, taken)

	task, err := snap.Bss().Last.Lookup() // struct task_struct___now *
	require.NoError(t, err)
	require.Positive(t, task.Pid)
	require.Positive(t, task.Tgid)
	require.NotEmpty(t, task.Comm)
	require.False(t, ktrt.Absent(snap, &task.State___state), "__state")
	require.True(t, ktrt.Absent(snap, &task.State_state), "state, as kernels before 5.14 have it")
	require.NotZero(t, task.Children.Next.Addr())
	require.Positive(t, task.Scx.Weight, "of one file")
	require.False(t, ktrt.Absent(snap, &task.Scx.Slice), "of the other")
	require.GreaterOrEqual(t, task.Scx.StickyCpu, int32(-1))
	require.GreaterOrEqual(t, task.StaticPrio, int32(100), "which follows what has grown: nice -20 is 100")
	require.Less(t, task.StaticPrio, int32(140))
	require.NotZero(t, task.StartTime)
	for path, want := range map[string]int64{"pid": int64(task.Pid), "start_time": int64(task.StartTime), "scx.slice": int64(task.Scx.Slice)} {
		got, err := taken.Var("last").Get(path).Int64()
		require.NoError(t, err, path)
		require.Equal(t, want, got, path)
	}
}

// The other file's struct of that name has a pointer where this one reads a number.
func TestNumbersAreNoPointersByAnotherFilesStruct(t *testing.T) {
	for _, typ := range build(t).Types {
		if typ.Name == "Waiting" {
			require.Equal(t, gofile.GoType{Name: "uint64"}, typ.Fields[1].Type)
			return
		}
	}
	t.Error("there is no struct waiting")
}

// A text that is state, or that a loader sets, is read.
func TestTextsThatOnlyTheProgramReadsAreLeftOut(t *testing.T) {
	vars := make(map[string][]string) // by section
	docs := make(map[string]string)
	comments := make(map[string]string) // of the last variable
	for _, s := range build(t).Sections {
		for _, v := range s.Vars {
			vars[s.CName] = append(vars[s.CName], v.Name)
			comments[s.CName] = v.Comment
		}
		docs[s.CName] = s.Doc[len(s.Doc)-1]
	}
	require.Equal(t, []string{"RepeatsEnqueueState"}, vars[".data"])
	require.Equal(t, []string{"Mode"}, vars[".rodata"])
	require.Equal(t, "char mode[5] (static)", comments[".rodata"], "of a fixed length: texts are behind it")
	require.Equal(t, "Left out: the text that only the program itself reads.", docs[".data"])
	require.Equal(t, "Left out: the 4 texts that only the program itself reads.", docs[".rodata"])
}

// Two structs of one name are two types only if they differ.
func TestEqualTypesAreOneType(t *testing.T) {
	var names []string
	for _, typ := range build(t).Types {
		names = append(names, typ.Name)
	}
	require.Equal(t, []string{"ListHead", "SchedExtEntity", "SchedExtOps", "TaskStruct", "Totals", "Totals_2", "Waiting"}, names)
}

// What a warning suggests can be done.
func TestTypesOfOneNameAreNamedApart(t *testing.T) {
	require.Equal(t, []string{
		`struct totals#2 is called Totals_2 in Go: Totals is taken by struct totals#1 (-rename "struct totals#2=NAME" names it)`,
	}, build(t).Warnings)

	renamed := func(choice string) (*gen.Package, error) {
		obj, err := object.Open("testdata/repeats.bpf.o")
		require.NoError(t, err)
		rename, err := gen.ParseRename(choice)
		require.NoError(t, err)
		return gen.Build(obj, gen.Options{Package: "p", Renames: []gen.Rename{rename}})
	}
	for _, choice := range []string{"struct totals#2=Calls", "totals#2=Calls"} {
		model, err := renamed(choice)
		require.NoError(t, err)
		require.Empty(t, model.Warnings())
		types := model.File().Models[0].Types
		i := slices.IndexFunc(types, func(typ *gofile.Type) bool { return typ.Name == "Calls" })
		require.Equal(t, "Calls", types[i].Fields[0].Name, "the one of lib.bpf.c")
	}
	_, err := renamed("totals=Calls")
	require.ErrorContains(t, err, `totals can be struct totals#1 or struct totals#2; say which, such as -rename "struct totals#1=Calls"`)
}
