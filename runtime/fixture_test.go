package runtime_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"regexp"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/internal/sample"
	ktrt "github.com/ktgen/ktgen/runtime"
	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// filler fills fixtures with random values that fit their C types.
type filler struct {
	*rand.Rand
	nodes []*sample.Node // that pointers lead to
}

// fixture returns a fixture with random values in every map and section.
func (r *filler) fixture(t *testing.T) *sample.Fixture {
	f := new(sample.Fixture)
	for range 8 {
		r.nodes = append(r.nodes, new(sample.Node))
	}
	var maps, sections []*ctype.Shape
	var keys []*ctype.Shape
	empty := sample.Fixture{}.Snapshot(t)
	for _, m := range empty.Maps {
		switch {
		case m.Value != nil && m.Value.Kind == ctype.KindSection:
			sections = append(sections, m.Value)
		case m.Value != nil:
			maps, keys = append(maps, m.Value), append(keys, m.Key)
		case m.Name == "events":
			maps, keys = append(maps, nil), append(keys, nil)
		case m.Name == "wishes":
			message := slices.IndexFunc(m.Program.Shapes, func(s *ctype.Shape) bool { return s.Name == "message" })
			maps, keys = append(maps, m.Program.Shapes[message]), append(keys, nil)
		}
		if m.Name == "nodes" {
			for _, n := range r.nodes {
				r.value(reflect.ValueOf(n).Elem(), m.Value)
			}
		}
	}
	v := reflect.ValueOf(f).Elem()
	f.CPUs = 3
	for _, room := range reflect.ValueOf(&f.MaxEntries).Elem().Fields() {
		room.SetInt(4096)
	}
	require.Equal(t, v.NumField(), 1+len(sections)+len(maps)+2, "CPUs, and behind what is given MaxEntries and Programs")
	for i, s := range sections {
		r.value(v.Field(1+i), s)
	}
	for i, s := range maps {
		r.entries(v.Field(1+len(sections)+i), keys[i], s)
	}
	return f
}

// entries makes a few entries of a map.
func (r *filler) entries(v reflect.Value, key, value *ctype.Shape) {
	const n = 4
	elem := v.Type().Elem()
	switch {
	case value == nil: // records without a type
		records := [][]byte{{}, make([]byte, r.IntN(100)), make([]byte, 3)}
		for i := range records[1] {
			records[1][i] = byte(r.Uint32())
		}
		v.Set(reflect.ValueOf(records))
	case v.Kind() == reflect.Slice && elem.Kind() == reflect.Slice: // per CPU
		v.Set(reflect.MakeSlice(v.Type(), 3, 3))
		for cpu := range 3 {
			r.entries(v.Index(cpu), nil, value)
		}
	case v.Kind() == reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			r.value(v.Index(i), value)
		}
	default:
		v.Set(reflect.MakeMap(v.Type()))
		for range n {
			k := reflect.New(v.Type().Key()).Elem()
			r.key(k, key)
			if elem.Kind() == reflect.Slice {
				values := reflect.MakeSlice(elem, 3, 3)
				for cpu := range 3 {
					r.value(values.Index(cpu), value)
				}
				v.SetMapIndex(k, values)
				continue
			}
			one := reflect.New(elem.Elem())
			r.value(one.Elem(), value)
			v.SetMapIndex(k, one)
		}
	}
}

func (r *filler) key(k reflect.Value, s *ctype.Shape) {
	switch p := k.Addr().Interface().(type) {
	case *ktsnap.Owner:
		*p = ktsnap.Owner{PID: r.Int32(), Addr: r.Uint64() | 1, Comm: fmt.Sprint(r.Int())}
	case *netip.Prefix:
		addr := make([]byte, s.Size-4)
		for i := range addr {
			addr[i] = byte(r.Uint32())
		}
		a, _ := netip.AddrFromSlice(addr)
		*p = netip.PrefixFrom(a, r.IntN(a.BitLen()+1)).Masked()
	default:
		r.value(k, s)
	}
}

// value fills v, which has the shape s. Of members that share bytes it fills
// the first.
func (r *filler) value(v reflect.Value, s *ctype.Shape) {
	u := s.Underlying()
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(r.IntN(2) == 1)
	case reflect.Float32, reflect.Float64:
		v.SetFloat(float64(float32(r.NormFloat64())))
	case reflect.String:
		text := make([]byte, r.IntN(u.Size+1))
		for i := range text {
			text[i] = byte(1 + r.IntN(255))
		}
		v.SetString(string(text))
	case reflect.Pointer:
		if v.Type() == reflect.TypeFor[*sample.Node]() {
			v.Set(reflect.ValueOf(r.nodes[r.IntN(len(r.nodes))]))
			return
		}
		if r.IntN(4) > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			r.value(v.Elem(), u.Elem)
		}
	case reflect.Array:
		for i := range v.Len() {
			if u.Kind == ctype.KindArray {
				r.value(v.Index(i), u.Elem)
			} else {
				v.Index(i).SetUint(uint64(byte(r.Uint32())))
			}
		}
	case reflect.Slice: // flexible: there is room in the padding only, which padded has
		v.Set(reflect.MakeSlice(v.Type(), 0, 2))
		if v.Type() == reflect.TypeFor[[]uint16]() {
			v.SetLen(2)
			r.value(v.Index(0), u.Elem)
			r.value(v.Index(1), u.Elem)
		}
	case reflect.Struct:
		r.structure(v, u)
	default:
		r.integer(v, 8*u.Size)
	}
}

func (r *filler) structure(v reflect.Value, s *ctype.Shape) {
	switch p := v.Addr().Interface().(type) {
	case *ktrt.FuncPtr:
		p.Address = ktsnap.Address(r.Uint64())
		return
	case *ktrt.Uint128:
		p.Lo, p.Hi = r.Uint64(), r.Uint64()
		return
	case *ktrt.Int128:
		p.Lo, p.Hi = r.Uint64(), int64(r.Uint64())
		return
	case *ktrt.Timer:
		p.Callback = ktsnap.Address(r.Uint64())
		return
	case *ktrt.ListHead:
		p.Next, p.Prev = ktsnap.Address(r.Uint64()), ktsnap.Address(r.Uint64())
		return
	case *ktrt.ListNode:
		p.Next, p.Prev, p.Owner = ktsnap.Address(r.Uint64()), ktsnap.Address(r.Uint64()), ktsnap.Address(r.Uint64())
		return
	case *ktrt.RBRoot:
		p.Root, p.Leftmost = ktsnap.Address(r.Uint64()), ktsnap.Address(r.Uint64())
		return
	case *ktrt.RBNode:
		p.Parent, p.Black = ktsnap.Address(r.Uint64()&^3), r.IntN(2) == 1
		p.Right, p.Left, p.Owner = ktsnap.Address(r.Uint64()), ktsnap.Address(r.Uint64()), ktsnap.Address(r.Uint64())
		return
	case interface{ IsNull() bool }: // a Ptr, whose address is its own
		return
	}
	if s.Kind != ctype.KindStruct && s.Kind != ctype.KindUnion && s.Kind != ctype.KindSection {
		return // an array that is read element by element
	}
	end := 0 // of the bits that are filled; members of unions come together
	for i, m := range s.Fields() {
		first, bits := 8*m.Offset+int(m.BitOffset), 8*m.Type.Size
		if m.Bits > 0 {
			bits = int(m.Bits)
		}
		if first < end {
			continue
		}
		end = first + bits
		if m.Bits > 0 {
			r.integer(v.Field(i), bits)
			continue
		}
		r.value(v.Field(i), m.Type)
	}
}

func (r *filler) integer(v reflect.Value, bits int) {
	switch {
	case v.Kind() == reflect.Bool:
		v.SetBool(r.IntN(2) == 1)
	case v.CanInt():
		v.SetInt(int64(r.Uint64()) >> (64 - bits))
	default:
		v.SetUint(r.Uint64() >> (64 - bits))
	}
}

// kept compares what was read with what was given, except for what was not
// given.
type kept struct {
	*testing.T
	seen map[[2]uintptr]bool
}

func (k kept) require(path string, want, got reflect.Value) {
	if want.IsZero() {
		return
	}
	switch want.Kind() {
	case reflect.Pointer:
		require.False(k, got.IsNil(), path)
		pair := [2]uintptr{want.Pointer(), got.Pointer()}
		if !k.seen[pair] {
			k.seen[pair] = true
			k.require(path, want.Elem(), got.Elem())
		}
	case reflect.Struct:
		for i := range want.NumField() {
			k.require(path+"."+want.Type().Field(i).Name, want.Field(i), got.Field(i))
		}
	case reflect.Array, reflect.Slice:
		if arrayMap.MatchString(path) { // the guest's has the entries that were not given, too
			require.GreaterOrEqual(k, got.Len(), want.Len(), path)
			for i := want.Len(); i < got.Len(); i++ {
				require.True(k, isZero(got.Index(i)), "%s[%d]", path, i)
			}
			got = got.Slice(0, want.Len())
		}
		require.Equal(k, want.Len(), got.Len(), path)
		for i := range want.Len() {
			k.require(fmt.Sprintf("%s[%d]", path, i), want.Index(i), got.Index(i))
		}
	case reflect.Map:
		require.Equal(k, want.Len(), got.Len(), path)
		for key, v := range want.Seq2() {
			other := got.MapIndex(key)
			require.True(k, other.IsValid(), "%s[%v]", path, key)
			k.require(fmt.Sprintf("%s[%v]", path, key), v, other)
		}
	default:
		require.True(k, want.Equal(got), "%s: given %v, read %v", path, want, got)
	}
}

// isZero tells whether a value is zero; that of a flexible array is as many zeroes as fit.
func isZero(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Slice:
		for i := range v.Len() {
			if !isZero(v.Index(i)) {
				return false
			}
		}
		return true
	case reflect.Struct:
		for i := range v.NumField() {
			if !isZero(v.Field(i)) {
				return false
			}
		}
		return true
	}
	return v.IsZero()
}

// arrayMap matches the paths of array maps, and of a CPU's part of one.
var arrayMap = regexp.MustCompile(`^[^.]*\.(Scalars|Bits|Arrays|Tight|Nested|Names|Pointers|Flexible|Bench|Padded|Messages|Flags|Masks|KernelParts|ANameLongerThanTheKernelKeeps|Matrix|PerCpu\[\d+\])$`)

// read makes a fixture of what a snapshot holds.
func read(s sample.Snap) *sample.Fixture {
	f := &sample.Fixture{
		CPUs: s.PerCpu().CPUs(), Rodata: *s.Rodata(), Data: *s.Data(), DataTuning: *s.DataTuning(), Bss: *s.Bss(), ArenaGlobals: *s.ArenaGlobals(),
		Scalars: all(s.Scalars()), Bits: all(s.Bits()), Arrays: all(s.Arrays()), Tight: all(s.Tight()), Nested: all(s.Nested()),
		Names: all(s.Names()), Pointers: all(s.Pointers()), Flexible: all(s.Flexible()), Bench: all(s.Bench()),
		Nodes: entries(s.Nodes()), ByKey: entries(s.ByKey()), Recent: entries(s.Recent()),
		PerCpuByName: make(map[sample.PointT][]int64),
		Kconfig:      *s.Kconfig(), Padded: all(s.Padded()), Messages: all(s.Messages()), Flags: all(s.Flags()), Masks: all(s.Masks()),
		KernelParts: all(s.KernelParts()), ANameLongerThanTheKernelKeeps: all(s.ANameLongerThanTheKernelKeeps()), Matrix: all(s.Matrix()),
		Routes: entries(s.Routes()), Routes6: entries(s.Routes6()), Paths: entries(s.Paths()),
		Cgroups: make(map[ktsnap.Owner]*sample.Node), Waiting: all(s.Waiting()), Undo: all(s.Undo()), Tasks: make(map[ktsnap.Owner]*sample.Node),
	}
	for cpu := range f.CPUs {
		f.PerCpu = append(f.PerCpu, all(s.PerCpu().CPU(cpu)))
		for key, v := range s.PerCpuByName().CPU(cpu).All() {
			f.PerCpuByName[key] = append(f.PerCpuByName[key], v)
		}
	}
	for _, record := range s.Events().All() {
		f.Events = append(f.Events, record)
	}
	f.Wishes = all(s.Wishes())
	for owner := range s.Tasks().All() {
		f.Tasks[owner] = s.Tasks().Get(owner.PID)
	}
	return f
}

func all[V any](a ktrt.Array[V]) []V {
	var values []V
	for i := range a.Len() {
		values = append(values, *a.At(i))
	}
	return values
}

func entries[K comparable, V any](h ktrt.Hash[K, V]) map[K]*V {
	m := make(map[K]*V)
	for _, k := range h.Keys() {
		m[k] = h.Get(k)
	}
	return m
}

func TestEveryValueOfAFixtureIsReadAsItWasGiven(t *testing.T) {
	for seed := range uint64(200) {
		r := &filler{Rand: rand.New(rand.NewPCG(seed, 1))}
		given := r.fixture(t)
		cgroups := given.Cgroups
		given.Cgroups = nil
		snap := given.Bind(t, ktrt.MaxObjects(1<<20))
		was := read(snap)
		was.MaxEntries = given.MaxEntries // which is no value
		kept{t, make(map[[2]uintptr]bool)}.require(fmt.Sprint("seed ", seed), reflect.ValueOf(given).Elem(), reflect.ValueOf(was).Elem())

		given.Cgroups = cgroups
		for owner, want := range cgroups {
			got := given.Bind(t).Cgroups().Get(ktsnap.Address(owner.Addr))
			kept{t, make(map[[2]uintptr]bool)}.require("cgroups", reflect.ValueOf(want), reflect.ValueOf(got))
		}
	}
}

// The same values make the same bytes, in a file too.
func TestFixturesAreDeterministic(t *testing.T) {
	one := (&filler{Rand: rand.New(rand.NewPCG(7, 7))}).fixture(t)
	two := (&filler{Rand: rand.New(rand.NewPCG(7, 7))}).fixture(t)
	a, b := one.Snapshot(t), two.Snapshot(t)
	require.Equal(t, len(a.Maps), len(b.Maps))
	for i := range a.Maps {
		require.Equal(t, a.Maps[i].Keys, b.Maps[i].Keys, a.Maps[i].Name)
		require.Equal(t, a.Maps[i].Values, b.Maps[i].Values, a.Maps[i].Name)
		require.Equal(t, a.Maps[i].Extents, b.Maps[i].Extents, a.Maps[i].Name)
	}
}

// What two pointers share they share when it is read, entries of maps too.
func TestFixturesKeepWhatPointersShare(t *testing.T) {
	entry := &sample.Node{Value: 1}
	apart := &sample.Node{Value: 2, Next: entry}
	entry.Next = apart // a cycle through the map and the arena
	snap := sample.Fixture{
		Nodes:  map[uint32]*sample.Node{7: entry},
		PerCpu: [][]sample.Node{{{Value: 3, Next: entry}}, {{Value: 4, Next: apart}}},
	}.Bind(t)

	got := snap.Nodes().Get(7)
	require.Same(t, got, snap.PerCpu().CPU(0).At(0).Next)
	require.Same(t, got.Next, snap.PerCpu().CPU(1).At(0).Next)
	require.Same(t, got, got.Next.Next)
	require.EqualValues(t, 2, got.Next.Value)
}

// Lists may be as long as they like: encoding does not recurse.
func TestFixturesHoldLongLists(t *testing.T) {
	var head *sample.Node
	const n = 100_000
	for i := range n {
		head = &sample.Node{Value: uint64(i), Next: head}
	}
	snap := sample.Fixture{Nodes: map[uint32]*sample.Node{1: head}}.Bind(t, ktrt.MaxObjects(n))
	length := 0
	for node := snap.Nodes().Get(1); node != nil; node = node.Next {
		length++
	}
	require.Equal(t, n, length)
}

func TestEmptyFixturesHaveEveryMapAndZeroVariables(t *testing.T) {
	snap := sample.Fixture{}.Bind(t)
	require.Zero(t, snap.Bss().Counters)
	require.Nil(t, snap.Bss().Head)
	require.Zero(t, snap.Nodes().Len())
	require.Zero(t, snap.Tasks().Len())
	require.Zero(t, *snap.Scalars().At(0))
	require.Equal(t, 1, snap.PerCpu().CPUs())
	require.Equal(t, 6, snap.Programs().Len(), "max_entries")
	for i, program := range snap.Programs().All() {
		require.Fail(t, "no slot is occupied", "%d: %d", i, program)
	}
	require.Zero(t, snap.Stacks().Len())
}

func TestFixturesAreReadByPathToo(t *testing.T) {
	s := sample.Fixture{Nodes: map[uint32]*sample.Node{7: {Value: 9, Next: &sample.Node{Value: 11}}}}.Snapshot(t)
	v, err := s.Map("nodes").At(0).Get("next.value").Uint64()
	require.NoError(t, err)
	require.EqualValues(t, 11, v)
	require.Equal(t, []int{0}, slices.Clone(s.Guest.Online))
}

func TestFixturesSayWhatDoesNotFit(t *testing.T) {
	for _, row := range []struct {
		f    sample.Fixture
		want string
	}{
		{sample.Fixture{Bench: []sample.Task{{}, {Comm: "a name of 17 byte"}}},
			`fixture: bench[1].comm: "a name of 17 byte" has 17 bytes, and the array 16`},
		{sample.Fixture{Bench: []sample.Task{{Comm: "a\x00b"}}},
			`fixture: bench[0].comm: "a\x00b" has a NUL in it, where a C string ends`},
		{sample.Fixture{Bits: []sample.Bits{{Twelve: 5000}}},
			`fixture: bits[0].twelve: 5000 does not fit its 12 bits, which hold 0 to 4095`},
		{sample.Fixture{Bits: []sample.Bits{{Negative: -33}}},
			`fixture: bits[0].negative: -33 does not fit its 6 bits, which hold -32 to 31`},
		{sample.Fixture{Nested: []sample.Nested{{Whole: 1 << 32, Hi: 2}}},
			`fixture: nested[0].hi: it shares bytes with whole, which is given another value: give one of them`},
		{sample.Fixture{Arrays: []sample.Arrays{{Names: [2]string{"", "too long for it"}}}},
			`fixture: arrays[0].names[1]: "too long for it" has 15 bytes, and the array 8`},
		{sample.Fixture{Padded: []sample.Padded{{Items: []uint16{1, 2, 3}}}},
			`fixture: padded[0].items: it has 3 elements, and the value room for 2`},
		{sample.Fixture{Routes: map[netip.Prefix]*uint64{netip.MustParsePrefix("2001:db8::/32"): nil}},
			`fixture: routes: 2001:db8::/32 does not fit its keys, which are prefixes of addresses of 32 bits`},
		{sample.Fixture{Bits: make([]sample.Bits, 9)},
			`fixture: bits: it is given 9 entries, and the map has room for 8: give fewer, or raise its MaxEntries`},
		{sample.Fixture{CPUs: 1, PerCpu: make([][]sample.Node, 2)},
			`fixture: per_cpu: it is given values of 2 CPUs, and the guest has 1: give fewer, or raise CPUs`},
		{sample.Fixture{CPUs: 1 << 30},
			`fixture: CPUs: a guest cannot have 1073741824 CPUs: give 1 to 8192, or 0 for as many as the values need`},
		{sample.Fixture{CPUs: -1},
			`fixture: CPUs: a guest cannot have -1 CPUs: give 1 to 8192, or 0 for as many as the values need`},
		{sample.Fixture{PerCpu: make([][]sample.Node, 8193)},
			`fixture: CPUs: a guest cannot have 8193 CPUs: give 1 to 8192, or 0 for as many as the values need`},
		{sample.Fixture{Events: [][]byte{make([]byte, 4000), make([]byte, 90)}},
			`fixture: events: it is given 4112 bytes of records, and the map has room for 4096: give fewer, or raise its MaxEntries`},
	} {
		_, err := row.f.Open()
		require.EqualError(t, err, row.want)
		var wrong *ktrt.FixtureError
		require.ErrorAs(t, err, &wrong)
		tb := new(fakeTB)
		require.Regexp(t, `^fixture_test.go:\d+: `, tb.message(t, func() { row.f.Bind(tb) }))
	}
	larger := sample.Fixture{Bits: make([]sample.Bits, 9)}
	larger.MaxEntries.Bits = 9
	require.Equal(t, 9, larger.Bind(t).Bits().Len())
	f := sample.Fixture{Nested: []sample.Nested{{Whole: 1<<32 | 5, Hi: 1, Lo: 5}}}
	require.EqualValues(t, 1, f.Bind(t).Nested().At(0).Hi, "members of a union may be given alike")
}

// An array of a guest has all its entries, whether or not a test gives them.
func TestArraysOfFixturesAreAsLongAsThoseOfGuests(t *testing.T) {
	snap := sample.Fixture{CPUs: 3}.Bind(t)
	require.Equal(t, 8, snap.Bits().Len())
	require.Equal(t, sample.Bits{}, *snap.Bits().At(7))
	require.Equal(t, 3, snap.PerCpu().CPUs())
	room := snap.PerCpu().CPU(2).Len()
	require.Positive(t, room)
	require.Equal(t, sample.Node{}, *snap.PerCpu().CPU(2).At(room - 1))
	require.Zero(t, snap.PerCpuByName().Len(), "a hash has the entries that it is given")
	require.Equal(t, 4, snap.PerNodes().Len())
	require.Equal(t, 2, snap.UnknownMaps().Len())
	require.Zero(t, snap.PerPoint().Len())

	snap = sample.Fixture{Bits: []sample.Bits{{Twelve: 5}}, PerCpu: [][]sample.Node{nil, {{Value: 6}}}}.Bind(t)
	require.Equal(t, 8, snap.Bits().Len())
	require.EqualValues(t, 5, snap.Bits().At(0).Twelve)
	require.Equal(t, room, snap.PerCpu().CPU(0).Len())
	require.EqualValues(t, 6, snap.PerCpu().CPU(1).At(0).Value)
}

// No map is in an array of maps before user space puts one there. So it is in a guest whose
// object names none.
func TestArraysOfMapsInFixturesHaveEmptySlots(t *testing.T) {
	s := sample.Fixture{}.Snapshot(t)
	snap, err := sample.Open(s)
	require.NoError(t, err)
	for i := range snap.PerNodes().Len() {
		_, occupied := snap.PerNodes().ID(i)
		require.False(t, occupied)
		var empty *ktsnap.EmptySlotError
		require.ErrorAs(t, ktrt.Try(func() { snap.PerNodes().At(i) }), &empty)
		require.ErrorAs(t, s.Map("per_nodes").At(i).Inner().Err(), &empty)
	}
	for i := range snap.PerNodes().All() {
		require.Fail(t, "no slot is occupied", i)
	}
}

// One that would take much memory has less entries, and says so where they are missed.
func TestLargeArraysOfFixturesAreBounded(t *testing.T) {
	f := sample.Fixture{CPUs: 8192}
	f.MaxEntries.Bits, f.MaxEntries.PerCpu, f.MaxEntries.PerNodes = 1_000_000, 1_000_000, 1_000_000
	frozen := f.Snapshot(t)
	for _, m := range frozen.Maps {
		require.LessOrEqual(t, len(m.Values), 1<<20, m.Name)
	}
	snap := sample.Bind(t, frozen)
	require.Equal(t, sample.Bits{}, *snap.Bits().At(1000))
	for _, read := range []func(s sample.Snap){
		func(s sample.Snap) { s.Bits().At(999_999) }, func(s sample.Snap) { s.Bits().Len() },
		func(s sample.Snap) { s.PerCpu().CPU(1).Len() },
	} {
		tb := new(fakeTB)
		require.Regexp(t, `only \d+ of 1000000 entries of (bits|per_cpu) were captured: a fixture has at most 1048576 bytes of an array, or what it is given: give the entries, or lower the fixture's MaxEntries`,
			tb.message(t, func() { read(sample.Bind(tb, frozen)) }))
	}
	f.Bits = make([]sample.Bits, 1_000_000)
	require.Equal(t, 1_000_000, f.Bind(t).Bits().Len())
}

func TestFixturesHaveRecordsOfRingBuffers(t *testing.T) {
	fixture := sample.Fixture{
		Events: [][]byte{[]byte("first"), {}, []byte("the third")},
		Wishes: []sample.Message{{Length: 1}, {Length: 2}},
	}
	frozen := fixture.Snapshot(t)
	require.Equal(t, 1, frozen.Guest.CPUs, "records are not values of CPUs")
	snap := sample.Bind(t, frozen)
	var events []string
	for _, e := range snap.Events().All() {
		events = append(events, string(e))
	}
	require.Equal(t, []string{"first", "", "the third"}, events)
	require.Zero(t, snap.Events().Busy()+snap.Events().Discarded())
	require.Equal(t, 2, snap.Wishes().Len())
	require.EqualValues(t, 2, snap.Wishes().At(1).Length)
	got, err := frozen.Map("wishes").At(1).Get("").Bytes()
	require.NoError(t, err)
	require.NotEmpty(t, got)

	require.Zero(t, sample.Fixture{}.Bind(t).Wishes().Len())
}
