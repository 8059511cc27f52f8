package ktgen

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// documented are the packages that documents name things of, by how they call them.
var documented = map[string]string{
	"ktest": "ktest", "scenario": "scenario", "series": "series", "sched": "sched", "capture": "capture",
	"ktrt": "runtime", "ktsnap": "runtime/ktsnap", "ctype": "runtime/ctype", "dump": "dump",
	"object": "object", "cast": "cast", "gen": "gen", "btf": "btf", "freeze": "freeze",
	"vmm": "vmm", "guest": "vmm/guest",
}

// qualified is an exported name of a package: ktest.Boot.
var qualified = regexp.MustCompile(`\b([a-z]+)\.([A-Z]\w*)`)

// A name in a document is one that the code has.
func TestDocumentsNameWhatThereIs(t *testing.T) {
	exported := make(map[string]map[string]bool)
	for name, dir := range documented {
		exported[name] = topLevel(t, dir)
	}
	exported["vm"] = methods(t, "ktest", "VM")
	named := 0
	for _, file := range documents(t) {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		for i, line := range strings.Split(string(text), "\n") {
			for _, q := range qualified.FindAllStringSubmatch(line, -1) {
				if names := exported[q[1]]; names != nil {
					named++
					if !names[q[2]] {
						t.Errorf("%s:%d names %s, which there is not", file, i+1, q[0])
					}
				}
			}
		}
	}
	require.Greater(t, named, 100)
}

// goFile is a path of one or more folders and a Go file, as documents write it.
var goFile = regexp.MustCompile("`([\\w/]+/[\\w]+\\.go)`")

func TestDocumentsNameFilesThatExist(t *testing.T) {
	named := 0
	for _, file := range documents(t) {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, path := range goFile.FindAllSubmatch(text, -1) {
			require.FileExists(t, string(path[1]), "%s names it", file)
			named++
		}
	}
	require.NotZero(t, named)
}

// readers is how the second paragraph of a package's comment begins: it says who the
// package is for.
var readers = map[string]string{"test": "For authors of tests", "tool": "For authors of tools", "": "For contributors"}

func TestPackageCommentsSayWhoTheyAreFor(t *testing.T) {
	for _, dir := range packageDirs(t) {
		if dir == "." || strings.Contains(dir, "internal") {
			continue
		}
		var comment string
		for _, file := range parsed(t, token.NewFileSet(), dir, parser.ParseComments) {
			comment += file.Doc.Text()
		}
		_, second, _ := strings.Cut(comment, "\n\n")
		switch dir {
		case "cmd/ktgen", "example_sched", "example_sched/demo": // to be run and to be read, not to be imported
			require.True(t, strings.HasPrefix(second, readers["test"]), dir)
		default:
			require.True(t, strings.HasPrefix(second, readers[doorOf(dir)]), "the second paragraph of the comment of %s begins with %q", dir, readers[doorOf(dir)])
		}
	}
}

// doorOf is the door that a package belongs to; empty for those of contributors.
func doorOf(dir string) string {
	for door, dirs := range doors {
		if slices.Contains(dirs, dir) {
			return door
		}
	}
	return ""
}

// documents are the files of Markdown.
func documents(t *testing.T) (files []string) {
	err := filepath.WalkDir(".", func(path string, _ fs.DirEntry, err error) error {
		if filepath.Ext(path) == ".md" {
			files = append(files, path)
		}
		return err
	})
	require.NoError(t, err)
	return files
}

// topLevel are the names that a package exports, those of fields and methods left aside.
func topLevel(t *testing.T, dir string) map[string]bool {
	names := make(map[string]bool)
	for _, file := range parsed(t, token.NewFileSet(), dir, parser.ParseComments) {
		for name := range file.Scope.Objects {
			names[name] = ast.IsExported(name)
		}
	}
	return names
}

// methods are those of a type, or of pointers to it.
func methods(t *testing.T, dir, typ string) map[string]bool {
	names := make(map[string]bool)
	for _, file := range parsed(t, token.NewFileSet(), dir, parser.ParseComments) {
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv != nil && receiver(f.Recv.List[0].Type) == typ {
				names[f.Name.Name] = true
			}
		}
	}
	return names
}
