package gen

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/printer"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/dave/jennifer/jen"

	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// ktrt is the runtime of generated code.
const ktrt = "github.com/ktgen/ktgen/runtime"

// Render prints the package as a Go file, formatted and type-checked.
func (p *Package) Render() ([]byte, error) {
	raw, err := p.print()
	if err != nil {
		return nil, err
	}
	return p.Models[0].finish(raw)
}

// print prints the package as a Go file that is not formatted.
func (p *Package) print() ([]byte, error) {
	first := p.Models[0]
	f := jen.NewFile(first.Package)
	f.ImportAlias(ktrt, "ktrt")
	f.HeaderComment(strings.TrimSpace(generatedPrefix+" "+first.Version) + "; DO NOT EDIT.")
	for _, m := range p.Models {
		f.HeaderComment(fmt.Sprintf("// source: %s digest: sha256:%s", printable(m.Object), m.Digest))
	}
	if first.Choices != "" {
		f.HeaderComment(choicesPrefix + first.Choices)
	}
	if first.Tags != "" {
		f.HeaderComment("//go:build " + first.Tags)
	}
	for _, m := range p.Models {
		m.renderAccessors(f)
	}
	for _, t := range p.types {
		renderType(f, t)
	}
	for _, m := range p.Models {
		m.renderFixture(f)
	}
	p.renderDecoders(f)
	p.renderLayouts(f)
	f.NoFormat = true
	var raw bytes.Buffer
	if err := f.Render(&raw); err != nil {
		return nil, fmt.Errorf("printing package %s: %w", first.Package, err)
	}
	return groupImports(raw.Bytes()), nil
}

// renderAccessors prints the Snap of an object, and what it returns.
func (m *Model) renderAccessors(f *jen.File) {
	m.renderSnap(f)
	for _, a := range m.Maps {
		if !a.IsInner {
			m.renderMap(f, a)
		}
	}
	for _, s := range m.Sections {
		m.renderSectionAccessor(f, s)
	}
	for _, r := range m.Readers {
		m.renderReader(f, r)
	}
	for _, s := range m.Sections {
		doc(f, s.Doc)
		f.Type().Id(s.TypeName).StructFunc(func(g *jen.Group) { renderFields(g, s.Vars) })
	}
}

// The names that every object of a package has.
func (m *Model) snap() string    { return m.Prefix + "Snap" }
func (m *Model) bind() string    { return "Bind" + m.Prefix }
func (m *Model) open() string    { return "Open" + m.Prefix }
func (m *Model) fixture() string { return m.Prefix + fixtureType }
func (m *Model) initial() string { return "Initial" + m.Prefix }
func (m *Model) layout() string  { return "layout" + m.Prefix }
func (m *Model) shapes() string  { return "shapes" + m.Prefix }

// finish formats what was printed.
func (m *Model) finish(raw []byte) ([]byte, error) {
	fset, file, err := m.parse(raw)
	if err != nil {
		return nil, err
	}
	var src bytes.Buffer
	if err := gofmt.Fprint(&src, fset, file); err != nil {
		return nil, fmt.Errorf("formatting package %s: %w", m.Package, err)
	}
	return m.withHeader(src.Bytes()), nil
}

func (m *Model) parse(raw []byte) (*token.FileSet, *ast.File, error) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, m.Package+"_ktgen.go", raw, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, nil, fmt.Errorf("the generated code has no syntax, which is a bug of ktgen: %w", err)
	}
	return fset, file, nil
}

// withHeader puts the user's header above a file.
func (m *Model) withHeader(src []byte) []byte {
	if m.Header == "" {
		return src
	}
	return append([]byte(m.Header+"\n"), src...)
}

// gofmt prints as package go/format does, but for sorting imports, which are
// sorted: it would print and parse everything twice for that.
var gofmt = printer.Config{Mode: printer.UseSpaces | printer.TabIndent, Tabwidth: 8}

// groupImports puts package runtime behind the imports of the standard
// library, as gofmt users expect it: jennifer writes one block, by path.
func groupImports(src []byte) []byte {
	block, rest, found := bytes.Cut(src, []byte("\n)"))
	own := []byte("\nktrt " + strconv.Quote(ktrt))
	if !found || !bytes.Contains(block, []byte("import (")) || !bytes.Contains(block, own) {
		return src // the only import
	}
	block = bytes.Replace(block, own, nil, 1)
	return slices.Concat(block, []byte("\n"), own, []byte("\n)"), rest)
}

// doc prints a comment above a declaration. Indented lines are preformatted.
func doc(f *jen.File, lines []string) {
	for _, line := range lines {
		switch {
		case line == "":
			f.Comment("//")
		case strings.HasPrefix(line, "\t"):
			f.Comment("//\t" + printable(line[1:]))
		default:
			f.Comment("// " + printable(line))
		}
	}
}

// printable escapes what must not be in a comment. C names can be any bytes,
// line ends among them.
func printable(s string) string {
	if utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return s
	}
	quoted := strconv.QuoteToASCII(s)
	return quoted[1 : len(quoted)-1]
}

// renderSnap prints what every generated file has.
func (m *Model) renderSnap(f *jen.File) {
	doc(f, m.snapDoc())
	f.Type().Id(m.snap()).Struct(jen.Id("binding").Op("*").Qual(ktrt, "Binding"))
	doc(f, []string{
		m.bind() + " reads a snapshot on behalf of a test. The test fails at once if the guest",
		fmt.Sprintf("runs another %s than this file was generated from, and whenever a read", m.Object),
		"through what is returned fails, with a message that names the line of the read.",
	})
	f.Func().Id(m.bind()).Params(
		jen.Id("tb").Qual(ktrt, "TB"),
		jen.Id("s").Op("*").Qual(ktrt, "Snapshot"),
		jen.Id("opts").Op("...").Qual(ktrt, "Option"),
	).Id(m.snap()).Block(
		jen.Return(jen.Id(m.snap()).Values(jen.Id(m.layout()).Dot("Bind").Call(jen.Id("tb"), jen.Id("s"), jen.Id("opts").Op("...")))),
	)
	doc(f, []string{
		m.open() + " reads a snapshot outside of tests. Reads that fail panic with a",
		"*ktrt.Error, which ktrt.Try returns.",
	})
	f.Func().Id(m.open()).Params(
		jen.Id("s").Op("*").Qual(ktrt, "Snapshot"),
		jen.Id("opts").Op("...").Qual(ktrt, "Option"),
	).Params(jen.Id(m.snap()), jen.Error()).Block(
		jen.List(jen.Id("binding"), jen.Err()).Op(":=").Id(m.layout()).Dot("Open").Call(jen.Id("s"), jen.Id("opts").Op("...")),
		jen.Return(jen.Id(m.snap()).Values(jen.Id("binding")), jen.Err()),
	)
	doc(f, []string{"Binding returns what s reads through, for functions such as ktrt.Addr."})
	f.Func().Params(jen.Id("s").Id(m.snap())).Id("Binding").Params().Op("*").Qual(ktrt, "Binding").Block(
		jen.Return(jen.Id("s").Dot("binding")),
	)
}

// snapDoc lists what a reader would miss or not find by its name in C.
func (m *Model) snapDoc() []string {
	lines := []string{fmt.Sprintf("%s is a snapshot, read as the state of %s.", m.snap(), m.Object)}
	if len(m.Warnings) > 0 {
		lines = append(lines, "", "What differs from the object, or is left out of it:")
	}
	for _, w := range m.Warnings {
		lines = append(lines, "  - "+w)
	}
	return lines
}

func (m *Model) renderMap(f *jen.File, a *Map) {
	doc(f, a.Doc)
	args := append([]jen.Code{jen.Id("s").Dot("binding"), jen.Id(a.ID)}, a.args()...)
	if a.Access == AccessStructOps {
		m.accessor(f, a.Name).Op("*").Add(goType(a.Value.Type)).Block(jen.Return(jen.Qual(ktrt, "LoadStructOps").Call(args...)))
		return
	}
	m.accessor(f, a.Name).Add(a.result()).Block(jen.Return(jen.Qual(ktrt, "New"+string(a.Access)).Call(args...)))
}

// args are what the constructor of an accessor takes behind the binding and the
// map's number.
func (m *Map) args() []jen.Code {
	var args []jen.Code
	if m.Inner != nil {
		args = append(args, jen.Id(m.Inner.ID))
	}
	for _, c := range []*Codec{m.Key, m.Value} {
		if c != nil {
			args = append(args, jen.Id(c.Name))
		}
	}
	if m.Inner != nil {
		open := append([]jen.Code{jen.Id("b"), jen.Id("i")}, m.Inner.args()...)
		args = append(args, jen.Func().Params(jen.Id("b").Op("*").Qual(ktrt, "Binding"), jen.Id("i").Int()).Add(m.Inner.result()).Block(
			jen.Return(jen.Qual(ktrt, "New"+string(m.Inner.Access)).Call(open...)),
		))
	}
	return args
}

// result is the type of an accessor.
func (m *Map) result() *jen.Statement {
	var typeArgs []jen.Code
	for _, c := range []*Codec{m.Key, m.Value} {
		if c != nil {
			typeArgs = append(typeArgs, goType(c.Type))
		}
	}
	if m.Inner != nil {
		typeArgs = append(typeArgs, m.Inner.result())
	}
	result := jen.Qual(ktrt, string(m.Access))
	if len(typeArgs) > 0 {
		result.Types(typeArgs...)
	}
	return result
}

func (m *Model) accessor(f *jen.File, name string) *jen.Statement {
	return f.Func().Params(jen.Id("s").Id(m.snap())).Id(name).Params()
}

func (m *Model) renderSectionAccessor(f *jen.File, s *Section) {
	doc(f, []string{fmt.Sprintf("%s returns the global variables of %s.", s.Name, s.CName)})
	m.accessor(f, s.Name).Op("*").Id(s.TypeName).Block(
		jen.Return(jen.Qual(ktrt, "LoadSection").Call(jen.Id("s").Dot("binding"), jen.Id(s.ID), jen.Id("decode"+s.TypeName))),
	)
}

func (m *Model) renderReader(f *jen.File, r *Reader) {
	doc(f, []string{
		fmt.Sprintf("%s reads the %s at an address of the guest, which has", r.Name, r.CType),
		"to be in captured memory.",
	})
	f.Func().Params(jen.Id("s").Id(m.snap())).Id(r.Name).Params(jen.Id("addr").Qual(ktrt, "Address")).Op("*").Add(goType(r.Value.Type)).Block(
		jen.Return(jen.Qual(ktrt, "LoadAt").Call(jen.Id("s").Dot("binding"), jen.Id("addr"), jen.Id(r.ID), jen.Id(r.Value.Name))),
	)
}

// renderDecoders prints the functions that make values of bytes.
func (p *Package) renderDecoders(f *jen.File) {
	for _, m := range p.Models {
		for _, s := range m.Sections {
			renderSectionDecoder(f, s)
		}
	}
	p.renderSizes(f)
	for _, t := range p.types {
		if t.Kind == StructType && t.Size > 0 {
			renderDecoder(f, t)
		}
	}
	for _, c := range p.codecs {
		renderCodec(f, c)
	}
}

func renderSectionDecoder(f *jen.File, s *Section) {
	f.Line()
	f.Func().Id("decode"+s.TypeName).Params(
		jen.Id("v").Op("*").Id(s.TypeName),
		jen.Id("vars").Op("*").Qual(ktrt, "Vars"),
		jen.Id(usedOrBlank("d", s.Vars)).Op("*").Qual(ktrt, "Decoder"),
	).BlockFunc(func(g *jen.Group) {
		for _, v := range s.Vars {
			renderVar(g, v)
		}
	})
}

// renderVar decodes a variable from its own bytes.
func renderVar(g *jen.Group, v Field) {
	target := jen.Id("v").Dot(v.Name)
	next := jen.Id("vars").Dot("Next").Call()
	if read := v.Load.next(target, next); read != nil {
		g.Add(read)
		return
	}
	switch v.Load.Op {
	case loadNothing:
		g.Add(next)
	case loadLazy:
		g.Add(target).Op("=").Qual(ktrt, "VarArray").Call(jen.Id("vars"), jen.Id(v.Load.ID), jen.Id(v.Load.Codec))
	case loadArray, loadBytes:
		g.Block(jen.Id("b").Op(":=").Add(next), statement(target, v.Load, bytesIn("b", 0), 0))
	default:
		g.Add(statement(target, v.Load, source{expr: next, all: next}, 0))
	}
}

func renderFields(g *jen.Group, fields []Field) {
	for _, field := range fields {
		g.Id(field.Name).Add(goType(field.Type)).Comment("// " + printable(field.Comment))
	}
}

func renderType(f *jen.File, t *Type) {
	doc(f, t.Doc)
	switch t.Kind {
	case OpaqueType:
		f.Type().Id(t.Name).Struct()
	case EnumType:
		renderEnum(f, t)
	case StructType:
		f.Type().Id(t.Name).StructFunc(func(g *jen.Group) { renderFields(g, t.Fields) })
		renderCPUs(f, t)
	}
}

// renderCPUs prints what a bitmap of CPUs is for.
func renderCPUs(f *jen.File, t *Type) {
	if t.CPUs == "" {
		return
	}
	doc(f, []string{"CPUs returns the CPUs in the mask, as far as the guest can have them."})
	f.Func().Params(jen.Id("v").Op("*").Id(t.Name)).Id("CPUs").Params(jen.Id("s").Qual(ktrt, "Bound")).Qual(ktrt, "CPUMask").Block(
		jen.Return(jen.Qual(ktrt, "CPUs").Call(jen.Id("s"), jen.Id("v").Dot(t.CPUs).Index(jen.Op(":")))),
	)
}

func renderEnum(f *jen.File, t *Type) {
	f.Type().Id(t.Name).Id(t.Underlying)
	if len(t.Values) > 0 {
		doc(f, []string{"The values of " + t.Name + "."})
		f.Const().DefsFunc(func(g *jen.Group) {
			for _, v := range t.Values {
				g.Id(v.Name).Id(t.Name).Op("=").Id(v.Literal)
			}
		})
	}
	doc(f, []string{"String returns the name in C."})
	f.Func().Params(jen.Id("v").Id(t.Name)).Id("String").Params().String().Block(
		jen.Switch(jen.Id("v")).BlockFunc(func(g *jen.Group) {
			for _, v := range t.Values {
				if v.First {
					g.Case(jen.Id(v.Name)).Block(jen.Return(jen.Lit(v.CName)))
				}
			}
		}),
		jen.Return(unnamed(t)),
	)
}

// unnamed prints the text of a value that is none of an enum's.
func unnamed(t *Type) jen.Code {
	switch {
	case t.Flags != nil:
		return joined("JoinFlags", t, t.Flags)
	case t.Tags != nil:
		return joined("JoinTags", t, t.Tags)
	case t.Underlying == "uint64":
		return jen.Qual(ktrt, "Unnamed").Call(jen.Lit(t.CName), jen.Uint64().Call(jen.Id("v")))
	}
	return jen.Qual(ktrt, "Unnamed").Call(jen.Lit(t.CName), jen.Int64().Call(jen.Id("v")))
}

// joined prints a call of a function that makes the text of a value's parts.
func joined(function string, t *Type, flags []Value) jen.Code {
	return jen.Qual(ktrt, function).CallFunc(func(g *jen.Group) {
		g.Lit(t.CName)
		g.Uint64().Call(jen.Id("v"))
		g.Index().Qual(ktrt, "Flag").ValuesFunc(func(g *jen.Group) {
			for _, flag := range flags {
				g.Line().Values(jen.Id("Bit").Op(":").Uint64().Call(jen.Id(flag.Name)), jen.Id("Name").Op(":").Lit(flag.CName))
			}
			g.Line()
		})
	})
}

func renderCodec(f *jen.File, c *Codec) {
	used := "_"
	if c.Load.usesDecoder() {
		used = "d"
	}
	f.Line()
	f.Func().Id(c.Name).Params(
		jen.Id("v").Op("*").Add(goType(c.Type)),
		jen.Id("b").Index().Byte(),
		jen.Id(used).Op("*").Qual(ktrt, "Decoder"),
	).BlockFunc(func(g *jen.Group) {
		if c.Load.Op != loadNothing { // values of no bytes
			g.Add(statement(c.target(), c.Load, bytesIn("b", 0), 0))
		}
	})
}

func usedOrBlank(name string, fields []Field) string {
	for _, f := range fields {
		if f.Load.usesDecoder() {
			return name
		}
	}
	return "_"
}

func (l loadStep) usesDecoder() bool {
	switch l.Op {
	case loadFollow, loadGraph:
		return true
	case loadFlexible, loadPtr:
		return l.Codec != ""
	case loadStruct:
		return !l.NoFollow
	case loadArray:
		return l.Elem.usesDecoder()
	}
	return false
}

func (p *Package) renderLayouts(f *jen.File) {
	renderIDs(f, "Types, as decoders refer to them.", p.valueIDs)
	for _, m := range p.Models {
		m.renderLayout(f)
	}
}

func (m *Model) renderLayout(f *jen.File) {
	mapIDs, sectionIDs := make([]string, len(m.Maps)), make([]string, len(m.Sections))
	for i, a := range m.Maps {
		mapIDs[i] = a.ID
	}
	for i, s := range m.Sections {
		sectionIDs[i] = s.ID
	}
	renderIDs(f, m.theirs("Maps"), mapIDs)
	renderIDs(f, m.theirs("Sections"), sectionIDs)
	doc(f, []string{fmt.Sprintf("%s is what %s was when this file was generated;", m.layout(), m.Object), m.bind() + " compares it with the guest."})
	f.Var().Id(m.layout()).Op("=").Qual(ktrt, "Layout").ValuesFunc(func(g *jen.Group) {
		g.Line().Id("Object").Op(":").Lit(m.Object)
		g.Line().Id("Package").Op(":").Lit(m.Package)
		g.Line().Id("Shapes").Op(":").Id(m.shapes())
		if len(m.ValueRefs) > 0 {
			g.Line().Id("Types").Op(":").Add(stringList(m.ValueIDs, m.ValueRefs))
		}
		if len(m.KernelRefs) > 0 {
			g.Line().Id("Kernel").Op(":").Add(literals(m.KernelRefs))
		}
		if len(m.Fields) > 0 {
			g.Line().Id("Fields").Op(":").Add(literals(m.Fields))
		}
		if len(m.Maps) > 0 {
			g.Line().Id("Maps").Op(":").Add(mapList(m.Maps))
		}
		if len(m.Sections) > 0 {
			g.Line().Id("Sections").Op(":").Add(stringList(sectionIDs, m.sectionRefs()))
		}
		if values := m.values(); len(values) > 0 {
			g.Line().Id("Values").Op(":").Add(lines(values))
		}
		if len(m.Sections) > 0 {
			g.Line().Id("Globals").Op(":").Add(lines(m.globals()))
		}
		g.Line()
	})
	f.Const().Id(m.shapes()).Op("=").Op("`\n" + m.Shapes + "`")
}

// values are the Go types of what maps hold and pointers lead to.
func (m *Model) values() (codes []jen.Code) {
	for i, t := range m.Values {
		if t != (GoType{}) {
			codes = append(codes, jen.Id(m.ValueIDs[i]).Op(":").Add(nilPointer(goType(t))))
		}
	}
	return codes
}

func (m *Model) globals() (codes []jen.Code) {
	for _, s := range m.Sections {
		codes = append(codes, jen.Id(s.ID).Op(":").Add(nilPointer(jen.Id(s.TypeName))))
	}
	return codes
}

func nilPointer(t jen.Code) *jen.Statement { return jen.Parens(jen.Op("*").Add(t)).Call(jen.Nil()) }

// lines is a list of anything, each on a line of its own.
func lines(codes []jen.Code) jen.Code {
	return jen.Index().Any().ValuesFunc(func(g *jen.Group) {
		for _, c := range codes {
			g.Line().Add(c)
		}
		g.Line()
	})
}

// theirs is the comment of the object's constants.
func (m *Model) theirs(what string) string {
	if m.Prefix != "" {
		what += " of " + m.Object
	}
	return what + ", as accessors refer to them."
}

// literals is a list of strings.
func literals(values []string) jen.Code {
	codes := make([]jen.Code, len(values))
	for i, v := range values {
		codes[i] = jen.Lit(v)
	}
	return jen.Index().String().Values(codes...)
}

func (m *Model) sectionRefs() []string {
	refs := make([]string, len(m.Sections))
	for i, s := range m.Sections {
		refs[i] = s.Ref
	}
	return refs
}

// renderIDs numbers names from 0.
func renderIDs(f *jen.File, what string, names []string) {
	if len(names) == 0 {
		return
	}
	doc(f, []string{what})
	f.Const().DefsFunc(func(g *jen.Group) {
		for i, name := range names {
			if i == 0 {
				g.Id(name).Op("=").Iota()
				continue
			}
			g.Id(name)
		}
	})
}

// stringList is a list of strings, each at its constant.
func stringList(ids, values []string) jen.Code {
	return jen.Index().String().ValuesFunc(func(g *jen.Group) {
		for i, v := range values {
			g.Line().Id(ids[i]).Op(":").Lit(v)
		}
		g.Line()
	})
}

func mapList(maps []*Map) jen.Code {
	return jen.Index().Qual(ktrt, "MapLayout").ValuesFunc(func(g *jen.Group) {
		for _, m := range maps {
			fields := []jen.Code{jen.Id("Name").Op(":").Lit(m.CName)}
			if m.Type != 0 {
				fields = append(fields, jen.Id("Type").Op(":").Lit(ktsnap.MapType(m.Type).String()))
			}
			if m.KeyRef != "" {
				fields = append(fields, jen.Id("Key").Op(":").Lit(m.KeyRef))
			}
			if m.Ref != "" {
				fields = append(fields, jen.Id("Value").Op(":").Lit(m.Ref))
			}
			if m.IsInner {
				fields = append(fields, jen.Id("Inner").Op(":").True())
			}
			g.Line().Id(m.ID).Op(":").Values(fields...)
		}
		g.Line()
	})
}

// target is what a decoder assigns to: arrays element by element, through the
// pointer.
func (c *Codec) target() *jen.Statement {
	if c.Load.Op == loadArray {
		return jen.Id("v")
	}
	return jen.Op("*").Id("v")
}
