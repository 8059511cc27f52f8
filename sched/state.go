package sched

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ktgen/ktgen/runtime"
	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// State is what one snapshot holds of the kernel's scheduling. It is complete in
// itself and immutable; any number of goroutines may read it.
type State struct {
	// Taken is the snapshot's.
	Taken time.Time
	// Enabled is what the snapshot says of its sched_ext scheduler.
	Enabled ktsnap.Scheduler
	// SwitchedAll tells whether all normal tasks are the BPF scheduler's, and not only
	// those of policy SCHED_EXT.
	SwitchedAll bool

	// Jiffies is the kernel's time in ticks, and Hz how many of them are a second; 0 if
	// the kernel's types do not tell.
	Jiffies, Hz uint64
	// Watchdog is when sched_ext's watchdog last looked for tasks that wait, in jiffies.
	Watchdog uint64

	tb         runtime.TB // nil: failures panic
	tasks      []*Task
	byAddr     map[uint64]*Task
	cpus       []*CPU
	dsqs       []*DSQ
	schedulers []*Scheduler
	cgroups    []*Cgroup
	programs   []*Program
	keepers    func() []*keeper // read at the first use: most states have no task that starves
	enums      map[string]enum
	names      queueNames
	online     []int
	absent     []string
	problems   []string
}

// NoStateError says that a snapshot holds nothing of the kernel's scheduling.
type NoStateError struct {
	Snapshot string // its name
	Release  string // of its kernel
	Reason   string // why; empty for files of older ktgens and snapshots that leave it out

	lacks string // what there should be; tasks, CPUs and queues if it is empty
}

func (e *NoStateError) Error() string {
	why := e.Reason
	if why == "" {
		why = "it was taken by an older ktgen or with freeze.Options.NoTables, and has to be taken anew; or it is a fixture, which has maps only"
	}
	lacks := cmp.Or(e.lacks, "no tasks, CPUs and queues")
	switch {
	case e.Snapshot == "" && e.Release == "":
		return fmt.Sprintf("there is no snapshot, and so %s: %s", lacks, why)
	case e.Release == "":
		return fmt.Sprintf("snapshot %q has %s: %s", e.Snapshot, lacks, why)
	}
	return fmt.Sprintf("snapshot %q of kernel %s has %s: %s", e.Snapshot, e.Release, lacks, why)
}

// Open reads the state in a snapshot, outside of tests. The error is a [*NoStateError] if it
// has none. Reads that fail panic with a [*Error] then, which [runtime.Try] returns; the methods whose names begin
// with Lookup do not.
func Open(snap *ktsnap.Snapshot) (*State, error) {
	if snap == nil {
		return nil, &NoStateError{Reason: "it is nil, as after a capture that failed, of which series.Capture.NoSnapshot says why"}
	}
	s := &State{Taken: snap.Taken, Enabled: snap.Scheduler, byAddr: make(map[uint64]*Task), enums: make(map[string]enum), online: snap.Guest.Online}
	tables := make(map[string]*records)
	var why []string
	for _, t := range snap.Tables {
		if t == nil || t.Type == nil || t.Status == ktsnap.Unsupported {
			why = append(why, reasonOf(t))
			continue
		}
		if err := t.Check(); err != nil {
			why = append(why, fmt.Sprintf("table %q cannot be read: %v", t.Name, err))
			continue
		}
		tables[t.Name] = &records{Table: t, places: make(map[string]place), absent: &s.absent}
		s.noteProblems(t)
	}
	if tables["cpus"] == nil || tables["tasks"] == nil {
		return nil, &NoStateError{Snapshot: snap.Name, Release: snap.Guest.Release, Reason: strings.Join(slices.Compact(why), "; ")}
	}
	s.problems = append(s.problems, slices.Compact(why)...)
	s.names = queueNamesOf(snap)
	s.load(tables)
	queues := queuesOf(snap) // of the snapshot no more is kept
	s.keepers = sync.OnceValue(func() []*keeper { return s.readKeepers(queues) })
	slices.Sort(s.absent)
	s.absent = slices.Compact(s.absent)
	return s, nil
}

// reasonOf says why a table has nothing.
func reasonOf(t *ktsnap.Table) string {
	if t == nil {
		return "the snapshot is damaged: a table of it is nil"
	}
	return t.Reason
}

// Bind reads the state in a snapshot on behalf of a test. If there is none, or if a
// later read fails, the test ends with a message.
func Bind(tb runtime.TB, snap *ktsnap.Snapshot) *State {
	s, err := Open(snap)
	if err != nil {
		(&State{tb: tb}).fail("Bind", "", err)
		return nil
	}
	s.tb = tb
	return s
}

// Error says which read failed.
type Error struct {
	Op   string // "Task"
	What string // "pid 17"
	Err  error
}

func (e *Error) Error() string {
	if e.What == "" {
		return fmt.Sprintf("sched: %s: %v", e.Op, e.Err)
	}
	return fmt.Sprintf("sched: %s(%s): %v", e.Op, e.What, e.Err)
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// ReadFailed returns e, which says that [runtime.Try] is to return it.
func (e *Error) ReadFailed() error { return e }

// fail ends the test that the state is bound to, or panics if there is none.
func (s *State) fail(op, what string, err error) {
	failed := &Error{Op: op, What: what, Err: err}
	if s.tb == nil {
		panic(failed)
	}
	if h, ok := s.tb.(interface{ Helper() }); ok {
		h.Helper()
	}
	if f, ok := s.tb.(interface{ Fatal(...any) }); ok {
		f.Fatal(failed)
	}
	fmt.Fprintln(s.tb.Output(), failed)
	s.tb.FailNow()
}

// Absent returns the members that the guest's kernel does not have, or that were not
// captured, ascending: "task_struct.is_blocked". They are zero in what is read.
func (s *State) Absent() []string { return slices.Clone(s.absent) }

// Problems returns what is missing or contradicts itself in what was captured, one line
// for each, such as a list that does not end. What they do not name is right.
func (s *State) Problems() []string { return slices.Clone(s.problems) }

func (s *State) noteProblems(t *ktsnap.Table) {
	if t.Status != ktsnap.Complete {
		s.problems = append(s.problems, fmt.Sprintf("%s: %s", t.Name, t.Reason))
	}
	for _, f := range t.Faults {
		s.problems = append(s.problems, fmt.Sprintf("%s, record %d: %s", t.Name, f.Record, f.Reason))
	}
}

func (s *State) load(tables map[string]*records) {
	if t := tables["kernel"]; t != nil && t.N > 0 {
		s.loadKernel(t)
	}
	s.loadCgroups(tables["cgroups"])
	s.loadSchedulers(tables["schedulers"], tables["scheduler_cpus"])
	s.loadTasks(tables["tasks"])
	s.loadCPUs(tables["cpus"])
	s.loadQueues(tables["queues"], tables["queued"])
	s.loadPrograms(tables["programs"])
	s.loadVerified(tables["verified"])
}

func (s *State) loadKernel(t *records) {
	r := t.record(0)
	s.Jiffies, s.Hz, s.Watchdog = r.uint("jiffies"), r.uint("hz"), r.uint("scx_watchdog_timestamp")
	s.SwitchedAll = r.int("scx_switched_all") > 0
	for _, m := range t.Type.Members {
		if u := m.Type.Underlying(); u != nil && u.Kind == ctype.KindEnum {
			s.enums[m.Name] = enum{m.Name, u.Values}
		}
	}
}

// Since returns the time between a moment in jiffies and the snapshot; it is negative
// for one to come. It is 0 if the kernel's types do not tell how long a jiffy is.
func (s *State) Since(jiffies uint64) time.Duration {
	if s.Hz == 0 {
		return 0
	}
	return s.duration(int64(s.Jiffies - jiffies))
}

// duration is that of so many jiffies.
func (s *State) duration(jiffies int64) time.Duration {
	const most = int64(1<<63-1) / int64(time.Second)
	if s.Hz == 0 || jiffies > most || jiffies < -most {
		return 0
	}
	return time.Duration(jiffies) * time.Second / time.Duration(s.Hz)
}
