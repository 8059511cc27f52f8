package ktsnap

import (
	"encoding/binary"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/internal/shapetest"
)

// The types of a scheduler with an allocator of 64 objects for each descriptor,
// whose objects it only declares. Names of types are unlike those of the public
// ones: only members tell.
const allocatingShapes = `
section	.bss	48
	0	alloc	struct an_allocator
	40	first	*struct task_ctx
struct	an_allocator	40
	0	pool	struct a_pool
	32	root	*struct a_desc
struct	a_pool	32
	0	slab	*void
	8	elem_size	u64
	16	max_elems	u64
	24	idx	u64
struct	a_desc	24
	0	allocated	[1]u64
	8	nr_free	u64
	16	chunk	*fwd a_chunk
fwd	a_chunk
struct	stored	16
	0	data	*fwd a_data
	8	hidden	*(arena cast "u64")fwd a_data
fwd	a_data
struct	task_ctx	16
	0	weight	u64
	8	slice	u64
int	u64	8
`

// arenaOf builds an arena whose objects follow one another.
type arenaOf struct {
	start uint64
	data  []byte
}

func (a *arenaOf) put(words ...uint64) (addr uint64) {
	addr = a.start + uint64(len(a.data))
	for _, w := range words {
		a.data = binary.LittleEndian.AppendUint64(a.data, w)
	}
	return addr
}

// desc is a descriptor with children, of which used are in use.
func (a *arenaOf) desc(used uint64, children map[int]uint64) uint64 {
	chunk := make([]uint64, 64)
	for i, child := range children {
		chunk[i] = child
	}
	return a.put(used, 64-uint64(len(children)), a.put(chunk...))
}

// allocating is a scheduler's snapshot: objects 0, 1 and 64 are in use, and 2
// was freed. The map has a pointer to object 64.
func allocating(t *testing.T, damage func(a *arenaOf, bss []byte)) *Snapshot {
	t.Helper()
	table, err := ctype.Parse(allocatingShapes)
	require.NoError(t, err)
	shape := func(name string) *ctype.Shape {
		s, err := table.Optional(name)
		require.NoError(t, err)
		return s
	}
	const size = allocatedHeader + 16
	a := &arenaOf{start: 1 << 44}
	a.put(0) // so that nothing is at the start
	object := func(id, generation, weight uint64) uint64 { return a.put(id|generation<<32, weight, 20) }
	zero, last := object(0, 3, 100), object(64, 0, 300)
	low := a.desc(0b11, map[int]uint64{0: zero, 1: object(1, 0, 200), 2: object(0, 1, 0)})
	root := a.desc(0, map[int]uint64{0: low, 1: a.desc(1, map[int]uint64{0: last})})
	bss := new(arenaOf)
	bss.put(0, size, 10, 4, root, zero+allocatedHeader)
	if damage != nil {
		damage(a, bss.data)
	}
	stored := new(arenaOf)
	stored.put(last, last&0xffff_ffff)
	p := &Program{BTFID: 1, Shapes: table.All()}
	return &Snapshot{Programs: []*Program{p}, Maps: []*Map{
		{ID: 1, Name: "s.bss", Type: MapTypeArray, KeySize: 4, ValueSize: 48, MaxEntries: 1, Program: p, Value: shape("section .bss"), N: 1, Slots: 1, Stride: 48, Values: bss.data},
		{ID: 2, Name: "arena", Type: MapTypeArena, Extents: []Extent{{Addr: a.start, Data: a.data}}},
		{ID: 3, Name: "ctxs", Type: MapTypeArray, KeySize: 4, ValueSize: 16, MaxEntries: 1, Program: p, Value: shape("struct stored"), N: 1, Slots: 1, Stride: 16, Values: stored.data},
	}}
}

func TestObjectsOfAnAllocatorAreListed(t *testing.T) {
	found := allocating(t, nil).Allocators()
	require.Len(t, found, 1)
	a := found[0]
	require.NoError(t, a.Err)
	require.Equal(t, ".bss.alloc", a.Path)
	require.Equal(t, 24, a.Size)
	require.Equal(t, "task_ctx", a.Payload.Name, "which a variable points to")
	var ids, generations []int32
	for _, o := range a.Objects {
		ids, generations = append(ids, o.ID), append(generations, o.Generation)
		require.Len(t, o.Data, a.Size)
	}
	require.Equal(t, []int32{0, 1, 64}, ids)
	require.Equal(t, []int32{3, 0, 0}, generations)
}

func TestPointersToWhatIsOnlyDeclaredLeadToObjectsOfAnAllocator(t *testing.T) {
	entry := allocating(t, nil).Map("ctxs").At(0)
	for member, how := range map[string]string{"data": "sdt_alloc", "hidden": "cast→arena (sdt_alloc)"} {
		require.Equal(t, how, entry.Get(member).Annotation())
		weight, err := entry.Get(member + ".payload.weight").Uint64()
		require.NoError(t, err)
		require.EqualValues(t, 300, weight)
		id, err := entry.Get(member + ".tid.idx").Int64()
		require.NoError(t, err)
		require.EqualValues(t, 64, id)
	}
	require.Empty(t, entry.Get("data.payload.weight").Annotation())
}

// A pointer to a header says what is behind it, if that was found.
func TestHeadersSayWhatIsBehindThem(t *testing.T) {
	s := allocating(t, nil)
	clear(s.Maps[0].Values[40:48]) // the variable that points to a payload
	ctx := s.Programs[0].Shapes[slices.IndexFunc(s.Programs[0].Shapes, func(s *ctype.Shape) bool { return s.Name == "task_ctx" })]
	header := &ctype.Shape{Kind: ctype.KindStruct, Name: "a_data", Size: 24, Members: []ctype.Member{{Name: "payload", Offset: 8, Type: ctx, Tags: []string{ctype.PayloadTag}}}}
	value := *s.Maps[2].Value
	value.Members = append([]ctype.Member(nil), value.Members...)
	value.Members[0].Type = &ctype.Shape{Kind: ctype.KindPointer, Size: 8, Elem: header}
	s.Maps[2].Value = &value

	require.Equal(t, "task_ctx", s.Allocators()[0].Payload.Name)
	data := s.Map("ctxs").At(0).Get("data")
	require.Equal(t, "sdt_alloc", data.Annotation())
	weight, err := data.Get("payload.weight").Uint64()
	require.NoError(t, err)
	require.EqualValues(t, 300, weight)
	weight, err = s.Map("ctxs").At(0).Get("hidden.payload.weight").Uint64()
	require.NoError(t, err, "which is only declared as a header")
	require.EqualValues(t, 300, weight)
}

// What is behind a header is not read into the neighbour's memory.
func TestNothingIsReadBehindHeadersThatHasNoRoomThere(t *testing.T) {
	s := allocating(t, nil)
	large := &ctype.Shape{Kind: ctype.KindStruct, Name: "task_ctx", Size: 24, Members: []ctype.Member{{Name: "weight", Offset: 16, Type: shapetest.U64}}}
	header := &ctype.Shape{Kind: ctype.KindStruct, Name: "a_data", Size: 32, Members: []ctype.Member{{Name: "payload", Offset: 8, Type: large, Tags: []string{ctype.PayloadTag}}}}
	value := *s.Maps[2].Value
	value.Members = append([]ctype.Member(nil), value.Members...)
	value.Members[0].Type = &ctype.Shape{Kind: ctype.KindPointer, Size: 8, Elem: header}
	s.Maps[2].Value = &value

	_, err := s.Map("ctxs").At(0).Get("data.payload.weight").Uint64()
	var contradiction *ContradictionError
	require.ErrorAs(t, err, &contradiction)
	require.Equal(t, ".bss.alloc hands out 24 bytes with the header, and the type has 32; say another with -payload, or none", contradiction.Found)
}

func TestAllocatorsThatAreBrokenSaySo(t *testing.T) {
	word := binary.LittleEndian.PutUint64
	for name, row := range map[string]struct {
		damage  func(a *arenaOf, bss []byte)
		objects int
		wrong   string // in the error
	}{
		"one that is not initialised":  {func(_ *arenaOf, bss []byte) { word(bss[32:], 0) }, 0, ""},
		"objects of no size":           {func(_ *arenaOf, bss []byte) { word(bss[8:], 0) }, 0, "objects have 0 bytes"},
		"objects of any size":          {func(_ *arenaOf, bss []byte) { word(bss[8:], ^uint64(0)) }, 0, "bytes"},
		"a root that was not captured": {func(_ *arenaOf, bss []byte) { word(bss[32:], 0x5000) }, 0, "descriptor at 0x5000 was not captured"},
		"an object in the wrong place": {func(a *arenaOf, _ []byte) { word(a.data[8:], 7) }, 0, "at no depth up to 4"},
		"a descriptor that leads to itself": {func(a *arenaOf, bss []byte) {
			for i := range 64 {
				root := binary.LittleEndian.Uint64(bss[32:])
				chunk := binary.LittleEndian.Uint64(a.data[root-a.start+16:])
				word(a.data[chunk-a.start+uint64(8*i):], root)
			}
		}, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			found := allocating(t, row.damage).Allocators()
			require.Len(t, found, 1)
			require.Len(t, found[0].Objects, row.objects)
			if row.wrong != "" {
				require.ErrorContains(t, found[0].Err, row.wrong)
			}
		})
	}
}

func TestPayloadsThatPointersDisagreeAboutHaveNoType(t *testing.T) {
	s := allocating(t, nil)
	other := *s.Maps[2]
	other.ID, other.Name = 4, "others"
	wrong := &ctype.Shape{Kind: ctype.KindPointer, Size: 8, Elem: &ctype.Shape{Kind: ctype.KindStruct, Name: "other", Size: 8, Members: []ctype.Member{{Name: "x", Type: &ctype.Shape{Kind: ctype.KindInt, Name: "u64", Size: 8}}}}}
	other.Value, other.ValueSize, other.Stride = wrong, 8, 8
	other.Values = append([]byte(nil), s.Maps[0].Values[40:48]...)
	s.Maps = append(s.Maps, &other)
	require.Nil(t, s.Allocators()[0].Payload)

	entry := s.Map("ctxs").At(0)
	require.Equal(t, "sdt_alloc", entry.Get("data").Annotation())
	b, err := entry.Get("data.payload").Bytes()
	require.NoError(t, err)
	require.EqualValues(t, 300, binary.LittleEndian.Uint64(b))
}
