package ktsnap_test

import (
	"encoding/binary"
	"fmt"
	"reflect"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/runtime/ktsnap"
)

type pid int32

func TestLookupFindsKeys(t *testing.T) {
	s := newGuest()
	for _, row := range []struct {
		mapName string
		key     any
		entry   int
	}{
		{"task_ctxs", 1236, 2},
		{"task_ctxs", pid(1236), 2},
		{"task_ctxs", uint8(3), -1},
		{"task_ctxs", -1, -1},
		{"task_ctxs", []byte{0xd2, 0x04, 0, 0}, 0},
		{"task_ctxs", []byte{0xd2, 0x04, 0, 1}, -1},
		{"tasks", 51, 1},
		{"tasks", -51, -1},
		{"a_rather_long_n", "second", 1},
		{"a_rather_long_n", "secon", -1},
		{"a_rather_long_n", []byte("first\x00\x00\x00"), 0},
		{"scalars", 0, 0},
		{"scalars", 1, -1},
		{"scalars", uint64(1 << 63), -1},
		{"untyped", []byte{1, 2, 3, 4}, 0},
	} {
		e := s.Map(row.mapName).Lookup(row.key)
		if row.entry < 0 {
			missing := as[*ktsnap.KeyNotFoundError](t, e.Err())
			require.Equal(t, row.mapName, missing.Map)
			require.NotZero(t, missing.Len)
			continue
		}
		require.NoError(t, e.Err(), "%v", row.key)
		require.Equal(t, row.entry, e.Index(), "%v", row.key)
	}
}

func TestKeysThatAMapCannotHave(t *testing.T) {
	s := newGuest()
	for _, row := range []struct {
		mapName string
		key     any
	}{
		{"task_ctxs", 1 << 40}, {"task_ctxs", uint64(1 << 63)}, {"task_ctxs", "1234"}, {"task_ctxs", []byte{1}},
		{"task_ctxs", 1.5}, {"task_ctxs", nil}, {"task_ctxs", struct{ a int }{1}},
		{"a_rather_long_n", 1}, {"tasks", "worker"}, {"tasks", []byte{50, 0, 0, 0}}, {"scalars", "0"},
	} {
		e := as[*ktsnap.TypeMismatchError](t, s.Map(row.mapName).Lookup(row.key).Err())
		require.NotEmpty(t, e.Expected)
	}
	as[*ktsnap.NoShapeError](t, s.Map("untyped").Lookup(1).Err())
}

// Char arrays are strings up to their NUL: what is behind it can tell keys
// apart that read the same.
func TestStringsThatSeveralKeysReadAs(t *testing.T) {
	s := newGuest()
	copy(s.Map("a_rather_long_n").Map().Keys, "second\x00\x01")
	e := as[*ktsnap.AmbiguousKeyError](t, s.Map("a_rather_long_n").Lookup("second").Err())
	require.Equal(t, 2, e.Entries)
	require.Equal(t, "behind the NUL of a char array, where a C string ends", e.Where)
	for text, entry := range map[string]int{"second\x00\x01": 0, "second\x00": 1, "second\x00\x01\x00": 0} {
		require.Equal(t, entry, s.Map("a_rather_long_n").Lookup(text).Index(), "%q", text)
	}
	as[*ktsnap.KeyNotFoundError](t, s.Map("a_rather_long_n").Lookup("second\x00\x02").Err())
	for _, path := range []string{`["second\0\x01"]`, `["second\x00\x01"]`, "[" + e.Bytes[0] + "]"} {
		require.NoError(t, s.Get("a_rather_long_n"+path).Err(), path)
	}
}

// Padding that a program leaves as it was tells keys apart that read the same.
func TestPaddingThatTellsKeysApart(t *testing.T) {
	key := structure("key", 8, member(0, "a", u32), member(4, "b", u8))
	m := columns(&ktsnap.Map{Name: "m", Type: ktsnap.MapTypeHash, KeySize: 8, ValueSize: 8, Base: 0x1000, Key: key, Value: u64}, 3, 1)
	m.Keys = make([]byte, 24)
	copy(m.Keys[5:], "x")
	copy(m.Keys[16:], "y")
	e := m.Ambiguous("{0 0}", func(entry int) bool { return entry < 2 })
	require.Equal(t, &ktsnap.AmbiguousKeyError{
		Map: "m", Key: "{0 0}", Entries: 2, Bytes: []string{"0x0000000000780000", "0x0000000000000000"},
		Where: "in padding, which the program leaves uninitialised",
	}, e)
}

// No entry of those with one key is the right one, however it is asked for.
func TestKeysThatTwoEntriesHave(t *testing.T) {
	s := newGuest()
	keys := s.Map("task_ctxs").Map().Keys
	copy(keys[4:8], keys[:4])
	key := binary.LittleEndian.Uint32(keys)
	for name, key := range map[string]any{fmt.Sprint(key): key, fmt.Sprintf("%#x", keys[:4]): keys[:4]} {
		e := as[*ktsnap.AmbiguousKeyError](t, s.Map("task_ctxs").Lookup(key).Err())
		require.Equal(t, ktsnap.AmbiguousKeyError{Map: "task_ctxs", Key: name, Entries: 2}, *e)
	}
	require.NoError(t, s.Map("task_ctxs").At(1).Err())
	require.NoError(t, s.Map("task_ctxs").Lookup(binary.LittleEndian.Uint32(keys[8:])).Err())
}

// Storage of a task that has ended stays until its task_struct is freed, and its
// pid can be another's by then. Generated code says the same.
func TestPidsThatTwoTasksHave(t *testing.T) {
	s := newGuest()
	owners := s.Map("tasks").Map().Owners
	owners[1].PID = owners[0].PID
	e := as[*ktsnap.AmbiguousKeyError](t, s.Map("tasks").Lookup(owners[0].PID).Err())
	require.Equal(t, ktsnap.AmbiguousKeyError{Map: "tasks", Key: "50", Entries: 2, Tasks: true}, *e)
}

func TestMaxByReturnsTheFirstOfEquals(t *testing.T) {
	require.Equal(t, 0, newGuest().Map("task_ctxs").MaxBy(func(ktsnap.Entry) uint64 { return 7 }).Index())
}

func TestOwnersAreTheTasksOfStorage(t *testing.T) {
	s := newGuest()
	owner, ok := s.Map("tasks").Lookup(51).Owner()
	require.True(t, ok)
	require.Equal(t, ktsnap.Owner{PID: 51, Comm: "worker"}, owner)
	require.Equal(t, "tasks[pid=51].ctx.weight", s.Map("tasks").At(1).Get("ctx.weight").Path())
	_, ok = s.Map("task_ctxs").At(0).Owner()
	require.False(t, ok)
}

// Any number of goroutines read one snapshot, from the first read on.
func TestSnapshotsAreReadConcurrently(t *testing.T) {
	s := newGuest()
	var readers sync.WaitGroup
	for range 8 {
		readers.Go(func() {
			for i := range 3 {
				e := s.Map("scx_per_task").CPU(1).At(i)
				for _, path := range []string{"ctx.weight", "leader.ctx.hi", "indirect.tid", "cgroup.x", "nosuch", "a..b"} {
					_, _ = e.Get(path).Uint64()
				}
			}
			_, _ = s.Var("nr_dispatched").Uint64()
			_ = s.Active().Var("nr_cpus_onln").Err()
			_ = s.Map("task_ctxs").Lookup(1235).Get("comm").Err()
			_ = s.Map("task_ctxs").MaxBy(func(e ktsnap.Entry) uint64 { n, _ := e.Get("tid").Uint64(); return n })
			_ = s.Map("task_ctxs").Find(func(e ktsnap.Entry) bool { return e.Get("no").Err() == nil })
		})
	}
	readers.Wait()
	requireUint(t, 101, s.Map("scx_per_task").CPU(1).At(1).Get("ctx.weight"))
}

// A test that changes a copy of a snapshot reads the copy.
func TestCopiesOfASnapshotAreReadForThemselves(t *testing.T) {
	var c ktsnap.Snapshot
	s := newGuest()
	require.NoError(t, s.Map("tasks").Err())
	reflect.ValueOf(&c).Elem().Set(reflect.ValueOf(s).Elem())
	c.Maps = c.Maps[:1]
	as[*ktsnap.MapNotFoundError](t, c.Map("tasks").Err())
	require.NoError(t, s.Map("tasks").Err())
}

// From Linux 7.3 on schedulers can have operations in terms of ids of CPUs of their own.
func TestActiveSchedulerCanHaveOperationsByCid(t *testing.T) {
	p := &ktsnap.Program{BTFID: 7}
	s := &ktsnap.Snapshot{Programs: []*ktsnap.Program{p}, Maps: []*ktsnap.Map{bss(p), opsOf("bpf_struct_ops_sched_ext_ops_cid", "ops", p, 1)}}
	require.NoError(t, s.Active().Err())
	n, err := s.Active().Var("nr_cpus_onln").Uint64()
	require.NoError(t, err)
	require.EqualValues(t, 2, n)
}

func TestActiveSchedulerIsTheOneThatIsRegistered(t *testing.T) {
	states := func(old, current uint32) *ktsnap.Snapshot {
		s := newGuest()
		writer{s.Map("old_ops").Map().Values}.u32(4, old)
		writer{s.Map("ops").Map().Values}.u32(4, current)
		return s
	}
	for _, row := range []struct {
		old, current uint32
		reason       string
	}{
		{2, 1, ""}, {0, 3, ""},
		{0, 2, "the programs that have a sched_ext_ops have not registered it"},
		{1, 3, "2 programs have registered one"},
	} {
		err := states(row.old, row.current).Active().Var("nr_cpus_onln").Err()
		if row.reason == "" {
			require.NoError(t, err)
			continue
		}
		require.Equal(t, row.reason, as[*ktsnap.NoActiveSchedulerError](t, err).Reason)
	}
	unknown := states(0, 1)
	unknown.Map("ops").Map().Program = nil
	require.Error(t, unknown.Active().Err())
	err := (&ktsnap.Snapshot{}).Active().Err()
	require.Equal(t, "no captured program has a sched_ext_ops", as[*ktsnap.NoActiveSchedulerError](t, err).Reason)
}

func TestSelectKeepsToItsMaps(t *testing.T) {
	s := newGuest()
	old := s.Map("oldsched.bss").Map().ID
	require.Equal(t, "oldsched.bss.nr_cpus_onln", s.Select(old).Var("nr_cpus_onln").Path())
	as[*ktsnap.MapNotFoundError](t, s.Select(old).Map("task_ctxs").Err())
	as[*ktsnap.MapNotFoundError](t, s.Select(old).MapByID(old+1).Err())
	require.Equal(t, []string{"nr_cpus_onln"}, as[*ktsnap.VarNotFoundError](t, s.Select(old).Var("slice").Err()).Available)
	as[*ktsnap.MapNotFoundError](t, s.Select().Map("oldsched.bss").Err())
}

// A section that was not captured may have had the variable.
func TestVariablesOfSectionsThatAreNotThere(t *testing.T) {
	s := newGuest()
	m := s.Map("mysched.data").Map()
	m.N, m.Status, m.Reason = 0, ktsnap.Failed, "its page was swapped out"
	s = &ktsnap.Snapshot{Maps: s.Maps}
	require.Equal(t, "mysched.data", as[*ktsnap.IncompleteError](t, s.Var("slice").Err()).Map)
	requireUint(t, 500, s.Var("nr_dispatched"))
	as[*ktsnap.VarNotFoundError](t, s.Select(1).Var("slice").Err())
}

// Variables that C calls the same have numbers; the plain name leads to all of them.
func TestPlainNamesOfVariablesLeadToAllThatAreCalledSo(t *testing.T) {
	data := sectionMap("s.data", &ktsnap.Program{}, 0, section(".data", 8, member(0, "calls#1", u32), member(4, "calls#2", u32)))
	writer{data.Values}.u64(0, 17|34<<32)
	s := &ktsnap.Snapshot{Maps: []*ktsnap.Map{data}}
	requireUint(t, 17, s.Var("calls#1"))
	requireUint(t, 34, s.Var("calls#2"))
	var several *ktsnap.AmbiguousVarError
	require.ErrorAs(t, s.Var("calls").Err(), &several)
	require.Equal(t, []string{"calls#1", "calls#2"}, several.Names)
}

// Static variables of functions have dots in their names.
func TestVariablesOfFunctionsAreGotAsTheyAreWritten(t *testing.T) {
	shape := section(".data", 24, member(0, "run.calls#1", u32), member(4, "run.calls#2", u32), member(8, "run", u32), member(12, "stop.seen", array(u32, 2)))
	data := sectionMap("s.data", &ktsnap.Program{}, 0, shape)
	writer{data.Values}.u64(0, 17|34<<32)
	writer{data.Values}.u64(8, 5|6<<32)
	writer{data.Values}.u64(16, 7)
	s := &ktsnap.Snapshot{Maps: []*ktsnap.Map{data}}
	for path, want := range map[string]uint64{
		`["run.calls#2"]`: 34, `s.data["run.calls#2"]`: 34, `s.data[0]["run.calls#2"]`: 34, `["stop.seen"][1]`: 7,
		"run": 5, "s.data.run": 5, "stop.seen[1]": 7, "s.data.stop.seen[1]": 7, `s.data["stop.seen"][0]`: 6,
	} {
		v := s.Get(path)
		n, err := v.Uint64()
		require.NoError(t, err, path)
		require.Equal(t, want, n, path)
		again := s.Get(v.Path())
		n, err = again.Uint64()
		require.NoError(t, err, "the path that it says: %s", v.Path())
		require.Equal(t, want, n, v.Path())
	}
	require.ErrorContains(t, s.Get("stop.sen").Err(), "stop.seen")
}

// A path goes on in the map that a map of maps has.
func TestPathsLeadIntoMapsOfMaps(t *testing.T) {
	inner := &ktsnap.Map{ID: 7, Name: "inner", Type: ktsnap.MapTypeArray, KeySize: 4, ValueSize: 4, MaxEntries: 2, N: 2, Total: 2, Slots: 1, Stride: 4, Values: make([]byte, 8), Status: ktsnap.Complete, Value: u32}
	outer := &ktsnap.Map{ID: 8, Name: "outer", Type: ktsnap.MapTypeArrayOfMaps, KeySize: 4, ValueSize: 4, MaxEntries: 2, N: 2, Total: 2, Slots: 1, Stride: 4, Values: make([]byte, 8), Status: ktsnap.Complete}
	writer{inner.Values}.u64(0, 11|12<<32)
	writer{outer.Values}.u64(0, 7<<32)
	s := &ktsnap.Snapshot{Maps: []*ktsnap.Map{inner, outer}}
	requireUint(t, 12, s.Get("outer[1][1]"))
	requireUint(t, 7, s.Get("outer[1]"))
	var empty *ktsnap.EmptySlotError
	require.ErrorAs(t, s.Get("outer[0][1]").Err(), &empty)
	var syntax *ktsnap.PathSyntaxError
	require.ErrorAs(t, s.Get("outer[1].x").Err(), &syntax)
}

// The bytes of a value are its own from the first to the last: not those between values.
func TestAddressesOfValuesAreFoundToTheByte(t *testing.T) {
	array := columns(&ktsnap.Map{Name: "array", Type: ktsnap.MapTypeArray, ValueSize: 12, Base: 0x1000}, 2, 1)
	apart := columns(&ktsnap.Map{Name: "apart", Type: ktsnap.MapTypePerCPUArray, ValueSize: 12, Addrs: []uint64{0, 0x2000}}, 1, 2)
	for _, row := range []struct {
		m           *ktsnap.Map
		addr        uint64
		size        int
		entry, slot int // -1: there is none
	}{
		{array, 0x1000, 12, 0, 0}, {array, 0x100b, 1, 0, 0}, {array, 0x1010, 12, 1, 0},
		{array, 0xfff, 1, -1, 0}, {array, 0x1000, 13, -1, 0}, {array, 0x100c, 1, -1, 0}, {array, 0x1020, 1, -1, 0},
		{apart, 0x2000, 12, 0, 1}, {apart, 0x200b, 1, 0, 1}, {apart, 0x200c, 1, -1, 0}, {apart, 0x1fff, 1, -1, 0}, {apart, 0, 1, -1, 0},
	} {
		entry, slot, ok := row.m.At(row.addr, row.size)
		require.Equal(t, row.entry >= 0, ok, "%s: %d bytes at %#x", row.m.Name, row.size, row.addr)
		if ok {
			require.Equal(t, []int{row.entry, row.slot}, []int{entry, slot}, "%s: %#x", row.m.Name, row.addr)
		}
	}
}

func TestKeysInPathsHaveTheWholeRangeOfTheirType(t *testing.T) {
	m := columns(&ktsnap.Map{Name: "queues", Type: ktsnap.MapTypeHash, KeySize: 8, ValueSize: 8, Key: u64, Value: u64}, 2, 1)
	m.Keys = binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, 7), 1<<64-1)
	writer{m.Values}.u64(8, 42)
	s := &ktsnap.Snapshot{Maps: []*ktsnap.Map{m}}
	for _, path := range []string{"queues[18446744073709551615]", "queues[0xffffffffffffffff]"} {
		v, err := s.Get(path).Uint64()
		require.NoError(t, err, path)
		require.EqualValues(t, 42, v, path)
	}
	require.Error(t, s.Get("queues[18446744073709551616]").Err())
}

// A guest with one CPU is no reason to read a map that has a value for each without one.
func TestMapsPerCPUOfOneCPUAreNarrowed(t *testing.T) {
	m := columns(&ktsnap.Map{Name: "counts", Type: ktsnap.MapTypePerCPUArray, KeySize: 4, ValueSize: 8, Value: u64}, 1, 1)
	s := &ktsnap.Snapshot{Maps: []*ktsnap.Map{m}}
	as[*ktsnap.PerCPUNotNarrowedError](t, s.Map("counts").At(0).Get("").Err())
	require.NoError(t, s.Map("counts").CPU(0).At(0).Get("").Err())
	as[*ktsnap.PerCPUSlotError](t, s.Map("counts").CPU(1).At(0).Get("").Err())
}
