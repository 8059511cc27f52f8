package ktgen

import (
	"bytes"
	"flag"
	"go/ast"
	"go/build"
	"go/parser"
	"go/printer"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "accept the exported API as it is")

// doors are what two kinds of users of this module program against: people who test
// schedulers, and people who write tools on snapshots and objects.
var doors = map[string][]string{
	"test": {"ktest", "scenario", "series", "sched", "runtime"},
	"tool": {"runtime/ktsnap", "runtime/ctype", "dump", "object", "cast", "gen"},
}

// A name is easily exported and hardly taken back. What each door has is in a list
// that a change of it changes, too.
func TestExportedNamesAreThoseOfTheList(t *testing.T) {
	for door, dirs := range doors {
		t.Run(door, func(t *testing.T) {
			var all []string
			for _, dir := range dirs {
				all = append(all, exportedNames(t, dir)...)
			}
			got, file := strings.Join(all, "\n")+"\n", filepath.Join("testdata", "api", door+".txt")
			if *update {
				require.NoError(t, os.WriteFile(file, []byte(got), 0o644))
			}
			want, err := os.ReadFile(file)
			require.NoError(t, err)
			listed := strings.Split(strings.TrimSpace(string(want)), "\n")
			require.Empty(t, without(all, listed), "new names: unexport them, or accept them by go test . -run TestExportedNames -update")
			require.Empty(t, without(listed, all), "names that are gone: go test . -run TestExportedNames -update accepts that")
		})
	}
}

// An error type that ends in Error is found by who looks for it.
func TestErrorTypesEndInError(t *testing.T) {
	method := regexp.MustCompile(`: func \(\w* ?\*?(\w+)\) Error\(\) string$`)
	found := 0
	for _, dir := range append(slices.Concat(doors["test"], doors["tool"]), "btf", "capture", "freeze", "vmm", "vmm/kernel", "vmm/qmp", "vmm/guest", "vmm/initramfs") {
		for _, line := range exportedNames(t, dir) {
			if m := method.FindStringSubmatch(line); m != nil {
				found++
				require.True(t, strings.HasSuffix(m[1], "Error"), line)
			}
		}
	}
	require.Greater(t, found, 50)
}

// without are the lines that are not among others.
func without(lines, others []string) []string {
	return slices.DeleteFunc(slices.Clone(lines), func(line string) bool { return slices.Contains(others, line) })
}

// exportedNames lists what a package exports, a line for each constant, variable,
// function, type, field and method.
func exportedNames(t *testing.T, dir string) (lines []string) {
	t.Helper()
	l := apiList{fset: token.NewFileSet(), dir: dir}
	for _, file := range parsed(t, l.fset, dir, parser.SkipObjectResolution) {
		ast.FileExports(file)
		for _, d := range file.Decls {
			l.declaration(d)
		}
	}
	slices.Sort(l.lines)
	return l.lines
}

// parsed are the files of a package, those of its tests left aside.
func parsed(t *testing.T, fset *token.FileSet, dir string, mode parser.Mode) (files []*ast.File) {
	t.Helper()
	pkg, err := build.ImportDir(dir, 0)
	require.NoError(t, err)
	for _, name := range pkg.GoFiles {
		file, err := parser.ParseFile(fset, filepath.Join(dir, name), nil, mode)
		require.NoError(t, err)
		files = append(files, file)
	}
	return files
}

// apiList collects the lines of a package.
type apiList struct {
	fset  *token.FileSet
	dir   string
	lines []string
}

func (l *apiList) add(text string) { l.lines = append(l.lines, l.dir+": "+text) }

// text is a piece of Go on one line.
func (l *apiList) text(node any) string {
	var b bytes.Buffer
	_ = printer.Fprint(&b, l.fset, node) // into memory
	return strings.Join(strings.Fields(b.String()), " ")
}

func (l *apiList) declaration(d ast.Decl) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Recv != nil && !ast.IsExported(receiver(d.Recv.List[0].Type)) {
			return
		}
		d.Body, d.Doc = nil, nil
		l.add(l.text(d))
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch spec := spec.(type) {
			case *ast.ValueSpec:
				for _, id := range spec.Names {
					l.add(d.Tok.String() + " " + id.Name)
				}
			case *ast.TypeSpec:
				l.typ(spec)
			}
		}
	}
}

// typ adds a type, and the fields of a struct, each on a line of its own.
func (l *apiList) typ(spec *ast.TypeSpec) {
	s, isStruct := spec.Type.(*ast.StructType)
	if !isStruct {
		spec.Doc, spec.Comment = nil, nil
		l.add("type " + l.text(spec))
		return
	}
	l.add("type " + spec.Name.Name + " struct")
	for _, f := range s.Fields.List {
		for _, id := range f.Names {
			l.add("type " + spec.Name.Name + " struct, " + id.Name + " " + l.text(f.Type))
		}
		if len(f.Names) == 0 {
			l.add("type " + spec.Name.Name + " struct, " + l.text(f.Type))
		}
	}
}

// receiver is the name of the type that a method is of.
func receiver(t ast.Expr) string {
	switch t := t.(type) {
	case *ast.StarExpr:
		return receiver(t.X)
	case *ast.IndexExpr:
		return receiver(t.X)
	case *ast.IndexListExpr:
		return receiver(t.X)
	case *ast.Ident:
		return t.Name
	}
	return ""
}
