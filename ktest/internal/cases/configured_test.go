package cases_test

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/ktest"
	"github.com/ktgen/ktgen/ktest/internal/cases"
	"github.com/ktgen/ktgen/ktest/internal/initial"
	"github.com/ktgen/ktgen/object"
	"github.com/ktgen/ktgen/runtime"
)

const configured = "testdata/configured.bpf.o"

// runConfigured runs a scheduler until its tasks have run, and returns what it has.
func runConfigured(t *testing.T, s ktest.Scheduler) *runtime.Snapshot {
	t.Helper()
	vm := ktest.Boot(t, ktest.Config{CPUs: 2, Scheduler: s})
	_, err := vm.Work(t.Context(), ktest.Sleep, 3)
	require.NoError(t, err)
	return vm.Freeze("running")
}

// requireVars compares variables with what they are to be.
func requireVars(t *testing.T, snap *runtime.Snapshot, want map[string]uint64) {
	t.Helper()
	for path, n := range want {
		v, err := snap.Var(path).Uint64()
		require.NoError(t, err, path)
		require.Equal(t, n, v, path)
	}
}

// What is set by name is there when the verifier looks, and when the first task runs.
func TestObjectsStartWithWhatIsSetByName(t *testing.T) {
	snap := runConfigured(t, ktest.Object(configured).
		Set("broken", false).Set("mode", "VTIME").Set("nice", -2).
		Set("limits.most", 100).Set("limits.strict", 1).
		Set("table[999]", 1<<40).Set("label", "xyz").Set("start", 1000).
		Resize("loads", 2).Set("nr_cpus", 2).
		Set("shares[1]", map[string]any{"weight": 300, "llc": 7}).
		Set("squares[7]", 49).Set("squares[8]", 64).Set("squares[9]", 81).Resize("squares", 3).
		Set("of_cpus[cpu=1][0].runs", 5).Set("queue[0]", 77).
		Set("cf_ops.timeout_ms", 7000).Set("cf_ops.enqueue", "spare").
		Load(false, "on_switch"))
	requireVars(t, snap, map[string]uint64{
		"seen_mode": 7, "first": 1 + 100 + 1, "seen_table": 1 << 40, "seen_label": 'y',
		"seen_weight": 300, "seen_llc": 7, "seen_squares": 49, "seen_queued": 77, "switches": 0,
	})
	spared, err := snap.Var("enqueued").Uint64()
	require.NoError(t, err)
	require.Positive(t, spared)
	loads := snap.Var("loads")
	require.Equal(t, 2, loads.Len())
	requireUint(t, 7000, snap.Map("cf_ops").At(0).Get("data.timeout_ms"))
}

// What a queue and a stack begin with is read from a guest in the order in which it was given, as from
// a fixture: entry 0 is the one that the next pop takes.
func TestQueuesAndStacksBeginInTheOrderGiven(t *testing.T) {
	fill := func(c *cases.QueueStackFixture) {
		c.Waiting = []cases.Who{{Pid: 1}, {Pid: 2}, {Pid: 3}}
		c.Recent = []uint64{1001, 1002, 1003}
	}
	given := cases.QueueStackFixture{}
	fill(&given)
	read := func(s cases.QueueStackSnap) (all []any) {
		for _, who := range s.Waiting().All() {
			all = append(all, who.Pid)
		}
		for _, v := range s.Recent().All() {
			all = append(all, v)
		}
		return all
	}
	var held []any
	ktest.Boot(t, ktest.Config{Scheduler: ktest.Object("testdata/queue_stack.bpf.o").Configure(cases.InitialQueueStack(fill)).Loaded(func(_ context.Context, vm *ktest.VM) error {
		held = read(cases.BindQueueStack(t, vm.Freeze("loaded")))
		return nil
	})})
	require.Equal(t, []any{uint32(1), uint32(2), uint32(3), uint64(1001), uint64(1002), uint64(1003)}, held)
	require.Equal(t, held, read(given.Bind(t)))
}

// The same by type: a fixture that begins as the file, changed.
func TestObjectsStartWithWhatAFixtureSays(t *testing.T) {
	snap := runConfigured(t, ktest.Object(configured).Configure(cases.InitialConfigured(func(c *cases.ConfiguredFixture) {
		require.Equal(t, "from the file", c.Rodata.Label)
		require.Equal(t, cases.Limits{Least: 1, Most: 2}, c.Rodata.Limits)
		require.Equal(t, 2, c.MaxEntries.Squares)
		require.True(t, c.Programs.OnSwitch.Load)
		require.False(t, c.Programs.OnWakeup.Load)

		c.Rodata.Broken, c.Rodata.Mode, c.Rodata.Nice = false, cases.VTIME, -2
		c.Rodata.Limits.Most, c.Rodata.Limits.Strict = 100, 1
		*c.Rodata.Table.At(999) = 1 << 40
		c.Rodata.Label, c.Data.Start = "xyz", 1000
		c.DataLoads.Loads, c.Rodata.NrCpus = make([]cases.Load, 2), 2
		c.DataLoads.Loads[1].Last = 1234567
		c.Shares = []cases.Share{1: {Weight: 300, Llc: 7}}
		c.Squares = map[uint32]*uint64{7: new(uint64(49)), 8: new(uint64(64)), 9: new(uint64(81))}
		c.OfCpus = [][]cases.Load{1: {{Runs: 5}}}
		c.Queue = []uint32{77}
		c.MaxEntries.Squares = 3
		c.CfOps.TimeoutMs, c.CfOps.Enqueue = 7000, c.Programs.Spare.FuncPtr
		c.Programs.OnSwitch.Load = false
		c.DataExitDump.ExitDump = strings.Repeat("\x00", 4096)
	})))
	s := cases.BindConfigured(t, snap)
	require.Equal(t, 4096, snap.Map(".data.exit_dump").Map().ValueSize)
	bss := s.Bss()
	require.Equal(t, cases.VTIME, bss.SeenMode)
	require.EqualValues(t, 1+100+1, bss.First)
	require.EqualValues(t, 1<<40, bss.SeenTable)
	require.EqualValues(t, 'y', bss.SeenLabel)
	require.EqualValues(t, -2, bss.SeenNice)
	require.EqualValues(t, 300, bss.SeenWeight)
	require.EqualValues(t, 7, bss.SeenLlc)
	require.EqualValues(t, 49, bss.SeenSquares)
	require.EqualValues(t, 77, bss.SeenQueued)
	require.Zero(t, bss.Switches)
	require.Positive(t, bss.Enqueued)
	require.GreaterOrEqual(t, bss.Total, uint64(1000))
	require.Len(t, s.DataLoads().Loads, 2)
	require.EqualValues(t, 64, *s.Squares().Get(8))
	require.Equal(t, []uint64{1, 6}, []uint64{s.OfCpus().CPU(0).At(0).Runs, s.OfCpus().CPU(1).At(0).Runs})
	require.EqualValues(t, 7000, s.CfOps().TimeoutMs)
}

// A text is as long as the array that it is in, or shorter, and NULs at its end are room.
func TestATextMakesTheArrayAtTheEndOfASectionLongerOnly(t *testing.T) {
	for given, want := range map[string]struct {
		text string
		room int // bytes
	}{
		"":                                  {"", 1},
		"x":                                 {"x", 1},
		"some":                              {"some", 4},
		strings.Repeat("\x00", 4096):        {"", 4096},
		"some" + strings.Repeat("\x00", 96): {"some", 100},
	} {
		obj, err := object.Open(configured)
		require.NoError(t, err)
		state, err := initial.Of(obj, 2)
		require.NoError(t, err)
		require.NoError(t, state.Apply(cases.InitialConfigured(func(c *cases.ConfiguredFixture) {
			require.Empty(t, c.DataExitDump.ExitDump)
			c.DataExitDump.ExitDump = given
		})))
		m, err := state.Find(".data.exit_dump")
		require.NoError(t, err)
		require.Equal(t, want.room, m.ValueSize)
		text, err := state.Snapshot.Get("exit_dump").Str()
		require.NoError(t, err)
		require.Equal(t, want.text, text)
	}
}

// What cannot be is said before there is a guest, with what there is instead.
func TestWhatAnObjectCannotStartWithIsRefusedBeforeTheBoot(t *testing.T) {
	object := ktest.Object(configured)
	for want, s := range map[string]ktest.Scheduler{
		`did you mean "nr_cpus"?`:                                                                    object.Set("nr_cpu", 4),
		`300 does not fit its 8 bits, which hold -128 to 127`:                                        object.Set("nice", 300),
		`4096 does not fit its 12 bits, which hold 0 to 4095`:                                        object.Set("limits.most", 4096),
		`2 is neither true nor false`:                                                                object.Set("broken", 2),
		`"a text that is too long" has 23 bytes, and the array 16`:                                   object.Set("label", "a text that is too long"),
		`enum mode has no enumerator "VTIMES" (did you mean "VTIME"?)`:                               object.Set("mode", "VTIMES"),
		`1001 elements do not fit the 1000 of u64[1000]`:                                             object.Set("table", make([]uint64, 1001)),
		`a Go string is no value of a u64`:                                                           object.Set("start", "now"),
		`struct limits has no member "mot" (did you mean "most"?)`:                                   object.Set("limits", map[string]any{"mot": 1}),
		`squares: it is given 3 entries, and has room for 2`:                                         object.Set("squares[1]", 1).Set("squares[2]", 1).Set("squares[3]", 1),
		`shares: it is given 3 entries, and has room for 2`:                                          object.Set("shares[2].weight", 1),
		`squares: a map has room for 1 to 4294967295 entries, not for 0`:                             object.Resize("squares", 0),
		`loads: it has 1 element in the file, and cannot be made shorter than that: 0`:               object.Resize("loads", 0),
		`cannot set initial values of the object: loads[9].runs: index 9 is out of range`:            object.Set("loads[9].runs", 1),
		`.bss: it cannot be made longer`:                                                             object.Resize(".bss", 10),
		`squares: it has no maps in it, as it is of type HASH: maps of maps can be filled with some`: object.Fill("squares", 2),
		`queues: it has room for 2 maps, not for 3`:                                                  ktest.Object("testdata/maps_of_queues.bpf.o").Fill("queues", 3),
		`square: the object has no such map or section (did you mean "squares"?)`:                    object.Resize("square", 10),
		`the object has no such program (did you mean "on_switch"?)`:                                 object.Load(false, "on_swich"),
		`the object has no such program (did you mean "spare"?)`:                                     object.Set("cf_ops.enqueue", "sparse"),
		`no member "enqueu" (did you mean "enqueue"?)`:                                               object.Set("cf_ops.enqueu", "spare"),
		`cf_ops.running: program enq is switched off`:                                                object.Set("cf_ops.running", "enq").Load(false, "enq"),
		`cf_ops.running: program setup is in section "syscall", and operations are programs of`:      object.Set("cf_ops.running", "setup"),
		`cf_ops.running: program on_wakeup is in section "?tp_btf/sched_wakeup"`:                     object.Set("cf_ops.running", "on_wakeup"),
		`a program of its own configures its object itself`:                                          ktest.Binary("/bin/true").Set("nr_cpus", 4),
	} {
		err := s.Check()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
}

func TestWhatAFixtureCannotSayIsRefusedBeforeTheBoot(t *testing.T) {
	for want, configure := range map[string]func(*cases.ConfiguredFixture){
		`set .rodata.limits.most: 4096 does not fit its 12 bits, which hold 0 to 4095`: func(c *cases.ConfiguredFixture) { c.Rodata.Limits.Most = 4096 },
		`"a text that is too long" has 23 bytes, and the array 16`:                     func(c *cases.ConfiguredFixture) { c.Rodata.Label = "a text that is too long" },
		`loads: it has 1 element in the file, and cannot be made shorter`:              func(c *cases.ConfiguredFixture) { c.DataLoads.Loads = nil },
		`shares: it is given 3 entries, and has room for 2`:                            func(c *cases.ConfiguredFixture) { c.Shares = make([]cases.Share, 3) },
		`squares: a map has room for 1 to 4294967295 entries, not for -1`:              func(c *cases.ConfiguredFixture) { c.MaxEntries.Squares = -1 },
		`of_cpus: it is given values of 3 CPUs, and the guest has 2`:                   func(c *cases.ConfiguredFixture) { c.OfCpus = [][]cases.Load{2: {{Runs: 1}}} },
		`cf_ops.enqueue: 0x1234 is no program of the object`:                           func(c *cases.ConfiguredFixture) { c.CfOps.Enqueue.Address = 0x1234 },
		`cf_ops.running: program enq is operation enqueue, and the kernel takes a program for one operation`: func(c *cases.ConfiguredFixture) {
			c.CfOps.Running = c.Programs.Enq.FuncPtr
		},
		`cf_ops.running: program on_switch is in section "tp_btf/sched_switch"`: func(c *cases.ConfiguredFixture) {
			c.CfOps.Running = c.Programs.OnSwitch.FuncPtr
		},
		`cf_ops.running: program enq is switched off`: func(c *cases.ConfiguredFixture) {
			c.CfOps.Running, c.Programs.Enq.Load = c.Programs.Enq.FuncPtr, false
		},
	} {
		err := ktest.Object(configured).Configure(cases.InitialConfigured(configure)).Check()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
	other := ktest.Object("testdata/resized_data.bpf.o").Configure(cases.InitialConfigured(func(*cases.ConfiguredFixture) {}))
	require.ErrorContains(t, other.Check(), "regenerate from the object")
}

// Programs of section syscall run before the scheduler is attached, and while it runs.
func TestProgramsAreRunWithATypedContext(t *testing.T) {
	args := cases.Setup{Count: 3, Of: 5}
	s := ktest.Object(configured).Set("broken", false).Loaded(func(ctx context.Context, vm *ktest.VM) error {
		result, err := vm.RunProgram(ctx, "setup", &args)
		require.EqualValues(t, 17, result)
		return err
	})
	vm := ktest.Boot(t, ktest.Config{CPUs: 2, Scheduler: s})
	require.Equal(t, cases.Setup{3, 5, 15}, args)

	args.Count = 0
	result, err := vm.RunProgram(t.Context(), "setup", &args)
	require.NoError(t, err)
	require.EqualValues(t, -22, result)
	require.Zero(t, args.Sum)
	requireVars(t, vm.Freeze("set up"), map[string]uint64{"first": 0})

	words := [4]uint64{3: 9}
	result, err = vm.RunProgram(t.Context(), "fourth", &words)
	require.NoError(t, err)
	require.EqualValues(t, 9, result)

	swapped := &struct {
		Sum       uint64
		Count, Of uint32
	}{}
	for want, run := range map[string]func() error{
		`the kernel does not run it with a context of 8 bytes (invalid argument): it uses more`:                             func() error { _, err := vm.RunProgram(t.Context(), "fourth", new(uint64)); return err },
		`the kernel does not run it with a context of 0 bytes`:                                                              func() error { _, err := vm.RunProgram(t.Context(), "fourth", nil); return err },
		`has 65536 bytes, and the kernel takes at most 65535`:                                                               func() error { _, err := vm.RunProgram(t.Context(), "fourth", make([]byte, 1<<16)); return err },
		`whose member count has bytes 0 to 3, where struct { Sum uint64; Count uint32; Of uint32 } has Sum in bytes 0 to 7`: func() error { _, err := vm.RunProgram(t.Context(), "setup", swapped); return err },
		`no such program of section syscall (did you mean "setup"?); it has `:                                               func() error { _, err := vm.RunProgram(t.Context(), "setap", &args); return err },
		`its context has 16 bytes, and the *uint64 that it is given 8`:                                                      func() error { _, err := vm.RunProgram(t.Context(), "setup", new(uint64)); return err },
		`with a string in it, which is not in it as in C`:                                                                   func() error { _, err := vm.RunProgram(t.Context(), "setup", &struct{ S string }{}); return err },
		`give a pointer to a struct, bytes, or nil`:                                                                         func() error { _, err := vm.RunProgram(t.Context(), "setup", 5); return err },
	} {
		require.ErrorContains(t, run(), want)
		require.ErrorAs(t, run(), new(*ktest.ProgramError))
	}
}
