package series

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/printer"
	"go/token"
	"path/filepath"
	"reflect"
	"regexp"
	goruntime "runtime"
	"strings"
	"sync"
)

// name is what messages call a series. It is made when it is needed.
type name func() string

func (n name) String() string {
	if n == nil {
		return "series"
	}
	return n()
}

func named(text string) name { return func() string { return text } }

// suffixed returns a name that continues n.
func (n name) suffixed(suffix string) name {
	return func() string { return n.String() + suffix }
}

// nameOf returns the name of a series that a function makes: what it returns
// or adds if it is a literal that says so in one place, its own name if it has
// one, and otherwise the line that it is on.
func nameOf(f any) name {
	pc := reflect.ValueOf(f).Pointer()
	return func() string {
		text, found := functionNames.Load(pc)
		if !found {
			text, _ = functionNames.LoadOrStore(pc, functionName(pc))
		}
		return text.(string)
	}
}

// functionNames remembers what functionName returns, which reads a file.
var functionNames sync.Map // uintptr to string

func functionName(pc uintptr) string {
	fn := goruntime.FuncForPC(pc)
	if fn == nil {
		return "series"
	}
	file, line := fn.FileLine(pc)
	if text := literal(file, line); text != "" {
		return text
	}
	if own := shortName(fn.Name()); own != "" {
		return own
	}
	return fmt.Sprintf("%s:%d", filepath.Base(file), line)
}

// maxName bounds the source that serves as a name, in bytes.
const maxName = 60

// literal returns the expression that the function literal on a line returns
// or adds. It returns "" if there is not exactly one, or if the file cannot be
// read: the sources of a test binary need not be where it runs.
func literal(file string, line int) string {
	files := token.NewFileSet()
	parsed, err := parser.ParseFile(files, file, nil, parser.SkipObjectResolution)
	if err != nil {
		return ""
	}
	var found []*ast.FuncLit
	ast.Inspect(parsed, func(n ast.Node) bool {
		if f, ok := n.(*ast.FuncLit); ok && files.Position(f.Pos()).Line == line {
			found = append(found, f)
		}
		return true
	})
	if len(found) != 1 {
		return ""
	}
	value := result(found[0])
	if value == nil {
		value = added(found[0])
	}
	text := source(files, value)
	if strings.Contains(text, "\n") || len(text) > maxName {
		return ""
	}
	return withoutParameter(text, found[0])
}

// result returns what a function returns that does nothing else, or nil.
func result(f *ast.FuncLit) ast.Expr {
	if len(f.Body.List) != 1 {
		return nil
	}
	statement, ok := f.Body.List[0].(*ast.ReturnStmt)
	if !ok || len(statement.Results) == 0 {
		return nil
	}
	return statement.Results[0]
}

// added returns the value that a function for [PerKey] adds, or nil if there
// is not exactly one.
func added(f *ast.FuncLit) ast.Expr {
	var values []ast.Expr
	ast.Inspect(f.Body, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || len(call.Args) != 2 {
			return true
		}
		if fn, ok := call.Fun.(*ast.Ident); ok && fn.Name == parameter(f, 1) {
			values = append(values, call.Args[1])
		}
		return true
	})
	if len(values) != 1 {
		return nil
	}
	return values[0]
}

// parameter returns the name of a parameter, or "".
func parameter(f *ast.FuncLit, i int) string {
	var names []string
	for _, field := range f.Type.Params.List {
		for _, name := range field.Names {
			names = append(names, name.Name)
		}
	}
	if i >= len(names) {
		return ""
	}
	return names[i]
}

func source(files *token.FileSet, e ast.Expr) string {
	if e == nil {
		return ""
	}
	var b bytes.Buffer
	if err := printer.Fprint(&b, files, e); err != nil {
		return ""
	}
	return b.String()
}

// withoutParameter returns source that selects from a function's parameter
// without the parameter.
func withoutParameter(text string, f *ast.FuncLit) string {
	name := parameter(f, 0)
	if name == "" {
		return text
	}
	return regexp.MustCompile(`\b`+regexp.QuoteMeta(name)+`\.`).ReplaceAllString(text, "")
}

// shortName returns the name of a function without its package, and "" for a
// function literal, which the compiler calls func1 within its function.
func shortName(full string) string {
	_, short, _ := strings.Cut(full[strings.LastIndexByte(full, '/')+1:], ".")
	short = strings.TrimSuffix(short, "[...]")
	last := short[strings.LastIndexByte(short, '.')+1:]
	if strings.Trim(strings.TrimPrefix(last, "func"), "0123456789") == "" {
		return ""
	}
	return strings.TrimSuffix(last, "-fm")
}
