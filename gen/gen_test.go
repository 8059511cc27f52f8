package gen_test

import (
	"bytes"
	"go/ast"
	"go/build"
	"go/format"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/gen"
	"github.com/ktgen/ktgen/object"
)

// checkedIn are the generated files in this repository.
var checkedIn = []struct{ object, pkg, file string }{
	{"../internal/sample/testdata/sample.bpf.o", "sample", "../internal/sample/sample_ktgen.go"},
	{"../example_sched/bpf/sched.bpf.o", "examplesched", "../example_sched/examplesched_ktgen.go"},
}

func TestCheckedInCodeIsUpToDate(t *testing.T) {
	for _, c := range checkedIn {
		t.Run(c.pkg, func(t *testing.T) {
			obj, err := object.Open(c.object)
			require.NoError(t, err)
			model, err := gen.Build(obj, gen.Options{Package: c.pkg})
			require.NoError(t, err)
			got, err := model.Render()
			require.NoError(t, err)
			want, err := os.ReadFile(c.file)
			require.NoError(t, err)
			require.True(t, bytes.Equal(want, got), "%s is out of date: go generate ./%s", c.file, filepath.Dir(c.file))
		})
	}
}

// Programs such as ktgen init choose by it what a first test reads.
func TestAccessorsAreListed(t *testing.T) {
	obj, err := object.Open("../internal/sample/testdata/sample.bpf.o")
	require.NoError(t, err)
	generated, err := gen.Build(obj, gen.Options{Package: "sample"})
	require.NoError(t, err)
	byName := make(map[string]gen.Accessor)
	for _, a := range generated.Accessors() {
		byName[a.CName] = a
	}
	require.Equal(t, gen.Accessor{Name: "PerCpu", CName: "per_cpu", Type: "PerCPUArray", Size: byName["nodes"].Size}, byName["per_cpu"])
	require.Positive(t, byName["nodes"].Size)
	require.Equal(t, gen.Accessor{Name: "Events", CName: "events", Type: "RingBuf"}, byName["events"])
	require.Equal(t, gen.Accessor{Name: "Bss", CName: ".bss", Numbers: []string{"Hidden", "NrOnline"}}, byName[".bss"], "no arrays, pointers or structs")
	require.Equal(t, gen.Accessor{Name: "Kconfig", CName: ".kconfig", Numbers: []string{"LINUX_KERNEL_VERSION"}}, byName[".kconfig"])
}

// Each exported declaration has a comment, and each field says what it is in C.
func TestGeneratedCodeIsDocumented(t *testing.T) {
	for _, c := range checkedIn {
		file, err := parser.ParseFile(token.NewFileSet(), c.file, nil, parser.ParseComments)
		require.NoError(t, err)
		require.True(t, ast.IsGenerated(file))
		for _, decl := range file.Decls {
			requireDocumented(t, decl)
		}
	}
}

// A field has its declaration in C: type and name, or the name of a function.
var fieldComment = regexp.MustCompile(`^(struct |enum )?\w+ \S|^\(\*\w+\)\(\)`)

func requireDocumented(t *testing.T, decl ast.Decl) {
	t.Helper()
	switch d := decl.(type) {
	case *ast.FuncDecl:
		if d.Name.IsExported() {
			require.True(t, strings.HasPrefix(d.Doc.Text(), d.Name.Name+" "), d.Name.Name)
		}
	case *ast.GenDecl:
		if d.Tok != token.TYPE {
			return
		}
		spec := d.Specs[0].(*ast.TypeSpec)
		require.True(t, strings.HasPrefix(d.Doc.Text(), spec.Name.Name+" "), spec.Name.Name)
		fields, isStruct := spec.Type.(*ast.StructType)
		if !isStruct || spec.Name.Name == "Snap" || spec.Name.Name == "Fixture" {
			return
		}
		for _, f := range fields.Fields.List {
			require.Regexp(t, fieldComment, f.Comment.Text(), "%s.%s", spec.Name.Name, f.Names[0])
		}
	}
}

func TestWarningsSayWhatIsLeftOutAndWhy(t *testing.T) {
	obj, err := object.Open("../object/testdata/zoo.bpf.o")
	require.NoError(t, err)
	model, err := gen.Build(obj, gen.Options{Package: "zoo"})
	require.NoError(t, err)
	require.Subset(t, model.File().Models[0].Warnings, []string{
		"map opaque is read as bytes: it is defined without the type of its values (use __type(value, ...))",
	})
	src, err := model.Render()
	require.NoError(t, err)
	for _, warning := range model.File().Models[0].Warnings {
		require.Contains(t, string(src), "\n//   - "+warning+"\n")
	}
}

// Nothing is left out without a warning: each map and each section of
// variables has an accessor, or is named in one.
func TestEverythingIsReadOrWarnedOf(t *testing.T) {
	for _, path := range []string{"../object/testdata/zoo.bpf.o", checkedIn[0].object, checkedIn[1].object} {
		obj, err := object.Open(path)
		require.NoError(t, err)
		model, err := gen.Build(obj, gen.Options{Package: "p"})
		require.NoError(t, err)
		told := strings.Join(model.File().Models[0].Warnings, "\n")
		for _, m := range model.File().Models[0].Maps {
			told += "\nmap " + m.CName + " "
		}
		for _, s := range model.File().Models[0].Sections {
			told += "\nsection " + s.CName + " "
		}
		for _, m := range obj.Maps {
			require.Contains(t, told, "map "+m.Name+" ", path)
		}
		for _, s := range obj.Sections {
			if len(s.Vars) > 0 {
				require.Contains(t, told, "section "+s.Name+" ", path)
			}
		}
	}
}

func TestImpossiblePackageNamesAreRefused(t *testing.T) {
	obj, err := object.Open(checkedIn[0].object)
	require.NoError(t, err)
	for _, name := range []string{"", "_", "a b", "a-b", "func", "1st", "a.b"} {
		_, err := gen.Build(obj, gen.Options{Package: name})
		require.ErrorContains(t, err, "cannot be the name of a Go package", name)
	}
}

// The constraint is one to the go command, and written in one way.
func TestTagsConstrainTheFile(t *testing.T) {
	obj, err := object.Open(checkedIn[0].object)
	require.NoError(t, err)
	model, err := gen.Build(obj, gen.Options{Package: "p", Tags: "never&&(linux)\n"})
	require.NoError(t, err)
	src, err := model.Render()
	require.NoError(t, err)
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "p_ktgen.go"), src, 0o644))
	context := build.Default
	for _, tags := range [][]string{nil, {"never"}} {
		context.BuildTags, context.GOOS = tags, "linux"
		match, err := context.MatchFile(dir, "p_ktgen.go")
		require.NoError(t, err)
		require.Equal(t, tags != nil, match)
	}
	require.Contains(t, string(src), "\n//go:build never && linux\n\npackage p\n")
	formatted, err := format.Source(src)
	require.NoError(t, err)
	require.Equal(t, string(formatted), string(src))

	for _, tags := range []string{"linux &&", "a\nb", "a;b"} {
		_, err := gen.Build(obj, gen.Options{Package: "p", Tags: tags})
		require.ErrorContains(t, err, "cannot be a build constraint", tags)
	}
}

// Objects that have nothing to do with one another make a package, too, the
// same one every time.
func TestAnyObjectsMakeOnePackage(t *testing.T) {
	var objs []*object.Object
	for _, path := range []string{checkedIn[0].object, checkedIn[1].object, "../object/testdata/zoo.bpf.o"} {
		obj, err := object.Open(path)
		require.NoError(t, err)
		objs = append(objs, obj)
	}
	var first []byte
	for range 3 {
		p, err := gen.BuildPackage(objs, gen.Options{Package: "p"})
		require.NoError(t, err)
		src, err := p.Render()
		require.NoError(t, err)
		if first == nil {
			first = src
		}
		require.True(t, bytes.Equal(first, src))
		require.NoError(t, compiles(src))
		layouts, err := gen.ReadLayouts("p_ktgen.go", src)
		require.NoError(t, err)
		require.Len(t, layouts, len(objs))
	}
}

func TestReleasesAreNamedInTheFirstLine(t *testing.T) {
	obj, err := object.Open(checkedIn[0].object)
	require.NoError(t, err)
	model, err := gen.Build(obj, gen.Options{Package: "p", Version: "v1.2.3"})
	require.NoError(t, err)
	src, err := model.Render()
	require.NoError(t, err)
	first, _, _ := strings.Cut(string(src), "\n")
	require.Equal(t, "// Code generated by ktgen v1.2.3; DO NOT EDIT.", first)
	_, err = gen.ReadLayouts("p_ktgen.go", src)
	require.NoError(t, err)
}

// The order of generating and what was generated before have no influence.
func TestGeneratingIsDeterministic(t *testing.T) {
	first, err := generate(checkedIn[0].object)
	require.NoError(t, err)
	_, err = generate(checkedIn[1].object)
	require.NoError(t, err)
	for range 5 {
		again, err := generate(checkedIn[0].object)
		require.NoError(t, err)
		require.True(t, bytes.Equal(first, again))
	}
}

// Damaged objects are refused or give code that compiles.
func FuzzGenerate(f *testing.F) {
	for _, path := range []string{"../object/testdata/zoo.bpf.o", "../object/testdata/zoo.eb.bpf.o"} {
		data, err := os.ReadFile(path)
		require.NoError(f, err)
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		obj, err := object.Read(bytes.NewReader(data), int64(len(data)), "fuzz.bpf.o")
		if err != nil {
			return
		}
		model, err := gen.Build(obj, gen.Options{Package: "fuzz"})
		if err != nil {
			return
		}
		src, err := model.Render()
		require.NoError(t, err)
		require.NoError(t, compiles(src))
	})
}

func BenchmarkGenerate(b *testing.B) {
	for _, c := range checkedIn {
		b.Run(c.pkg, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, err := generate(c.object)
				require.NoError(b, err)
			}
		})
	}
}
