package runtime_test

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/internal/sample"
	ktrt "github.com/ktgen/ktgen/runtime"
	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// errorGuest is a guest in which few things are as they should be.
func errorGuest(t *testing.T) *ktsnap.Snapshot {
	s := newGuest(t, "../internal/sample/testdata/sample.bpf.o").snapshot()
	nodes := find(t, s, "nodes")
	for i := range nodes.N {
		copy(nodes.Keys[4*i:], []byte{byte(i), 0, 0, 0})
	}
	byKey := find(t, s, "by_key")
	for i := range byKey.N {
		copy(byKey.Keys[byKey.KeySize*i:], make([]byte, byKey.KeySize))
		byKey.Keys[byKey.KeySize*i+2] = byte(i) // padding
	}
	perCPU := find(t, s, "per_cpu")
	perCPU.Addrs[2] = 0
	recent := find(t, s, "recent")
	recent.Status, recent.Total, recent.Reason = ktsnap.Truncated, 100, "the limit of 8 entries was reached"
	bits := find(t, s, "bits")
	bits.Status, bits.N, bits.Reason = ktsnap.Failed, 0, "its memory at 0xdead could not be read"
	arrays := find(t, s, "arrays")
	arrays.Value = nil
	names := find(t, s, "names")
	names.Name = "naems"
	flexible := find(t, s, "flexible")
	flexible.N, flexible.Total, flexible.Values = 0, 0, nil
	tasks := find(t, s, "tasks")
	tasks.Owners[3].PID = tasks.Owners[4].PID
	return s
}

// Each message names what was read and why that failed, and what to do.
func TestFailedReadsSayWhatToDo(t *testing.T) {
	s := errorGuest(t)
	tb := &fakeTB{}
	snap := sample.Bind(tb, s)
	var (
		indexOutOfRange *ktsnap.IndexOutOfRangeError
		perCPUSlot      *ktsnap.PerCPUSlotError
		keyNotFound     *ktsnap.KeyNotFoundError
		ambiguousKey    *ktsnap.AmbiguousKeyError
		noMatch         *ktsnap.NoMatchError
		incomplete      *ktsnap.IncompleteError
		noShape         *ktsnap.NoShapeError
		mapNotFound     *ktsnap.MapNotFoundError
		untracked       *ktrt.UntrackedError
	)
	never := func(*sample.Scalars) bool { return false }
	for name, c := range map[string]struct {
		read func()
		as   any
		want string
	}{
		"index":       {func() { snap.Scalars().At(8) }, &indexOutOfRange, "At scalars[8]: index 8 is out of range: scalars has entries [0] to [7]"},
		"negative":    {func() { snap.Scalars().At(-1) }, &indexOutOfRange, "At scalars[-1]: index -1 is out of range: scalars has entries [0] to [7]"},
		"empty":       {func() { snap.Flexible().At(0) }, &indexOutOfRange, "At flexible[0]: index 0 is out of range: flexible is empty"},
		"CPU":         {func() { snap.PerCpu().CPU(3).At(0) }, &perCPUSlot, "CPU per_cpu: no CPU 3: per_cpu has a value for each of the CPUs 0 to 2"},
		"no memory":   {func() { snap.PerCpu().CPU(2).At(0) }, &perCPUSlot, "At per_cpu[cpu=2][0]: per_cpu has no memory for CPU 2: it is possible and was never brought up; Guest.Online has those that were"},
		"key":         {func() { snap.Nodes().Get(1000) }, &keyNotFound, "Get nodes[1000]: no entry for 1000; nodes has 64 entries: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 and 48 more"},
		"padding":     {func() { snap.ByKey().Get(sample.Key{}) }, &ambiguousKey, `Get by_key: 8 entries of by_key have the key {0 0 [0 0]}: their bytes, such as 0x000000000000000000000000 and 0x000001000000000000000000, differ in padding, which the program leaves uninitialised; range over All instead, or read one by its bytes: Map("by_key").Lookup([]byte{...}) of the Snapshot, or in a path by_key[0x000000000000000000000000]`},
		"two tasks":   {func() { snap.Tasks().Get(104) }, &ambiguousKey, "Get tasks: 2 tasks with pid 104 have storage in tasks: one that has ended keeps it until its task_struct is freed, and its pid can be another's by then; range over All, whose Owner has the task_struct's address"},
		"find":        {func() { snap.Scalars().Find(never) }, &noMatch, "Find scalars: none of the 8 entries of scalars matches; their keys: 0, 1, 2, 3, 4, 5, 6, 7"},
		"task":        {func() { snap.Tasks().Get(7) }, &keyNotFound, "Get tasks[7]: no entry for 7; tasks has 5 entries: pid=100, pid=101, pid=102, pid=104, pid=104"},
		"max":         {func() { snap.Flexible().MaxBy(func(v *sample.Flexible) uint64 { return 0 }) }, &noMatch, "MaxBy flexible: flexible is empty"},
		"truncated":   {func() { snap.Recent().Lookup(5) }, &incomplete, "Lookup recent: only 8 of 100 entries of recent were captured: the limit of 8 entries was reached; .Partial() reads those"},
		"failed":      {func() { snap.Bits() }, &incomplete, "read bits: bits could not be captured: its memory at 0xdead could not be read; another capture may hold it"},
		"no BTF":      {func() { snap.Arrays() }, &noShape, "read arrays: the guest has no BTF for the value of arrays: the program that created the map did not say its type; read its bytes, or give the map's definition a __type(value, ...)"},
		"no such map": {func() { snap.Names() }, &mapNotFound, `read names: no map "names" in the snapshot (did you mean "naems"?); it holds scalars, bits, arrays, tight, nested, naems, pointers, flexible, bench, nodes, by_key, recent, per_cpu, per_cpu_by_name, a_name_longer_t, matrix and 28 more`},
		"a copy":      {func() { e := *snap.Scalars().At(0); ktrt.Addr(snap, &e) }, &untracked, "Addr: this *sample.Scalars does not point into a value of this snapshot: pass the pointer that At, Get, Find or a section returned, or a pointer to a field of it; copies and the values of All have no place in the guest"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, line, _ := runtime.Caller(0)
			message := tb.message(t, func() { c.read() })
			where, message, _ := strings.Cut(message, ": ")
			require.Regexp(t, `^error_test\.go:\d+$`, where)
			require.NotEqual(t, fmt.Sprintf("error_test.go:%d", line+1), where)
			require.Equal(t, c.want, message)

			unbound, err := sample.Open(s)
			require.NoError(t, err)
			saved := snap
			snap = unbound
			err = ktrt.Try(c.read)
			snap = saved
			require.ErrorAs(t, err, c.as)
			require.Equal(t, c.want, err.Error())
		})
	}
}

// What nothing was captured of is not called empty, and has CPUs all the same.
func TestMapsThatWereNotCapturedAreNotEmpty(t *testing.T) {
	s := errorGuest(t)
	for _, name := range []string{"scalars", "per_cpu"} {
		m := find(t, s, name)
		m.Status, m.Reason = ktsnap.Truncated, "the guest had stood still for as long as it may"
		m.N, m.Slots, m.Values, m.Addrs = 0, 1, nil, nil
	}
	tb := &fakeTB{}
	snap := sample.Bind(tb, s)
	for want, read := range map[string]func(){
		"At scalars":   func() { snap.Scalars().At(7) },
		"CPU per_cpu":  func() { snap.PerCpu().CPU(1) },
		"At per_cpu":   func() { snap.PerCpu().CPU(0).At(1) },
		"Each per_cpu": func() { snap.PerCpu().Each(1)(func(int, *sample.Node) bool { return true }) },
	} {
		require.Contains(t, tb.message(t, read), want+": "+want[len(want)-7:]+" could not be captured: the guest had stood still")
	}
}

func TestPartialReadsWhatWasCaptured(t *testing.T) {
	snap := sample.Bind(t, errorGuest(t))
	recent := snap.Recent().Partial()
	require.Equal(t, 8, recent.Len())
	require.Len(t, recent.Keys(), 8)
	_, ok := recent.Lookup(recent.Keys()[0] + 1)
	require.False(t, ok)
}

func TestTryLetsOtherPanicsPass(t *testing.T) {
	require.PanicsWithValue(t, "mine", func() { ktrt.Try(func() { panic("mine") }) })
	require.NoError(t, ktrt.Try(func() {}))
}

func TestBindRefusesWhatItCannotRead(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*ktsnap.Snapshot) *ktsnap.Snapshot
		want   string
	}{
		"nothing": {
			func(*ktsnap.Snapshot) *ktsnap.Snapshot { return nil },
			"Bind sample: there is no snapshot: it is nil",
		},
		"an empty snapshot": {
			func(*ktsnap.Snapshot) *ktsnap.Snapshot { return &ktsnap.Snapshot{} },
			"Bind sample: the snapshot holds no maps: was sample.bpf.o loaded when it was taken?",
		},
		"another scheduler": {
			func(*ktsnap.Snapshot) *ktsnap.Snapshot {
				return &ktsnap.Snapshot{Maps: []*ktsnap.Map{{Name: "queue"}, {Name: "tasks2"}}}
			},
			"Bind sample: none of the maps of sample.bpf.o is in the snapshot, which holds queue, tasks2: was another object loaded when it was taken?",
		},
		"another map type": {
			func(s *ktsnap.Snapshot) *ktsnap.Snapshot {
				find(t, s, "nodes").Type = ktsnap.MapTypePerCPUHash
				return s
			},
			"Bind sample: the program in the guest is not the sample.bpf.o that package sample was generated from:\n" +
				"\tmap nodes: generated HASH, the guest has PERCPU_HASH\n" +
				"regenerate from the object that the guest runs: go generate (ktgen -object sample.bpf.o -package sample)",
		},
		"a missing variable": {
			func(s *ktsnap.Snapshot) *ktsnap.Snapshot {
				data := find(t, s, "sample.data")
				data.Value = &ctype.Shape{Kind: ctype.KindSection, Name: ".data", Size: 8}
				return s
			},
			"Bind sample: the program in the guest is not the sample.bpf.o that package sample was generated from:\n" +
				"\t.data.slice: generated u64, the guest has no such variable\n" +
				"regenerate from the object that the guest runs: go generate (ktgen -object sample.bpf.o -package sample)",
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := c.change(newGuest(t, "../internal/sample/testdata/sample.bpf.o").snapshot())
			_, err := sample.Open(s)
			require.EqualError(t, err, c.want)
			tb := &fakeTB{}
			message := tb.message(t, func() { sample.Bind(tb, s) })
			require.Regexp(t, `^error_test\.go:\d+: Bind sample: `, message)
		})
	}
}

func TestAnObjectThatIsLoadedTwiceIsAmbiguous(t *testing.T) {
	s := newGuest(t, "../internal/sample/testdata/sample.bpf.o").snapshot()
	twin := newGuest(t, "../internal/sample/testdata/sample.bpf.o").snapshot()
	var ids []uint32
	for _, m := range twin.Maps {
		m.ID += 100
		ids = append(ids, m.ID)
	}
	s.Maps = append(s.Maps, twin.Maps...)

	_, err := sample.Open(s)
	var ambiguous *ktsnap.AmbiguousMapError
	require.True(t, errors.As(err, &ambiguous))
	require.Len(t, ambiguous.IDs, 2)
	require.ErrorContains(t, err, "choose with ktrt.MapIDs")

	require.Equal(t, 64, sample.Bind(t, s, ktrt.MapIDs(ids...)).Nodes().Len())
}

// A key function that handles what it cannot read counts with what it returns.
func TestKeyFunctionsMayHandleErrors(t *testing.T) {
	snap, err := sample.Open(newGuest(t, "../internal/sample/testdata/sample.bpf.o").snapshot())
	require.NoError(t, err)
	scalars := snap.Scalars()
	last := scalars.At(scalars.Len() - 1)
	unread := func(v *sample.Scalars) bool {
		return *v == *last && ktrt.Try(func() { scalars.At(scalars.Len()) }) != nil
	}
	require.Same(t, last, scalars.MaxBy(func(v *sample.Scalars) uint64 {
		if unread(v) {
			return 1000
		}
		return 0
	}))
	require.Same(t, last, scalars.Find(unread))
	for _, v := range scalars.Filter(unread) {
		require.Same(t, last, v)
	}
}

func TestMaxByTakesTheFirstOfTheLargest(t *testing.T) {
	snap, err := sample.Open(newGuest(t, "../internal/sample/testdata/sample.bpf.o").snapshot())
	require.NoError(t, err)
	scalars := snap.Scalars()
	require.Greater(t, scalars.Len(), 2)
	last := scalars.Len() - 1
	for name, tc := range map[string]struct {
		key  func(i int) int
		want int
	}{
		"falling": {func(i int) int { return last - i }, 0},
		"rising":  {func(i int) int { return i }, last},
		"equal":   {func(int) int { return 7 }, 0},
		"zero":    {func(int) int { return 0 }, 0},
		"peak":    {func(i int) int { return max(i, 1) % last }, last - 1},
	} {
		t.Run(name, func(t *testing.T) {
			asked := -1
			got := scalars.MaxBy(func(*sample.Scalars) uint64 {
				asked++
				return uint64(tc.key(asked))
			})
			require.Equal(t, last, asked, "each entry is asked once")
			require.Same(t, scalars.At(tc.want), got)
		})
	}
}
