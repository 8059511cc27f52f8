package gen

import (
	_ "embed"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
)

// This file type-checks generated code. It does so against a description of
// the few packages that generated code imports, since loading the real ones
// takes a hundred times as long as everything else ktgen does.

//go:embed api.txt
var runtimeAPI string

const binaryAPI = `package binary
type order struct{}
var LittleEndian order
func (order) Uint16([]byte) uint16 { panic(0) }
func (order) Uint32([]byte) uint32 { panic(0) }
func (order) Uint64([]byte) uint64 { panic(0) }
`

const mathAPI = `package math
func Float32frombits(uint32) float32 { panic(0) }
func Float64frombits(uint64) float64 { panic(0) }
`

const netipAPI = `package netip
type Prefix struct{ bits uint8 }
`

// parse parses a generated file.
func parse(name string, src []byte) (*token.FileSet, *ast.File, error) {
	fset := token.NewFileSet()
	file, err := parseInto(fset, name, src)
	return fset, file, err
}

func parseInto(fset *token.FileSet, name string, src []byte) (*ast.File, error) {
	return parser.ParseFile(fset, name, src, parser.ParseComments|parser.SkipObjectResolution)
}

// check returns the first error of the files of a generated package.
func check(pkg string, fset *token.FileSet, files ...*ast.File) error {
	_, err := typeCheck(fset, pkg, files...)
	return err
}

func typeCheck(fset *token.FileSet, path string, files ...*ast.File) (*types.Package, error) {
	config := types.Config{Importer: apiImporter{}, Sizes: types.SizesFor("gc", "amd64")}
	return config.Check(path, fset, files, nil)
}

// apiImporter imports the described packages.
type apiImporter map[string]*types.Package

func (imported apiImporter) Import(path string) (*types.Package, error) {
	if pkg := imported[path]; pkg != nil {
		return pkg, nil
	}
	sources := map[string]string{ktrt: runtimeAPI, "encoding/binary": binaryAPI, "math": mathAPI, "net/netip": netipAPI}
	src, known := sources[path]
	if !known {
		return nil, fmt.Errorf("generated code cannot import %s", path)
	}
	fset, file, err := parse(path, []byte(src))
	if err != nil {
		return nil, err
	}
	pkg, err := typeCheck(fset, path, file)
	if err == nil {
		imported[path] = pkg
	}
	return pkg, err
}
