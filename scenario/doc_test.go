package scenario

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The vocabulary in the package's documentation has a line for each op, and no other.
func TestVocabularyListsEveryOp(t *testing.T) {
	doc, err := os.ReadFile("doc.go")
	require.NoError(t, err)
	_, table, found := strings.Cut(string(doc), "//\top  ")
	require.True(t, found)
	table, _, _ = strings.Cut(table, "\n//\n")
	var listed []string
	for _, line := range regexp.MustCompile(`(?m)^//\t(\w+)  `).FindAllStringSubmatch(table, -1) {
		listed = append(listed, line[1])
	}
	slices.Sort(listed)
	require.Equal(t, opTypes(t), listed)
}

// opTypes are the types of this package that implement Op: those with a method
// do(*performance) error.
func opTypes(t *testing.T) (names []string) {
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		for _, d := range file.Decls {
			f, isFunc := d.(*ast.FuncDecl)
			if !isFunc || f.Recv == nil || f.Name.Name != "do" {
				continue
			}
			if receiver, isValue := f.Recv.List[0].Type.(*ast.Ident); isValue {
				names = append(names, receiver.Name)
			}
		}
	}
	slices.Sort(names)
	return names
}
