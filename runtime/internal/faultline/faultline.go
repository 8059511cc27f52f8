// Package faultline finds the line of source that a test panics at, and what its
// statement selects.
package faultline

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// NilDereference tells whether what was recovered is a nil dereference, and
// where it happened.
func NilDereference(recovered any) (at Line, ok bool) {
	err, ok := recovered.(runtime.Error)
	if !ok || !strings.Contains(err.Error(), "nil pointer dereference") {
		return Line{}, false
	}
	return Panicking()
}

// Line is a line of source.
type Line struct {
	File string
	N    int
}

func (at Line) String() string { return fmt.Sprintf("%s:%d: ", filepath.Base(at.File), at.N) }

// Panicking returns the line that the goroutine is panicking at because of a
// bad memory access.
func Panicking() (at Line, ok bool) {
	var pcs [128]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs[:])])
	for fault := false; ; {
		frame, more := frames.Next()
		if fault {
			return Line{frame.File, frame.Line}, true
		}
		fault = frame.Function == "runtime.sigpanic"
		if !more {
			return Line{}, false
		}
	}
}

// errNoStatement is the error for a line without a statement.
var errNoStatement = errors.New("no statement there")

// Selections returns the fields that the innermost statement at a line
// selects, one from another: a.B.C(1).D.E has B, C and D, E.
func (at Line) Selections() ([][]string, error) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, at.File, nil, parser.SkipObjectResolution)
	if err != nil {
		// Paths are cut short by -trimpath; tests run in their directory.
		file, err = parser.ParseFile(fset, filepath.Base(at.File), nil, parser.SkipObjectResolution)
	}
	if err != nil {
		return nil, err
	}
	statement := innermost(fset, file, at.N)
	if statement == nil {
		return nil, errNoStatement
	}
	var chains [][]string
	ast.Inspect(statement, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			chains = append(chains, chain(s))
		}
		return true
	})
	return chains, nil
}

// chain returns the names that lead to and include a selection.
func chain(s *ast.SelectorExpr) []string {
	names := []string{s.Sel.Name}
	for at := s.X; ; {
		switch x := at.(type) {
		case *ast.SelectorExpr:
			names = append(names, x.Sel.Name)
			at = x.X
		case *ast.IndexExpr:
			at = x.X
		case *ast.ParenExpr:
			at = x.X
		case *ast.StarExpr:
			at = x.X
		default:
			slices.Reverse(names)
			return names
		}
	}
}

// innermost returns the smallest statement that covers a line. Blocks do not
// count: they cover all of what is in them.
func innermost(fset *token.FileSet, file *ast.File, n int) ast.Stmt {
	var found ast.Stmt
	ast.Inspect(file, func(node ast.Node) bool {
		if node == nil || fset.Position(node.Pos()).Line > n || fset.Position(node.End()).Line < n {
			return false
		}
		if s, ok := node.(ast.Stmt); ok {
			if _, isBlock := s.(*ast.BlockStmt); !isBlock {
				found = s
			}
		}
		return true
	})
	return found
}
