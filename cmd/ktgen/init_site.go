package main

import (
	"errors"
	"fmt"
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
)

// This file finds out what is in the directory that ktgen init is to complete.

// site is the directory of a Go package, as ktgen init finds it.
type site struct {
	dir    string // absolute
	root   string // of the repository, absolute
	module goModule
	make   makeRules

	pkg   string // the package's name
	isNew bool   // it has no Go file

	generate  []generateLine
	testMain  string // the file that declares TestMain, if one does
	callsMain bool   // that file uses package ktest
}

// generateLine is a line that has go generate run ktgen.
type generateLine struct{ file, text string }

// goModule is the Go module that the package is in.
type goModule struct {
	path    string
	file    string // its go.mod, absolute
	exists  bool
	hasTool bool // its go.mod has ktgen as a tool
	hasOurs bool // its go.mod says where ktgen comes from
}

func surveySite(opts initOptions) (*site, error) {
	dir, err := filepath.Abs(opts.dir)
	if err != nil {
		return nil, err
	}
	if info, err := os.Stat(dir); err == nil && !info.IsDir() {
		return nil, fmt.Errorf("%s is a file: -dir is the directory of the Go package", shown(dir))
	}
	s := &site{dir: dir}
	if s.module, err = findModule(dir, opts.module); err != nil {
		return nil, err
	}
	s.root = repositoryRoot(dir, filepath.Dir(s.module.file))
	if err := s.readPackage(opts.pkg); err != nil {
		return nil, err
	}
	if s.make, err = surveyMake(dir); err != nil {
		return nil, err
	}
	return s, s.checkPaths()
}

// plainPath are paths that mean themselves in Go, make, YAML and shells.
var plainPath = regexp.MustCompile(`^[A-Za-z0-9_./][A-Za-z0-9_./+,@-]*$`)

// checkPaths refuses a place in the repository that the workflow could not
// name.
func (s *site) checkPaths() error {
	for _, path := range []string{s.fromRoot(s.dir), s.fromRoot(s.module.file)} {
		if !plainPath.MatchString(path) {
			return notPlain(path)
		}
	}
	return nil
}

func notPlain(path string) error {
	return fmt.Errorf("%q has characters that mean something else to make and to shells: rename it to have letters, digits and _./+,@- only", path)
}

// above returns dir and the directories above it, innermost first.
func above(dir string) []string {
	dirs := []string{dir}
	for parent := filepath.Dir(dir); parent != dir; parent = filepath.Dir(dir) {
		dirs = append(dirs, parent)
		dir = parent
	}
	return dirs
}

// findModule finds the module that dir belongs to. wanted is the path that a
// new one gets.
func findModule(dir, wanted string) (goModule, error) {
	for _, d := range above(dir) {
		file := filepath.Join(d, "go.mod")
		text, err := os.ReadFile(file)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return goModule{}, err
		}
		return readModule(file, text, wanted)
	}
	if wanted == "" {
		return goModule{}, fmt.Errorf("there is no go.mod in %s or above it: say -module PATH to have one written, or run \"go mod init PATH\" there", shown(dir))
	}
	if err := module.CheckImportPath(wanted); err != nil {
		return goModule{}, fmt.Errorf("-module: %w", err)
	}
	return goModule{path: wanted, file: filepath.Join(dir, "go.mod")}, nil
}

func readModule(file string, text []byte, wanted string) (goModule, error) {
	mod, err := modfile.Parse(shown(file), text, nil)
	if err != nil {
		return goModule{}, err
	}
	if mod.Module == nil {
		return goModule{}, fmt.Errorf("%s has no module line: run \"go mod edit -module PATH\" beside it", shown(file))
	}
	found := goModule{path: mod.Module.Mod.Path, file: file, exists: true}
	if wanted != "" && wanted != found.path {
		return goModule{}, fmt.Errorf("%s is of module %s: leave out -module %s", shown(file), found.path, wanted)
	}
	found.hasTool = slices.ContainsFunc(mod.Tool, func(t *modfile.Tool) bool { return t.Path == toolPackage })
	found.hasOurs = found.hasTool ||
		slices.ContainsFunc(mod.Replace, func(r *modfile.Replace) bool { return r.Old.Path == ourModule }) ||
		slices.ContainsFunc(mod.Require, func(r *modfile.Require) bool { return r.Mod.Path == ourModule })
	return found, nil
}

// repositoryRoot returns the directory of the repository that dir is in: where
// .git is, else the module's.
func repositoryRoot(dir, moduleDir string) string {
	for _, d := range above(dir) {
		if _, err := os.Stat(filepath.Join(d, ".git")); err == nil {
			return d
		}
	}
	return moduleDir
}

// readPackage reads the Go files there are, and decides on the package's name.
func (s *site) readPackage(wanted string) error {
	if _, err := os.Stat(s.dir); errors.Is(err, os.ErrNotExist) {
		return s.begin(wanted)
	}
	pkg, err := build.ImportDir(s.dir, 0)
	var none *build.NoGoError
	isNew := errors.As(err, &none)
	switch foreign := slices.Concat(pkg.CFiles, pkg.CXXFiles, pkg.MFiles, pkg.FFiles); {
	case (err == nil || isNew) && len(foreign) > 0 && len(pkg.CgoFiles) == 0:
		return fmt.Errorf("%s has C sources (%s), which Go does not build beside its own: give the Go package a directory of its own, such as -dir %s", shown(s.dir), strings.Join(foreign, ", "), shown(filepath.Join(s.dir, "ktgen")))
	case isNew:
		return s.begin(wanted)
	case err != nil:
		return fmt.Errorf("reading the Go files in %s: %w", shown(s.dir), err)
	case wanted != "" && wanted != pkg.Name:
		return fmt.Errorf("the Go files in %s are of package %s: leave out -package %s, or choose another -dir", shown(s.dir), pkg.Name, wanted)
	}
	s.pkg = pkg.Name
	for _, name := range slices.Concat(pkg.GoFiles, pkg.CgoFiles, pkg.TestGoFiles, pkg.XTestGoFiles) {
		if err := s.readGoFile(name); err != nil {
			return err
		}
	}
	return nil
}

func (s *site) readGoFile(name string) error {
	path := filepath.Join(s.dir, name)
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "//go:generate ") && strings.Contains(line, "ktgen") {
			s.generate = append(s.generate, generateLine{name, line})
		}
	}
	file, err := parser.ParseFile(token.NewFileSet(), shown(path), text, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	for _, decl := range file.Decls {
		f, ok := decl.(*ast.FuncDecl)
		if ok && f.Recv == nil && f.Name.Name == "TestMain" && strings.HasSuffix(name, "_test.go") {
			s.testMain, s.callsMain = name, imports(file, testPackage)
		}
	}
	return nil
}

func imports(file *ast.File, path string) bool {
	return slices.ContainsFunc(file.Imports, func(i *ast.ImportSpec) bool { return i.Path.Value == `"`+path+`"` })
}

// begin begins a new package.
func (s *site) begin(wanted string) error {
	s.isNew = true
	if wanted == "" {
		wanted = packageName(s.importPath())
	}
	if !token.IsIdentifier(wanted) || wanted == "_" || wanted == "main" || strings.HasSuffix(wanted, "_test") || !plainName.MatchString(wanted) {
		return fmt.Errorf("%q cannot be the name of the Go package for tests: say -package NAME with letters and digits", wanted)
	}
	s.pkg = wanted
	return nil
}

var plainName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]*$`)

func (s *site) importPath() string {
	rel, err := filepath.Rel(filepath.Dir(s.module.file), s.dir)
	if err != nil {
		return s.module.path
	}
	return path.Join(s.module.path, filepath.ToSlash(rel))
}

var majorVersion = regexp.MustCompile(`^v[0-9]+$`)

// packageName makes a package's name of its import path, as Go programmers do:
// example.com/my-sched/v2 becomes mysched.
func packageName(importPath string) string {
	if majorVersion.MatchString(path.Base(importPath)) {
		importPath = path.Dir(importPath)
	}
	return strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z' || '0' <= r && r <= '9':
			return r
		case 'A' <= r && r <= 'Z':
			return r - 'A' + 'a'
		}
		return -1
	}, path.Base(importPath))
}

// generates returns the file with the go:generate line for an object, if one
// has it.
func (s *site) generates(object string) string {
	for _, line := range s.generate {
		words := strings.FieldsFunc(line.text, func(r rune) bool { return strings.ContainsRune(" \t\r\n\"=", r) })
		if slices.Contains(words, object) {
			return line.file
		}
	}
	return ""
}
