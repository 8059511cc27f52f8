package ktest_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/ktest"
	"github.com/ktgen/ktgen/scenario"
	"github.com/ktgen/ktgen/sched"
	"github.com/ktgen/ktgen/vmm"
	"github.com/ktgen/ktgen/vmm/cache"
)

// trace is what a run of a guest in lockstep was seen to do.
type trace []string

// look notes the guest's time and a hash of all of its memory.
func (tr *trace) look(t testing.TB, vm *ktest.VM, what string) {
	t.Helper()
	ram := vm.Machine().RAM()
	all, ok := ram.Slice(0, int(ram.Size()))
	require.True(t, ok)
	*tr = append(*tr, fmt.Sprintf("%s at %v: %x", what, vm.Machine().Calls().Now(), sha256.Sum256(all))[:len(what)+40])
}

// sessionOf is a test: a guest, and what is done to it.
type sessionOf struct {
	name string
	cfg  ktest.Config
	run  func(t testing.TB, vm *ktest.VM, look func(what string))
}

// sessions are tests of many kinds. They are made where they run: a guest's init, which
// this binary is too, has no /proc yet that tells its name.
var sessions = sync.OnceValue(func() []sessionOf {
	return []sessionOf{
		{"an object and a scenario", ktest.Config{Scheduler: fault("docile")}, func(t testing.TB, vm *ktest.VM, look func(string)) {
			look("attached")
			vm.Run(
				scenario.Step{
					Cgroups: []scenario.Cgroup{{Name: "light", Workers: 2}, {Name: "heavy", Weight: 400, Workers: 2, Kind: scenario.SleepWake}},
					Hold:    50 * time.Millisecond,
				},
				scenario.Step{Ops: []scenario.Op{scenario.FreezeCgroup{Cgroup: "heavy"}, scenario.Capture{Name: "frozen"}}, Hold: 20 * time.Millisecond},
			)
			look("performed")
		}},
		{"a dialogue", ktest.Config{Scheduler: fault("docile")}, func(t testing.TB, vm *ktest.VM, look func(string)) {
			workers, err := vm.Work(t.Context(), ktest.Spin, 3)
			require.NoError(t, err)
			look("spawned")
			vm.Freeze("spinning")
			require.NoError(t, vm.Hold(t.Context(), 30*time.Millisecond))
			vm.Freeze("held")
			look("held")
			_, err = vm.ReadFile(t.Context(), "/proc/schedstat")
			require.NoError(t, err)
			require.NoError(t, vm.WriteFile(t.Context(), "/tmp/x", make([]byte, 300<<10), 0o600))
			_, err = workers.Stop(t.Context())
			require.NoError(t, err)
			look("stopped")
			_, err = vm.Detach(t.Context())
			require.NoError(t, err)
			require.NoError(t, vm.Attach(t.Context(), fault("docile")))
			look("attached again")
		}},
		{"a scheduler that fails", ktest.Config{Scheduler: fault("stall"), ExpectExit: true}, func(t testing.TB, vm *ktest.VM, look func(string)) {
			_, err := vm.TryRun(t.Context(), scenario.Scenario{Steps: []scenario.Step{{
				Cgroups: []scenario.Cgroup{{Name: "victims", Workers: 2}}, Hold: 20 * time.Second,
			}}})
			died := (*scenario.SchedulerDiedError)(nil)
			require.ErrorAs(t, err, &died)
			look("died")
		}},
		{"captures in a cadence", ktest.Config{Scheduler: fault("docile")}, func(t testing.TB, vm *ktest.VM, look func(string)) {
			_, err := vm.Spawn(t.Context(), scenario.Workers{Name: "w", Count: 3, Kind: scenario.Mixed})
			require.NoError(t, err)
			p, err := vm.Periodically(t.Context(), ktest.Cadence{N: 3, Over: 600 * time.Millisecond})
			require.NoError(t, err)
			require.NoError(t, vm.Hold(t.Context(), 350*time.Millisecond))
			look("held")
			require.NoError(t, p.Wait())
			look("captured")
			for _, c := range vm.Captures().Captures() {
				require.NoError(t, c.NoSnapshot)
				look(fmt.Sprint(c.Name, c.Elapsed, c.Snapshot.Scheduler))
			}
		}},
		{"hotplug, a panic", ktest.Config{Scheduler: fault("docile"), ExpectExit: true}, func(t testing.TB, vm *ktest.VM, look func(string)) {
			if *lockstepCPUs > 1 {
				require.NoError(t, vm.Do(t.Context(), scenario.SetOnline{CPU: 1}))
				require.NoError(t, vm.Hold(t.Context(), 20*time.Millisecond))
				look("without a CPU")
			}
			require.Error(t, vm.WriteFile(t.Context(), "/proc/sysrq-trigger", []byte("c"), 0))
			<-vm.Machine().Done()
			panicked := (*vmm.GuestPanicError)(nil)
			require.ErrorAs(t, vm.Machine().Err(), &panicked)
			look("dead")
		}},
		{"a condition", ktest.Config{Scheduler: fault("docile")}, func(t testing.TB, vm *ktest.VM, look func(string)) {
			_, err := vm.Spawn(t.Context(), scenario.Workers{Name: "w", Count: 2, Kind: scenario.Yield})
			require.NoError(t, err)
			require.NoError(t, vm.Await(t.Context(), *iterated(vm, "w", 1000)))
			look("true")
			err = vm.Await(t.Context(), scenario.Condition{
				What: "never", Within: 300 * time.Millisecond, Poll: func(context.Context) (bool, error) { return false, errors.New("no") },
			})
			require.Error(t, err)
			look("never true")
		}},
		{"its own program", ktest.Config{Scheduler: program(), Files: withObject("docile")}, func(t testing.TB, vm *ktest.VM, look func(string)) {
			_, err := vm.Work(t.Context(), ktest.Spin, 3)
			require.NoError(t, err)
			require.NoError(t, vm.Hold(t.Context(), 50*time.Millisecond))
			look("held")
			exit, err := vm.Detach(t.Context())
			require.NoError(t, err)
			require.Equal(t, ktest.ExitUnreg, exit.Kind)
			look("ended")
		}},
		{"50 random steps", ktest.Config{Scheduler: fault("docile")}, func(t testing.TB, vm *ktest.VM, look func(string)) {
			report, err := vm.TryRun(t.Context(), randomScenario(3, *lockstepCPUs))
			require.NoError(t, err)
			require.Len(t, report.Steps, 50)
			look("performed")
		}},
		{"blame, which runs it again under watches", ktest.Config{Scheduler: fault("race")}, func(t testing.TB, vm *ktest.VM, look func(string)) {
			racing(t, vm)
			counted := vm.Freeze("where").Map("race.bss").At(0).Get("counted")
			blamed, err := vm.Blame(t.Context(), ktest.FieldOf(counted))
			require.NoError(t, err)
			look(blamed[0].String())
			racing(t, vm)
			look("raced again")
		}},
		{"a watch", ktest.Config{Scheduler: fault("race"), Watches: true}, func(t testing.TB, vm *ktest.VM, look func(string)) {
			counted := vm.Freeze("where").Map("race.bss").At(0).Get("counted")
			watch, err := vm.Watch(t.Context(), ktest.FieldOf(counted), ktest.WatchOptions{Every: 100, Capture: "hundredth"})
			require.NoError(t, err)
			racing(t, vm)
			fire, err := watch.Await(t.Context(), watch.Stats().Fires+1)
			require.NoError(t, err)
			look(fmt.Sprint(fire, fire.Guest, watch.Stats()))
			require.NoError(t, watch.Close())
			look("closed")
		}},
		{"typed writes", ktest.Config{Scheduler: fault("race")}, func(t testing.TB, vm *ktest.VM, look func(string)) {
			counted := vm.Freeze("where").Map("race.bss").At(0).Get("counted")
			for n := range 5 {
				racing(t, vm)
				require.NoError(t, vm.Write(t.Context(), ktest.SetOf(counted, 1_000_000*n)))
				look(fmt.Sprint("written ", n))
			}
		}},
	}
})

// session boots a guest and returns what it was seen to do.
func session(t *testing.T, i, cpus int, seed uint64, adjust ...func(*ktest.Config)) (tr trace) {
	cfg := sessions()[i].cfg
	cfg.Seed, cfg.CPUs = seed, cpus
	for _, f := range adjust {
		f(&cfg)
	}
	t.Run("run", func(t *testing.T) {
		vm := ktest.Boot(t, cfg)
		tr.look(t, vm, "up")
		sessions()[i].run(t, vm, func(what string) { tr.look(t, vm, what) })
	})
	return tr
}

// Of the tests that compare runs: how many runs there are, of which guests.
var (
	lockstepRuns = flag.Int("lockstep.runs", 2, "runs of a seed that are compared")
	lockstepCPUs = flag.Int("lockstep.cpus", 2, "vCPUs of the guests that are compared")
	lockstepAll  = flag.Bool("lockstep.all", false, "compare tests of all kinds, not only of the first two")
	lockstepCold = flag.Bool("lockstep.cold", false, "compare guests that boot")
)

// All of a guest's memory is the same in each run of a seed, and what happens differs with
// the seed. The host is busy in every second run.
func TestGuestsOfOneSeedAreEqual(t *testing.T) {
	cold := func(cfg *ktest.Config) { cfg.NoTemplate = *lockstepCold }
	for i, s := range sessions() {
		if i > 1 && !*lockstepAll {
			break
		}
		t.Run(s.name, func(t *testing.T) {
			first := session(t, i, *lockstepCPUs, 7, cold)
			for n := 1; n < *lockstepRuns; n++ {
				rest := load(n % 2 * 3)
				again := session(t, i, *lockstepCPUs, 7, cold)
				rest()
				require.Equal(t, first, again, "run %d", n+1)
			}
			if i == 0 {
				require.NotEqual(t, first, session(t, i, *lockstepCPUs, 8, cold))
			}
		})
	}
}

// load keeps CPUs of the host busy until rest is called.
func load(n int) (rest func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var busy sync.WaitGroup
	for range n {
		busy.Go(func() {
			for ctx.Err() == nil {
			}
		})
	}
	return func() { cancel(); busy.Wait() }
}

// With a worker for each CPU and one more, the clock of each CPU's run queue goes on: QEMU
// gives all vCPUs turns.
func TestEachCPUOfASeedsGuestHasTurns(t *testing.T) {
	for cpus, seeds := range map[int][]uint64{2: {1, 5, 8}, 4: {1}} {
		for _, seed := range seeds {
			t.Run(fmt.Sprintf("%d CPUs, seed %d", cpus, seed), func(t *testing.T) {
				t.Parallel()
				vm := ktest.Boot(t, ktest.Config{CPUs: cpus, Seed: seed, Scheduler: fault("docile")})
				_, err := vm.Work(t.Context(), ktest.Spin, cpus+1)
				require.NoError(t, err)
				clocks := make([]time.Duration, cpus)
				stood := make([]time.Duration, cpus)
				var longest time.Duration
				for last, end := time.Duration(0), 300; end > 0; end-- {
					state := sched.Bind(t, vm.Freeze("turns"))
					now := vm.Machine().Calls().Now()
					for i := range clocks {
						if clock := state.CPU(i).Clock; clock != clocks[i] {
							clocks[i], stood[i] = clock, 0
						} else {
							stood[i] += now - last
							longest = max(longest, stood[i])
						}
					}
					last = now
					require.NoError(t, vm.Hold(t.Context(), time.Millisecond))
				}
				t.Logf("a clock stood for %v at most", longest)
				require.Less(t, longest, 20*time.Millisecond)
			})
		}
	}
}

// A seed is the same run after the cache was emptied: of templates, and maybe of what was
// learned of kernels.
func TestSeedsOutliveTheCache(t *testing.T) {
	full, err := cache.Dir()
	require.NoError(t, err)
	_, err = ktest.AgentProgram() // it is built once, into the cache
	require.NoError(t, err)
	run := func(also ...string) (tr trace) {
		empty := t.TempDir()
		for _, kept := range append(also, cache.Kernels, cache.Agents, cache.Digests, cache.Accels, cache.Images) {
			require.NoError(t, os.Symlink(filepath.Join(full, kept), filepath.Join(empty, kept)))
		}
		t.Setenv(cache.DirEnv, empty)
		tr = session(t, 0, *lockstepCPUs, 7)
		made, err := filepath.Glob(filepath.Join(empty, cache.Templates, "*.vm"))
		require.NoError(t, err)
		require.Len(t, made, 1)
		return tr
	}
	require.Equal(t, run(), run(cache.Kallsyms))
}
