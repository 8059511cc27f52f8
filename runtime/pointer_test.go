package runtime_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"iter"
	"os"
	"os/exec"
	goruntime "runtime"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/internal/sample"
	ktrt "github.com/ktgen/ktgen/runtime"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// Offsets of struct node.
const (
	nodeValue = 0
	nodeNext  = 8
	nodePrev  = 16
	nodeAt    = 24
	nodeCount = 32
	nodeSize  = 40
)

const arenaStart = 1 << 44

// ring has n nodes in an arena, each pointing to its neighbours and the last
// to the first, and .bss's head at the first.
func ring(t testing.TB, n int) *ktsnap.Snapshot {
	s := newGuest(t, "../internal/sample/testdata/sample.bpf.o").snapshot()
	pages := make([]byte, n*nodeSize)
	addr := func(i int) uint64 { return arenaStart + uint64((i+n)%n*nodeSize) }
	for i := range n {
		node := pages[i*nodeSize:]
		binary.LittleEndian.PutUint64(node[nodeValue:], uint64(i))
		binary.LittleEndian.PutUint64(node[nodeNext:], addr(i+1))
		binary.LittleEndian.PutUint64(node[nodePrev:], addr(i-1))
	}
	// Two extents that touch, the border within a node.
	cut := len(pages)/2 + 4
	arena := find(t, s, "arena")
	arena.Extra, arena.Base = arenaStart, kernelArena
	arena.Extents = []ktsnap.Extent{
		{Addr: arenaStart, Data: pages[:cut]}, {Addr: arenaStart + uint64(cut), Data: pages[cut:]},
	}
	setHead(t, s, arenaStart)
	return s
}

// kernelArena is the kernel's address of an arena's user address with all low
// 32 bits zero (arena_vm_start).
const kernelArena = 0xffff_c900_0000_0000

func setHead(t testing.TB, s *ktsnap.Snapshot, addr uint64) {
	bss := find(t, s, "sample.bss")
	for _, v := range bss.Value.Members {
		if v.Name == "head" {
			binary.LittleEndian.PutUint64(bss.Values[v.Offset:], addr)
		}
	}
}

func TestCyclesAreFollowedToTheSameObjects(t *testing.T) {
	const n = 100
	snap := sample.Bind(t, ring(t, n))
	head := snap.Bss().Head
	at := head
	for i := range n {
		require.EqualValues(t, i, at.Value)
		require.Same(t, at, at.Next.Prev)
		at = at.Next
	}
	require.Same(t, head, at)
	require.Nil(t, at.At)
}

func TestArenaPointersAreFollowedInEveryForm(t *testing.T) {
	const want = arenaStart + 2*nodeSize
	for form, addr := range map[string]uint64{
		"user":   want,
		"kernel": kernelArena + 2*nodeSize,
		"short":  2 * nodeSize,
	} {
		t.Run(form, func(t *testing.T) {
			s := ring(t, 5)
			setHead(t, s, addr)
			snap := sample.Bind(t, s)
			require.EqualValues(t, 2, snap.Bss().Head.Value)
			require.EqualValues(t, want, ktrt.Addr(snap, snap.Bss().Head))
			require.Equal(t, ktrt.Pointee{Value: addr, Addr: want}, ktrt.PointerAt(snap, &snap.Bss().Head))
		})
	}
}

func TestArenasGiveTheirMemory(t *testing.T) {
	snap := sample.Bind(t, ring(t, 5))
	require.Equal(t, 5*nodeSize, snap.Arena().Size())
	require.Equal(t, ktrt.Raw(snap, snap.Bss().Head.Next), snap.Arena().Bytes(nodeSize, nodeSize))
	require.Len(t, snap.Arena().Extents(), 2)

	tb := &fakeTB{}
	message := tb.message(t, func() { sample.Bind(tb, ring(t, 5)).Arena().Bytes(arenaStart+4096, 8) })
	require.Contains(t, message, "Bytes arena: the arena memory at 0x100000001000 was not captured")
}

func TestPointersToMapValuesAreTheValues(t *testing.T) {
	s := newGuest(t, "../internal/sample/testdata/sample.bpf.o").snapshot()
	nodes := find(t, s, "nodes")
	for i := range nodes.N {
		binary.LittleEndian.PutUint32(nodes.Keys[4*i:], uint32(i))
	}
	setHead(t, s, nodes.Addrs[7])
	snap := sample.Bind(t, s)
	require.Same(t, snap.Nodes().Get(7), snap.Bss().Head)
}

func TestNoMoreObjectsAreFollowedThanAllowed(t *testing.T) {
	tb := &fakeTB{}
	snap := sample.Bind(tb, ring(t, 100), ktrt.MaxObjects(10))
	at, followed := snap.Bss().Head, 0
	for ; at.Next != nil; at = at.Next {
		followed++
	}
	require.Less(t, followed, 10)
	require.Contains(t, tb.output.String(), ".bss leads to more than 10 objects; pointers to further ones are nil")
	require.Equal(t, &ktsnap.NotFollowedError{Addr: arenaStart + uint64(followed+1)*nodeSize, Limit: 10}, ktrt.PointerAt(snap, &at.Next).Err)
}

// A list is read whole, however long it is. One that is longer than what a read follows fails the read.
func TestLongListsAreReadWholeOrNotAtAll(t *testing.T) {
	const limit = 1 << 18
	snap := sample.Bind(t, ring(t, limit))
	n := 1
	for at := snap.Bss().Head.Next; at != snap.Bss().Head; at = at.Next {
		n++
	}
	require.Equal(t, limit, n)

	tb := &fakeTB{}
	message := tb.message(t, func() { sample.Bind(tb, ring(t, limit+1)).Bss() })
	require.Contains(t, message, ".bss leads to too many objects: the pointer to 0x")
	require.Contains(t, message, "had reached 262144 objects; raise the limit with ktrt.MaxObjects")
}

// What a test has read last is the value that it asked for: the objects that its pointers
// lead to were met on the way, and are not told of without end.
func TestReadsAreToldBehindWhatTheyLeadTo(t *testing.T) {
	s := ring(t, 200)
	var read []string
	s.OnRead = func(at ktsnap.Location) { read = append(read, at.Path) }
	sample.Bind(t, s).Bss()
	require.Equal(t, []string{".bss.head.next", ".bss.head", ".bss"}, read[len(read)-3:])
	require.Len(t, read, 64)
}

// What a loop ends at is read last, whichever way it ends, and so is what is read once more.
func TestTheEntryThatALoopEndsAtIsReadLast(t *testing.T) {
	s := sample.Fixture{Bits: make([]sample.Bits, 5)}.Snapshot(t)
	var read []string
	s.OnRead = func(at ktsnap.Location) { read = append(read, at.Path) }
	bits := sample.Bind(t, s).Bits()
	last := func(loop func()) string {
		read = nil
		done := make(chan struct{})
		go func() {
			defer close(done)
			defer func() { _ = recover() }()
			loop()
		}()
		<-done
		require.NotEmpty(t, read)
		return read[len(read)-1]
	}
	for i := range 5 {
		bits.At(i)
	}
	require.Equal(t, "bits[1]", last(func() { bits.At(1) }))
	for name, end := range map[string]func(){"break": nil, "FailNow": goruntime.Goexit, "panic": func() { panic("no") }} {
		require.Equal(t, "bits[3]", last(func() {
			for i := range bits.All() {
				if i == 3 {
					if end != nil {
						end()
					}
					break
				}
			}
		}), name)
	}
}

// What a loop has yielded is read, whether or not the loop ends early.
func TestEntriesOfLoopsAreRead(t *testing.T) {
	s := sample.Fixture{
		CPUs:   2,
		ByKey:  map[sample.Key]*uint64{{}: new(uint64)},
		PerCpu: [][]sample.Node{{{}}, {{}}},
		Tasks:  map[ktrt.Owner]*sample.Node{{Addr: 0xffff888000001000, PID: 7}: {}},
	}.Snapshot(t)
	var read []string
	s.OnRead = func(at ktsnap.Location) { read = append(read, at.Path) }
	maps := sample.Bind(t, s)
	for name, tt := range map[string]struct {
		loop func()
		want []string
	}{
		"an array":       {func() { pairs(maps.Masks().All()) }, strings.Fields("masks[0] masks[1] masks[2] masks[3] masks[4] masks[5] masks[6] masks[7]")},
		"a hash":         {func() { pairs(maps.ByKey().All()) }, []string{"by_key[{major: 0, minor: 0, bytes: [0, 0]}]"}},
		"a per-CPU map":  {func() { pairs(maps.PerCpu().Each(0)) }, []string{"per_cpu[cpu=0][0]", "per_cpu[cpu=1][0]"}},
		"a task storage": {func() { pairs(maps.Tasks().All()) }, []string{"tasks[pid=7]"}},
	} {
		read = nil
		tt.loop()
		require.Equal(t, tt.want, read, name)
	}
}

func pairs[K, V any](all iter.Seq2[K, V]) (n int) {
	for range all {
		n++
	}
	return n
}

// A list that ends where the capture ends, or where its memory was freed, does not pass
// for one that is at its end.
func TestPointersIntoWhatIsNotThereFailTheRead(t *testing.T) {
	const stale = "the arena arena, which was captured whole, has no page there"
	for name, c := range map[string]struct {
		cut  func(arena *ktsnap.Map)
		path string
		why  string
	}{
		"a part": {func(arena *ktsnap.Map) {
			arena.Extents = []ktsnap.Extent{{Addr: arenaStart, Data: arena.Extents[0].Data[:2*nodeSize]}}
			arena.Status, arena.Reason = ktsnap.Truncated, "the limit of bytes was reached"
		}, ".bss.head.prev", "the limit of bytes was reached"},
		"nothing": {func(arena *ktsnap.Map) {
			arena.Extents, arena.Status, arena.Reason = nil, ktsnap.Unsupported, "it was not selected"
		}, ".bss.head", "it was not selected"},
		"freed":   {func(arena *ktsnap.Map) { arena.Extents = arena.Extents[1:] }, ".bss.head", stale},
		"a break": {func(arena *ktsnap.Map) { arena.Extents = arena.Extents[:1] }, ".bss.head.prev", stale},
	} {
		t.Run(name, func(t *testing.T) {
			s := ring(t, 5)
			c.cut(find(t, s, "arena"))
			tb := &fakeTB{}
			message := tb.message(t, func() { sample.Bind(tb, s).Bss() })
			require.Regexp(t, `^pointer_test\.go:\d+: read \.bss`, message)
			require.Contains(t, message, c.path+" leads to nothing: the struct node at 0x1000")
			require.Contains(t, message, c.why)
			require.NotContains(t, message, "\n")

			snap, err := sample.Open(s)
			require.NoError(t, err)
			var missing *ktsnap.NotCapturedError
			for range 2 { // what failed is not kept
				require.ErrorAs(t, ktrt.Try(func() { snap.Bss() }), &missing)
			}
			tb = &fakeTB{}
			stale := sample.Bind(tb, s, ktrt.StalePointers())
			at := &stale.Bss().Head
			if *at != nil {
				at = &(*at).Prev
			}
			require.Empty(t, tb.output.String())
			require.ErrorAs(t, ktrt.PointerAt(stale, at).Err, &missing)
			require.Contains(t, missing.Reason, c.why)
			require.ErrorContains(t, s.Get(strings.TrimPrefix(c.path, ".bss.")+".value").Err(), c.why)
		})
	}
}

// A number that is in no arena's range need not be a pointer.
func TestNumbersOutsideOfArenasDoNotFailTheRead(t *testing.T) {
	for value, note := range map[uint64]bool{elsewhere: false, 4096: true, 0xffff_8881_dead_beef: false} {
		s := ring(t, 5)
		arena := find(t, s, "arena")
		setHead(t, s, value)
		tb := &fakeTB{}
		require.Nil(t, sample.Bind(tb, s).Bss().Head)
		require.Empty(t, tb.output.String())
		arena.Status, arena.Reason = ktsnap.Truncated, "the limit of bytes was reached"
		require.Nil(t, sample.Bind(tb, s).Bss().Head)
		require.Equal(t, note, strings.Contains(tb.output.String(), "ktgen: note: .bss has a pointer to 0x1000"), tb.output.String())
		arena.Extra, arena.Extents = arenaStart, nil
		require.Nil(t, sample.Bind(tb, s).Bss().Head, "of no page is its place known")
	}
}

func TestNilPointersSayWhy(t *testing.T) {
	s := ring(t, 5)
	const nowhere = 0xffff_8881_dead_beef
	arena := find(t, s, "arena").Extents[0].Data
	binary.LittleEndian.PutUint64(arena[nodeAt:], 0)
	binary.LittleEndian.PutUint64(arena[nodeCount:], nowhere)
	snap := sample.Bind(t, s)
	head := snap.Bss().Head
	require.Nil(t, head.At)
	require.Equal(t, ktrt.Pointee{Err: &ktsnap.NullError{}}, ktrt.PointerAt(snap, &head.At))
	require.Nil(t, head.Count)
	require.Equal(t, ktrt.Pointee{Value: nowhere, Addr: nowhere, Err: &ktsnap.NotCapturedError{Addr: nowhere, Type: "unsigned int"}}, withoutTypedef(ktrt.PointerAt(snap, &head.Count)))
	require.NoError(t, ktrt.PointerAt(snap, &head.Next).Err)
}

// withoutTypedef spells u32 out.
func withoutTypedef(p ktrt.Pointee) ktrt.Pointee {
	if e, ok := p.Err.(*ktsnap.NotCapturedError); ok && e.Type == "u32" {
		e.Type = "unsigned int"
	}
	return p
}

func TestValuesKnowWhereTheyCameFrom(t *testing.T) {
	s := ring(t, 100)
	nodes := find(t, s, "nodes")
	binary.LittleEndian.PutUint32(nodes.Keys, 1234)
	binary.LittleEndian.PutUint64(nodes.Values[nodePrev:], arenaStart+2*nodeSize)
	snap := sample.Bind(t, s)

	e := snap.Nodes().Get(1234)
	require.Equal(t, "nodes[1234]", ktrt.Path(snap, e))
	require.Equal(t, "nodes[1234].value", ktrt.Path(snap, &e.Value))
	require.Equal(t, nodes.Addrs[0], ktrt.Addr(snap, e))
	require.Equal(t, nodes.Addrs[0]+nodePrev, ktrt.Addr(snap, &e.Prev))
	require.Equal(t, nodes.Values[:nodeSize], ktrt.Raw(snap, e))
	require.Equal(t, nodes.Values[nodePrev:nodePrev+8], ktrt.Raw(snap, &e.Prev))

	require.Equal(t, "nodes[1234].prev", ktrt.Path(snap, e.Prev))
	require.Equal(t, "nodes[1234].prev.next.value", ktrt.Path(snap, &e.Prev.Next.Value))
	require.EqualValues(t, arenaStart+3*nodeSize+nodeValue, ktrt.Addr(snap, &e.Prev.Next.Value))

	bss := snap.Bss()
	require.Equal(t, ".bss.counters[2]", ktrt.Path(snap, &bss.Counters[2]))
	row := bss.Table.At(5)
	require.Equal(t, ".bss.table[5].policy", ktrt.Path(snap, &row.Policy))
	require.Equal(t, ktrt.Addr(snap, bss.Table.At(0))+5*96+80, ktrt.Addr(snap, &row.Policy))

	nested := snap.Nested().At(1)
	require.Equal(t, "nested[1].named.mode", ktrt.Path(snap, &nested.Named.Mode))
	require.Equal(t, "nested[1].lo", ktrt.Path(snap, &nested.Lo))
	require.Equal(t, ktrt.Addr(snap, &nested.Whole)+4, ktrt.Addr(snap, &nested.Hi))

	arrays := snap.Arrays().At(2)
	require.Equal(t, "arrays[2].matrix[1][2]", ktrt.Path(snap, &arrays.Matrix[1][2]))
	require.Equal(t, "arrays[2].points[1].y", ktrt.Path(snap, &arrays.Points[1].Y))
	require.Len(t, ktrt.Raw(snap, &arrays.Name), 16)

	per := snap.PerCpu().CPU(2).At(1)
	require.Equal(t, "per_cpu[cpu=2][1].at", ktrt.Path(snap, &per.At))

	far := e.Prev
	for range 50 {
		far = far.Next
	}
	require.Regexp(t, `^nodes\[1234\]\.prev(\.(next|prev))+\.\.\.\(\d+ more\)\.\.\.(\.(next|prev))+$`, ktrt.Path(snap, far))
}

func TestTheSameEntryIsTheSamePointer(t *testing.T) {
	snap := sample.Bind(t, ring(t, 3))
	require.Same(t, snap.Scalars().At(3), snap.Scalars().At(3))
	require.Same(t, snap.Scalars().At(3), snap.Scalars().Find(func(v *sample.Scalars) bool { return *v == *snap.Scalars().At(3) }))
	key := snap.Nodes().Keys()[3]
	require.Same(t, snap.Nodes().Get(key), snap.Nodes().Get(key))
}

// Any number of goroutines read through one binding; run with -race.
func TestReadersDoNotRace(t *testing.T) {
	snap := sample.Bind(t, ring(t, 200))
	var readers sync.WaitGroup
	for i := range 8 {
		readers.Go(func() {
			at := snap.Bss().Head
			for range 200 {
				at = at.Next
			}
			for key := range snap.Nodes().All() {
				snap.Nodes().Get(key)
			}
			e := snap.PerCpu().CPU(i % 3).At(i % 2)
			ktrt.Path(snap, &e.Value)
			for range snap.Scalars().Filter(func(v *sample.Scalars) bool { return v.Flag }) {
			}
		})
	}
	readers.Wait()
}

// elsewhere is an address that was not captured.
const elsewhere = 1 << 43

// nilNext has a list that ends after two nodes.
func nilNext(t testing.TB) *ktsnap.Snapshot {
	s := ring(t, 5)
	arena := find(t, s, "arena").Extents[0].Data
	binary.LittleEndian.PutUint64(arena[nodeSize+nodeNext:], 0)
	binary.LittleEndian.PutUint64(arena[nodeSize+nodePrev:], elsewhere)
	return s
}

// What is read is kept here, so that the compiler reads it.
var (
	sink uint64
	node sample.Node
)

func TestNilHopsAreExplained(t *testing.T) {
	tb := &fakeTB{}
	snap := sample.Bind(tb, nilNext(t))
	head := snap.Bss().Head
	catch := func(read func()) func() {
		return func() {
			defer ktrt.Catch(snap)
			read()
		}
	}
	for name, c := range map[string]struct {
		read func()
		want string
	}{
		"a chain": {
			func() { sink = head.Next.Next.Value },
			".bss.head.next.next is nil: the pointer is NULL",
		},
		"a chain over lines": {
			func() {
				sink = head.
					Next.
					Next.Value
			},
			".bss.head.next.next is nil: the pointer is NULL",
		},
		"not captured": {
			func() { sink = head.Next.Prev.Value },
			".bss.head.next.prev is nil: the struct node at 0x80000000000 was not captured",
		},
		"no struct": {
			func() { sink = uint64(*head.Next.Count) },
			".count (or one of 3 more) is nil: the pointer is NULL",
		},
		"a loop that goes too far": {
			func() {
				for at := head; ; at = at.Next {
					node = *at.Next.Next
				}
			},
			".bss.head.next.next is nil: the pointer is NULL",
		},
	} {
		t.Run(name, func(t *testing.T) {
			message := tb.message(t, catch(c.read))
			require.Regexp(t, `^pointer_test\.go:\d+: dereference`, message)
			require.Contains(t, message, c.want)
		})
	}
	t.Run("a pointer that is not followed by itself", func(t *testing.T) {
		message := tb.message(t, catch(func() { ktrt.PtrTo[sample.TaskStruct](0).Deref() }))
		require.Regexp(t, `^pointer_test\.go:\d+: Deref TaskStruct: the pointer is NULL`, message)
	})
	t.Run("another nil pointer", func(t *testing.T) {
		var mine *struct{ Other int }
		require.Panics(t, catch(func() { mine.Other++ }))
		require.Empty(t, tb.output.String())
	})
	t.Run("a variable", func(t *testing.T) {
		p := head.Next.Next
		require.Panics(t, catch(func() { sink = p.Value }))
		require.Contains(t, tb.output.String(), "perhaps because .bss.head.next.next")
		tb.output.Reset()
	})
	t.Run("an element of a loop", func(t *testing.T) {
		message := tb.message(t, catch(func() {
			for _, e := range snap.Nodes().All() {
				sink = e.Next.Value
			}
		}))
		require.Regexp(t, `nodes\[\d+\]\.next( \(or one of 1 more\))? is nil: the struct node at `, message)
	})
}

// Without Catch the panic ends the test binary, but the explanation is printed.
func TestNilHopsAreExplainedWithoutCatch(t *testing.T) {
	if os.Getenv("KTGEN_TEST_NIL_HOP") != "" {
		snap := sample.Bind(t, nilNext(t))
		fmt.Println(snap.Bss().Head.Next.Next.Value)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestNilHopsAreExplainedWithoutCatch$")
	cmd.Env = append(os.Environ(), "KTGEN_TEST_NIL_HOP=1")
	out, err := cmd.CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), ".bss.head.next.next is nil: the pointer is NULL")
	require.Equal(t, 1, bytes.Count(out, []byte("is nil:")), string(out))
}

// What generated code says of Binding holds.
func TestABindingIsReadThroughLikeItsSnap(t *testing.T) {
	snap := sample.Bind(t, newGuest(t, "../internal/sample/testdata/sample.bpf.o").snapshot())
	v := snap.Scalars().At(1)
	require.NotZero(t, ktrt.Addr(snap, v))
	require.Equal(t, ktrt.Addr(snap, v), ktrt.Addr(snap.Binding(), v))
	require.Equal(t, "scalars[1]", ktrt.Path(snap.Binding(), v))
}
