package runtime_test

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/btf"
	"github.com/ktgen/ktgen/object"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// guest makes snapshots of a guest that runs the sample object.
type guest struct {
	t      testing.TB
	obj    *object.Object
	shapes *btf.Shapes
	random *rand.Rand
	cpus   int
	next   uint64 // address for the next map
}

func newGuest(t testing.TB, path string) *guest {
	t.Helper()
	obj, err := object.Open(path)
	require.NoError(t, err)
	return &guest{
		t: t, obj: obj, shapes: btf.NewShapes(obj.Types), cpus: 3,
		random: rand.New(rand.NewPCG(1, 2)), next: 0xffff_8880_0000_0000,
	}
}

// snapshot has every map full of random bytes.
func (g *guest) snapshot() *ktsnap.Snapshot {
	program := &ktsnap.Program{BTFID: 1}
	named, err := g.shapes.Named(g.obj.Types)
	require.NoError(g.t, err)
	program.Shapes = named
	s := &ktsnap.Snapshot{Name: "sample", Guest: ktsnap.Guest{CPUs: g.cpus}, Programs: []*ktsnap.Program{program}}
	for i := range g.obj.Maps {
		s.Maps = append(s.Maps, g.mapOf(program, &g.obj.Maps[i]))
	}
	for i := range g.obj.Sections {
		if sec := &g.obj.Sections[i]; sec.Type != nil && sec.Kind != object.Arena {
			s.Maps = append(s.Maps, g.section(program, sec))
		}
	}
	for i, m := range s.Maps {
		m.ID = uint32(i + 1)
	}
	return s
}

func (g *guest) mapOf(program *ktsnap.Program, from *object.Map) *ktsnap.Map {
	m := &ktsnap.Map{
		Name: from.Name[:min(len(from.Name), 15)], Type: ktsnap.MapType(from.Type), Program: program,
		KeySize: int(from.KeySize), ValueSize: int(from.ValueSize), MaxEntries: int(from.MaxEntries), Slots: 1,
	}
	var err error
	if from.Key != nil {
		m.Key, err = g.shapes.Of(from.Key)
		require.NoError(g.t, err)
	}
	if from.Value != nil {
		m.Value, err = g.shapes.Of(from.Value)
		require.NoError(g.t, err)
	}
	switch m.Type {
	case ktsnap.MapTypeArena:
		return m
	case ktsnap.MapTypeRingBuf, ktsnap.MapTypeUserRingBuf:
		g.fillRing(m)
		return m
	case ktsnap.MapTypeBloomFilter:
		m.Status, m.Reason = ktsnap.Unsupported, "a bloom filter has no elements"
		return m
	}
	if m.N = m.MaxEntries; m.N == 0 {
		m.N = 5
	}
	if m.Type.IsPerCPU() {
		m.Slots = g.cpus
	}
	m.Total, m.Stride = m.N, (m.ValueSize+7)&^7
	m.Values = g.bytes(m.N * m.Slots * m.Stride)
	g.place(m)
	return m
}

// fillRing gives a ring buffer records of several lengths, of which every third
// was discarded and one is not submitted.
func (g *guest) fillRing(m *ktsnap.Map) {
	m.KeySize, m.ValueSize = 0, 0
	for i := range 8 {
		header := uint32(8 + 3*i)
		switch {
		case i == 5:
			header |= 1 << 31
		case i%3 == 0:
			header |= 1 << 30
		}
		record := binary.LittleEndian.AppendUint64(nil, uint64(header))
		m.Extents = append(m.Extents, ktsnap.Extent{Addr: g.next, Data: append(record, g.bytes(8+3*i)...)})
		g.next += 64
	}
	m.Total = len(m.Extents)
}

// place gives a map's values addresses and its entries keys.
func (g *guest) place(m *ktsnap.Map) {
	switch m.Type {
	case ktsnap.MapTypeArray:
		m.Base = g.next
		g.next += uint64(len(m.Values)) + 64
		return
	case ktsnap.MapTypeTaskStorage:
		for i := range m.N {
			m.Owners = append(m.Owners, ktsnap.Owner{Addr: g.next, PID: int32(100 + i), TGID: 100, Comm: "worker"})
		}
	case ktsnap.MapTypeCgroupStorage:
		for range m.N {
			m.Owners = append(m.Owners, ktsnap.Owner{Addr: g.next})
			g.next += 4096
		}
	case ktsnap.MapTypeLPMTrie:
		for i := range m.N {
			m.Keys = append(m.Keys, byte(8*i), 0, 0, 0)
			m.Keys = append(m.Keys, g.bytes(m.KeySize-4)...)
		}
	case ktsnap.MapTypePerCPUArray, ktsnap.MapTypeProgArray, ktsnap.MapTypeArrayOfMaps, ktsnap.MapTypeQueue, ktsnap.MapTypeStack:
	default:
		m.Keys = g.bytes(m.N * m.KeySize)
	}
	for range m.N * m.Slots {
		m.Addrs = append(m.Addrs, g.next)
		g.next += uint64(m.Stride) + 64
	}
}

func (g *guest) section(program *ktsnap.Program, from *object.Section) *ktsnap.Map {
	shape, err := g.shapes.Of(from.Type)
	require.NoError(g.t, err)
	m := &ktsnap.Map{
		Name: "sample" + from.Name, Type: ktsnap.MapTypeArray, Program: program, Value: shape,
		KeySize: 4, ValueSize: int(from.Size), MaxEntries: 1, N: 1, Total: 1, Slots: 1,
	}
	m.Stride = (m.ValueSize + 7) &^ 7
	m.Values = g.bytes(m.Stride)
	g.place(m)
	return m
}

func (g *guest) bytes(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(g.random.Uint32())
	}
	return b
}

// find returns a map of a snapshot by name.
func find(t testing.TB, s *ktsnap.Snapshot, name string) *ktsnap.Map {
	t.Helper()
	i := slices.IndexFunc(s.Maps, func(m *ktsnap.Map) bool { return m.Name == name })
	require.GreaterOrEqual(t, i, 0, name)
	return s.Maps[i]
}
