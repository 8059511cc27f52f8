package gofile

import (
	"bytes"
	"cmp"
	"fmt"
	"go/ast"
	"go/format"
	"go/token"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
)

// This file divides a generated file that is too long. The first part keeps
// what every generated file has, the fixture and the layout; the others have the
// accessors of maps and sections in their order, each followed by the types that
// it is the first to need, and their decoders.

// DefaultSplit is from how many lines on a file is divided.
const DefaultSplit = 10_000

// partPrefix begins the line of a part that says which one it is, partsPrefix
// that of the first part which says how many there are.
const (
	partPrefix  = "// part: "
	partsPrefix = "// parts: "
)

// Files prints the package as Go files. There is one, or, if that has more lines
// than limit, the parts that it is divided into, of about as many lines each. A
// limit of 0 stands for DefaultSplit, and one below for none.
func (p *Package) Files(limit int) ([][]byte, error) {
	limit = cmp.Or(limit, DefaultSplit)
	raw, err := p.print()
	if err != nil {
		return nil, err
	}
	var parts [][]*unit
	var s *split
	if limit > 0 && bytes.Count(raw, []byte("\n")) > limit {
		if s, err = p.newSplit(raw); err != nil {
			return nil, err
		}
		parts = s.pack(limit)
	}
	if len(parts) <= 1 {
		whole, err := p.Models[0].finish(raw)
		return [][]byte{whole}, err
	}
	files := make([][]byte, len(parts))
	var printing errgroup.Group
	for i, part := range parts {
		printing.Go(func() (err error) {
			files[i], err = s.print(part, i+1, len(parts))
			return err
		})
	}
	if err := printing.Wait(); err != nil {
		return nil, err
	}
	return files, nil
}

// split is a generated file that is being divided.
type split struct {
	src   []byte // not formatted
	file  *ast.File
	base  token.Pos // of the first byte
	units []*unit   // in the order of the file
	named map[string]*unit
	snaps map[string]bool // types whose methods are accessors
}

// unit is what stays together: a type and its methods, a function, an accessor.
type unit struct {
	text  []byte
	uses  map[string]bool // names of the package that occur in it
	first bool            // it stays in the first part
	root  bool            // it is an accessor
	taken bool
}

func (u *unit) lines() int { return bytes.Count(u.text, []byte("\n")) }

func (p *Package) newSplit(raw []byte) (*split, error) {
	src := p.Models[0].withHeader(raw)
	fset, file, err := p.Models[0].parse(src)
	if err != nil {
		return nil, err
	}
	s := &split{src: src, file: file, base: fset.File(file.Pos()).Pos(0), named: make(map[string]*unit), snaps: make(map[string]bool)}
	stays := make(map[string]bool)
	for _, m := range p.Models {
		s.snaps[m.Snap()] = true
		for _, name := range []string{m.Snap(), m.Bind(), m.Open(), m.Fixture(), m.initial(), m.layout(), m.shapes()} {
			stays[name] = true
		}
	}
	decls := slices.DeleteFunc(slices.Clone(file.Decls), isImport)
	for i, d := range decls {
		end := len(src)
		if i+1 < len(decls) {
			end = s.offset(start(decls[i+1]))
		}
		s.add(d, src[s.offset(start(d)):end], stays)
	}
	return s, nil
}

func (s *split) offset(at token.Pos) int { return int(at - s.base) }

func isImport(d ast.Decl) bool {
	g, ok := d.(*ast.GenDecl)
	return ok && g.Tok == token.IMPORT
}

// start is where a declaration begins, with its comment.
func start(d ast.Decl) token.Pos {
	var doc *ast.CommentGroup
	switch d := d.(type) {
	case *ast.GenDecl:
		doc = d.Doc
	case *ast.FuncDecl:
		doc = d.Doc
	}
	if doc != nil {
		return doc.Pos()
	}
	return d.Pos()
}

// add makes a unit of a declaration, or adds it to the unit of its type.
func (s *split) add(d ast.Decl, text []byte, stays map[string]bool) {
	names, receiver := declared(d)
	u := s.named[receiver]
	isAccessor := s.snaps[receiver] && names[0] != "Binding"
	if u == nil || isAccessor {
		u = &unit{uses: make(map[string]bool), root: isAccessor}
		s.units = append(s.units, u)
	}
	u.text = append(u.text, text...)
	if receiver == "" {
		for _, name := range names {
			s.named[name] = u
			u.first = u.first || stays[name]
		}
	}
	if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.CONST && len(names) > 1 && !token.IsExported(names[0]) {
		u.first = true // numbers of maps, sections and types, and sizes
	}
	ast.Inspect(d, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok {
			u.uses[id.Name] = true
		}
		return true
	})
}

// declared returns the names that a declaration declares, or the method and the
// type that it is of.
func declared(d ast.Decl) (names []string, receiver string) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Recv != nil {
			t := d.Recv.List[0].Type
			if star, ok := t.(*ast.StarExpr); ok {
				t = star.X
			}
			receiver = t.(*ast.Ident).Name
		}
		return []string{d.Name.Name}, receiver
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch spec := spec.(type) {
			case *ast.TypeSpec:
				names = append(names, spec.Name.Name)
			case *ast.ValueSpec:
				for _, id := range spec.Names {
					names = append(names, id.Name)
				}
			}
		}
	}
	return names, ""
}

// pack divides the units into parts.
func (s *split) pack(limit int) [][]*unit {
	var first, part []*unit
	var parts [][]*unit
	size := 0
	end := func() {
		if len(part) > 0 {
			parts = append(parts, part)
		}
		part, size = nil, 0
	}
	for _, u := range s.units {
		if !u.root {
			continue
		}
		reached := s.reach(u)
		lines := 0
		for _, r := range reached {
			lines += r.lines()
		}
		if size+lines > limit {
			end()
		}
		for _, r := range reached {
			if size+r.lines() > limit {
				end()
			}
			part, size = append(part, r), size+r.lines()
		}
	}
	end()
	for _, u := range s.units {
		if !u.taken {
			first = append(first, u)
		}
	}
	return append([][]*unit{first}, parts...)
}

// reach takes an accessor and what only it, and those after it, need.
func (s *split) reach(root *unit) (reached []*unit) {
	root.taken = true
	queue := []*unit{root}
	for len(queue) > 0 {
		u := queue[0]
		queue = queue[1:]
		reached = append(reached, u)
		for _, next := range s.usedBy(u) {
			if !next.taken && !next.first {
				next.taken = true
				queue = append(queue, next)
			}
		}
	}
	return reached
}

// usedBy returns the units that one refers to, in the order of the file.
func (s *split) usedBy(u *unit) (used []*unit) {
	seen := make(map[*unit]bool)
	for name := range u.uses {
		if next := s.named[name]; next != nil {
			seen[next] = true
		}
	}
	for _, next := range s.units {
		if seen[next] {
			used = append(used, next)
		}
	}
	return used
}

// print prints a part.
func (s *split) print(part []*unit, n, parts int) ([]byte, error) {
	var b bytes.Buffer
	head := string(s.src[:s.offset(s.file.Package)])
	line := fmt.Sprintf("%s%d\n", partsPrefix, parts)
	if n > 1 {
		line = fmt.Sprintf("%s%d of %d\n", partPrefix, n, parts)
	}
	generated := strings.Index(head, GeneratedPrefix)
	next := generated + strings.Index(head[generated:], "\n") + 1
	b.WriteString(head[:next] + line)
	if n == 1 {
		b.WriteString(head[next:])
	} else if at := strings.Index(head, "//go:build "); at >= 0 {
		b.WriteString("\n" + head[at:])
	} else {
		b.WriteString("\n")
	}
	fmt.Fprintf(&b, "package %s\n\n", s.file.Name.Name)
	s.printImports(&b, part)
	for _, u := range part {
		b.Write(u.text)
	}
	return format.Source(b.Bytes())
}

// printImports prints the imports that a part needs.
func (s *split) printImports(b *bytes.Buffer, part []*unit) {
	b.WriteString("import (\n")
	for _, spec := range s.file.Imports {
		path := strings.Trim(spec.Path.Value, `"`)
		name := path[strings.LastIndex(path, "/")+1:]
		if spec.Name != nil {
			name = spec.Name.Name
		}
		if slices.ContainsFunc(part, func(u *unit) bool { return u.uses[name] }) {
			if path == RuntimePath {
				b.WriteString("\n")
			}
			b.Write(s.src[s.offset(spec.Pos()):s.offset(spec.End())])
			b.WriteString("\n")
		}
	}
	b.WriteString(")\n\n")
}

// PartOf returns which part of a package a generated file is, 1 for the first
// or only one, and, of the first, how many there are. ok is false for other
// files.
func PartOf(src []byte) (part, parts int, ok bool) {
	part, parts = 1, 1
	for line := range strings.Lines(string(src)) {
		if strings.HasPrefix(line, "package ") {
			break
		}
		ok = ok || strings.HasPrefix(line, GeneratedPrefix)
		if text, found := strings.CutPrefix(line, partPrefix); found {
			_, _ = fmt.Sscanf(text, "%d", &part) // stays 1 in a line that was edited
		}
		if text, found := strings.CutPrefix(line, partsPrefix); found {
			_, _ = fmt.Sscanf(text, "%d", &parts)
		}
	}
	return part, parts, ok
}
