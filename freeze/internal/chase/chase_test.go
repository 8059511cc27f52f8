package chase_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"github.com/cilium/ebpf/btf"
	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/freeze"
	"github.com/ktgen/ktgen/freeze/internal/fakeguest"
	"github.com/ktgen/ktgen/freeze/internal/memimage"
	ktrt "github.com/ktgen/ktgen/runtime"
	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// weightIsATask is a cast of the member of the ctx that program makes.
var weightIsATask = []ktsnap.Cast{{In: "struct ctx", Path: "weight", To: "struct task_struct", Space: ctype.SpaceKernel}}

// followed captures an array of pointers to tasks.
func followed(g *fakeguest.Guest, t *testing.T, o freeze.Options, casts []ktsnap.Cast, pointers ...uint64) *ktsnap.Snapshot {
	t.Helper()
	raw, _, ctx := fakeguest.Program(t)
	var values [][]byte
	for _, p := range pointers {
		values = append(values, binary.LittleEndian.AppendUint64(nil, p))
	}
	g.Add(1, g.Array(memimage.Map{
		ID: 1, Type: 2, Name: "tasks", KeySize: 4, ValueSize: 8, MaxEntries: uint32(len(values)), BTF: g.BTF(12, "sched", raw), ValueType: ctx,
	}, values))
	f := g.Freezer(t, o)
	require.NoError(t, f.Casts(t.Context(), casts))
	snap, err := f.Capture(context.Background(), "now")
	require.NoError(t, err)
	g.RequireResumed(t)
	return snap
}

func requirePID(t *testing.T, snap *ktsnap.Snapshot, i int, want int64) {
	t.Helper()
	got, err := snap.Map("tasks").At(i).Get("weight.pid").Int64()
	require.NoError(t, err)
	require.Equal(t, want, got)
	comm, err := snap.Map("tasks").At(i).Get("weight.comm").Bytes()
	require.NoError(t, err)
	require.Equal(t, fmt.Sprintf("task-%d", want), ktrt.String(comm))
}

func TestObjectsOfTheKernelAreCopiedOnceWhole(t *testing.T) {
	g := fakeguest.New()
	direct := g.TaskAt(g.Alloc(4096), 7)
	// The second one lies across two pages that are not neighbours in memory.
	straddling := g.TaskAt(g.Vmalloc(2*memimage.PageSize)+memimage.PageSize-1200, 8)
	snap := followed(g, t, freeze.Options{}, weightIsATask, direct, 0, straddling, direct)

	require.Len(t, snap.Kernel, 2)
	for _, o := range snap.Kernel {
		require.Equal(t, "task_struct", o.Name)
		require.Len(t, o.Data, o.Type.Size)
	}
	requirePID(t, snap, 0, 7)
	requirePID(t, snap, 2, 8)
	requirePID(t, snap, 3, 7)
	require.ErrorAs(t, snap.Map("tasks").At(1).Get("weight.pid").Err(), new(*ktsnap.NullError))
}

func TestTargetsThatAreNoObjectsOfTheKernelAreReported(t *testing.T) {
	g := fakeguest.New()
	unmapped := g.Reserve(memimage.PageSize)
	snap := followed(g, t, freeze.Options{}, weightIsATask, unmapped, 0x7fff_0000_1000)

	require.Equal(t, []ktsnap.KernelObject{
		{Addr: unmapped, Name: "task_struct", Fault: ktsnap.FaultUnreadable, Reason: snap.Kernel[0].Reason},
		{Addr: 0x7fff_0000_1000, Name: "task_struct", Fault: ktsnap.FaultContradiction, Reason: "it is no address of the kernel"},
	}, snap.Kernel)
	require.ErrorAs(t, snap.Map("tasks").At(0).Get("weight.pid").Err(), new(*ktsnap.UnreadableError))
	require.ErrorAs(t, snap.Map("tasks").At(1).Get("weight.pid").Err(), new(*ktsnap.ContradictionError))
}

func TestChasesEndAtTheirLimits(t *testing.T) {
	pointers := func(g *fakeguest.Guest) (all []uint64) {
		for pid := range uint64(5) {
			all = append(all, g.TaskAt(g.Alloc(2048), pid+1))
		}
		return all
	}
	for name, tc := range map[string]struct {
		chase  freeze.Chase
		whole  int
		faulty int
		reason string
	}{
		"none":    {freeze.Chase{}, 5, 0, ""},
		"exact":   {freeze.Chase{Objects: 5}, 5, 0, ""},
		"objects": {freeze.Chase{Objects: 2}, 2, 0, "2 objects reach the limit (freeze.Chase.Objects)"},
		"bytes":   {freeze.Chase{Bytes: 3*2048 + 1}, 3, 2, "2 objects are beyond the limit of 6145 bytes (freeze.Chase.Bytes)"},
		"off":     {freeze.Chase{Off: true}, 0, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			g := fakeguest.New()
			snap := followed(g, t, freeze.Options{Chase: tc.chase}, weightIsATask, pointers(g)...)
			whole, faulty := 0, 0
			for _, o := range snap.Kernel {
				switch o.Fault {
				case ktsnap.FaultNone:
					whole++
				case ktsnap.FaultLimit:
					faulty++
				}
			}
			require.Equal(t, tc.whole, whole)
			require.Equal(t, tc.faulty, faulty)
			require.Equal(t, tc.reason, snap.KernelReason)
			require.Equal(t, tc.reason != "", snap.KernelStatus == ktsnap.Truncated)
			if name == "objects" {
				_, err := snap.Map("tasks").At(4).Get("weight.pid").Int64()
				require.ErrorContains(t, err, "was not followed: the capture was cut off: "+tc.reason)
			}
		})
	}
}

// Each task leads to the next, and the last to one that was freed.
func TestObjectsOfTheKernelLeadAsFarAsIsAskedFor(t *testing.T) {
	follow := []string{"task_struct"}
	for name, tc := range map[string]struct {
		chase freeze.Chase
		found int
	}{
		"not at all":        {freeze.Chase{}, 1},
		"one hop":           {freeze.Chase{Follow: follow}, 2},
		"two hops":          {freeze.Chase{Follow: follow, Depth: 3}, 3},
		"to the end":        {freeze.Chase{Follow: follow, Depth: 9}, 5},
		"types that differ": {freeze.Chase{Follow: []string{"cgroup"}, Depth: 9}, 1},
		"nothing to follow": {freeze.Chase{Depth: 9}, 1},
		"within a limit":    {freeze.Chase{Follow: follow, Depth: 9, Objects: 2}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			g := fakeguest.New()
			next := g.Alloc(2048)
			for pid := range uint64(4) {
				a := g.TaskAt(g.Alloc(2048), pid+1)
				g.Put(memimage.Addr(a, "task_struct", "group_leader"), next, 8)
				next = a
			}
			snap := followed(g, t, freeze.Options{Chase: tc.chase}, weightIsATask, next)
			require.Len(t, snap.Kernel, tc.found)
			if name == "not at all" {
				require.ErrorContains(t, snap.Map("tasks").At(0).Get("weight.group_leader.pid").Err(), `Chase.Follow names (ktest.Config.Capture), such as "task_struct"`)
			}
			for i, o := range snap.Kernel {
				if i == 4 {
					require.Equal(t, ktsnap.FaultContradiction, o.Fault)
					continue
				}
				require.Equal(t, ktsnap.FaultNone, o.Fault, o.Reason)
				require.EqualValues(t, 4-i, binary.LittleEndian.Uint32(o.Data[memimage.Offset("task_struct", "pid"):]))
			}
		})
	}
}

// countingRAM counts the reads of a byte while the guest stands still.
type countingRAM struct {
	g     *fakeguest.Guest
	at    int64
	reads int
}

func (r *countingRAM) ReadAt(p []byte, pa int64) (int, error) {
	if r.g.Paused() && pa <= r.at && r.at < pa+int64(len(p)) {
		r.reads++
	}
	return r.g.ReadAt(p, pa)
}

func TestSlabCachesAreReadOnce(t *testing.T) {
	const size = 256
	g := fakeguest.New()
	cache := g.SlabCache("task_struct", size)
	var pointers []uint64
	for range 10 {
		slab := g.Slab(cache)
		for at := uint64(0); at < memimage.PageSize; at += size {
			g.Put(memimage.Addr(slab+at, "task_struct", "usage.refs.counter"), 1, 4)
			pointers = append(pointers, slab+at)
		}
	}
	ram := &countingRAM{g: g, at: int64(g.Phys(memimage.Addr(cache, "kmem_cache", "name")))}
	g.Through = ram
	snap := followed(g, t, freeze.Options{}, weightIsATask, pointers...)
	require.Len(t, snap.Kernel, len(pointers))
	require.Equal(t, ktsnap.FaultNone, snap.Kernel[len(pointers)-1].Fault, snap.Kernel[len(pointers)-1].Reason)
	require.Zero(t, ram.reads, "it was read while the guest ran")
}

// slowRAM takes its time to read a task while the guest stands still.
type slowRAM struct{ g *fakeguest.Guest }

func (r slowRAM) ReadAt(p []byte, pa int64) (int, error) {
	if len(p) == 2048 && r.g.Paused() {
		time.Sleep(time.Millisecond)
	}
	return r.g.ReadAt(p, pa)
}

// 400 tasks take 400 ms.
func TestPauseIsBoundedWhilePointersAreFollowed(t *testing.T) {
	g := fakeguest.New()
	var pointers []uint64
	for pid := range uint64(400) {
		pointers = append(pointers, g.TaskAt(g.Alloc(2048), pid+1))
	}
	g.Through = slowRAM{g}
	snap := followed(g, t, freeze.Options{MaxPause: 100 * time.Millisecond}, weightIsATask, pointers...)
	require.Less(t, len(snap.Kernel), len(pointers))
	require.Equal(t, ktsnap.Truncated, snap.KernelStatus)
	require.Equal(t, fmt.Sprintf("the guest had stood still for as long as it may (freeze.Options.MaxPause is 100ms): %d objects by then", len(snap.Kernel)), snap.KernelReason)
}

func TestIntegersAreNotFollowedWithoutACast(t *testing.T) {
	g := fakeguest.New()
	snap := followed(g, t, freeze.Options{}, nil, g.TaskAt(g.Alloc(2048), 7))
	require.Empty(t, snap.Kernel)
	require.Equal(t, ctype.KindInt, fakeguest.MapOf(t, snap, 1).Value.Members[0].Type.Kind)
}

func TestClaimsThatTheKernelContradictsAreNotBelieved(t *testing.T) {
	const size = 2048 // of a task_struct, two in a page
	for name, row := range map[string]struct {
		pointer func(g *fakeguest.Guest, tasks uint64) uint64
		found   string // empty if it is believed
	}{
		"an object of the type's cache": {func(g *fakeguest.Guest, tasks uint64) uint64 {
			return g.TaskAt(g.Slab(tasks)+size, 7)
		}, ""},
		"a freed object": {func(g *fakeguest.Guest, tasks uint64) uint64 {
			a := g.TaskAt(g.Slab(tasks), 7)
			g.Put(memimage.Addr(a, "task_struct", "usage.refs.counter"), 0, 4)
			return a
		}, "it was freed: nothing refers to it any more"},
		"an object of another cache": {func(g *fakeguest.Guest, tasks uint64) uint64 {
			return g.TaskAt(g.Slab(g.SlabCache("kmalloc-2k", size)), 7)
		}, `the object there is of the slab cache "kmalloc-2k"`},
		"an object of a cache whose name ends with its page": {func(g *fakeguest.Guest, tasks uint64) uint64 {
			cache, name := g.SlabCache("other", size), "kmalloc-2k\x00"
			at := g.Vmalloc(memimage.PageSize) + memimage.PageSize - uint64(len(name))
			g.Write(at, []byte(name))
			g.Put(memimage.Addr(cache, "kmem_cache", "name"), at, 8)
			return g.TaskAt(g.Slab(cache), 7)
		}, `the object there is of the slab cache "kmalloc-2k"`},
		"the middle of an object": {func(g *fakeguest.Guest, tasks uint64) uint64 {
			return g.TaskAt(g.Slab(tasks)+64, 7)
		}, "it is 64 bytes into an object of its slab cache"},
		"a page that is no slab": {func(g *fakeguest.Guest, tasks uint64) uint64 {
			return g.TaskAt(g.Slab(0), 7)
		}, "the kernel allocates these from their slab cache, and the page there is in no slab"},
		"memory that is not mapped one to one": {func(g *fakeguest.Guest, tasks uint64) uint64 {
			return g.TaskAt(g.Vmalloc(size), 7)
		}, "the kernel allocates these from their slab cache, and this is in no slab"},
	} {
		t.Run(name, func(t *testing.T) {
			g := fakeguest.New()
			p := row.pointer(g, g.SlabCache("task_struct", size))
			snap := followed(g, t, freeze.Options{}, weightIsATask, p)
			if row.found == "" {
				requirePID(t, snap, 0, 7)
				return
			}
			var wrong *ktsnap.ContradictionError
			require.ErrorAs(t, snap.Map("tasks").At(0).Get("weight.pid").Err(), &wrong)
			require.Equal(t, &ktsnap.ContradictionError{Addr: p, Type: "struct task_struct", Found: row.found}, wrong)
		})
	}
}

func TestCgroupsLeadBackToThemselves(t *testing.T) {
	g := fakeguest.New()
	cgroup := func(self uint64) uint64 {
		a := g.Alloc(512)
		g.Put(memimage.Addr(a, "cgroup", "self.cgroup"), a+self, 8)
		g.Put(memimage.Addr(a, "cgroup", "level"), 3, 4)
		return a
	}
	live, stale := cgroup(0), cgroup(64)
	casts := []ktsnap.Cast{{In: "struct ctx", Path: "weight", To: "struct cgroup", Space: ctype.SpaceKernel}}
	snap := followed(g, t, freeze.Options{}, casts, live, stale)

	level, err := snap.Map("tasks").At(0).Get("weight.level").Int64()
	require.NoError(t, err)
	require.EqualValues(t, 3, level)
	require.ErrorAs(t, snap.Map("tasks").At(1).Get("weight.level").Err(), new(*ktsnap.ContradictionError))
}

// A kernel's object that ends in a flexible array has it as far as its slab's
// objects go.
func TestFlexibleArraysOfTheKernelsObjectsAreCopied(t *testing.T) {
	for name, row := range map[string]struct {
		place func(g *fakeguest.Guest) uint64
		want  int
	}{
		"in a slab":               {func(g *fakeguest.Guest) uint64 { return g.Slab(g.SlabCache("kmalloc-1k", 1024)) + 1024 }, 64},
		"at the end of an object": {func(g *fakeguest.Guest) uint64 { return g.Slab(g.SlabCache("kmalloc-512", 512)) }, 0},
		"in no slab":              {func(g *fakeguest.Guest) uint64 { return g.Slab(0) }, 0},
		"not mapped one to one":   {func(g *fakeguest.Guest) uint64 { return g.Vmalloc(1024) }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			g := fakeguest.New()
			a := row.place(g)
			g.Put(memimage.Addr(a, "cgroup", "self.cgroup"), a, 8)
			for i := range row.want {
				g.Put(memimage.Addr(a, "cgroup", "ancestors")+uint64(8*i), uint64(1000+i), 8)
			}
			casts := []ktsnap.Cast{{In: "struct ctx", Path: "weight", To: "struct cgroup", Space: ctype.SpaceKernel}}
			snap := followed(g, t, freeze.Options{}, casts, a)
			requireAncestors(t, snap, row.want)
			var file bytes.Buffer
			_, err := snap.WriteTo(&file)
			require.NoError(t, err)
			read, err := ktsnap.Read(&file)
			require.NoError(t, err)
			requireAncestors(t, read, row.want)
		})
	}
}

func requireAncestors(t *testing.T, snap *ktsnap.Snapshot, n int) {
	t.Helper()
	ancestors := snap.Map("tasks").At(0).Get("weight.ancestors")
	require.NoError(t, ancestors.Err())
	require.Equal(t, n, ancestors.Len())
	for i := range n {
		got, err := ancestors.Get(fmt.Sprintf("[%d]", i)).Uint64()
		require.NoError(t, err)
		require.EqualValues(t, 1000+i, got)
	}
}

// stash makes the BTF of a program that keeps nodes which it has allocated
// (bpf_obj_new): struct stash { struct node __kptr *node; }, and struct node
// { u64 id; struct node __kptr *next; }.
func stash(t *testing.T) (raw []byte, id uint32) {
	t.Helper()
	node := &btf.Struct{Name: "node", Size: 16}
	kptr := &btf.Pointer{Target: &btf.TypeTag{Value: "kptr", Type: node}}
	node.Members = []btf.Member{{Name: "id", Type: &btf.Int{Name: "u64", Size: 8}}, {Name: "next", Type: kptr, Offset: 64}}
	b, err := btf.NewBuilder(nil, nil)
	require.NoError(t, err)
	typeID, err := b.Add(&btf.Struct{Name: "stash", Size: 8, Members: []btf.Member{{Name: "node", Type: kptr}}})
	require.NoError(t, err)
	raw, err = b.Marshal(nil, nil)
	require.NoError(t, err)
	return raw, uint32(typeID)
}

func TestObjectsThatProgramsAllocateAreCaptured(t *testing.T) {
	g := fakeguest.New()
	slab := g.Slab(g.SlabCache("kmalloc-32", 32))
	node := func(a, id, next uint64) uint64 {
		g.Put(a, id, 8)
		g.Put(a+8, next, 8)
		return a
	}
	gone := node(g.Slab(0), 9, 0) // its slab was given back
	first := node(slab+8, 7, node(slab+40, 8, gone))
	raw, id := stash(t)
	g.Add(1, g.Array(memimage.Map{
		ID: 1, Type: 2, Name: "stashes", KeySize: 4, ValueSize: 8, MaxEntries: 1, BTF: g.BTF(12, "sched", raw), ValueType: id,
	}, [][]byte{binary.LittleEndian.AppendUint64(nil, first)}))
	captured := g.Capture(t, freeze.Options{})
	require.Len(t, captured.Kernel, 3, "each once")

	for _, snap := range []*ktsnap.Snapshot{captured, reread(t, captured)} {
		for path, want := range map[string]uint64{"node.id": 7, "node.next.id": 8} {
			got, err := snap.Map("stashes").At(0).Get(path).Uint64()
			require.NoError(t, err)
			require.Equal(t, want, got)
		}
		var wrong *ktsnap.ContradictionError
		require.ErrorAs(t, snap.Map("stashes").At(0).Get("node.next.next.id").Err(), &wrong)
		require.Equal(t, &ktsnap.ContradictionError{
			Addr: gone, Type: "struct node", Found: "the kernel allocates these from slabs, and the page there is in no slab",
		}, wrong)
	}
}

// reread is a snapshot that was written to a file and read.
func reread(t *testing.T, snap *ktsnap.Snapshot) *ktsnap.Snapshot {
	file := new(bytes.Buffer)
	_, err := snap.WriteTo(file)
	require.NoError(t, err)
	read, err := ktsnap.Read(file)
	require.NoError(t, err)
	return read
}

func TestObjectsThatProgramsAllocateForEachCPUAreCaptured(t *testing.T) {
	counts := &btf.Struct{Name: "counts", Size: 16, Members: []btf.Member{{Name: "n", Type: &btf.Int{Name: "u64", Size: 8}, Offset: 64}}}
	holder := &btf.Struct{Name: "holder", Size: 8, Members: []btf.Member{
		{Name: "counts", Type: &btf.Pointer{Target: &btf.TypeTag{Value: "percpu_kptr", Type: counts}}},
	}}
	g := fakeguest.New()
	pointer := g.PerCPU(16)
	for cpu := range memimage.CPUs {
		g.Put(g.OnCPU(pointer, cpu)+8, uint64(100+cpu), 8)
	}
	kept := g.Slab(g.SlabCache("kmalloc-16", 16)) + 8
	g.Put(kept, pointer, 8)
	captured := holding(g, t, holder, kept)
	require.Len(t, captured.Kernel, 1+memimage.CPUs)

	for _, snap := range []*ktsnap.Snapshot{captured, reread(t, captured)} {
		at := snap.Map("holders").At(0)
		all := at.Get("counts").Deref()
		require.Equal(t, memimage.CPUs, all.Len())
		for cpu := range memimage.CPUs {
			value := at.Get(fmt.Sprintf("counts[%d].n", cpu))
			got, err := value.Uint64()
			require.NoError(t, err)
			require.EqualValues(t, 100+cpu, got)
			require.Equal(t, g.OnCPU(pointer, cpu)+8, value.Addr())
		}
		require.ErrorAs(t, at.Get("counts[3].n").Err(), new(*ktsnap.IndexOutOfRangeError))
		require.ErrorContains(t, at.Get("counts.n").Err(), "choose an element first, as in [0]")
	}
}

func TestPointersToNothingOfEachCPUAreReported(t *testing.T) {
	counts := &btf.Struct{Name: "counts", Size: 16, Members: []btf.Member{{Name: "n", Type: &btf.Int{Name: "u64", Size: 8}, Offset: 64}}}
	holder := &btf.Struct{Name: "holder", Size: 8, Members: []btf.Member{
		{Name: "counts", Type: &btf.Pointer{Target: &btf.TypeTag{Value: "percpu_kptr", Type: counts}}},
	}}
	for name, c := range map[string]struct {
		to   func(g *fakeguest.Guest) uint64
		want string
	}{
		"to user":         {func(*fakeguest.Guest) uint64 { return 0x7fff_0000_1000 }, "it is no address of the kernel"},
		"to nowhere":      {func(g *fakeguest.Guest) uint64 { return g.Reserve(memimage.PageSize) }, "the guest had no memory at"},
		"to what is gone": {func(g *fakeguest.Guest) uint64 { return g.Slab(0) }, "the kernel allocates these from slabs"},
		"to another": {func(g *fakeguest.Guest) uint64 {
			kept := g.Slab(g.SlabCache("kmalloc-16", 16)) + 8
			g.Put(kept, 1<<40, 8)
			return kept
		}, "the guest had no memory at"},
	} {
		t.Run(name, func(t *testing.T) {
			g := fakeguest.New()
			snap := holding(g, t, holder, c.to(g))
			require.ErrorContains(t, snap.Map("holders").At(0).Get("counts[0].n").Err(), c.want)
		})
	}
}

// TestWhatOneProgramDeclaresIsFollowedAsAnotherDefinesIt: a map of one program
// has a pointer to a struct that only the other one's BTF has the members of, in
// the arena, and from there to a task.
func TestWhatOneProgramDeclaresIsFollowedAsAnotherDefinesIt(t *testing.T) {
	marshal := func(typ btf.Type) ([]byte, uint32) {
		b, err := btf.NewBuilder(nil, nil)
		require.NoError(t, err)
		id, err := b.Add(typ)
		require.NoError(t, err)
		raw, err := b.Marshal(nil, nil)
		require.NoError(t, err)
		return bytes.Clone(raw), uint32(id)
	}
	task := &btf.Pointer{Target: &btf.Fwd{Name: "task_struct"}}
	defines, definesID := marshal(&btf.Struct{Name: "held", Size: 8, Members: []btf.Member{{Name: "task", Type: task}}})
	declares, declaresID := marshal(&btf.Struct{Name: "holder", Size: 8, Members: []btf.Member{{Name: "held", Type: &btf.Pointer{Target: &btf.Fwd{Name: "held"}}}}})

	g := fakeguest.New()
	p := g.TaskAt(g.Alloc(2048), 7)
	const start = 1 << 44
	g.Add(1, g.Array(memimage.Map{ID: 1, Type: 2, Name: "holders", KeySize: 4, ValueSize: 8, MaxEntries: 1, BTF: g.BTF(12, "declares", declares), ValueType: declaresID},
		[][]byte{binary.LittleEndian.AppendUint64(nil, start)}))
	g.Add(2, g.Arena(memimage.Map{ID: 2, Type: 33, Name: "arena", MaxEntries: 100}, start, map[int][]byte{0: binary.LittleEndian.AppendUint64(nil, p)}))
	g.Add(3, g.Array(memimage.Map{ID: 3, Type: 2, Name: "others", KeySize: 4, ValueSize: 8, MaxEntries: 1, BTF: g.BTF(13, "defines", defines), ValueType: definesID},
		[][]byte{make([]byte, 8)}))
	snap := g.Capture(t, freeze.Options{})
	require.Len(t, snap.Kernel, 1)
	pid, err := snap.Map("holders").At(0).Get("held.task.pid").Int64()
	require.NoError(t, err)
	require.EqualValues(t, 7, pid)
}
