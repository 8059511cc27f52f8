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
// if it is a literal of one statement, its own name if it has one, and
// otherwise the line that it is on.
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

// literal returns the expression that the function literal on a line returns.
// It returns "" if there is not exactly one, or if the file cannot be read:
// the sources of a test binary need not be where it runs.
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
	if len(found) != 1 || len(found[0].Body.List) != 1 {
		return ""
	}
	statement, ok := found[0].Body.List[0].(*ast.ReturnStmt)
	if !ok || len(statement.Results) == 0 {
		return ""
	}
	text := source(files, statement.Results[0])
	if strings.Contains(text, "\n") || len(text) > maxName {
		return ""
	}
	return withoutParameter(text, found[0])
}

func source(files *token.FileSet, e ast.Expr) string {
	var b bytes.Buffer
	if err := printer.Fprint(&b, files, e); err != nil {
		return ""
	}
	return b.String()
}

// withoutParameter returns source that selects from a function's parameter
// without the parameter.
func withoutParameter(text string, f *ast.FuncLit) string {
	if f.Type.Params.NumFields() == 0 || len(f.Type.Params.List[0].Names) == 0 {
		return text
	}
	parameter := f.Type.Params.List[0].Names[0].Name
	return regexp.MustCompile(`\b`+regexp.QuoteMeta(parameter)+`\.`).ReplaceAllString(text, "")
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
