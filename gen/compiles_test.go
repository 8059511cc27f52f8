package gen_test

import (
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"sync"

	"golang.org/x/tools/go/packages"
)

// compiles type-checks the files of a generated package.
func compiles(files ...[]byte) error {
	imports, err := generatedImports()
	if err != nil {
		return err
	}
	fset := token.NewFileSet()
	var parsed []*ast.File
	for i, src := range files {
		file, err := parser.ParseFile(fset, fmt.Sprintf("part%d.go", i+1), src, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		parsed = append(parsed, file)
	}
	config := types.Config{Importer: imports, Sizes: types.SizesFor("gc", "amd64")}
	_, err = config.Check("p", fset, parsed, nil)
	return err
}

// generatedImports imports what generated code imports, as the go command built
// it.
var generatedImports = sync.OnceValues(func() (types.Importer, error) {
	pkgs, err := packages.Load(&packages.Config{Mode: packages.NeedName | packages.NeedImports | packages.NeedDeps | packages.NeedExportFile},
		"github.com/ktgen/ktgen/runtime", "encoding/binary", "math", "net/netip")
	if err != nil {
		return nil, err
	}
	exports := make(map[string]string)
	packages.Visit(pkgs, nil, func(p *packages.Package) { exports[p.PkgPath] = p.ExportFile })
	return importer.ForCompiler(token.NewFileSet(), "gc", func(path string) (io.ReadCloser, error) {
		file, ok := exports[path]
		if !ok {
			return nil, fmt.Errorf("generated code cannot import %s", path)
		}
		return os.Open(file)
	}), nil
})
