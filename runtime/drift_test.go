package runtime_test

import (
	"encoding/binary"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/internal/sample"
	ktrt "github.com/ktgen/ktgen/runtime"
	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// shapeNamed returns a struct of the guest's program.
func shapeNamed(t testing.TB, s *ktsnap.Snapshot, name string) *ctype.Shape {
	t.Helper()
	shapes := s.Programs[0].Shapes
	i := slices.IndexFunc(shapes, func(s *ctype.Shape) bool { return s.Kind == ctype.KindStruct && s.Name == name })
	require.GreaterOrEqual(t, i, 0, name)
	return shapes[i]
}

// rebuilt is a ring of nodes in a guest whose program is another build: struct
// node has grown and its members have moved.
func rebuilt(t testing.TB) *ktsnap.Snapshot {
	s := newGuest(t, "../internal/sample/testdata/sample.bpf.o").snapshot()
	node := shapeNamed(t, s, "node")
	offsets := map[string]int{"next": 0, "count": 8, "value": 40, "prev": 16, "at": 24}
	for i := range node.Members {
		node.Members[i].Offset = offsets[node.Members[i].Name]
	}
	node.Size = 48
	for _, m := range s.Maps {
		if m.Value == node {
			m.ValueSize, m.Stride = 48, 48
			m.Values = make([]byte, m.N*m.Slots*48)
		}
	}
	pages := make([]byte, 3*48)
	for i := range 3 {
		binary.LittleEndian.PutUint64(pages[48*i:], arenaStart+uint64(48*((i+1)%3)))
		binary.LittleEndian.PutUint64(pages[48*i+16:], arenaStart+uint64(48*((i+2)%3)))
		binary.LittleEndian.PutUint64(pages[48*i+40:], uint64(7*i))
	}
	find(t, s, "arena").Extents = []ktsnap.Extent{{Addr: arenaStart, Data: pages}}
	setHead(t, s, arenaStart)
	return s
}

// Code that was generated for one build reads another.
func TestMovedMembersAreReadWhereTheyAre(t *testing.T) {
	s := rebuilt(t)
	nodes := find(t, s, "nodes")
	binary.LittleEndian.PutUint64(nodes.Values[40:], 99)
	snap := sample.Bind(t, s)

	head := snap.Bss().Head
	require.EqualValues(t, 0, head.Value)
	require.EqualValues(t, 7, head.Next.Value)
	require.EqualValues(t, 14, head.Prev.Value)
	require.Same(t, head, head.Next.Next.Next)
	require.EqualValues(t, 99, snap.Nodes().Get(snap.Nodes().Keys()[0]).Value)
	for _, node := range snap.Nodes().All() {
		require.EqualValues(t, 99, node.Value)
		break
	}

	// Where it says it is, is where the guest has it.
	require.EqualValues(t, arenaStart+48+40, ktrt.Addr(snap, &head.Next.Value))
	require.Equal(t, ".bss.head.next.value", ktrt.Path(snap, &head.Next.Value))
	require.Equal(t, []byte{7, 0, 0, 0, 0, 0, 0, 0}, ktrt.Raw(snap, &head.Next.Value))
	require.Len(t, ktrt.Raw(snap, head), 48)
}

// What does not fit is told at Bind, all of it at once.
func TestChangedMembersAreRefusedTogether(t *testing.T) {
	s := newGuest(t, "../internal/sample/testdata/sample.bpf.o").snapshot()
	node := shapeNamed(t, s, "node")
	node.Members[0].Name = "valeu"
	node.Members[1].Type = shapeNamed(t, s, "key")
	names := shapeNamed(t, s, "names")
	names.Members = names.Members[1:]
	tight := shapeNamed(t, s, "tight")
	tight.Members[1].Type = tight.Members[0].Type // narrower, which is fine

	_, err := sample.Open(s)
	require.EqualError(t, err, `Bind sample: the program in the guest is not the sample.bpf.o that package sample was generated from:
	struct names.type: generated +0 u32, the guest has no such member
	struct node.value: generated +0 u64, the guest has no such member (did you mean "valeu"?)
	struct node.next: generated struct node *, the guest has struct key
regenerate from the object that the guest runs: go generate (ktgen -object sample.bpf.o -package sample)`)
	var layout *ktrt.LayoutError
	require.ErrorAs(t, err, &layout)
	require.Len(t, layout.Differences, 3)
}

func TestMapsWhoseNamesAreCutToOneAreToldApart(t *testing.T) {
	s := newGuest(t, "../internal/sample/testdata/sample.bpf.o").snapshot()
	other := *find(t, s, "a_name_longer_t")
	other.ID, other.Type = 1000, ktsnap.MapTypeQueue
	s.Maps = append(s.Maps, &other)
	require.Equal(t, 2, sample.Bind(t, s).ANameLongerThanTheKernelKeeps().Len())
}

// A value that the generated type has no room for is an error, not another number.
func TestValuesThatDoNotFitAnyMoreAreErrors(t *testing.T) {
	s := newGuest(t, "../internal/sample/testdata/sample.bpf.o").snapshot()
	node := shapeNamed(t, s, "node")
	i := slices.IndexFunc(node.Members, func(m ctype.Member) bool { return m.Name == "value" })
	node.Members[i].Type = &ctype.Shape{Kind: ctype.KindInt, Name: "long long", Size: 8, Signed: true}
	nodes := find(t, s, "nodes")
	at := nodes.Values[node.Members[i].Offset:]
	binary.LittleEndian.PutUint64(at, 1<<63-1)
	snap := sample.Bind(t, s)
	key := snap.Nodes().Keys()[0]
	require.EqualValues(t, 1<<63-1, snap.Nodes().Get(key).Value)

	binary.LittleEndian.PutUint64(at, 1<<64-5)
	snap, err := sample.Open(s)
	require.NoError(t, err)
	err = ktrt.Try(func() { snap.Nodes().Get(key) })
	var overflow *ctype.OverflowError
	require.ErrorAs(t, err, &overflow)
	require.ErrorContains(t, err, "-5")
}
