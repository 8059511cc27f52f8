package sched_test

import (
	"regexp"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	ktrt "github.com/ktgen/ktgen/runtime"
	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/ktsnap"
	"github.com/ktgen/ktgen/sched"
)

var (
	u32 = &ctype.Shape{Kind: ctype.KindInt, Name: "unsigned int", Size: 4}
	u64 = &ctype.Shape{Kind: ctype.KindInt, Name: "unsigned long", Size: 8}
)

// table returns a table of numbers of 8 bytes, one record for each row. The first of a row is
// its object's address.
func table(name string, members []string, rows ...[]uint64) *ktsnap.Table {
	t := &ktsnap.Table{Name: name, Type: &ctype.Shape{Kind: ctype.KindStruct, Name: name, Size: 8 * len(members)}}
	for i, m := range members {
		t.Type.Members = append(t.Type.Members, ctype.Member{Name: m, Offset: 8 * i, Type: u64})
	}
	for _, row := range rows {
		t.N++
		t.Addrs = append(t.Addrs, row[0])
		for _, v := range row[1:] {
			for i := range 8 {
				t.Data = append(t.Data, byte(v>>(8*i)))
			}
		}
	}
	return t
}

// handmade is a snapshot of two CPUs, of which the second runs pid 12, and a queue with
// pid 11 and a task that is in no list.
func handmade() *ktsnap.Snapshot {
	return &ktsnap.Snapshot{
		Name:  "handmade",
		Guest: ktsnap.Guest{Release: "7.3", CPUs: 2, Online: []int{0, 1}},
		Tables: []*ktsnap.Table{
			table("tasks", []string{"pid", "on_rq"}, []uint64{0x1000, 12, 1}, []uint64{0x2000, 11, 1}),
			table("cpus", []string{"curr", "idle"}, []uint64{0x100, 0, 0}, []uint64{0x200, 0x1000, 0}),
			table("queues", []string{"id", "nr", "is_user", "cpu", "scheduler"}, []uint64{0x300, 5, 2, 1, ^uint64(0), 7}),
			table("queued", []string{"queue", "task"}, []uint64{0, 0, 0x2000}, []uint64{0, 0, 0x9000}, []uint64{0, 99, 0x2000}),
		},
	}
}

func TestStateOfFewMembersIsReadAsFarAsItGoes(t *testing.T) {
	s := sched.Bind(t, handmade())
	require.True(t, s.Task(12).IsCurrent())
	require.True(t, s.Task(11).IsWaiting())
	require.Equal(t, []*sched.Task{s.Task(11)}, s.DSQ(5).Tasks())
	require.Equal(t, 2, s.DSQ(5).Count)
	require.Contains(t, s.Absent(), "tasks.comm")
	require.NotContains(t, s.Absent(), "tasks.pid")
	require.Equal(t, []string{"queue 5 holds a task at 0x9000 that is not in the list of all tasks"}, s.Problems())
	require.Nil(t, s.Scheduler())
}

func TestReadsThatFailSayWhatThereIs(t *testing.T) {
	s, err := sched.Open(handmade())
	require.NoError(t, err)
	for want, read := range map[string]func(){
		`sched: Task(pid 13): no such task when the snapshot was taken: it had ended, or not begun; there are 2`: func() { s.Task(13) },
		`sched: DSQ(6): there is no such queue; the scheduler has made 5`:                                        func() { s.DSQ(6) },
		`sched: CPU(2): the guest has CPUs 0 to 1`:                                                               func() { s.CPU(2) },
		`sched: DSQCalled(SHARED): there is no such queue; the scheduler has made 5`:                             func() { s.DSQCalled("SHARED") },
	} {
		func() {
			defer func() {
				failed, ok := recover().(*sched.Error)
				require.True(t, ok)
				require.EqualError(t, failed, want)
			}()
			read()
			t.Errorf("did not fail: %s", want)
		}()
	}
	_, ok := s.LookupTask(13)
	require.False(t, ok)
	_, ok = s.LookupDSQ(6)
	require.False(t, ok)
}

func TestTheNearestTasksOfAPIDAreNamed(t *testing.T) {
	w := newWhole()
	w.set(3, "pid", 33)
	s, err := sched.Open(w.snapshot())
	require.NoError(t, err)
	for pid, want := range map[int]string{3: ", of which c[2] and e[4] are the nearest", 99: "there are 5", -1: "there are 5"} {
		func() {
			defer func() { require.Regexp(t, regexp.QuoteMeta(want)+"$", recover().(*sched.Error).Error()) }()
			s.Task(pid)
		}()
	}
}

func TestSnapshotsWithoutStateSayWhy(t *testing.T) {
	_, err := sched.Open(&ktsnap.Snapshot{Name: "old"})
	require.EqualError(t, err, `snapshot "old" has no tasks, CPUs and queues: it was taken by an older ktgen or with freeze.Options.NoTables, and has to be taken anew; or it is a fixture, which has maps only`)
	bare := handmade()
	for _, table := range bare.Tables {
		table.N, table.Status, table.Reason = 0, ktsnap.Unsupported, "the guest's kernel has no scx_tasks"
	}
	_, err = sched.Open(bare)
	var none *sched.NoStateError
	require.ErrorAs(t, err, &none)
	require.Equal(t, "the guest's kernel has no scx_tasks", none.Reason)
	_, err = sched.Open(nil)
	require.ErrorAs(t, err, &none)
	require.EqualError(t, err, "there is no snapshot, and so no tasks, CPUs and queues: it is nil, as after a capture that failed, of which series.Capture.NoSnapshot says why")
}

// Tables of a file that was made up are refused by name.
func TestTablesThatContradictThemselvesAreErrors(t *testing.T) {
	tableOf := func(s *ktsnap.Snapshot, name string) *ktsnap.Table {
		return s.Tables[slices.IndexFunc(s.Tables, func(t *ktsnap.Table) bool { return t.Name == name })]
	}
	for name, damage := range map[string]func(*ktsnap.Table){
		"more records than bytes":    func(t *ktsnap.Table) { t.N++ },
		"as many as wrap around":     func(t *ktsnap.Table) { t.N = 1 << 61 },
		"a negative number":          func(t *ktsnap.Table) { t.N = -1 },
		"records of no size":         func(t *ktsnap.Table) { t.Type = &ctype.Shape{Kind: ctype.KindStruct, Name: "task_struct"} },
		"records of negative size":   func(t *ktsnap.Table) { t.Type = &ctype.Shape{Kind: ctype.KindStruct, Size: -8} },
		"a type that is no struct":   func(t *ktsnap.Table) { t.Type = u32 },
		"addresses that are missing": func(t *ktsnap.Table) { t.Addrs = nil },
	} {
		snap := handmade()
		damage(tableOf(snap, "tasks"))
		_, err := sched.Open(snap)
		require.ErrorAs(t, err, new(*sched.NoStateError), name)
		require.ErrorContains(t, err, `table "tasks" cannot be read`, name)
	}
	for name, pid := range map[string]ctype.Member{
		"in front of the record": {Name: "pid", Offset: -8, Type: u32},
		"behind it":              {Name: "pid", Offset: 1 << 30, Type: u32},
		"without a type":         {Name: "pid"},
		"of a type of nothing":   {Name: "pid", Type: &ctype.Shape{Kind: ctype.KindTypedef}},
	} {
		snap := handmade()
		tasks := tableOf(snap, "tasks")
		tasks.Type = &ctype.Shape{Kind: ctype.KindStruct, Name: "tasks", Size: tasks.Type.Size, Members: []ctype.Member{pid}}
		_, err := sched.Open(snap)
		require.NoError(t, err, name)
	}
	snap := handmade()
	snap.Tables = append(snap.Tables, nil)
	snap.Programs = append(snap.Programs, nil, &ktsnap.Program{Shapes: []*ctype.Shape{nil}})
	s, err := sched.Open(snap)
	require.NoError(t, err)
	require.Contains(t, s.Problems(), "the snapshot is damaged: a table of it is nil")
}

func TestReadsThatFailAreErrorsOfTry(t *testing.T) {
	s, err := sched.Open(handmade())
	require.NoError(t, err)
	err = ktrt.Try(func() { s.Task(13) })
	require.ErrorAs(t, err, new(*sched.Error))
	require.ErrorContains(t, err, "pid 13")
	require.PanicsWithValue(t, "mine", func() { _ = ktrt.Try(func() { panic("mine") }) })
}

// FuzzOpen reads tables of any numbers, and with members that are not as large as
// they should be.
func FuzzOpen(f *testing.F) {
	f.Add([]byte{1, 2, 3}, uint8(0), uint8(0), int64(2), int32(8))
	f.Add([]byte{1}, uint8(0), uint8(1), int64(1)<<61, int32(8))
	f.Fuzz(func(t *testing.T, noise []byte, cut, which uint8, n int64, offset int32) {
		snap := handmade()
		if i := int(which); i > 0 && i <= len(snap.Tables) {
			table := snap.Tables[i-1]
			table.N = int(n)
			table.Type.Members[0].Offset = int(offset)
		}
		for _, table := range snap.Tables {
			for i := range table.Data {
				if len(noise) > 0 {
					table.Data[i] ^= noise[i%len(noise)]
				}
			}
			for i := range table.Type.Members {
				if cut>>(i%8)&1 != 0 {
					table.Type.Members[i].Type = u32
				}
			}
		}
		s, err := sched.Open(snap)
		if which > 0 && err != nil {
			require.ErrorAs(t, err, new(*sched.NoStateError))
			return
		}
		require.NoError(t, err)
		for _, d := range s.DSQs() {
			_ = d.Name()
		}
		for _, task := range s.Tasks() {
			_ = task.RunnableFor()
		}
	})
}
