package runtime

import (
	"reflect"

	"github.com/ktgen/ktgen/runtime/internal/fixture"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// Fixture makes a snapshot of values, for the Fixture of generated packages: that of a
// guest whose program has exactly this layout. sections has a pointer to the struct of
// each of Layout.Sections. maps has the entries of each of Layout.Maps, nil for none; of arrays
// those that are left out are zero, as far as they take 1 MiB:
//
//	arrays, queues   []V
//	per-CPU arrays   [][]V by CPU
//	hash maps        map[K]*V, tries map[netip.Prefix]*V
//	per-CPU hashes   map[K][]V by CPU
//	storage          map[ktsnap.Owner]*V
//	ring buffers     []V or [][]byte
//	struct_ops       *V
//
// Pointers of values can lead to entries of maps, or to any other value; then it is put into
// the arena, as the objects of lists and trees are. cpus is the number of CPUs, or 0 for as many
// as the values need. room has other max_entries than the object. An error is a [*FixtureError].
func (l *Layout) Fixture(cpus int, sections, maps []any, room ...*int) (*ktsnap.Snapshot, error) {
	parsed, err := l.load()
	if err != nil {
		return nil, err
	}
	return fixture.New(l.spec(parsed), cpus, room...).Snapshot(sections, maps)
}

// spec is what a fixture of the layout is made of.
func (l *Layout) spec(parsed *shapes) *fixture.Layout {
	s := &fixture.Layout{Object: l.Object, Types: parsed.types, Sections: parsed.sections, Generated: ownTypes}
	for i, m := range l.Maps {
		one := fixture.Map{Name: m.Name, Type: parsed.mapTypes[i], Key: parsed.keys[i], Room: m.Room, Inner: m.Inner}
		if m.Value != "" {
			one.Value = parsed.types[parsed.index[m.Value]]
		}
		s.Maps = append(s.Maps, one)
	}
	return s
}

// ownTypes are the types of this package that are not encoded by their fields.
var ownTypes = fixture.Types{Words: wordsOf, Nodes: nodesOf}

// wordsOf returns the words of a struct of the kernel's that this package has a type
// for; ok is false for everything else.
func wordsOf(v any) (words []uint64, ok bool) {
	if kernel, is := v.(kernelStruct); is {
		return kernel.words(), true
	}
	return nil, false
}

// nodesOf returns the objects that a fixture gives a list, a tree or each CPU, nil for
// everything else.
func nodesOf(v any) []reflect.Value {
	if g, is := v.(givenNodes); is {
		return g.givenNodes()
	}
	return nil
}

// FixtureFor is [Layout.Fixture] on behalf of a test, which ends if that fails.
func (l *Layout) FixtureFor(tb TB, cpus int, sections, maps []any, room ...*int) *ktsnap.Snapshot {
	s, err := l.Fixture(cpus, sections, maps, room...)
	if err != nil {
		report(tb, (&Binding{generated: generatedFile(2)}).caller(), err.Error())
	}
	return s
}
