package runtime_test

import (
	"errors"
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	ktrt "github.com/ktgen/ktgen/runtime"
	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/ktsnap"
	"github.com/ktgen/ktgen/series"
)

var update = flag.Bool("update", false, "write the texts in testdata")

// messages are the errors of reads, each as it comes about.
var messages = []error{
	&ktsnap.Error{Op: "Get", Path: "scx_per_task[cpu=1][3].ctx", Addr: 0xffff_8880_0010_0000, Err: &ktsnap.NullError{}},
	&ktsnap.MapNotFoundError{Requested: "task_ctx", Available: []string{"task_ctxs", "stats"}},
	&ktsnap.MapNotFoundError{Requested: "task_ctx"},
	&ktsnap.MapNotFoundError{Requested: "nr_running", Available: []string{"task_ctxs"}, Sections: []string{"sched.bss"}},
	&ktsnap.AmbiguousMapError{Requested: "stats", IDs: []uint32{3, 9}, Names: []string{"stats", "stats"}},
	&ktsnap.AmbiguousMapError{Requested: "tasks_per_domai", IDs: []uint32{3, 9}, Names: []string{"tasks_per_domain_sum", "tasks_per_domain_max"}},
	&ktsnap.VarNotFoundError{Requested: "nr_dispached", Available: []string{"nr_dispatched", "slice"}},
	&ktsnap.VarNotFoundError{Requested: "slise", Section: "mysched.rodata", Available: []string{"slice"}},
	&ktsnap.VarNotFoundError{Requested: "slice"},
	&ktsnap.AmbiguousVarError{Requested: "slice", FoundIn: []string{"old.bss", "new.bss"}, MapIDs: []uint32{3, 9}},
	&ktsnap.AmbiguousVarError{Requested: "calls", FoundIn: []string{"my.data", "my.data"}, MapIDs: []uint32{3, 3}, Names: []string{"calls#1", "calls#2"}},
	&ktsnap.NoActiveSchedulerError{Reason: "no captured program has a sched_ext_ops"},
	&ktsnap.FieldNotFoundError{Requested: "ctx.wieght", Walked: "ctx", Component: "wieght", Type: "struct ctx", Available: []string{"weight", "policy"}},
	&ktsnap.FieldNotFoundError{Requested: "x", Component: "x", Type: "struct opaque"},
	&ktsnap.NotAStructError{Requested: "ctx.weight.x", Walked: "ctx.weight", Component: "x", Kind: "Uint", Type: "u32"},
	&ktsnap.NotAStructError{Requested: "per_llc.x", Walked: "per_llc", Component: "x", Kind: "Array", Type: "u32[4]"},
	&ktsnap.NotAStructError{Requested: "any.x", Walked: "any", Component: "x", Kind: "Void", Type: "void"},
	&ktsnap.NotAnArrayError{Requested: "ctx[2]", Walked: "ctx", Index: 2, Kind: "Struct", Type: "struct ctx"},
	&ktsnap.NotAnArrayError{Requested: "tid[2]", Walked: "tid", Index: 2, Kind: "Int", Type: "s32"},
	&ktsnap.TypeMismatchError{Expected: "Enum or char[]", Actual: "Uint", Requested: "ctx.weight", Type: "u32", Hint: "Int64, Uint64 and Bool take it"},
	&ktsnap.TypeMismatchError{Expected: "uint64", Actual: "Int", Requested: "nice", Type: "s32", Value: "-3", Hint: "Int64 and Bytes take such numbers"},
	&ktsnap.EmptyPathComponentError{Requested: "a..b", Offset: 2},
	&ktsnap.PathSyntaxError{Requested: "rows[2", Offset: 4, Problem: "the bracket is not closed"},
	&ktsnap.IndexOutOfRangeError{Map: "tasks", Index: 7, Len: 4},
	&ktsnap.IndexOutOfRangeError{Map: "stats", Index: 1, Len: 1},
	&ktsnap.IndexOutOfRangeError{Map: "queue", Index: 0},
	&ktsnap.PerCPUSlotError{Map: "scx_pcpu", CPU: 7, Len: 2},
	&ktsnap.PerCPUSlotError{Map: "scx_pcpu", CPU: 1, Len: 2, Unmapped: true},
	&ktsnap.PerCPUNotNarrowedError{Map: "scx_pcpu", CPUs: 2, Path: "scx_pcpu[cpu=0][0]"},
	&ktsnap.KeyNotFoundError{Map: "tasks", Key: "7", Len: 2, Keys: []string{"41", "42"}},
	&ktsnap.KeyNotFoundError{Map: "tasks", Key: "7"},
	&ktsnap.AmbiguousKeyError{Map: "by_key", Key: "{0 0}", Entries: 8},
	&ktsnap.AmbiguousKeyError{Map: "by_key", Key: "abc", Entries: 2, Bytes: []string{"0x616263000000", "0x616263007800"}, Where: "behind the NUL of a char array, where a C string ends"},
	&ktsnap.AmbiguousKeyError{Map: "tasks", Key: "41", Entries: 2, Tasks: true},
	&ktsnap.NoMatchError{Map: "tasks", Op: "Find", Len: 2, Keys: []string{"41", "42"}},
	&ktsnap.NoMatchError{Map: "tasks", Op: "Find", Len: 1, Keys: []string{"41"}, Cause: &ktsnap.FieldNotFoundError{Requested: "tip", Component: "tip", Type: "struct task_ctx", Available: []string{"tid"}}},
	&ktsnap.NoMatchError{Map: "tasks", Op: "MaxBy"},
	&ktsnap.NoShapeError{Map: "raw", Side: "key"},
	&ktsnap.NoShapeError{Map: ".data.counts", Side: "value", Section: true},
	&ktsnap.NoEntriesError{Map: "arena", Type: ktsnap.MapTypeArena},
	&ktsnap.NoCaptureError{},
	&ktsnap.EmptySlotError{Map: "per_llc", Index: 3},
	&ktsnap.InnerMapNotFoundError{ID: 12},
	&ktsnap.IncompleteError{Map: "tries", Status: ktsnap.Unsupported, Reason: "tries of this kernel are not read"},
	&ktsnap.IncompleteError{Map: "tasks", Status: ktsnap.Failed, Reason: "a bucket's chain is longer than the map"},
	&ktsnap.IncompleteError{Map: "tasks", Status: ktsnap.Truncated, Held: 2, Total: 9, Reason: "2 of 9 entries fit into MapBytes"},
	&ktsnap.IncompleteError{Map: "tasks", Status: ktsnap.Failed, Held: 1, Reason: "a bucket's chain is longer than the map"},
	&ktsnap.UnreadableError{},
	&ktsnap.UnreadableError{Addr: 0xffff_8880_0bad_0000},
	&ktsnap.NullError{},
	&ktsnap.NotCapturedError{Addr: 0xffff_8880_0bad_0000, Type: "struct task_ctx"},
	&ktsnap.NotCapturedError{Addr: 0x7f00_0000_1000, Type: "struct task_ctx", Reason: "the arena arena was not captured whole: the limit of bytes was reached"},
	&ktsnap.NotFollowedError{Addr: 0xffff_8880_0bad_0000},
	&ktsnap.NotFollowedError{Addr: 0xffff_8880_0bad_0000, Limit: 65536},
	&ktsnap.NotFollowedError{Addr: 0xffff_8880_0bad_0000, Reason: "the limit of 4096 objects was reached"},
	&ktsnap.ContradictionError{Addr: 0xffff_8880_0bad_0000, Type: "struct task_struct", Found: "a free object of the cache task_struct"},
	&ktsnap.NotBoundError{Type: "struct cgroup", Reason: "its BTF declares it and does not define it"},
	&ktrt.NilHopError{Field: "task_ctxs[12].stats", Others: 1, Err: &ktsnap.NullError{}},
	&ktsnap.FieldAbsentError{Field: "struct task_struct.scx", Reason: "it was built without CONFIG_SCHED_CLASS_EXT"},
	&ctype.OverflowError{Field: "struct ctx.weight", Value: "4294967296", Want: "u32"},
	&ktrt.UntrackedError{Type: "*mysched.TaskCtx"},
	&ktsnap.NoLocationError{},
	&ktrt.AssignError{Path: "task_ctxs[12].nice", Err: errors.New("300 does not fit its 8 bits, which hold -128 to 127")},
	&ktsnap.InitialError{Path: "task_ctxs", Err: errors.New("it is given 3 entries, and has room for 2: make it larger, or give fewer")},
	&ktrt.FixtureError{Path: "task_ctxs[7].comm", Err: errors.New(`"a name that is too long" has 23 bytes, and the array 16`)},
	&ktrt.LayoutError{Object: "sched.bpf.o", Package: "mysched", Differences: []ctype.Difference{{Path: "struct task_ctx.weight", Want: "u32", Have: "no such member"}}},
	&ctype.ShapeError{Line: 3, Err: errors.New("there is no type struct ctx")},
	&ktsnap.FormatError{Offset: 64, Err: errors.New("its checksum does not match")},
	&ktsnap.FormatError{Offset: -1, Err: errors.New("it has no maps")},
	&ktsnap.NewerVersionError{Version: 9, Known: 2},
	&series.NoSnapshotError{Err: errors.New("the vCPUs did not stop in 2s")},
	&series.NoStatisticsError{Capture: "periodic_003", Err: errors.New("ktest.Config names no source of statistics")},
}

// TestMessagesAreReadAsAWhole keeps the texts in one file, where they are read
// side by side.
func TestMessagesAreReadAsAWhole(t *testing.T) {
	var b strings.Builder
	for _, err := range messages {
		b.WriteString(errorName(err) + "\n\t" + strings.ReplaceAll(err.Error(), "\n", "\n\t") + "\n")
	}
	const file = "testdata/messages.txt"
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(b.String()), 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(want), b.String(), "go test -run %s -update writes the file", t.Name())
}

func errorName(err error) string {
	return strings.TrimPrefix(reflect.TypeOf(err).String(), "*")
}

// TestEveryErrorHasItsMessageRead holds the list to the packages' types.
func TestEveryErrorHasItsMessageRead(t *testing.T) {
	read := make(map[string]bool)
	for _, err := range messages {
		read[errorName(err)] = true
	}
	types := errorTypes(t)
	require.Greater(t, len(types), 30)
	for _, name := range types {
		require.True(t, read[name], "%s is not in messages", name)
	}
}

// errorTypes are the exported types of the package and of ktsnap that are errors.
func errorTypes(t *testing.T) (names []string) {
	t.Helper()
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	model, err := filepath.Glob("ktsnap/*.go")
	require.NoError(t, err)
	for _, name := range append(files, model...) {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		require.NoError(t, err)
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Recv == nil || f.Name.Name != "Error" {
				continue
			}
			receiver := f.Recv.List[0].Type
			if pointer, ok := receiver.(*ast.StarExpr); ok {
				receiver = pointer.X
			}
			if id, ok := receiver.(*ast.Ident); ok && id.IsExported() {
				names = append(names, file.Name.Name+"."+id.Name)
			}
		}
	}
	return names
}
