// Package templates holds the files that ktgen init starts a repository with.
//
// For contributors.
package templates

import (
	"bytes"
	"embed"
	"fmt"
	"go/format"
	"strings"
	"text/template"
)

//go:embed *.tmpl
var files embed.FS

// Go is the version of Go that a new module begins with: the one that this
// module needs.
const Go = "1.26.0"

// Repository is what most templates are filled with. Each uses a part of it.
type Repository struct {
	Module  string // path of the Go module
	Go      string // version of the language that go.mod asks for
	Package string // name of the Go package

	// Paths from the package's directory, with slashes.
	Object string // of BPF
	Source string // in C, that Object is made of
	Header string // that Source includes

	Scheduler string   // Go expression of type ktest.Scheduler
	Reads     []string // statements of the first test that read the snapshot snap

	Prefix string // of make targets: "" or "ktgen-"

	// What the CI workflow does from the root of the repository.
	Make     string // the command that runs make in the package's directory
	GoMod    string // path of go.mod, with slashes
	Packages string // of Debian, that it installs, separated by spaces
}

// Read is what the templates read_*.go are filled with: statements that log a
// part of the state that a snapshot holds.
type Read struct {
	Accessor string // Go method of the snapshot
	Name     string // in C, escaped as a part of a Go format string
	Vars     []string
}

// Render fills the template called name, such as "doc.go". Go source comes out
// formatted.
func Render(name string, data any) ([]byte, error) {
	text, err := files.ReadFile(name + ".tmpl")
	if err != nil {
		return nil, fmt.Errorf("there is no template %s: %w", name, err)
	}
	tmpl, err := template.New(name).Option("missingkey=error").Parse(string(text))
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := tmpl.Execute(&out, data); err != nil {
		return nil, err
	}
	if !strings.HasSuffix(name, ".go") {
		return out.Bytes(), nil
	}
	src, err := format.Source(out.Bytes())
	if err != nil {
		return nil, fmt.Errorf("template %s gives no Go source: %w", name, err)
	}
	return src, nil
}
