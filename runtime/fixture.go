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

// FixtureError is a value that a fixture cannot hold, as the guest's type has
// no room for it.
type FixtureError struct {
	Path string // task_ctxs[7].comm, or behind pointers task_ctxs[7] -> struct task_stats.pid
	Err  error
}

func (e *FixtureError) Error() string { return fmt.Sprintf("fixture: %s: %v", e.Path, e.Err) }

// Unwrap returns Err.
func (e *FixtureError) Unwrap() error { return e.Err }

// Fixture makes a snapshot of values, for the Fixture of generated packages:
// what a guest would hold whose program has the layout that the code was
// generated from. sections has, for each of Layout.Sections, a pointer to its
// struct, and maps for each of Layout.Maps its entries, nil for none:
//
//	arrays, queues   []V
//	per-CPU arrays   [][]V by CPU
//	hash maps        map[K]*V, tries map[netip.Prefix]*V
//	per-CPU hashes   map[K][]V by CPU
//	storage          map[ktsnap.Owner]*V
//	ring buffers     []V or [][]byte
//	struct_ops       *V
//
// Pointers of values can lead to entries of maps, or to any other value; then
// it is put into the arena, as the objects of lists and trees are. cpus is the number of CPUs; if it is 0 it is what
// the values need. An error is a [*FixtureError].
func (l *Layout) Fixture(cpus int, sections, maps []any) (*ktsnap.Snapshot, error) {
	parsed, err := l.load()
	if err != nil {
		return nil, err
	}
	return newFixture(l, parsed, cpus).snapshot(sections, maps)
}

func newFixture(l *Layout, parsed *shapes, cpus int) *fixture {
	return &fixture{
		layout: l, shapes: parsed, cpus: cpus,
		encoder: encoder{placed: make(map[placeKey]uint64), types: parsed.types},
		program: &ktsnap.Program{BTFID: 1, Name: l.Object, Shapes: slices.Concat(parsed.types, parsed.sections)},
		next:    fixtureAddr,
	}
}

// FixtureFor is [Layout.Fixture] on behalf of a test, which ends if that fails.
func (l *Layout) FixtureFor(tb TB, cpus int, sections, maps []any) *ktsnap.Snapshot {
	s, err := l.Fixture(cpus, sections, maps)
	if err != nil {
		report(tb, (&Binding{generated: generatedFile(2)}).caller(), err.Error())
	}
	return s
}

// fixtureAddr is the kernel address from which on maps are placed.
const fixtureAddr = 0xffff_8880_1000_0000

// fixture is a snapshot that is being made.
type fixture struct {
	encoder
	layout  *Layout
	shapes  *shapes
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
		if i < len(f.layout.Maps) && !f.layout.Maps[i].Type.IsRing() {
			f.cpus = max(f.cpus, cpusOf(given))
		}
	}
	for i := range f.layout.Maps {
		if f.layout.Maps[i].Inner {
			continue
		}
		if err := f.addMap(i, at(maps, i)); err != nil {
			return nil, err
		}
	}
	for i := range f.shapes.sections {
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
	shape := f.shapes.sections[i]
	if last, ok := shape.Resizable(); ok && given != nil {
		if v := reflect.ValueOf(given).Elem().Field(last); v.Kind() == reflect.Slice || v.Kind() == reflect.String {
			shape = shape.Lengthened(v.Len())
			f.program.Shapes[len(f.shapes.types)+i] = shape
		}
	}
	t := f.add(&ktsnap.Map{Name: shape.Name, Type: ktsnap.MapTypeArray, KeySize: 4, ValueSize: shape.Size, Value: shape}, 1)
	if given != nil {
		f.set(t, 0, shape.Name, reflect.ValueOf(given).Elem())
	}
}

func (f *fixture) addMap(i int, given any) error {
	l := &f.layout.Maps[i]
	m := &ktsnap.Map{Name: l.Name, Type: l.Type}
	if l.Value != "" && !l.Type.IsRing() {
		m.Value = f.shapes.types[f.shapes.index[l.Value]]
		m.ValueSize = m.Value.Size
	}
	if m.Key = f.shapes.keys[i]; m.Key != nil {
		m.KeySize = m.Key.Size
	}
	v := reflect.ValueOf(given)
	switch {
	case l.Type.IsRing():
		f.addRing(m, l, v)
	case l.Type == ktsnap.MapTypeStructOps && m.Value != nil:
		return f.addStructOps(m, v)
	case m.Type == ktsnap.MapTypeArrayOfMaps || m.Type == ktsnap.MapTypeHashOfMaps:
		m.KeySize, m.ValueSize = cmp.Or(m.KeySize, 4), ktsnap.SlotSize
		f.add(m, 0)
	case m.Value == nil:
		m.ValueSize = 8 // not read
		f.add(m, 0)
	case v.Kind() == reflect.Map:
		return f.addKeyed(m, l.Name, v)
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Slice:
		f.addPerCPU(m, l.Name, v)
	case v.Kind() == reflect.Slice:
		if !m.Type.UntypedValues() { // queues and stacks have no keys
			m.KeySize = 4
		}
		t := f.add(m, v.Len())
		for i := range v.Len() {
			f.set(t, i, fmt.Sprintf("%s[%d]", l.Name, i), v.Index(i))
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
		raw := make([]byte, prefixLenSize, prefixLenSize+16)
		ctype.IntPlace{Bits: 32}.Store(raw, uint64(k.Bits()))
		raw = append(raw, k.Masked().Addr().AsSlice()...)
		if len(raw) != m.KeySize || !k.IsValid() {
			return key{}, &FixtureError{Path: name, Err: fmt.Errorf("%v does not fit its keys, which are prefixes of addresses of %d bits", k, 8*(m.KeySize-prefixLenSize))}
		}
		return key{raw: raw, text: k.String()}, nil
	}
	k := key{raw: make([]byte, m.KeySize), text: fmt.Sprint(v.Interface())}
	return k, within("key of "+name, f.value(v, m.Key, k.raw))
}
