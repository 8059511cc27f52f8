package main

import (
	"bytes"
	"context"
	"flag"
	"go/format"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cilium/ebpf/btf"
	"github.com/rogpeppe/go-internal/diff"
	"github.com/stretchr/testify/require"
	"golang.org/x/tools/txtar"

	"github.com/ktgen/ktgen/gen"
	"github.com/ktgen/ktgen/object"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

var update = flag.Bool("update", false, "write the golden files of ktgen init")

// tree is files to begin with, by path. A value that begins with "@" is the
// path of a file to copy.
type tree map[string]string

const exampleObject = "@../../example_sched/bpf/sched.bpf.o"

// plant puts a tree into a new directory.
func plant(t *testing.T, files tree) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for name, content := range files {
		if from, ok := strings.CutPrefix(content, "@"); ok {
			content = slurp(t, from)
		}
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(content), 0o644))
	}
	return dir
}

func slurp(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(text)
}

// ktgenInit runs ktgen init in the current directory.
func ktgenInit(t *testing.T, args ...string) (stdout string) {
	t.Helper()
	var out, complaint bytes.Buffer
	code := run(context.Background(), append([]string{"init"}, args...), &out, &complaint)
	require.Zero(t, code, complaint.String())
	return out.String()
}

// The golden files are what ktgen init -n prints.
func TestInitWritesWhatTheGoldenFilesHave(t *testing.T) {
	cases := []struct {
		name  string
		files tree
		args  []string
	}{
		{
			name: "starter",
			args: []string{"-module", "example.com/My-Sched/v2"},
		},
		{
			name:  "object",
			files: tree{"go.mod": "module example.com/tally\n", "bpf/sched.bpf.o": exampleObject},
		},
		{
			name: "subdirectory",
			files: tree{
				".git":             "gitdir: elsewhere\n",
				"go/go.mod":        "module example.com/sched\n",
				"go/scx/Makefile":  "test:\n\tgo test .\n",
				"go/scx/run.go":    "package main\n\nfunc main() {}\n",
				"go/scx/a_test.go": "package main_test\n\nfunc TestMain(m *testing.M) { os.Exit(m.Run()) }\n",
				"build/tally.o":    exampleObject,
			},
			args: []string{"-dir", "go/scx", "-object", "build/tally.o"},
		},
	}
	golden, err := filepath.Abs("testdata/init")
	require.NoError(t, err)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Chdir(plant(t, c.files))
			got := ktgenInit(t, append([]string{"-n"}, c.args...)...)
			path := filepath.Join(golden, c.name+".txtar")
			if *update {
				require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
			}
			want := slurp(t, path)
			require.Empty(t, string(diff.Diff("want", []byte(want), "got", []byte(got))))
		})
	}
}

func TestInitWritesWhatADryRunPrints(t *testing.T) {
	t.Chdir(plant(t, tree{"go.mod": "module example.com/tally\n", "sched.bpf.o": exampleObject}))
	dry := ktgenInit(t, "-n")
	require.NoFileExists(t, "tally_test.go")

	said := ktgenInit(t)

	archive := txtar.Parse([]byte(dry))
	require.True(t, strings.HasPrefix(said, string(archive.Comment)), "the list of files is the same")
	require.Len(t, archive.Files, 5)
	for _, f := range archive.Files {
		require.Equal(t, string(f.Data), slurp(t, f.Name), f.Name)
		if strings.HasSuffix(f.Name, ".go") {
			formatted, err := format.Source(f.Data)
			require.NoError(t, err)
			require.Equal(t, string(formatted), string(f.Data), f.Name)
		}
	}
}

func TestInitOverwritesNothing(t *testing.T) {
	dir := plant(t, nil)
	t.Chdir(dir)
	ktgenInit(t, "-module", "example.com/fifo")
	written := contents(t, dir)
	require.Len(t, written, 8)

	t.Run("what it has written", func(t *testing.T) {
		said := ktgenInit(t)
		require.Contains(t, said, "exists  Makefile\n")
		require.Contains(t, said, "Nothing to write")
		require.NotContains(t, said, "Next")
		require.Equal(t, written, contents(t, dir))
	})

	t.Run("what was changed since", func(t *testing.T) {
		for name := range written {
			if name == "bpf/fifo.bpf.c" || name == "go.mod" {
				continue
			}
			text := "//go:generate go tool ktgen -object bpf/fifo.bpf.o\npackage fifo // mine\n"
			require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
		}
		mine := contents(t, dir)
		ktgenInit(t)
		delete(mine, "ktgen.mk")
		now := contents(t, dir)
		delete(now, "ktgen.mk") // the changed makefile has no such rules
		require.Equal(t, mine, now)
	})
}

// contents returns the files below a directory.
func contents(t *testing.T, dir string) tree {
	t.Helper()
	files := make(tree)
	require.NoError(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		files[filepath.ToSlash(rel)] = slurp(t, path)
		return err
	}))
	return files
}

func TestInitCompletesWhatIsThere(t *testing.T) {
	dir := plant(t, nil)
	t.Chdir(dir)
	ktgenInit(t, "-module", "example.com/fifo")
	all := contents(t, dir)
	for name := range all {
		if name == "go.mod" || name == "bpf/fifo.bpf.c" {
			continue
		}
		t.Run("without "+filepath.Base(name), func(t *testing.T) {
			require.NoError(t, os.Remove(filepath.FromSlash(name)))
			said := ktgenInit(t)
			require.Equal(t, 1, strings.Count(said, "write"), said)
			if name == "doc.go" { // the package has Go files by now
				require.FileExists(t, "generate.go")
				require.NoError(t, os.Remove("generate.go"))
				require.NoError(t, os.WriteFile(name, []byte(all[name]), 0o644))
			}
			require.Equal(t, all, contents(t, dir))
		})
	}
}

func TestInitSaysWhatOnlyTheUserCanDo(t *testing.T) {
	cases := []struct {
		name  string
		files tree
		args  []string
		want  string
	}{
		{
			name:  "a TestMain of another kind",
			files: tree{"a_test.go": "package fifo\n\nfunc TestMain(m *testing.M) {}\n"},
			want:  "Call ktest.Main(m) in the TestMain of a_test.go",
		},
		{
			name:  "a main_test.go without TestMain",
			files: tree{"main_test.go": "package fifo\n"},
			want:  "Add this function to main_test.go, so that the test binary can be a guest's init: func TestMain(m *testing.M) { ktest.Main(m) }",
		},
		{
			name:  "a generate.go for something else",
			files: tree{"generate.go": "package fifo\n\n//go:generate stringer\n"},
			want:  "Add this line to generate.go: //go:generate go tool ktgen -object bpf/fifo.bpf.o -package fifo",
		},
		{
			name:  "a makefile",
			files: tree{"makefile": "all:\n"},
			want:  "\techo 'include ktgen.mk' >> makefile\n\tmake ktgen-test\n",
		},
		{
			name:  "a workflow for another package",
			files: tree{".github/workflows/ktgen.yml": "run: make -C a test\n"},
			want:  "Add a step to .github/workflows/ktgen.yml: run: make test\n",
		},
		{
			name:  "an object that may not be committed",
			files: tree{"fifo.bpf.o": exampleObject},
			want:  "The CI workflow needs fifo.bpf.o:",
		},
		{
			name:  "another directory",
			files: tree{"sub/x.go": "package fifo\n"},
			args:  []string{"-dir", "sub"},
			want:  "\tcd sub\n",
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			dir := plant(t, c.files)
			require.NoError(t, os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module example.com/fifo\n"), 0o644))
			t.Chdir(dir)
			require.Contains(t, ktgenInit(t, c.args...), c.want)
		})
	}
}

func TestInitLeavesOutStepsThatAreDone(t *testing.T) {
	mod := "module example.com/fifo\n\ntool " + toolPackage + "\n"
	t.Chdir(plant(t, tree{"go.mod": mod, "Makefile": "-include ./ktgen.mk other.mk\n", "x_test.go": `package fifo

import "` + testPackage + `"

func TestMain(m *testing.M) { ktest.Main(m) }
`}))
	said := ktgenInit(t)
	require.Contains(t, said, "exists  x_test.go\n")
	require.NotContains(t, said, "go get -tool")
	require.NotContains(t, said, "echo")
	require.NotContains(t, said, "cd ")
	require.Contains(t, said, "\nNext:\n")
}

func TestInitHasProgramsLoadTheObjectsInsideThem(t *testing.T) {
	program := "program" + slurp(t, exampleObject[1:])
	t.Chdir(plant(t, tree{"go.mod": "module example.com/tally\n", "sched": program})) // which is the object's name, too
	ktgenInit(t, "-object", "sched")
	require.Contains(t, slurp(t, "sched_test.go"), `Scheduler: ktest.Binary("sched")}`)
}

func TestInitMakesTheDirectory(t *testing.T) {
	t.Chdir(plant(t, nil))
	said := ktgenInit(t, "-module", "example.com/fifo", "-dir", "a/fifo")
	require.FileExists(t, "a/fifo/doc.go")
	require.Contains(t, said, "\tcd a/fifo\n")
}

func TestInitNamesThePackagesOfMissingPrograms(t *testing.T) {
	t.Chdir(plant(t, nil))
	t.Setenv("PATH", t.TempDir())
	require.Contains(t, ktgenInit(t, "-module", "example.com/fifo"), "\tapt-get install clang-19 make qemu-system-x86\n")
}

func TestInitRefusesWhatItCannotCompleteAndWritesNothing(t *testing.T) {
	cases := []struct {
		name  string
		files tree
		args  []string
		want  string
	}{
		{"no module", tree{}, nil, "there is no go.mod in . or above it: say -module PATH"},
		{"a bad module path", tree{}, []string{"-module", "a b"}, "malformed import path"},
		{"another module", tree{"go.mod": "module a.b/c\n"}, []string{"-module", "a.b/d"}, "go.mod is of module a.b/c: leave out -module a.b/d"},
		{"a broken go.mod", tree{"go.mod": "module\n"}, nil, "go.mod:1"},
		{"an empty go.mod", tree{"go.mod": "go 1.26\n"}, nil, "go.mod has no module line"},
		{"another package", tree{"go.mod": "module a.b/c\n", "x.go": "package x\n"}, []string{"-package", "y"}, "are of package x: leave out -package y"},
		{"two packages", tree{"go.mod": "module a.b/c\n", "x.go": "package x\n", "y.go": "package y\n"}, nil, "found packages x (x.go) and y (y.go)"},
		{"a Go file that is none", tree{"go.mod": "module a.b/c\n", "x.go": "package x\n\nfunc {\n"}, nil, "x.go:3"},
		{"a name that is no package's", tree{"go.mod": "module a.b/7\n"}, nil, `"7" cannot be the name of the Go package`},
		{"a keyword", tree{"go.mod": "module a.b/type\n"}, nil, `"type" cannot be the name of the Go package`},
		{"a program as a new package", tree{"go.mod": "module a.b/c\n"}, []string{"-package", "main"}, `"main" cannot be the name of the Go package`},
		{"C sources beside the package", tree{"go.mod": "module a.b/c\n", "a.c": "int x;\n", "c.bpf.c": "int x;\n"}, nil, ". has C sources (a.c, c.bpf.c), which Go does not build beside its own: give the Go package a directory of its own, such as -dir ktgen"},
		{"C sources beside Go files", tree{"go.mod": "module a.b/c\n", "sub/x.go": "package x\n", "sub/a.c": "int x;\n"}, []string{"-dir", "sub"}, "sub has C sources (a.c)"},
		{"a file as a directory", tree{"go.mod": "module a.b/c\n"}, []string{"-dir", "go.mod"}, "go.mod is a file"},
		{"an object that is not there", tree{"go.mod": "module a.b/c\n", "sched.bpf.o": exampleObject}, []string{"-object", "shed.bpf.o"}, "shed.bpf.o does not exist: there is sched.bpf.o; did you mean sched.bpf.o?"},
		{"no object at all", tree{"go.mod": "module a.b/c\n"}, []string{"-object", "c.bpf.o"}, "c.bpf.o does not exist: build it first, or leave out -object to get a starter scheduler"},
		{"several objects", tree{"go.mod": "module a.b/c\n", "a.bpf.o": "", "bpf/b.bpf.o": ""}, nil, ". has several BPF objects: say which is the scheduler's with -object: a.bpf.o, bpf/b.bpf.o"},
		{"a source that is not compiled", tree{"go.mod": "module a.b/c\n", "bpf/c.bpf.c": "int x;\n"}, nil, "bpf/c.bpf.c is not compiled"},
		{"what is no object", tree{"go.mod": "module a.b/c\n", "c.bpf.o": "text"}, nil, "not an ELF file"},
		{"an object without a scheduler", tree{"go.mod": "module a.b/c\n", "c.bpf.o": "@../../internal/sample/testdata/sample.bpf.o"}, nil, "c.bpf.o defines no scheduler: it has no struct_ops at all"},
		{"a directory as an object", tree{"go.mod": "module a.b/c\n", "bpf/x.go": "package x\n"}, []string{"-object", "bpf"}, "bpf"},
		{"a path that make splits", tree{"go.mod": "module a.b/c\n", "my sched.bpf.o": exampleObject}, nil, `"my sched.bpf.o" has characters that mean something else`},
		{"a directory that shells split", tree{"go.mod": "module a.b/c\n", "my $sched/x.go": "package x\n"}, []string{"-dir", "my $sched"}, `"my $sched" has characters that mean something else`},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			dir := plant(t, c.files)
			t.Chdir(dir)
			before := contents(t, dir)

			var out, complaint bytes.Buffer
			code := run(context.Background(), append([]string{"init"}, c.args...), &out, &complaint)

			require.Equal(t, exitFailed, code)
			require.Contains(t, complaint.String(), c.want)
			require.Equal(t, 1, strings.Count(complaint.String(), "\n"), "a message is one line: %s", complaint.String())
			require.Empty(t, out.String())
			require.Equal(t, before, contents(t, dir))
		})
	}
}

func TestSchedulerOpsAreTheStructsOfSchedExt(t *testing.T) {
	ops := func(name, typ string) object.Map {
		return object.Map{Name: name, Type: uint32(ktsnap.MapTypeStructOps), Value: &btf.Struct{Name: typ}}
	}
	hash := object.Map{Name: "tasks", Type: uint32(ktsnap.MapTypeHash), Value: &btf.Struct{Name: "sched_ext_ops"}}

	names, err := schedulerOps(&object.Object{Maps: []object.Map{hash, ops("cc", "tcp_congestion_ops"), ops("a", "sched_ext_ops"), ops("b", "sched_ext_ops_cid")}})
	require.NoError(t, err)
	require.Equal(t, []string{"a", "b"}, names)

	_, err = schedulerOps(&object.Object{Name: "cc.bpf.o", Maps: []object.Map{hash, ops("cc", "tcp_congestion_ops")}})
	require.ErrorContains(t, err, "cc.bpf.o defines no scheduler: it has struct tcp_congestion_ops")
}

func TestPackagesAreNamedAfterTheirImportPath(t *testing.T) {
	for importPath, want := range map[string]string{
		"example.com/fifo":          "fifo",
		"example.com/my-sched":      "mysched",
		"example.com/scx_Simple/v2": "scxsimple",
		"v2":                        "",
		"example.com/3":             "3", // and is refused
	} {
		require.Equal(t, want, packageName(importPath), importPath)
	}
}

func TestFirstTestsReadWhatTellsMost(t *testing.T) {
	cases := []struct {
		name      string
		accessors []gen.Accessor
		want      []string // parts of the statements, in order
	}{
		{
			name: "counters before other maps",
			accessors: []gen.Accessor{
				{Name: "Tasks", CName: "tasks", Type: "Hash", Size: 8},
				{Name: "CpuStats", CName: "cpu_stats", Type: "Array", Size: 8},
			},
			want: []string{"snap.CpuStats().At(0)"},
		},
		{
			name: "per-CPU arrays before hashes",
			accessors: []gen.Accessor{
				{Name: "Tasks", CName: "tasks", Type: "Hash", Size: 8},
				{Name: "Cpus", CName: "cpus", Type: "PerCPUArray", Size: 8},
			},
			want: []string{"snap.Cpus().Each(0)"},
		},
		{
			name:      "no constants of the kernel",
			accessors: []gen.Accessor{{Name: "Rodata", CName: ".rodata", Numbers: []string{"SCXOPSNAMELEN"}}},
			want:      []string{"len(snap.Binding().Snapshot().Maps)"},
		},
		{
			name: "no map that is bytes or huge",
			accessors: []gen.Accessor{
				{Name: "Ring", CName: "ring", Type: "Opaque"},
				{Name: "Big", CName: "big", Type: "Array", Size: 1 << 20},
			},
			want: []string{"len(snap.Binding().Snapshot().Maps)"},
		},
		{
			name: "numbers that change, at most three, counters first",
			accessors: []gen.Accessor{
				{Name: "Rodata", CName: ".rodata", Numbers: []string{"NrCpus"}},
				{Name: "Data", CName: ".data", Numbers: []string{"SCXSLICEDFL"}},
				{Name: "Bss", CName: ".bss", Numbers: []string{"Vtime", "NrA", "NrB", "NrC"}},
			},
			want: []string{"globals := snap.Bss()", "globals.NrA", "globals.NrB", "globals.NrC"},
		},
		{
			name:      "names that mean something in Go and in formats",
			accessors: []gen.Accessor{{Name: "X", CName: "100%\", os.Exit(1)) // \n", Type: "Array", Size: 8}},
			want:      []string{`"100%%\", os.Exit(1)) // \n[0] = %+v", *snap.X().At(0)`},
		},
		{
			name: "a map and globals",
			accessors: []gen.Accessor{
				{Name: "Tasks", CName: "tasks", Type: "TaskStorage", Size: 8},
				{Name: "Data", CName: ".data", Numbers: []string{"SliceNs"}},
			},
			want: []string{"snap.Tasks().All()", "globals := snap.Data()", "globals.SliceNs"},
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			statements, err := firstReads(c.accessors)
			require.NoError(t, err)
			text := strings.Join(statements, "\n")
			at := 0
			for _, part := range c.want {
				i := strings.Index(text[at:], part)
				require.GreaterOrEqual(t, i, 0, "no %s after byte %d of:\n%s", part, at, text)
				at += i
			}
			require.NotContains(t, text, "Vtime")
			_, err = format.Source([]byte(text))
			require.NoError(t, err)
		})
	}
}

func TestInitTakesKtgenFromTheCheckoutItWasBuiltIn(t *testing.T) {
	here, err := filepath.Abs("../..")
	require.NoError(t, err)
	t.Chdir(plant(t, nil))
	said := ktgenInit(t, "-module", "example.com/fifo")
	require.Contains(t, said, "\tgo mod edit -replace github.com/ktgen/ktgen="+here+" -require github.com/ktgen/ktgen@v0.0.0 -tool github.com/ktgen/ktgen/cmd/ktgen\n\tgo mod tidy\n")
	require.Contains(t, said, "ktgen has no published version")

	require.Equal(t, unknownCheckout, checkoutOf("github.com/ktgen/ktgen/cmd/ktgen/init_checkout.go"), "built with -trimpath")
	require.Equal(t, unknownCheckout, checkoutOf(filepath.Join(t.TempDir(), "cmd/ktgen/init_checkout.go")), "gone")

	t.Chdir(plant(t, tree{"go.mod": "module example.com/fifo\n\nreplace " + ourModule + " => ../ktgen\n"}))
	said = ktgenInit(t)
	require.NotContains(t, said, "-replace")
	require.NotContains(t, said, "published")
}
