package gofile

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dave/jennifer/jen"
)

// This file prints the decoders of structs. They read member after member from the
// front of the bytes that are left, so that no offset is written down: a member more
// is a line more.

// size is a number of bytes: of so many structs, and further ones.
type size struct {
	n      int
	times  int
	sizeof string // constant of the struct's size
}

// expression prints 4*sizeofPoint + 8.
func (s size) expression() *jen.Statement {
	of := jen.Id(s.sizeof)
	if s.times > 1 {
		of = jen.Lit(s.times).Op("*").Id(s.sizeof)
	}
	switch {
	case s.times == 0:
		return jen.Lit(s.n)
	case s.n == 0:
		return of
	}
	return of.Op("+").Lit(s.n)
}

// sizeof is the constant of the size of the struct that a decoder is for.
func sizeof(codec string) string { return "sizeof" + strings.TrimPrefix(codec, "decode") }

// size is how many bytes of the struct that has it a value takes.
func (l *LoadStep) size() size {
	switch l.Op {
	case LoadStruct:
		return size{times: 1, sizeof: sizeof(l.Codec)}
	case LoadArray:
		s := l.Elem.size()
		s.n, s.times = s.n*l.Len, s.times*l.Len
		return s
	}
	return size{n: l.Size}
}

// stride is the size of an element of an array.
func (l *LoadStep) stride() size { return l.Elem.size() }

// next prints how a value is read from the front of b, by a call that returns what
// is behind it; nil for values that are not read so.
func (l *LoadStep) next(target, b *jen.Statement) *jen.Statement {
	function := ""
	var length []jen.Code
	switch {
	case l.Tail:
	case l.Op == LoadInt:
		function = fmt.Sprintf("Next%d", 8*l.Size)
	case l.Op == LoadBool:
		function = "NextBool"
	case l.Op == LoadString:
		function, length = "NextString", []jen.Code{jen.Lit(l.Size)}
	case l.Op == LoadRuntime && l.Type.Name == "FuncPtr":
		function = "NextFuncPtr"
	}
	if function == "" {
		return nil
	}
	return jen.Qual(RuntimePath, function).Call(append([]jen.Code{jen.Op("&").Add(target), b}, length...)...)
}

// run is a part of a struct: a field, or fields that share bytes.
type run struct {
	fields     []Field
	start, end int // bytes
}

// runs are the fields that are read from the bytes that every value has.
func runs(fields []Field) (all []run) {
	for _, f := range fields {
		if f.Load.Op == LoadNothing || f.Load.Tail {
			continue
		}
		r := run{[]Field{f}, f.Offset, f.Offset + f.Load.Size}
		for len(all) > 0 && r.start < all[len(all)-1].end {
			before := all[len(all)-1]
			r = run{append(before.fields, r.fields...), min(before.start, r.start), max(before.end, r.end)}
			all = all[:len(all)-1]
		}
		all = append(all, r)
	}
	return all
}

// size is how many bytes the run has.
func (r *run) size() size {
	if len(r.fields) == 1 {
		return r.fields[0].Load.size()
	}
	return size{n: r.end - r.start}
}

func renderDecoder(f *jen.File, t *Type) {
	f.Line()
	f.Func().Id("decode"+t.Name).Params(
		jen.Id("v").Op("*").Id(t.Name),
		jen.Id("raw").Index().Byte(),
		jen.Id(usedOrBlank("d", t.Fields)).Op("*").Qual(RuntimePath, "Decoder"),
	).BlockFunc(func(g *jen.Group) {
		if all := runs(t.Fields); len(all) > 0 {
			g.Id("b").Op(":=").Parens(jen.Op("*").Index(jen.Id("sizeof" + t.Name)).Byte()).Parens(jen.Id("raw")).Index(jen.Op(":"))
			renderRuns(g, all, t.Sparse)
		}
		for _, field := range t.Fields {
			if field.Load.Tail && field.Load.Op != LoadNothing {
				g.Add(statement(jen.Id("v").Dot(field.Name), field.Load, source{all: jen.Id("raw"), start: field.Offset}, 0))
			}
		}
	})
}

// renderRuns reads one run after another from the front of b.
func renderRuns(g *jen.Group, all []run, sparse bool) {
	at, gap := 0, " // padding"
	if sparse {
		gap = " // not read"
	}
	for i, r := range all {
		if r.start > at {
			renderCut(g, size{n: r.start - at}, gap)
		}
		at = r.end
		isLast := i == len(all)-1
		if read := r.fields[0].Load.next(jen.Id("v").Dot(r.fields[0].Name), jen.Id("b")); read != nil && len(r.fields) == 1 {
			if !isLast {
				read = jen.Id("b").Op("=").Add(read)
			}
			g.Add(read)
			continue
		}
		for _, f := range r.fields {
			g.Add(statement(jen.Id("v").Dot(f.Name), f.Load, bytesIn("b", f.Offset-r.start), 0))
		}
		if isLast {
			return
		}
		behind := r.size()
		if behind.times == 0 {
			behind.n += all[i+1].start - r.end // with the padding
			at = all[i+1].start
		}
		renderCut(g, behind, "")
	}
}

// renderCut prints that bytes at the front of b are passed.
func renderCut(g *jen.Group, n size, comment string) {
	cut := g.Id("b").Op("=").Id("b").Index(n.expression(), jen.Empty())
	if comment != "" {
		cut.Comment(strings.TrimSpace(comment))
	}
}

// renderSizes prints the sizes of structs. That of one that others lie in is stated
// by theirs.
func (p *Package) renderSizes(f *jen.File) {
	used := make(map[string]bool)
	for _, t := range p.types {
		used["sizeof"+t.Name] = used["sizeof"+t.Name] || len(runs(t.Fields)) > 0
		for _, field := range t.Fields {
			used[field.Load.size().sizeof] = true
		}
	}
	for _, m := range p.Models {
		for _, s := range m.Sections {
			for _, v := range s.Vars {
				used[v.Load.size().sizeof] = true
			}
		}
	}
	for _, c := range p.codecs {
		used[c.Load.size().sizeof] = true
	}
	structs := slices.DeleteFunc(slices.Clone(p.types), func(t *Type) bool {
		return t.Kind != StructType || t.Size == 0 || !used["sizeof"+t.Name]
	})
	if len(structs) == 0 {
		return
	}
	doc(f, []string{"Sizes of what decoders read, in bytes."})
	f.Const().DefsFunc(func(g *jen.Group) {
		for _, t := range structs {
			g.Id("sizeof" + t.Name).Op("=").Add(t.sizeExpression())
		}
	})
}

// sizeExpression prints the size of a struct: those of the structs in it, and what
// else there is.
func (t *Type) sizeExpression() *jen.Statement {
	var parts []size
	rest := t.Size
	for _, r := range runs(t.Fields) {
		s := r.size()
		if s.times == 0 {
			continue
		}
		rest -= r.end - r.start
		i := slices.IndexFunc(parts, func(p size) bool { return p.sizeof == s.sizeof })
		if i < 0 {
			parts = append(parts, s)
			continue
		}
		parts[i].times += s.times
	}
	sum := new(jen.Statement)
	for i, p := range parts {
		if i > 0 {
			sum.Op("+")
		}
		sum.Add(p.expression())
	}
	switch {
	case len(parts) == 0:
		return jen.Lit(rest)
	case rest > 0:
		sum.Op("+").Lit(rest)
	}
	return sum
}
