package ktest_test

import (
	"context"
	"flag"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/ktest"
	"github.com/ktgen/ktgen/scenario"
	"github.com/ktgen/ktgen/sched"
)

// Of TestWhatStarvesIsExplained.
var illsSeed = flag.Uint64("ills.seed", 0, "the seed of the guests of ills.bpf.c and ledger.bpf.c; 0 skips them")

// ill is something wrong with the scheduler of ills.bpf.c or ledger.bpf.c.
type ill struct {
	object, name string
	number       int
	change       func(ktest.Scheduler) ktest.Scheduler // may be nil
	load         []scenario.Op
	then         scenario.Op // once it is ill; may be nil
	last         scenario.Op // takes back what then did

	truth string // the cause
	names string // what the first line is right with: the task or kind of task, the queue, the CPUs, and the cause
	said  string // what of that it says
}

func spinners(name string, count, nice int, cpus ...int) scenario.Op {
	return scenario.Workers{Name: name, Kind: ktest.Spin, Count: count, Nice: nice, CPUs: cpus}
}

var ills = []ill{
	{
		object: "ills", name: "ENDLESS", number: 1,
		load:  []scenario.Op{spinners("plain", 2, 0, 1), spinners("urgent", 1, -15, 1)},
		truth: "The task urgent-0, which spins on CPU 1, has an infinite slice and nobody preempts it, so that no other task for CPU 1 runs.",
		names: "a task that needs CPU 1 waits; CPU 1 runs urgent-0, whose slice never ends",
		said:  `CPU 1 runs urgent-0\[\d+\], whose slice has no end`,
	},
	{
		object: "ills", name: "STEALS_FIRST", number: 2,
		load:  []scenario.Op{spinners("free", 12, 0), spinners("home", 1, 0, 0, 1)},
		truth: "CPUs 0 and 1 take from the other cache's queue, which is never empty, before their own, LLC0_DSQ.",
		names: "home-0 waits in LLC0_DSQ, first or nearly so; CPUs 0 and 1, on which alone it may run, run tasks that come from another queue (LLC1_DSQ, those that ran on CPUs 2 and 3)",
		said:  `queue LLC0_DSQ .* tasks that came after it have left before it; .* have run tasks of queue LLC1_DSQ`,
	},
	{
		object: "ills", name: "SKIPS_OWN", number: 3,
		load:  []scenario.Op{spinners("home", 3, 0, 0, 1)},
		truth: "CPUs 0 and 1 look at LLC1_DSQ only and never at their own cache's queue LLC0_DSQ, in which the task waits.",
		names: "a task home-N waits in LLC0_DSQ, first; CPUs 0 and 1, on which alone it may run, take nothing from that queue (and run others on and on)",
		said:  `queue LLC0_DSQ .*; nobody seems to take from this queue: `,
	},
	{
		object: "ills", name: "OTHER_CLOCK", number: 4,
		load:  []scenario.Op{spinners("plain", 8, 0), spinners("dear", 1, -5)},
		truth: "Tasks below nice 0 have a virtual time of another clock, which is always later than that of the others in the queue.",
		names: "dear-0 waits in an LLC queue behind tasks that came later; its virtual time is far beyond theirs",
		said:  `queue LLC\d_DSQ .* its vtime of \d{13,} is \d{13,} above the first's`,
	},
	{
		object: "ills", name: "HEAD_FLOOD", number: 5,
		load:  []scenario.Op{spinners("plain", 1, 0, 1), spinners("urgent", 2, -15, 1)},
		truth: "Urgent tasks put themselves at the head of CPU 1's local queue each time, so that neither those behind them in it, nor those in other queues, are ever picked.",
		names: "a task that needs CPU 1 waits (in CPU 1's local queue, or behind it); urgent-N goes before it each time, at the head of the local queue",
		said:  `tasks that came after it have left before it.*: they are put in front \(SCX_ENQ_HEAD`,
	},
	{
		object: "ills", name: "PINNED_LAST", number: 6,
		load:  []scenario.Op{spinners("free", 10, 0), spinners("pinned", 1, 0, 2)},
		truth: "CPU 2 looks at the queue PINNED2_DSQ only if there is no other task, and there always is one.",
		names: "a task in a queue PINNEDn_DSQ, first, which only CPU n may run; CPU n runs tasks of other queues",
		said:  `queue PINNED(\d)_DSQ .*; CPU \d runs free-.* have run tasks of queue LLC\d_DSQ .*\(affinity CPU \d\)`,
	},
	{
		object: "ills", name: "ONE_WEIGHT", number: 7,
		load:  []scenario.Op{spinners("plain", 8, 0), spinners("dear", 1, -5)},
		truth: "CPUs take only tasks of weight 100 from the queues of caches.",
		names: "dear-0 waits in an LLC queue, first or with tasks taken from behind it; it differs from those in its weight",
		said:  `queue LLC\d_DSQ .*; it is of weight 305, and all that have run since are of 100`,
	},
	{
		object: "ills", name: "GONE_CPU", number: 8,
		load:  []scenario.Op{spinners("batch", 13, 5)},
		then:  scenario.SetOnline{CPU: 3, Online: false},
		last:  scenario.SetOnline{CPU: 3, Online: true},
		truth: "Nobody takes tasks out of the queue BATCH3_DSQ since CPU 3 is offline.",
		names: "batch-N waits in BATCH3_DSQ; it ran last on CPU 3, which is offline; no CPU takes from that queue",
		said:  `queue BATCH3_DSQ .*; CPU 3, which the queue may be for, is offline`,
	},
	{
		object: "ills", name: "SLEEPERS_FREE", number: 9,
		load: []scenario.Op{
			scenario.Workers{Name: "sleeper", Kind: ktest.SleepWake, Count: 16, Busy: 5 * time.Millisecond, Sleep: 200 * time.Microsecond},
			spinners("plain", 1, 0),
		},
		truth: "Tasks that sleep before their slice ends are not charged, so that their virtual time stays before that of plain-0.",
		names: "plain-0 waits in an LLC queue behind sleeper tasks, which come later and go before it by virtual time, theirs hardly advancing",
		said:  `queue LLC\d_DSQ .* is ahead, and it for .*: vtimes do not grow by what tasks run`,
	},
	{
		object: "ills", name: "PILE_UP", number: 10,
		change: func(s ktest.Scheduler) ktest.Scheduler { return s.Set("slice_ns", 100000000) },
		load:   []scenario.Op{spinners("free", 14, 0)},
		truth:  "All tasks are sent to the local queue of CPU 0, while the others are idle.",
		names:  "free-N waits in the local queue of CPU 0 behind many others, though it may run on CPUs 1 to 3, which are idle",
		said:   `local queue of CPU 0.* while CPUs? .* idle and may run `,
	},
	{
		object: "ills", name: "LAST_FIRST", number: 11,
		load:  []scenario.Op{spinners("batch", 14, 5)},
		truth: "Batch tasks are put at the head of their queue, before those that wait there already.",
		names: "batch-N waits in BATCHn_DSQ, last or behind tasks that came later: the queue is last in, first out",
		said:  `queue BATCH\d_DSQ .*: they are put in front \(SCX_ENQ_HEAD\)`,
	},
	{
		object: "ledger", name: "DROPS_FOREIGN", number: 1,
		load:  []scenario.Op{spinners("free", 8, 0), spinners("bound", 1, 0, 3)},
		truth: "A CPU on which bound-0 may not run took it out of the map ready, and forgot it.",
		names: "bound-0, which may run on CPU 3 only, is with the BPF scheduler, in no queue and in none of its maps: forgotten",
		said:  `it has forgotten it: .*; CPU 3 .*\(affinity CPU 3\)`,
	},
	{
		object: "ledger", name: "DROPS_FULL", number: 2,
		change: func(s ktest.Scheduler) ktest.Scheduler { return s.Resize("ready", 6) },
		load:   []scenario.Op{spinners("free", 14, 0)},
		truth:  "The map ready was full when the task was enqueued, and the scheduler forgot the task.",
		names:  "free-N is with the BPF scheduler, in no queue and in none of its maps: forgotten; the map ready is full",
		said:   `it has forgotten it: none of its maps`,
	},
	{
		object: "ledger", name: "LATE_LAST", number: 3,
		change: func(s ktest.Scheduler) ktest.Scheduler { return s.Set("cap", 200000000) }, // no account is overdrawn
		load:   []scenario.Op{spinners("free", 8, 0), spinners("slow", 1, 5)},
		truth:  "The map late, in which slow-0 is, is looked at only if the map ready is empty, and it never is.",
		names:  "slow-0 is with the BPF scheduler, in its map late; CPUs run tasks that come from elsewhere (the map ready)",
		said:   `its map late has it.* have run tasks of map ready`,
	},
	{
		object: "ledger", name: "ONE_UNFILLED", number: 4,
		load:  []scenario.Op{scenario.Cgroup{Name: "a", Workers: 1}, scenario.Cgroup{Name: "b", Workers: 2}},
		truth: "The account of cgroup b is never filled, so that its tasks stay parked.",
		names: "b-N of cgroup b is with the BPF scheduler, in its map parked, with all of its cgroup",
		said:  `its map parked has it.*\(cgroup .*/b`,
	},
	{
		object: "ledger", name: "ROOT_PAYS", number: 5,
		load:  []scenario.Op{spinners("plain", 1, 0), scenario.Cgroup{Name: "a", Workers: 3}, scenario.Cgroup{Name: "b", Workers: 3}},
		truth: "The root's account pays for the other cgroups, too, and falls without end, so that the root's tasks stay parked.",
		names: "plain-0 of the root cgroup is with the BPF scheduler, in its map parked; CPUs run tasks of other cgroups only",
		said:  `its map parked has it`,
	},
	{
		object: "ledger", name: "BY_PROCESS", number: 6,
		load:  []scenario.Op{scenario.Workers{Name: "pair", Kind: ktest.Pipe, Count: 2}},
		truth: "Threads are kept by the number of their process, so that a thread that is not its first is never dispatched.",
		names: "a thread that is not the first of its process is with the BPF scheduler, and its number is in none of its maps (that of its process may be)",
		said:  `none of its maps .* has it.*; it is a further thread of process pair-\d\[\d+\]`,
	},
	{
		object: "ledger", name: "FULL_BATCHES", number: 7,
		load:  []scenario.Op{scenario.Workers{Name: "nap", Kind: ktest.SleepWake, Count: 3}},
		truth: "Nobody is taken from the map ready until four tasks are in it, and there are but three.",
		names: "nap-N is with the BPF scheduler, in its map ready, with fewer than four; all CPUs are idle",
		said:  `its map ready has it .*CPU \d is idle`,
	},
	{
		object: "ledger", name: "TIMER_ENDS", number: 8,
		load:  []scenario.Op{scenario.Cgroup{Name: "a", Workers: 4}},
		truth: "The timer that fills accounts was not started again, so that tasks stay parked.",
		names: "a task is with the BPF scheduler, in its map parked, while CPUs are idle; the timer in the map fillers is not running",
		said:  `its map parked has it`,
	},
}

func (i ill) scheduler() ktest.Scheduler {
	s := fault(i.object)
	if i.change != nil {
		s = i.change(s)
	}
	return s
}

// autopsy makes the scheduler ill under its load, and returns the state that is captured before a task has
// waited for too long. The guest is then as it was.
func (i ill) autopsy(t *testing.T, vm *ktest.VM) *sched.State {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	require.NoError(t, vm.Attach(ctx, i.scheduler()))
	defer i.recover(t, vm)
	for _, op := range i.load {
		require.NoError(t, vm.Do(ctx, op))
	}
	bss := vm.Freeze("well").Map(i.object + ".bss").At(0)
	require.NoError(t, vm.Write(ctx, ktest.SetOf(bss.Get("ill"), i.number)))
	if i.then != nil {
		require.NoError(t, vm.Do(ctx, i.then))
	}
	c, _, err := vm.CaptureBeforeStall(ctx)
	require.NoError(t, err)
	snap, err := c.Read()
	require.NoError(t, err)
	return sched.Bind(t, snap)
}

// recover ends the scheduler and its load.
func (i ill) recover(t *testing.T, vm *ktest.VM) {
	_, err := vm.Detach(t.Context())
	require.NoError(t, err)
	for _, op := range i.load {
		switch op := op.(type) {
		case scenario.Workers:
			require.NoError(t, vm.Do(t.Context(), scenario.Stop{Workers: op.Name}))
		case scenario.Cgroup:
			require.NoError(t, vm.Do(t.Context(), scenario.Remove{Cgroup: op.Name}))
		}
	}
	if i.last != nil {
		require.NoError(t, vm.Do(t.Context(), i.last))
	}
}

// eachIll calls a function with each ill. Those of one scheduler have one guest.
func eachIll(t *testing.T, do func(t *testing.T, vm *ktest.VM, i ill)) {
	if *illsSeed == 0 {
		t.Skip("give -ills.seed")
	}
	for _, object := range []string{"ills", "ledger"} {
		t.Run(object, func(t *testing.T) {
			vm := ktest.Boot(t, ktest.Config{Seed: *illsSeed, Topology: ktest.Topology{Sockets: 2, Cores: 2}})
			for _, i := range ills {
				if i.object == object {
					do(t, vm, i)
				}
			}
		})
	}
}

// Without an ill nothing starves under any of the loads, and no rule is broken.
func TestNothingStarvesWithoutAnIll(t *testing.T) {
	eachIll(t, func(t *testing.T, vm *ktest.VM, i ill) {
		if i.change != nil {
			return
		}
		require.NoError(t, vm.Attach(t.Context(), i.scheduler()))
		for _, op := range i.load {
			require.NoError(t, vm.Do(t.Context(), op))
		}
		for range 3 {
			require.NoError(t, vm.Hold(t.Context(), 200*time.Millisecond))
			snap := vm.Freeze("well")
			require.Empty(t, sched.Bind(t, snap).StarvingFor(time.Second), i.name)
			require.NoError(t, sched.Check(snap), i.name)
		}
		i.last = nil
		i.recover(t, vm)
	})
}

// Each ill is brought about under load, and the first line that is said of its starving task names it.
func TestWhatStarvesIsExplained(t *testing.T) {
	eachIll(t, func(t *testing.T, vm *ktest.VM, i ill) {
		t.Run(i.name, func(t *testing.T) {
			state := i.autopsy(t, vm)
			var text strings.Builder
			require.NoError(t, state.WriteText(&text, sched.Rows{}))
			t.Log(text.String())
			require.NotEmpty(t, state.Starving())
			require.Regexp(t, i.said, state.Starving()[0].String(), "what is right names this: %s\nbecause: %s", i.names, i.truth)
		})
	})
}
