package bpfload

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// This file changes an object between reading and loading it, as programs on libbpf
// do with a skeleton: what was decided on the host is carried out here.

// Config is how an object is loaded otherwise than its file says. It goes from the
// test to the guest, with everything checked that the file alone can tell.
type Config struct {
	Patches    []Patch           `json:",omitempty"`
	Resized    map[string]uint32 `json:",omitempty"` // section: elements of the array at its end
	MaxEntries map[string]uint32 `json:",omitempty"` // by map
	Entries    []Entry           `json:",omitempty"`
	Filled     map[string]uint32 `json:",omitempty"` // map of maps: how many are made and put into it
	Off        []string          `json:",omitempty"` // programs that are not loaded
	On         []string          `json:",omitempty"` // programs that are, although their section says ?
	Members    []OpsMember       `json:",omitempty"`
}

// Patch is bytes of a data section, or of the value of a struct_ops map.
type Patch struct {
	Of     string // the section, or the map
	Offset uint32
	Bytes  []byte
}

// Entry is an entry of a map. Value has the value of each CPU, one behind the other
// in multiples of 8 bytes, where the map is per CPU.
type Entry struct {
	Map        string
	Key, Value []byte
}

// OpsMember is a member of a struct_ops map, and the program that it is to be; none if
// that is empty.
type OpsMember struct{ Map, Member, Program string }

// Empty tells whether the object is loaded as its file says.
func (c *Config) Empty() bool {
	return c == nil || len(c.Patches)+len(c.Resized)+len(c.MaxEntries)+len(c.Entries)+len(c.Filled)+len(c.Off)+len(c.On)+len(c.Members) == 0
}

// Configure changes what Load will load.
func (s *Spec) Configure(c *Config) error {
	if c.Empty() {
		return nil
	}
	for _, name := range sortedKeys(c.Resized) {
		if err := s.resize(name, c.Resized[name]); err != nil {
			return fmt.Errorf("make section %s longer: %w", name, err)
		}
	}
	if err := s.patch(c.Patches); err != nil {
		return err
	}
	for name, n := range c.MaxEntries {
		m := s.Maps[name]
		if m == nil {
			return fmt.Errorf("give map %s room for %d entries: the object has no such map", name, n)
		}
		m.MaxEntries = n
	}
	for name := range c.Filled {
		if m := s.Maps[name]; m == nil || m.InnerMap == nil {
			return fmt.Errorf("fill map %s: the object has no such map of maps", name)
		}
	}
	s.filled = c.Filled
	for _, e := range c.Entries {
		m := s.Maps[e.Map]
		if m == nil {
			return fmt.Errorf("put an entry into map %s: the object has no such map", e.Map)
		}
		kv, err := e.contents(m)
		if err != nil {
			return fmt.Errorf("put an entry into map %s: %w", e.Map, err)
		}
		m.Contents = append(m.Contents, kv)
	}
	return s.choose(c)
}

// contents makes of an entry what cilium/ebpf puts into a map: for a queue nil as the
// key, for a map that is per CPU a value for each CPU that there can be.
func (e *Entry) contents(m *ebpf.MapSpec) (kv ebpf.MapKV, err error) {
	kv = ebpf.MapKV{Key: e.Key, Value: e.Value}
	if len(e.Key) == 0 {
		kv.Key = nil
	}
	if !ktsnap.MapType(m.Type).IsPerCPU() {
		return kv, nil
	}
	possible, err := ebpf.PossibleCPU()
	if err != nil {
		return kv, fmt.Errorf("count possible CPUs: %w", err)
	}
	stride := (int(m.ValueSize) + 7) &^ 7
	if given := len(e.Value) / max(stride, 1); given > possible {
		return kv, fmt.Errorf("it has values for %d CPUs, and the guest can have %d: give fewer, or boot more with ktest.Config.CPUs", given, possible)
	}
	values := make([][]byte, possible)
	for cpu := range values {
		values[cpu] = make([]byte, m.ValueSize)
		if at := cpu * stride; at < len(e.Value) {
			copy(values[cpu], e.Value[at:])
		}
	}
	kv.Value = values
	return kv, nil
}

// initial returns the map of a data section or struct_ops, and a copy of its contents
// with the variables that were set.
func (s *Spec) initial(section string) (*ebpf.MapSpec, []byte, error) {
	m := s.Maps[section]
	if m == nil || len(m.Contents) != 1 {
		return nil, nil, errors.New("the object has no such section that programs use")
	}
	contents, ok := m.Contents[0].Value.([]byte)
	if !ok {
		return nil, nil, errors.New("it has no contents")
	}
	data, err := s.withVariables(m.Name, contents)
	return m, data, err
}

// patch changes initial contents. Variables that were set before are settled: patches
// come later.
func (s *Spec) patch(patches []Patch) error {
	settled := make(map[string][]byte)
	for _, p := range patches {
		data, ok := settled[p.Of]
		if !ok {
			var err error
			if data, err = s.settle(p.Of); err != nil {
				return fmt.Errorf("set bytes of %s: %w", p.Of, err)
			}
			settled[p.Of] = data
		}
		if end := uint64(p.Offset) + uint64(len(p.Bytes)); end > uint64(len(data)) {
			return fmt.Errorf("set bytes of %s: [%d, %d) are not among its %d", p.Of, p.Offset, end, len(data))
		}
		copy(data[p.Offset:], p.Bytes)
	}
	return nil
}

// settle puts variables into the contents of their section, and returns these.
func (s *Spec) settle(section string) ([]byte, error) {
	m, data, err := s.initial(section)
	if err != nil {
		return nil, err
	}
	m.Contents = []ebpf.MapKV{{Key: m.Contents[0].Key, Value: data}}
	for name, v := range s.Variables {
		if v.SectionName == m.Name {
			delete(s.Variables, name)
		}
	}
	return data, nil
}

// resize gives the array at the end of a section n elements, in the section's type as
// well (bpf_map__set_value_size and map_btf_datasec_resize of libbpf).
func (s *Spec) resize(section string, n uint32) error {
	m, data, err := s.initial(section)
	if err != nil {
		return err
	}
	sec, ok := m.Value.(*btf.Datasec)
	if !ok || len(sec.Vars) == 0 {
		return errors.New("it has no variables")
	}
	resized := *sec
	resized.Vars = slices.Clone(sec.Vars)
	last := &resized.Vars[len(resized.Vars)-1]
	v, ok := last.Type.(*btf.Var)
	if !ok {
		return errors.New("its last variable has no type")
	}
	array, ok := btf.As[*btf.Array](v.Type)
	if !ok {
		return fmt.Errorf("its last variable, %s, is no array", v.Name)
	}
	elem, err := btf.Sizeof(array.Type)
	if err != nil {
		return err
	}
	size := uint64(last.Offset) + uint64(elem)*uint64(n)
	if size > maxSection {
		return fmt.Errorf("it would have %d bytes, and can have %d", size, uint64(maxSection))
	}
	longer, longVar := *array, *v
	longer.Nelems, longVar.Type = n, &longer
	last.Type, last.Size = &longVar, uint32(size)-last.Offset
	resized.Size = uint32(size)

	m.Value, m.ValueSize = &resized, uint32(size)
	m.Contents = []ebpf.MapKV{{Key: m.Contents[0].Key, Value: append(data, make([]byte, max(0, int(size)-len(data)))...)[:size]}}
	delete(s.Variables, v.Name)
	return nil
}

// maxSection bounds a section in bytes: an array map has no larger value
// (array_map_alloc_check, kernel/bpf/arraymap.c, INT_MAX).
const maxSection = 1<<31 - 1

// withVariables returns a copy of a section's contents with the variables that were set.
func (s *Spec) withVariables(section string, contents []byte) ([]byte, error) {
	data := bytes.Clone(contents)
	for _, v := range s.Variables {
		if v.SectionName != section || v.Value == nil {
			continue
		}
		if uint64(v.Offset)+uint64(len(v.Value)) > uint64(len(data)) {
			return nil, fmt.Errorf("variable %s (%d bytes at %d) is not in the section's %d bytes", v.Name, len(v.Value), v.Offset, len(data))
		}
		copy(data[v.Offset:], v.Value)
	}
	return data, nil
}

// choose says which programs are loaded and which of them are operations.
func (s *Spec) choose(c *Config) error {
	for _, name := range slices.Concat(c.Off, c.On) {
		if s.Programs[name] == nil {
			return fmt.Errorf("choose program %s: the object has no such program", name)
		}
	}
	for _, name := range c.Off {
		delete(s.Programs, name)
	}
	if len(c.On) > 0 {
		s.on = make(map[string]bool)
		for _, name := range c.On {
			s.on[name] = true
		}
	}
	return s.setMembers(c.Members)
}
