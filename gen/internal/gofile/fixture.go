package gofile

import (
	"fmt"
	"slices"

	"github.com/dave/jennifer/jen"
)

// This file prints the fixture: the state of the object as a Go literal, for
// tests without a guest.

// FixtureType is the Go type of fixtures.
const FixtureType = "Fixture"

// sized are the maps that have a size.
func (m *Model) sized() (maps []*Map) {
	for _, a := range m.Maps {
		if a.Size != "" {
			maps = append(maps, a)
		}
	}
	return maps
}

// InFixture prints the type of a map's entries in a fixture, nil for maps whose
// entries are not given. Entries that other values can point to are pointers,
// as Go has no pointers to the values in a map.
func (m *Map) InFixture() *jen.Statement {
	owner := jen.Qual(RuntimePath, "Owner")
	switch m.Access {
	case AccessRingBuf:
		return jen.Index().Index().Byte()
	case AccessArray, AccessQueue, AccessRingBufOf:
		return jen.Index().Add(goType(m.Value.Type))
	case AccessPerCPUArray:
		return jen.Index().Index().Add(goType(m.Value.Type))
	case AccessHash:
		return jen.Map(goType(m.Key.Type)).Op("*").Add(goType(m.Value.Type))
	case AccessPerCPUHash:
		return jen.Map(goType(m.Key.Type)).Index().Add(goType(m.Value.Type))
	case AccessTrie:
		return jen.Map(jen.Qual("net/netip", "Prefix")).Op("*").Add(goType(m.Value.Type))
	case AccessTaskStorage, AccessStorage:
		return jen.Map(owner).Op("*").Add(goType(m.Value.Type))
	case AccessStructOps:
		return goType(m.Value.Type)
	}
	return nil
}

// indexed says what the entries of a fixture are found by.
func (m *Map) indexed() string {
	switch m.Access {
	case AccessPerCPUArray:
		return ", by CPU and index"
	case AccessRingBuf, AccessRingBufOf:
		return ", records that wait to be consumed"
	case AccessPerCPUHash:
		return ", by key and CPU"
	case AccessTaskStorage:
		return ", by task"
	case AccessStorage:
		return ", by owner"
	}
	return ""
}

func (m *Model) renderFixture(f *jen.File) {
	if len(m.Maps) == 0 && len(m.Sections) == 0 {
		return
	}
	doc(f, []string{
		fmt.Sprintf("%s is a state of %s, for tests without a guest, and what it starts with", m.Fixture(), m.Object),
		fmt.Sprintf("(%s). What is not given is zero: arrays have all entries, and other maps those that are given. Pointers", m.initial()),
		"can lead to entries of maps and to values of their own, which are put into the arena.",
	})
	f.Type().Id(m.Fixture()).StructFunc(func(g *jen.Group) {
		g.Id("CPUs").Int().Comment("// possible CPUs, at most 8192; 0 is as many as entries are given for, at least 1")
		g.Line()
		for _, s := range m.Sections {
			g.Id(s.Given).Id(s.TypeName).Comment("// section " + Printable(s.CName))
		}
		if len(m.Sections) > 0 {
			g.Line()
		}
		for _, a := range m.Maps {
			if a.Given != "" {
				g.Id(a.Given).Add(a.InFixture()).Comment("// map " + Printable(a.CName) + a.indexed())
			}
		}
		m.renderRoom(g)
		m.renderLoaded(g)
	})
	m.renderFixtureReads(f)
	m.renderFixtureLists(f)
	m.renderInitial(f)
}

// renderRoom renders what a map with max_entries that can be chosen has room for.
func (m *Model) renderRoom(g *jen.Group) {
	sized := m.sized()
	if len(sized) == 0 {
		return
	}
	g.Line().Comment("How many entries maps have room for when they are loaded.")
	g.Id("MaxEntries").StructFunc(func(g *jen.Group) {
		for _, a := range sized {
			g.Id(a.Size).Int().Comment("// map " + Printable(a.CName))
		}
	})
}

// renderLoaded renders which programs are loaded.
func (m *Model) renderLoaded(g *jen.Group) {
	if len(m.Programs) == 0 {
		return
	}
	g.Line().Comment("Whether programs are loaded.")
	g.Id("Programs").StructFunc(func(g *jen.Group) {
		for _, p := range m.Programs {
			g.Id(p.Name).Qual(RuntimePath, "Program").Comment("// " + Printable(p.CName) + ", " + Printable(p.Section))
		}
	})
}

// renderFixtureReads renders the methods that make a snapshot of a fixture, or read it.
func (m *Model) renderFixtureReads(f *jen.File) {
	method := func(name string) *jen.Statement {
		return f.Func().Params(jen.Id("f").Id(m.Fixture())).Id(name)
	}
	tb := jen.Id("tb").Qual(RuntimePath, "TB")
	opts := jen.Id("opts").Op("...").Qual(RuntimePath, "Option")
	args := []jen.Code{jen.Id("f").Dot("CPUs"), jen.Id("f").Dot("sections").Call(), jen.Id("f").Dot("maps").Call()}
	if len(m.sized()) > 0 {
		args = append(args, jen.Id("f").Dot("room").Call().Op("..."))
	}

	doc(f, []string{"Snapshot returns the fixture as a snapshot. It fails the test if a value does", "not fit its type in C, or a map has no room for its entries."})
	method("Snapshot").Params(tb).Op("*").Qual(RuntimePath, "Snapshot").Block(
		jen.Return(jen.Id(m.layout()).Dot("FixtureFor").Call(append([]jen.Code{jen.Id("tb")}, args...)...)),
	)
	doc(f, []string{fmt.Sprintf("Bind reads the fixture on behalf of a test, as %s reads a snapshot.", m.Bind())})
	method("Bind").Params(tb.Clone(), opts).Id(m.Snap()).Block(
		jen.Return(jen.Id(m.Bind()).Call(jen.Id("tb"), jen.Id("f").Dot("Snapshot").Call(jen.Id("tb")), jen.Id("opts").Op("..."))),
	)
	doc(f, []string{fmt.Sprintf("Open reads the fixture outside of tests, as %s reads a snapshot.", m.Open())})
	method("Open").Params(opts.Clone()).Params(jen.Id(m.Snap()), jen.Error()).Block(
		jen.List(jen.Id("s"), jen.Err()).Op(":=").Id(m.layout()).Dot("Fixture").Call(args...),
		jen.If(jen.Err().Op("!=").Nil()).Block(jen.Return(jen.Id(m.Snap()).Values(), jen.Err())),
		jen.Return(jen.Id(m.Open()).Call(jen.Id("s"), jen.Id("opts").Op("..."))),
	)
}

// renderFixtureLists renders the methods that list what a fixture gives.
func (m *Model) renderFixtureLists(f *jen.File) {
	own := func(name string) *jen.Statement {
		return f.Line().Func().Params(jen.Id("f").Op("*").Id(m.Fixture())).Id(name)
	}
	own("sections").Params().Index().Any().Block(listed(len(m.Sections), func(i int) jen.Code {
		return jen.Id(m.Sections[i].ID).Op(":").Op("&").Id("f").Dot(m.Sections[i].Given)
	}))
	given := slices.DeleteFunc(slices.Clone(m.Maps), func(a *Map) bool { return a.Given == "" })
	own("maps").Params().Index().Any().Block(listed(len(given), func(i int) jen.Code {
		value := jen.Id("f").Dot(given[i].Given)
		if given[i].Access == AccessStructOps {
			value = jen.Op("&").Add(value)
		}
		return jen.Id(given[i].ID).Op(":").Add(value)
	}))
	if sized := m.sized(); len(sized) > 0 {
		own("room").Params().Index().Op("*").Int().Block(jen.Return(jen.Index().Op("*").Int().ValuesFunc(func(g *jen.Group) {
			for _, a := range sized {
				g.Line().Id(a.ID).Op(":").Op("&").Id("f").Dot("MaxEntries").Dot(a.Size)
			}
			g.Line()
		})))
	}
}

// listed returns a slice of values, each on a line.
func listed(n int, value func(int) jen.Code) *jen.Statement {
	return jen.Return(jen.Index().Any().ValuesFunc(func(g *jen.Group) {
		for i := range n {
			g.Line().Add(value(i))
		}
		g.Line()
	}))
}
