package runtime_test

import (
	"encoding/binary"
	"net/netip"
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/internal/sample"
	ktrt "github.com/ktgen/ktgen/runtime"
	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

func TestTriesAreReadByAddressPrefix(t *testing.T) {
	s := newGuest(t, "../internal/sample/testdata/sample.bpf.o").snapshot()
	m := find(t, s, "routes")
	copy(m.Keys, []byte{24, 0, 0, 0, 10, 1, 2, 99}) // the last byte is behind the prefix
	routes := sample.Bind(t, s).Routes()
	prefix := netip.MustParsePrefix("10.1.2.0/24")
	require.Equal(t, binary.LittleEndian.Uint64(m.Values), *routes.Get(prefix))
	require.Equal(t, prefix, routes.Keys()[0])
	require.Equal(t, m.N, routes.Len())
	_, exists := routes.Lookup(netip.MustParsePrefix("10.1.2.0/25"))
	require.False(t, exists)
}

func TestTriesOfIPv6AddressesAreReadByPrefix(t *testing.T) {
	s := newGuest(t, "../internal/sample/testdata/sample.bpf.o").snapshot()
	m := find(t, s, "routes6")
	copy(m.Keys, []byte{32, 0, 0, 0, 0x20, 0x01, 0x0d, 0xb8})
	routes := sample.Bind(t, s).Routes6()
	require.Equal(t, binary.LittleEndian.Uint32(m.Values), *routes.Get(netip.MustParsePrefix("2001:db8::/32")))
}

func TestTriesOfOtherKeysAreReadByKey(t *testing.T) {
	s := newGuest(t, "../internal/sample/testdata/sample.bpf.o").snapshot()
	m := find(t, s, "paths")
	key := sample.ByPath{
		Prefixlen: binary.LittleEndian.Uint32(m.Keys),
		Root:      binary.LittleEndian.Uint32(m.Keys[4:]),
		Leaf:      binary.LittleEndian.Uint32(m.Keys[8:]),
	}
	require.Equal(t, binary.LittleEndian.Uint32(m.Values), *sample.Bind(t, s).Paths().Get(key))
}

// Lengths beyond that of the address are what a damaged snapshot has.
func TestTriesWithDamagedPrefixesAreRead(t *testing.T) {
	s := newGuest(t, "../internal/sample/testdata/sample.bpf.o").snapshot()
	copy(find(t, s, "routes").Keys, []byte{255, 255, 255, 255, 10, 1, 2, 3})
	require.Equal(t, netip.MustParsePrefix("10.1.2.3/32"), sample.Bind(t, s).Routes().Keys()[0])
}

func TestTriesWhoseKeysAreNoAddressesFail(t *testing.T) {
	s := newGuest(t, "../internal/sample/testdata/sample.bpf.o").snapshot()
	m := find(t, s, "routes")
	m.KeySize = 12
	m.Keys = make([]byte, 12*m.N)
	tb := new(fakeTB)
	snap := sample.Bind(tb, s)
	require.Contains(t, tb.message(t, func() { snap.Routes() }), "read the keys of routes: its keys have 12 bytes, which are no prefixes of IPv4 or IPv6 addresses")
}

func TestStorageIsReadByItsOwnersAddress(t *testing.T) {
	s := newGuest(t, "../internal/sample/testdata/sample.bpf.o").snapshot()
	m := find(t, s, "cgroups")
	snap := sample.Bind(t, s)
	cgroups := snap.Cgroups()
	require.Equal(t, m.N, cgroups.Len())
	for i, addr := range cgroups.Keys() {
		require.EqualValues(t, m.Owners[i].Addr, addr)
		require.Equal(t, m.Addrs[i], ktrt.Addr(snap, cgroups.Get(addr)))
	}
	tb := new(fakeTB)
	require.Contains(t, tb.message(t, func() { sample.Bind(tb, s).Cgroups().Get(1) }), "Get cgroups[0x1]: ")
}

func TestStorageWithoutOwnersFails(t *testing.T) {
	s := newGuest(t, "../internal/sample/testdata/sample.bpf.o").snapshot()
	find(t, s, "cgroups").Owners = nil
	tb := new(fakeTB)
	require.Contains(t, tb.message(t, func() { sample.Bind(tb, s).Cgroups() }), "map cgroups has 0 owners for 5 entries")
}

func TestQueuesAreReadInTheirOrder(t *testing.T) {
	s := newGuest(t, "../internal/sample/testdata/sample.bpf.o").snapshot()
	m := find(t, s, "waiting")
	var want, got []uint64
	for i := range m.N {
		want = append(want, binary.LittleEndian.Uint64(m.Values[i*m.Stride:]))
	}
	waiting := sample.Bind(t, s).Waiting()
	for _, v := range waiting.All() {
		got = append(got, v)
	}
	require.Equal(t, want, got)
	require.Equal(t, want[0], *waiting.At(0))
	require.Equal(t, find(t, s, "undo").N, sample.Bind(t, s).Undo().Len())
}

func TestSumsAddUpOverCPUs(t *testing.T) {
	s := newGuest(t, "../internal/sample/testdata/sample.bpf.o").snapshot()
	m := find(t, s, "per_cpu_by_name")
	m.Addrs[1] = 0 // a CPU without memory
	snap := sample.Bind(t, s)
	byName := snap.PerCpuByName()
	want := binary.LittleEndian.Uint64(m.Values) + binary.LittleEndian.Uint64(m.Values[2*m.Stride:])
	require.Equal(t, want, byName.Sum(byName.Keys()[0], func(v *int64) uint64 { return uint64(*v) }))

	perCPU := snap.PerCpu()
	total := uint64(0)
	for _, v := range perCPU.Each(1) {
		total += v.Value
	}
	require.Equal(t, total, perCPU.Sum(1, func(n *sample.Node) uint64 { return n.Value }))
}

func TestStacksAreReadUpToTheirLastFrame(t *testing.T) {
	s := newGuest(t, "../internal/sample/testdata/sample.bpf.o").snapshot()
	m := find(t, s, "stacks")
	binary.LittleEndian.PutUint32(m.Keys, 17)
	want := []ktsnap.Address{0xffff_ffff_8100_0010, 0xffff_ffff_8100_0020}
	clear(m.Values[:m.Stride])
	for i, frame := range want {
		binary.LittleEndian.PutUint64(m.Values[8*i:], uint64(frame))
	}
	stacks := sample.Bind(t, s).Stacks()
	require.Equal(t, want, stacks.Get(17))
	require.Len(t, stacks.Get(stacks.IDs()[1]), 8) // full to its end
	s.Symbols = []ktsnap.Symbol{{Addr: 0xffff_ffff_8100_0000, Size: 0x18, Name: "schedule"}}
	require.Equal(t, []ktsnap.Frame{{Addr: want[0], Symbol: "schedule", Offset: 0x10}, {Addr: want[1]}}, stacks.Frames(17))
	require.Equal(t, "schedule+0x10", ktrt.FrameOf(sample.Bind(t, s), want[0]).String())
	require.Equal(t, m.N, stacks.Len())
	_, exists := stacks.Lookup(18)
	require.False(t, exists)
	tb := new(fakeTB)
	require.Contains(t, tb.message(t, func() { sample.Bind(tb, s).Stacks().Get(18) }), "Get stacks[18]: ")
}

func TestStacksOfBuildIDsFail(t *testing.T) {
	s := newGuest(t, "../internal/sample/testdata/sample.bpf.o").snapshot()
	find(t, s, "stacks").Flags = 1 << 5
	tb := new(fakeTB)
	require.Contains(t, tb.message(t, func() { sample.Bind(tb, s).Stacks() }), "its frames are build ids and no addresses")
}

func TestSlotsAreReadWhereOccupied(t *testing.T) {
	s := newGuest(t, "../internal/sample/testdata/sample.bpf.o").snapshot()
	m := find(t, s, "programs")
	clear(m.Values)
	binary.LittleEndian.PutUint32(m.Values[4*m.Stride:], 77)
	programs := sample.Bind(t, s).Programs()
	require.Equal(t, 6, programs.Len())
	occupied := make(map[int]uint32)
	for i, id := range programs.All() {
		occupied[i] = id
	}
	require.Equal(t, map[int]uint32{4: 77}, occupied)
	_, ok := programs.ID(0)
	require.False(t, ok)
	tb := new(fakeTB)
	require.Contains(t, tb.message(t, func() { sample.Bind(tb, s).Programs().ID(6) }), "index 6 is out of range: programs has entries [0] to [5]")
}

// submitted are the records of fillRing that a consumer gets.
var submitted = []int{1, 2, 4, 7}

func TestRingsAreReadAsBytes(t *testing.T) {
	s := newGuest(t, "../internal/sample/testdata/sample.bpf.o").snapshot()
	m := find(t, s, "events")
	events := sample.Bind(t, s).Events()
	require.Equal(t, len(submitted), events.Len())
	require.Equal(t, 1, events.Busy())
	require.Equal(t, 3, events.Discarded())
	for i, record := range events.All() {
		require.Equal(t, m.Extents[submitted[i]].Data[8:], record)
		byPath, err := s.Map("events").At(i).Get("").Bytes()
		require.NoError(t, err)
		require.Equal(t, record, byPath)
	}
	n, err := s.Map("events").Len()
	require.NoError(t, err)
	require.Equal(t, events.Len(), n)
	tb := new(fakeTB)
	require.Contains(t, tb.message(t, func() { sample.Bind(tb, s).Events().Bytes(4) }), "index 4 is out of range: events has entries [0] to [3]")
}

func TestRingsOfTaggedRecordsAreReadAsTheirType(t *testing.T) {
	s := newGuest(t, "../internal/sample/testdata/sample.bpf.o").snapshot()
	m := find(t, s, "wishes")
	snap := sample.Bind(t, s)
	for i, wish := range snap.Wishes().All() {
		raw := m.Extents[submitted[i]].Data[8:]
		requireDecoded(t, "wishes", shapeNamed(t, s, "message"), raw, reflect.ValueOf(wish))
		require.Equal(t, m.Extents[submitted[i]].Addr+8, ktrt.Addr(snap, snap.Wishes().At(i)))
	}
	require.Equal(t, len(submitted), snap.Wishes().Len())

	m.Extents[4].Data = m.Extents[4].Data[:8+4]
	tb := new(fakeTB)
	require.Contains(t, tb.message(t, func() { sample.Bind(tb, s).Wishes() }), "read the records of wishes: record 2 has 4 bytes, and struct message 8")
	m.Extents[4].Data = m.Extents[4].Data[:7]
	require.Contains(t, tb.message(t, func() { sample.Bind(tb, s).Wishes() }), "record 4 of map wishes has 7 bytes")
	require.Contains(t, s.Map("wishes").Err().Error(), "record 4 of map wishes has 7 bytes")
}

func TestBloomFiltersSayThatTheyHaveNoElements(t *testing.T) {
	s := newGuest(t, "../internal/sample/testdata/sample.bpf.o").snapshot()
	tb := new(fakeTB)
	require.Contains(t, tb.message(t, func() { sample.Bind(tb, s).Seen() }), "a bloom filter has no elements")
}

// libbpf puts the variables of an arena at its start, and from v1.7 on at its
// end.
func TestVariablesInArenasAreRead(t *testing.T) {
	const user = 1 << 44
	for name, at := range map[string]uint64{"at its start": user, "at its end": user + 3*4096} {
		t.Run(name, func(t *testing.T) {
			g := newGuest(t, "../internal/sample/testdata/sample.bpf.o")
			s := g.snapshot()
			arena := find(t, s, "arena")
			arena.Extra = user
			arena.Extents = []ktsnap.Extent{{Addr: user, Data: g.bytes(4096)}}
			if at != user {
				arena.Extents = append(arena.Extents, ktsnap.Extent{Addr: at, Data: g.bytes(4096)})
			}
			data := arena.Extents[len(arena.Extents)-1].Data
			snap := sample.Bind(t, s)
			globals := snap.ArenaGlobals()
			var section *ctype.Shape
			for _, shape := range s.Programs[0].Shapes {
				if shape.Kind == ctype.KindSection && shape.Name == ".addr_space.1" {
					section = shape
				}
			}
			require.Len(t, section.Members, 2)
			for _, v := range section.Members {
				raw := data[v.Offset:][:v.Type.Size]
				l := &leaves{t: t}
				switch v.Name {
				case "shared_count":
					requireDecoded(t, v.Name, v.Type, raw, reflect.ValueOf(globals.SharedCount))
					l.compare(s.Var(v.Name), reflect.ValueOf(globals.SharedCount))
					require.Equal(t, at+uint64(v.Offset), ktrt.Addr(snap, &globals.SharedCount))
					require.Equal(t, at+uint64(v.Offset), s.Var(v.Name).Addr())
				case "shared_points":
					requireDecoded(t, v.Name, v.Type, raw, reflect.ValueOf(globals.SharedPoints))
					l.compare(s.Var(v.Name), reflect.ValueOf(globals.SharedPoints))
				}
				require.NotZero(t, l.n)
			}
		})
	}
}

func TestVariablesInArenasThatAreNotThereFail(t *testing.T) {
	tb := new(fakeTB)
	s := newGuest(t, "../internal/sample/testdata/sample.bpf.o").snapshot()
	require.Contains(t, tb.message(t, func() { sample.Bind(tb, s).ArenaGlobals() }), "its pages, of arena arena, were not captured")
	require.ErrorContains(t, s.Var("shared_count").Err(), "its pages, of arena arena, were not captured")
}
