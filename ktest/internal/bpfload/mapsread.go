package bpfload

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"

	"github.com/ktgen/ktgen/object"
)

// definingSections have a variable for each map that the program defines.
var definingSections = []string{".maps", ".struct_ops", ".struct_ops.link", "?.struct_ops", "?.struct_ops.link"}

// addMaps makes the maps that the object defines, first of all maps, as libbpf does
// (bpf_object__init_maps in tools/lib/bpf/libbpf.c).
func (s *Spec) addMaps(obj *object.Object) error {
	arena := ""
	for i := range obj.Maps {
		m := &obj.Maps[i]
		if ebpf.MapType(m.Type) == ebpf.StructOpsMap {
			continue
		}
		spec, err := definedMap(obj, m)
		if err != nil {
			return fmt.Errorf("map %s: %w", m.Name, err)
		}
		if spec.Type == ebpf.Arena {
			if arena != "" {
				return fmt.Errorf("map %s: it is a second arena, beside %s: an object has one", m.Name, arena)
			}
			arena = m.Name
		}
		s.add(spec)
	}
	for _, name := range definingSections {
		var defs *btf.Datasec
		if s.Types.TypeByName(name, &defs) == nil {
			s.defs = append(s.defs, defs)
		}
	}
	return nil
}

// add makes a map the next one.
func (s *Spec) add(m *ebpf.MapSpec) {
	s.order[m.Name] = len(s.order)
	s.Maps[m.Name] = m
}

func definedMap(obj *object.Object, m *object.Map) (*ebpf.MapSpec, error) {
	switch {
	case m.Section != ".maps":
		return nil, errors.New(`it is defined in the way of before BTF: define it as a struct in SEC(".maps")`)
	case m.Static:
		return nil, errors.New("it is static: declare it without, since loaders find maps by their names")
	case m.Pinning != 0:
		return nil, errors.New("it is pinned, and a guest has nothing that was pinned before: define it without pinning, or start the scheduler by its own program")
	}
	if err := checkDefinition(m); err != nil {
		return nil, err
	}
	spec := mapSpec(m)
	if m.Inner != nil {
		spec.InnerMap = mapSpec(m.Inner)
	}
	for _, index := range slices.Sorted(maps.Keys(m.Entries)) {
		if err := checkEntry(obj, m, m.Entries[index]); err != nil {
			return nil, fmt.Errorf("its entry %d: %w", index, err)
		}
		spec.Contents = append(spec.Contents, ebpf.MapKV{Key: index, Value: m.Entries[index]})
	}
	return spec, nil
}

// checkDefinition says why libbpf refuses a definition or that of the maps inside.
func checkDefinition(m *object.Map) error {
	switch {
	case m.Refused != "":
		return errors.New(m.Refused)
	case m.Inner != nil && m.Inner.Refused != "":
		return errors.New(m.Inner.Refused)
	}
	return nil
}

func mapSpec(m *object.Map) *ebpf.MapSpec {
	return &ebpf.MapSpec{
		Name: m.Name, Type: ebpf.MapType(m.Type), KeySize: m.KeySize, ValueSize: m.ValueSize, MaxEntries: m.MaxEntries,
		Flags: m.Flags, NumaNode: m.NUMANode, MapExtra: m.Extra, Key: m.Key, Value: m.Value,
	}
}

// checkEntry says what is wrong with what a definition names.
func checkEntry(obj *object.Object, m *object.Map, name string) error {
	switch ebpf.MapType(m.Type) {
	case ebpf.ArrayOfMaps, ebpf.HashOfMaps:
		if obj.Map(name) == nil {
			return fmt.Errorf("it names %s, which is no map of the object: define it in SEC(\".maps\")", name)
		}
		if m.KeySize != 4 {
			return fmt.Errorf("the map's keys have %d bytes, and a definition can only fill a map whose keys have 4: fill it otherwise", m.KeySize)
		}
		return nil
	case ebpf.ProgramArray:
		for _, fn := range obj.Functions {
			if fn.Name == name && fn.Program() {
				return nil
			}
		}
		return fmt.Errorf("it names %s, which is no program of the object: give one a section", name)
	}
	return errors.New("only maps of maps and program arrays are filled by their definition: fill the map otherwise")
}
