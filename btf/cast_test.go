package btf_test

import (
	"strings"
	"testing"

	"github.com/cilium/ebpf/btf"
	"github.com/stretchr/testify/require"

	ktbtf "github.com/ktgen/ktgen/btf"
	"github.com/ktgen/ktgen/runtime"
	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

var (
	typedef = &btf.Typedef{Name: "u64", Type: u64}
	node    = &btf.Struct{Name: "node", Size: 8, Members: []btf.Member{{Name: "next", Type: typedef}}}
)

// castsOf writes a struct with casts at places in it as text.
func castsOf(t *testing.T, s *btf.Struct, casts ...ktsnap.Cast) string {
	t.Helper()
	spec := specOf(t, s, node)
	shapes := ktbtf.NewShapes(spec)
	shapes.Casts(casts)
	var parsed *btf.Struct
	require.NoError(t, spec.TypeByName(s.Name, &parsed))
	shape, err := shapes.Of(parsed)
	require.NoError(t, err)
	var w ctype.Writer
	w.Add(shape)
	return w.String()
}

func TestIntegersBecomeThePointersThatCastsSayTheyAre(t *testing.T) {
	s := &btf.Struct{Name: "ctx", Size: 56, Members: []btf.Member{
		{Name: "task", Type: typedef},
		{Name: "slots", Offset: 8 * 8, Type: &btf.Array{Type: typedef, Index: u32, Nelems: 2}},
		{Name: "in", Offset: 24 * 8, Type: &btf.Struct{Size: 8, Members: []btf.Member{{Name: "owner", Type: &btf.Volatile{Type: typedef}}}}},
		{Name: "", Offset: 32 * 8, Type: &btf.Union{Size: 8, Members: []btf.Member{{Name: "head", Type: typedef}, {Name: "count", Type: typedef}}}},
		{Name: "priv", Offset: 40 * 8, Type: &btf.Pointer{Target: (*btf.Void)(nil)}},
		{Name: "small", Offset: 48 * 8, Type: u32},
		{Name: "flags", Offset: 52 * 8, Type: u32},
	}}
	got := castsOf(t, s,
		ktsnap.Cast{In: "struct ctx", Path: "task", To: "struct task_struct", Space: ctype.SpaceKernel},
		ktsnap.Cast{In: "struct ctx", Path: "slots[]", To: "struct node", Space: ctype.SpaceArena},
		ktsnap.Cast{In: "struct ctx", Path: "in.owner", To: "struct node", Space: ctype.SpaceMap},
		ktsnap.Cast{In: "struct ctx", Path: "head", To: "struct node", Space: ctype.SpaceGlobal},
		ktsnap.Cast{In: "struct ctx", Path: "priv", To: "struct node"},
		ktsnap.Cast{In: "struct ctx", Path: "small", To: "struct node"},   // no integer of 8 bytes
		ktsnap.Cast{In: "struct ctx", Path: "nothing", To: "struct node"}, // no such member
		ktsnap.Cast{In: "struct other", Path: "task", To: "struct node"},
		ktsnap.Cast{In: "struct node", Path: "next", To: "struct node", Space: ctype.SpaceArena},
	)
	const want = `struct	ctx	56
	0	task	*(kernel cast "u64")fwd task_struct
	8	slots	[2]*(arena cast "u64")struct node
	24	in	#1
	32		#2
	40	priv	*(unknown cast "void *")struct node
	48	small	unsigned int
	52	flags	unsigned int
fwd	task_struct
struct	node	8
	0	next	*(arena cast "u64")struct node
#1 struct		8
	0	owner	*(map cast "u64")struct node
#2 union		8
	0	head	*(global cast "u64")struct node
	0	count	u64
int	unsigned int	4
typedef	u64	unsigned long long
int	unsigned long long	8
`
	require.Equal(t, want, got)

	table, err := ctype.Parse(got)
	require.NoError(t, err)
	read, err := table.Shape("struct ctx")
	require.NoError(t, err)
	var again ctype.Writer
	again.Add(read)
	require.Equal(t, got, again.String(), "written again after it was read")

	layout := runtime.Layout{Shapes: got}
	casts, err := layout.Casts()
	require.NoError(t, err)
	require.Equal(t, []ktsnap.Cast{
		{In: "struct ctx", Path: "head", To: "struct node", Space: ctype.SpaceGlobal},
		{In: "struct ctx", Path: "in.owner", To: "struct node", Space: ctype.SpaceMap},
		{In: "struct ctx", Path: "priv", To: "struct node"},
		{In: "struct ctx", Path: "slots[]", To: "struct node", Space: ctype.SpaceArena},
		{In: "struct ctx", Path: "task", To: "struct task_struct", Space: ctype.SpaceKernel},
		{In: "struct node", Path: "next", To: "struct node", Space: ctype.SpaceArena},
	}, casts)
}

func TestAPointerThatBTFDeclaresStaysAsItIs(t *testing.T) {
	s := &btf.Struct{Name: "ctx", Size: 8, Members: []btf.Member{{Name: "p", Type: &btf.Pointer{Target: node}}}}
	got := castsOf(t, s, ktsnap.Cast{In: "struct ctx", Path: "p", To: "struct task_struct", Space: ctype.SpaceKernel})
	require.Contains(t, got, "\t0\tp\t*struct node\n")
}

// What is behind a header is a member of the allocation that its pointer leads to.
func TestPointersToHeadersLeadToAllocations(t *testing.T) {
	id := &btf.Union{Name: "sdt_id", Size: 8, Members: []btf.Member{{Name: "val", Type: u64}}}
	head := &btf.Struct{Name: "head", Size: 4, Members: []btf.Member{
		{Name: "gen", Type: u32}, {Name: "rest", Offset: 4 * 8, Type: &btf.Array{Type: u32, Index: u32}},
	}}
	s := &btf.Struct{Name: "ctx", Size: 64, Members: []btf.Member{
		{Name: "id", Type: id},
		{Name: "data", Offset: 8 * 8, Type: &btf.Pointer{Target: &btf.Fwd{Name: "sdt_data"}}},
		{Name: "far", Offset: 16 * 8, Type: &btf.Pointer{Target: &btf.Fwd{Name: "sdt_data"}}},
		{Name: "heads", Offset: 24 * 8, Type: &btf.Array{Type: &btf.Pointer{Target: head}, Index: u32, Nelems: 2}},
		{Name: "reached", Offset: 40 * 8, Type: &btf.Pointer{Target: head}},
		{Name: "unknown", Offset: 48 * 8, Type: &btf.Pointer{Target: &btf.Fwd{Name: "sdt_data"}}},
		{Name: "hidden", Offset: 56 * 8, Type: typedef},
	}}
	got := castsOf(t, s,
		ktsnap.Cast{In: "struct ctx", Path: "data", To: "struct node", Behind: 8},
		ktsnap.Cast{In: "struct ctx", Path: "far", To: "struct node", Behind: 16},
		ktsnap.Cast{In: "struct ctx", Path: "heads[]", To: "struct node", Behind: 4},
		ktsnap.Cast{In: "struct ctx", Path: "reached", To: "struct node", Behind: 2}, // within a member of the header
		ktsnap.Cast{In: "struct ctx", Path: "unknown", To: "struct nothing", Behind: 8},
		ktsnap.Cast{In: "struct ctx", Path: "hidden", To: "struct node", Behind: 8, Space: ctype.SpaceArena},
	)
	const want = `struct	ctx	64
	0	id	union sdt_id
	8	data	*struct sdt_data
	16	far	*#1
	24	heads	[2]*struct head
	40	reached	*#2
	48	unknown	*fwd sdt_data
	56	hidden	*(arena cast "u64")struct allocation
union	sdt_id	8
	0	val	unsigned long long
struct	sdt_data	16
	0	tid	union sdt_id
	8	payload	struct node	"ktgen:payload"
#1 struct	sdt_data	24
	0	header	[16]unsigned char
	16	payload	struct node	"ktgen:payload"
struct	head	12
	0	gen	unsigned int
	4	rest	struct node	"ktgen:payload"
#2 struct	head	4
	0	gen	unsigned int
	4	rest	[0]unsigned int
fwd	sdt_data
struct	allocation	16
	0	tid	union sdt_id
	8	payload	struct node	"ktgen:payload"
`
	require.True(t, strings.HasPrefix(got, want), got)

	casts, err := (&runtime.Layout{Shapes: got}).Casts()
	require.NoError(t, err)
	require.Equal(t, []ktsnap.Cast{
		{In: "struct ctx", Path: "data", To: "struct node", Behind: 8},
		{In: "struct ctx", Path: "far", To: "struct node", Behind: 16},
		{In: "struct ctx", Path: "heads[]", To: "struct node", Behind: 4},
		{In: "struct ctx", Path: "hidden", To: "struct node", Space: ctype.SpaceArena, Behind: 8},
	}, casts)
}
