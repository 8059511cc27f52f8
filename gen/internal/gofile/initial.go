package gofile

import (
	"fmt"

	"github.com/dave/jennifer/jen"
)

// This file prints what has a fixture be what an object starts with.

func (m *Model) renderInitial(f *jen.File) {
	doc(f, []string{
		fmt.Sprintf("%s has %s start with what configure makes of the state in its file, for", m.initial(), m.Object),
		fmt.Sprintf("ktest.Object(%q).Configure.", m.Object),
	})
	f.Func().Id(m.initial()).Params(jen.Id("configure").Func().Params(jen.Op("*").Id(m.Fixture()))).Qual(RuntimePath, "Initial").Block(
		jen.Return(jen.Id(m.layout()).Dot("Initial").Call(jen.Func().Params().Qual(RuntimePath, "Initially").Block(
			jen.Id("f").Op(":=").New(jen.Id(m.Fixture())),
			jen.Return(jen.Id("f").Dot("initially").Call(jen.Func().Params().Block(jen.Id("configure").Call(jen.Id("f"))))),
		))),
	)
	f.Line()
	f.Func().Params(jen.Id("f").Op("*").Id(m.Fixture())).Id("initially").Params(jen.Id("configure").Func().Params()).Qual(RuntimePath, "Initially").Block(
		jen.Return(jen.Qual(RuntimePath, "Initially").ValuesFunc(func(g *jen.Group) {
			g.Line().Id("Configure").Op(":").Id("configure")
			g.Line().Id("InFile").Op(":").Add(m.inFile())
			g.Line().Id("Sections").Op(":").Id("f").Dot("sections").Call()
			g.Line().Id("Maps").Op(":").Id("f").Dot("maps")
			if len(m.sized()) > 0 {
				g.Line().Id("MaxEntries").Op(":").Id("f").Dot("room").Call()
			}
			if len(m.Programs) > 0 {
				g.Line().Id("Programs").Op(":").Map(jen.String()).Op("*").Qual(RuntimePath, "Program").ValuesFunc(func(g *jen.Group) {
					for _, p := range m.Programs {
						g.Line().Lit(p.CName).Op(":").Op("&").Id("f").Dot("Programs").Dot(p.Name)
					}
					g.Line()
				})
			}
			g.Line()
		})),
	)
}

// inFile prints the function that returns what an object has.
func (m *Model) inFile() *jen.Statement {
	var ops []*Map
	for _, a := range m.Maps {
		if a.Access == AccessStructOps && a.Given != "" {
			ops = append(ops, a)
		}
	}
	read := func(n int, value func(int) jen.Code) *jen.Statement {
		if n == 0 {
			return jen.Nil()
		}
		return jen.Index().Any().ValuesFunc(func(g *jen.Group) {
			for i := range n {
				g.Add(value(i))
			}
		})
	}
	sections := read(len(m.Sections), func(i int) jen.Code {
		return jen.Id(m.Sections[i].ID).Op(":").Id("s").Dot(m.Sections[i].Name).Call()
	})
	maps := read(len(ops), func(i int) jen.Code { return jen.Id(ops[i].ID).Op(":").Id("s").Dot(ops[i].Name).Call() })
	body := []jen.Code{jen.Return(sections, maps)}
	if len(m.Sections)+len(ops) > 0 {
		body = append([]jen.Code{jen.Id("s").Op(":=").Id(m.Snap()).Values(jen.Id("b"))}, body...)
	}
	return jen.Func().Params(jen.Id("b").Op("*").Qual(RuntimePath, "Binding")).Params(jen.Id("sections"), jen.Id("maps").Index().Any()).Block(body...)
}
