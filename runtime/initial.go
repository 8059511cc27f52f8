package runtime

import (
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/ktgen/ktgen/runtime/internal/errtext"
	"github.com/ktgen/ktgen/runtime/internal/fixture"
	"github.com/ktgen/ktgen/runtime/internal/govalue"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// This file has a test say, with the fixture of generated code, what an object is to
// start with. The fixture begins as the state that the file has. What is different
// afterwards is written where the object has it, value by value: the bytes around it
// stay what they are, and members may have moved since the code was generated.

// Program is, in a fixture, a program of the object: whether it is loaded, and what
// stands for it in struct_ops maps, such as
//
//	c.SchedOps.Enqueue = c.Programs.EnqueueFifo.FuncPtr
type Program struct {
	FuncPtr
	Load bool
}

// Initially is a fixture whose values an object shall start with. Generated code makes it.
type Initially struct {
	Configure func() // has the test change the fixture

	// InFile returns pointers to the values that an object has, by sections and maps
	// of the layout; of maps the values of struct_ops.
	InFile func(*Binding) (sections, maps []any)

	Sections   []any        // pointers to those of the fixture
	Maps       func() []any // the entries of the fixture, as Layout.Fixture takes them
	MaxEntries []*int       // by maps; nil for those that have no size
	Programs   map[string]*Program
}

// Initial returns the change that a test makes to what an object starts with. fixture
// returns one that is empty. An error of the change is a [*ktsnap.InitialError], a
// [*FixtureError], an [*AssignError], or of [Layout.Open].
func (l *Layout) Initial(fixture func() Initially) Initial {
	return func(state *ktsnap.InitialState) error {
		c := &configuration{layout: l, state: state, given: fixture()}
		for _, step := range []func() error{c.load, c.configure, c.resize, c.fill, c.assign} {
			if err := step(); err != nil {
				return err
			}
		}
		return nil
	}
}

// configuration is one change that is being made.
type configuration struct {
	layout *Layout
	state  *ktsnap.InitialState
	given  Initially
}

// inFile reads what the object has.
func (c *configuration) inFile() (b *Binding, sections, maps []any, err error) {
	if b, err = c.layout.Open(c.state.Snapshot); err != nil {
		return nil, nil, nil, err
	}
	err = Try(func() { sections, maps = c.given.InFile(b) })
	return b, sections, maps, err
}

// load makes the fixture what the object has.
func (c *configuration) load() error {
	_, sections, maps, err := c.inFile()
	if err != nil {
		return err
	}
	entries := c.given.Maps()
	for i, to := range c.given.Sections {
		govalue.CopyTo(to, sections[i])
	}
	for i, from := range maps {
		if from != nil {
			govalue.CopyTo(entries[i], from)
		}
	}
	for i, size := range c.given.MaxEntries {
		if m, err := c.state.Find(c.layout.Maps[i].Name); err == nil && size != nil {
			*size = m.MaxEntries
		}
	}
	for name, to := range c.given.Programs {
		if p, err := c.state.Program(name); err == nil {
			*to = Program{FuncPtr{Address(p.Addr)}, p.Load}
		}
	}
	return nil
}

// configure has the test change the fixture, and takes what is not a value.
func (c *configuration) configure() error {
	c.given.Configure()
	for name, given := range c.given.Programs {
		p, err := c.state.Program(name)
		if err != nil {
			if given.Load {
				return err
			}
			continue // the object was rebuilt without it
		}
		p.Load = given.Load
	}
	for i, size := range c.given.MaxEntries {
		if size == nil {
			continue
		}
		m, err := c.state.Find(c.layout.Maps[i].Name)
		if err == nil && *size != m.MaxEntries {
			err = c.state.Resize(m, *size)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// resize makes the last arrays of sections as long as they are given.
func (c *configuration) resize() error {
	parsed, err := c.layout.load()
	if err != nil {
		return err
	}
	for i, section := range parsed.sections {
		last, ok := section.Resizable()
		if !ok {
			continue
		}
		given := reflect.ValueOf(c.given.Sections[i]).Elem().Field(last)
		if !fixture.IsResizable(given) {
			continue
		}
		m, err := c.state.Find(section.Name)
		if err != nil {
			return err
		}
		n := given.Len()
		if has, ok := m.Value.Resizable(); ok {
			n = fixture.ElementsFor(given, m.Value.Members[has].Type)
		}
		if err := c.state.Resize(m, n); err != nil {
			return err
		}
	}
	return nil
}

// fill puts the entries of the fixture into maps.
func (c *configuration) fill() error {
	entries := c.given.Maps()
	for i := range entries {
		if c.layout.Maps[i].Type == ktsnap.MapTypeStructOps.String() || nothingIn(entries[i]) {
			entries[i] = nil
		}
	}
	encoded, err := c.layout.encode(c.state.Snapshot.Guest.CPUs, entries)
	if err != nil {
		return err
	}
	for i, from := range encoded {
		if entries[i] == nil || from == nil {
			continue
		}
		to, err := c.state.Find(c.layout.Maps[i].Name)
		if err != nil {
			return err
		}
		if err := fixture.Put(c.state, to, from); err != nil {
			return err
		}
	}
	return nil
}

// nothingIn tells whether no entries are given.
func nothingIn(given any) bool {
	v := reflect.ValueOf(given)
	return !v.IsValid() || v.Len() == 0
}

// encode returns entries as maps of the layout.
func (l *Layout) encode(cpus int, entries []any) ([]*ktsnap.Map, error) {
	parsed, err := l.load()
	if err != nil {
		return nil, err
	}
	return fixture.New(l.spec(parsed), cpus).Entries(entries)
}

// assign writes values that are other ones than the object has.
func (c *configuration) assign() error {
	b, sections, maps, err := c.inFile()
	if err != nil {
		return err
	}
	entries := c.given.Maps()
	a := &assigner{b: b, state: c.state}
	for i, was := range sections {
		if err := a.compare(reflect.ValueOf(was).Elem(), reflect.ValueOf(c.given.Sections[i]).Elem()); err != nil {
			return err
		}
	}
	for i, was := range maps {
		if was == nil {
			continue
		}
		if err := a.compare(reflect.ValueOf(was).Elem(), reflect.ValueOf(entries[i]).Elem()); err != nil {
			return err
		}
	}
	return nil
}

// assigner writes the values in which a fixture differs from what was read.
type assigner struct {
	b     *Binding
	state *ktsnap.InitialState
}

// lazy is a large array, which is read by its elements.
type lazy interface {
	Len() int
	element(i int) any
}

func (a Array[V]) element(i int) any { return a.At(i) }

// compare writes what is different in a value. was is addressable.
func (a *assigner) compare(was, is reflect.Value) error {
	if large, ok := was.Interface().(lazy); ok {
		given := is.Interface().(lazy)
		for i := range large.Len() {
			if err := a.compare(reflect.ValueOf(large.element(i)).Elem(), reflect.ValueOf(given.element(i)).Elem()); err != nil {
				return err
			}
		}
		return nil
	}
	switch kind := was.Kind(); {
	case kind == reflect.Array, kind == reflect.Slice:
		if was.Len() != is.Len() {
			return a.refuse(was, fmt.Errorf("it has %s, and cannot be given %d: only the last array of a section becomes longer", errtext.Count(was.Len(), "element", "elements"), is.Len()))
		}
		for i := range was.Len() {
			if err := a.compare(was.Index(i), is.Index(i)); err != nil {
				return err
			}
		}
		return nil
	case kind == reflect.Struct && !isRuntimes(was.Type()):
		for i := range was.NumField() {
			if err := a.compare(was.Field(i), is.Field(i)); err != nil {
				return err
			}
		}
		return nil
	case same(was, is):
		return nil
	case kind == reflect.Pointer && !is.IsNil():
		return a.refuse(was, errors.New("a pointer leads into the guest, which does not run yet: set it when it does (VM.Write), or in the scheduler"))
	}
	return a.write(was, is)
}

// isRuntimes tells whether a struct is one of this package's types.
func isRuntimes(t reflect.Type) bool {
	return t.PkgPath() == reflect.TypeFor[Initially]().PkgPath() || t.PkgPath() == reflect.TypeFor[ktsnap.Snapshot]().PkgPath()
}

// same tells whether a value is what it was. Pointers that were followed are, wherever they lead.
func same(was, is reflect.Value) bool {
	if len(nodesOf(is.Interface())) > 0 {
		return false
	}
	switch w := was.Interface().(type) {
	case interface{ Addr() uint64 }:
		return w.Addr() == is.Interface().(interface{ Addr() uint64 }).Addr()
	case kernelStruct:
		return slices.Equal(w.words(), is.Interface().(kernelStruct).words())
	}
	if was.Kind() == reflect.Pointer {
		return was.IsNil() == is.IsNil()
	}
	return !was.Comparable() || was.Equal(is)
}

func (a *assigner) refuse(was reflect.Value, err error) error {
	return &ktsnap.InitialError{Path: Path(a.b, was.Addr().Interface()), Err: err}
}

func (a *assigner) write(was, is reflect.Value) error {
	place := LocationOf(a.b, was.Addr().Interface())
	if is.Kind() == reflect.Pointer { // it is nil
		is = reflect.ValueOf(uint64(0))
	}
	value, mask, err := encodeAt(&place, is)
	if err != nil {
		return err
	}
	return a.state.Set(place, value, mask)
}
