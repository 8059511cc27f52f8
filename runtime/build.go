package runtime

import (
	"bytes"
	"cmp"
	"fmt"
	"net/netip"
	"reflect"
	"slices"

	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// spec is what a fixture is made of: the maps and sections of a layout, by types.
type spec struct {
	object          string // the file that the layout is of
	maps            []mapSpec
	types, sections []*ctype.Shape
	generated       generatedTypes
}

// mapSpec is a map of a fixture.
type mapSpec struct {
	name       string
	typ        ktsnap.MapType
	key, value *ctype.Shape // nil if the layout has none
	inner      bool         // it describes what is in maps of maps, and is none itself
}

// newFixture begins a fixture for that many CPUs, or for as many as the values need
// if there are more.
func newFixture(of *spec, cpus int) *fixture {
	e := newEncoder(of.generated)
	e.types = of.types
	return &fixture{
		of: of, cpus: cpus, encoder: *e,
		program: &ktsnap.Program{BTFID: 1, Name: of.object, Shapes: slices.Concat(of.types, of.sections)},
		next:    fixtureAddr,
	}
}

// entries returns maps with nothing but the entries that are given, none of which holds
// a pointer; nil for those that are not given.
func (f *fixture) entries(given []any) ([]*ktsnap.Map, error) {
	for i := range given {
		f.cpus = max(f.cpus, cpusOf(given[i]))
	}
	f.plain = true
	encoded := make([]*ktsnap.Map, len(f.of.maps))
	for i := range f.of.maps {
		if f.of.maps[i].inner || given[i] == nil {
			continue
		}
		if err := f.addMap(i, given[i]); err != nil {
			return nil, err
		}
		encoded[i] = f.tables[len(f.tables)-1].Map
	}
	return encoded, f.encodeRows()
}

// fixtureAddr is the kernel address from which on maps are placed.
const fixtureAddr = 0xffff_8880_1000_0000

// fixture is a snapshot that is being made.
type fixture struct {
	encoder
	of      *spec
	program *ktsnap.Program
	cpus    int
	next    uint64 // address of the next map's values
	tables  []*table
	records []record
}

// table is a map of a fixture, and the values that go into it.
type table struct {
	*ktsnap.Map
	rows []row
}

// row is a value, or one CPU's value, of an entry.
type row struct {
	value reflect.Value
	slot  int // index in Map.Values, in strides
	path  string
}

func (f *fixture) snapshot(sections, maps []any) (*ktsnap.Snapshot, error) {
	f.cpus = max(f.cpus, 1)
	for i, given := range maps {
		if i < len(f.of.maps) && !f.of.maps[i].typ.IsRing() {
			f.cpus = max(f.cpus, cpusOf(given))
		}
	}
	for i := range f.of.maps {
		if f.of.maps[i].inner {
			continue
		}
		if err := f.addMap(i, at(maps, i)); err != nil {
			return nil, err
		}
	}
	for i := range f.of.sections {
		f.addSection(i, at(sections, i))
	}
	if err := f.encodeRows(); err != nil {
		return nil, err
	}
	if err := f.encodeRecords(); err != nil {
		return nil, err
	}
	if err := f.finish(); err != nil {
		return nil, err
	}
	return f.assemble(), nil
}

// encodeRows makes the bytes of the values. Each has its address by now: a value can
// point to any other.
func (f *fixture) encodeRows() error {
	for _, t := range f.tables {
		for _, r := range t.rows {
			f.root = r.path
			b := t.Values[r.slot*t.Stride:][:t.ValueSize]
			f.at(t.Base+uint64(r.slot*t.Stride), b)
			if err := f.value(r.value, t.Value, b); err != nil {
				return within(r.path, err)
			}
		}
	}
	return nil
}

func at(values []any, i int) any {
	if i < len(values) {
		return values[i]
	}
	return nil
}

// cpusOf returns how many CPUs the values of a map are given for.
func cpusOf(given any) (n int) {
	v := reflect.ValueOf(given)
	switch {
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Slice:
		return v.Len()
	case v.Kind() == reflect.Map && v.Type().Elem().Kind() == reflect.Slice:
		for _, values := range v.Seq2() {
			n = max(n, values.Len())
		}
	}
	return n
}

func (f *fixture) assemble() *ktsnap.Snapshot {
	s := &ktsnap.Snapshot{
		Name:     "fixture",
		Guest:    ktsnap.Guest{Release: "fixture", Arch: "amd64", PageSize: 4096, CPUs: f.cpus},
		Programs: []*ktsnap.Program{f.program},
	}
	for cpu := range f.cpus {
		s.Guest.Online = append(s.Guest.Online, cpu)
	}
	heap := len(f.heap) > 0
	for _, t := range f.tables {
		if heap && t.Type == ktsnap.MapTypeArena {
			t.Base, t.Extents, heap = 0, []ktsnap.Extent{{Addr: heapAddr, Data: f.heap}}, false
		}
		s.Maps = append(s.Maps, t.Map)
	}
	if heap {
		s.Maps = append(s.Maps, &ktsnap.Map{
			ID: uint32(len(s.Maps) + 1), Name: "fixture", Type: ktsnap.MapTypeArena, Slots: 1,
			Extents: []ktsnap.Extent{{Addr: heapAddr, Data: f.heap}},
		})
	}
	return s
}

// add adds a map with n entries, and reserves addresses for its values.
func (f *fixture) add(m *ktsnap.Map, n int) *table {
	m.ID, m.Program = uint32(len(f.tables)+1), f.program
	m.N, m.Total, m.MaxEntries, m.Slots = n, n, max(n, 1), max(m.Slots, 1)
	m.Stride = (m.ValueSize + 7) &^ 7
	m.Values = make([]byte, n*m.Slots*m.Stride)
	m.Base = f.next
	m.Addr = m.Base - 512 // where a struct bpf_map would be
	f.next += (uint64(len(m.Values)) + 8191) &^ 4095
	t := &table{Map: m}
	f.tables = append(f.tables, t)
	return t
}

// set gives value number slot of a map.
func (f *fixture) set(t *table, slot int, path string, v reflect.Value) {
	if v.CanAddr() {
		f.placed[placeKey{v.Addr().Pointer(), v.Type()}] = t.Base + uint64(slot*t.Stride)
	}
	t.rows = append(t.rows, row{v, slot, path})
}

func (f *fixture) addSection(i int, given any) {
	shape := f.of.sections[i]
	if last, ok := shape.Resizable(); ok && given != nil {
		if v := reflect.ValueOf(given).Elem().Field(last); v.Kind() == reflect.Slice || v.Kind() == reflect.String {
			shape = shape.Lengthened(v.Len())
			f.program.Shapes[len(f.of.types)+i] = shape
		}
	}
	t := f.add(&ktsnap.Map{Name: shape.Name, Type: ktsnap.MapTypeArray, KeySize: 4, ValueSize: shape.Size, Value: shape}, 1)
	if given != nil {
		f.set(t, 0, shape.Name, reflect.ValueOf(given).Elem())
	}
}

func (f *fixture) addMap(i int, given any) error {
	l := &f.of.maps[i]
	m := &ktsnap.Map{Name: l.name, Type: l.typ}
	if l.value != nil && !l.typ.IsRing() {
		m.Value = l.value
		m.ValueSize = m.Value.Size
	}
	if m.Key = l.key; m.Key != nil {
		m.KeySize = m.Key.Size
	}
	v := reflect.ValueOf(given)
	switch {
	case l.typ.IsRing():
		f.addRing(m, l, v)
	case l.typ == ktsnap.MapTypeStructOps && m.Value != nil:
		return f.addStructOps(m, v)
	case m.Type == ktsnap.MapTypeArrayOfMaps || m.Type == ktsnap.MapTypeHashOfMaps:
		m.KeySize, m.ValueSize = cmp.Or(m.KeySize, 4), ktsnap.SlotSize
		f.add(m, 0)
	case m.Value == nil:
		m.ValueSize = 8 // not read
		f.add(m, 0)
	case v.Kind() == reflect.Map:
		return f.addKeyed(m, l.name, v)
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Slice:
		f.addPerCPU(m, l.name, v)
	case v.Kind() == reflect.Slice:
		if !m.Type.UntypedValues() { // queues and stacks have no keys
			m.KeySize = 4
		}
		t := f.add(m, v.Len())
		for i := range v.Len() {
			f.set(t, i, fmt.Sprintf("%s[%d]", l.name, i), v.Index(i))
		}
	default:
		f.add(m, 0)
	}
	return nil
}

func (f *fixture) addPerCPU(m *ktsnap.Map, name string, v reflect.Value) {
	m.KeySize, m.Slots = 4, f.cpus
	n := 0
	for cpu := range v.Len() {
		n = max(n, v.Index(cpu).Len())
	}
	t := f.add(m, n)
	for cpu := range v.Len() {
		for i := range v.Index(cpu).Len() {
			f.set(t, i*f.cpus+cpu, fmt.Sprintf("%s[cpu=%d][%d]", name, cpu, i), v.Index(cpu).Index(i))
		}
	}
}

// addStructOps adds a map whose value has the operations behind a header, as
// the kernel's has.
func (f *fixture) addStructOps(m *ktsnap.Map, v reflect.Value) error {
	const header = 64 // struct bpf_struct_ops_common_value, padded to a cache line
	ops := m.Value
	m.KeySize, m.ValueSize = 4, header+ops.Size
	m.Value = &ctype.Shape{Kind: ctype.KindStruct, Name: "bpf_struct_ops_" + ops.Name, Size: m.ValueSize, Members: []ctype.Member{
		{Name: "data", Offset: header, Type: ops},
	}}
	t := f.add(m, 1)
	if !v.IsValid() {
		return nil
	}
	return within(m.Name, f.value(v.Elem(), ops, t.Values[header:]))
}

// key is an entry's key in its bytes, with what is given for it.
type key struct {
	raw   []byte
	owner ktsnap.Owner
	text  string
	value reflect.Value
}

// addKeyed adds a map whose entries are found by keys or owners, in the order
// of these.
func (f *fixture) addKeyed(m *ktsnap.Map, name string, v reflect.Value) error {
	var keys []key
	for k, value := range v.Seq2() {
		one, err := f.key(m, name, k)
		if err != nil {
			return err
		}
		one.value = value
		keys = append(keys, one)
	}
	slices.SortFunc(keys, func(a, b key) int {
		return cmp.Or(cmp.Compare(a.owner.PID, b.owner.PID), cmp.Compare(a.owner.Addr, b.owner.Addr), byValue(a.raw, b.raw))
	})
	perCPU := v.Type().Elem().Kind() == reflect.Slice
	if perCPU {
		m.Slots = f.cpus
	}
	t := f.add(m, len(keys))
	for i, k := range keys {
		if k.raw == nil {
			m.Owners = append(m.Owners, k.owner)
		}
		m.Keys = append(m.Keys, k.raw...)
		path := fmt.Sprintf("%s[%s]", name, k.text)
		switch {
		case perCPU:
			for cpu := range k.value.Len() {
				f.set(t, i*f.cpus+cpu, fmt.Sprintf("%s[cpu=%d]", path, cpu), k.value.Index(cpu))
			}
		case !k.value.IsNil():
			f.set(t, i, path, k.value.Elem())
		}
	}
	return nil
}

// byValue compares keys as little-endian numbers.
func byValue(a, b []byte) int {
	for i := min(len(a), len(b)) - 1; i >= 0; i-- {
		if a[i] != b[i] {
			return cmp.Compare(a[i], b[i])
		}
	}
	return bytes.Compare(a, b)
}

// key encodes a key.
func (f *fixture) key(m *ktsnap.Map, name string, v reflect.Value) (key, error) {
	switch k := v.Interface().(type) {
	case ktsnap.Owner:
		return key{owner: k, text: fmt.Sprintf("pid=%d", k.PID)}, nil
	case netip.Prefix:
		raw := make([]byte, ktsnap.PrefixLenSize, ktsnap.PrefixLenSize+16)
		ctype.IntPlace{Bits: 32}.Store(raw, uint64(k.Bits()))
		raw = append(raw, k.Masked().Addr().AsSlice()...)
		if len(raw) != m.KeySize || !k.IsValid() {
			return key{}, &FixtureError{Path: name, Err: fmt.Errorf("%v does not fit its keys, which are prefixes of addresses of %d bits", k, 8*(m.KeySize-ktsnap.PrefixLenSize))}
		}
		return key{raw: raw, text: k.String()}, nil
	}
	k := key{raw: make([]byte, m.KeySize), text: fmt.Sprint(v.Interface())}
	return k, within("key of "+name, f.value(v, m.Key, k.raw))
}
