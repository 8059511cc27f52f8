package ktest_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// go doc shows nothing of a type of an internal package but the comment of its alias: that tells of the
// fields, as they are.
func TestAliasesOfInternalTypesTellTheirFields(t *testing.T) {
	const module = "github.com/ktgen/ktgen/"
	checked := 0
	for _, file := range filesOf(t, ".") {
		paths := make(map[string]string) // of the packages that the file imports, by their names
		for _, i := range file.Imports {
			path, err := strconv.Unquote(i.Path.Value)
			require.NoError(t, err)
			paths[path[strings.LastIndexByte(path, '/')+1:]] = path
		}
		for _, alias := range typesIn(file) {
			of, ok := alias.Type.(*ast.SelectorExpr)
			if !alias.Assign.IsValid() || !ok {
				continue
			}
			path := paths[of.X.(*ast.Ident).Name]
			if !strings.Contains(path, "/internal/") {
				continue
			}
			want, isStruct := fieldsOf(t, filepath.Join("..", strings.TrimPrefix(path, module)), of.Sel.Name)
			if isStruct {
				require.Equal(t, want, toldFields(alias.Doc.Text()), alias.Name.Name)
				checked++
			}
		}
	}
	require.Greater(t, checked, 8)
}

// A kind of work has the same name for VM.Work and for a scenario.
func TestKindsOfWorkHaveOneName(t *testing.T) {
	named := make(map[string]bool)
	for _, file := range filesOf(t, ".") {
		ast.Inspect(file, func(n ast.Node) bool {
			if spec, ok := n.(*ast.ValueSpec); ok && len(spec.Values) == 1 {
				named[spec.Names[0].Name+" = "+types.ExprString(spec.Values[0])] = true
			}
			return true
		})
	}
	kinds := 0
	for _, file := range filesOf(t, "../scenario") {
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok {
				return true
			}
			if of, ok := spec.Type.(*ast.Ident); ok && of.Name == "Kind" && len(spec.Values) == 1 {
				name := spec.Names[0].Name
				require.True(t, named[name+" = scenario."+name], "ktest has no %s", name)
				kinds++
			}
			return true
		})
	}
	require.Equal(t, 8, kinds)
}

// filesOf parses the files of a package, without its tests.
func filesOf(t *testing.T, dir string) (files []*ast.File) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.go"))
	require.NoError(t, err)
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments|parser.SkipObjectResolution)
		require.NoError(t, err)
		files = append(files, file)
	}
	return files
}

// typesIn returns the types that a file declares, each with its comment.
func typesIn(file *ast.File) (specs []*ast.TypeSpec) {
	for _, d := range file.Decls {
		decl, ok := d.(*ast.GenDecl)
		if !ok || decl.Tok != token.TYPE {
			continue
		}
		for _, s := range decl.Specs {
			spec := s.(*ast.TypeSpec)
			if spec.Doc == nil {
				spec.Doc = decl.Doc
			}
			specs = append(specs, spec)
		}
	}
	return specs
}

// fieldsOf returns the exported fields of a struct, each as "Name type".
func fieldsOf(t *testing.T, dir, name string) (fields []string, isStruct bool) {
	for _, file := range filesOf(t, dir) {
		for _, spec := range typesIn(file) {
			s, ok := spec.Type.(*ast.StructType)
			if spec.Name.Name != name || !ok {
				continue
			}
			for _, f := range s.Fields.List {
				for _, n := range f.Names {
					if n.IsExported() {
						fields = append(fields, n.Name+" "+types.ExprString(f.Type))
					}
				}
			}
			return fields, true
		}
	}
	return nil, false
}

// toldFields returns the fields in the indented lines of a comment.
func toldFields(doc string) (fields []string) {
	for line := range strings.Lines(doc) {
		if code, ok := strings.CutPrefix(line, "\t"); ok {
			code, _, _ = strings.Cut(code, "//")
			fields = append(fields, regexp.MustCompile(`\s+`).ReplaceAllString(strings.TrimSpace(code), " "))
		}
	}
	return fields
}
