package ktest_test

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/ktest"
	"github.com/ktgen/ktgen/ktest/internal/libbpf"
	"github.com/ktgen/ktgen/runtime/ktsnap"
	"github.com/ktgen/ktgen/scenario"
	"github.com/ktgen/ktgen/sched"
)

var (
	unseenSeeds = flag.Int("unseen.seeds", 0, "seeds that are tried for the races of spread.bpf.c and budget.bpf.c; 0 skips them")
	unseenBugs  = flag.Uint("unseen.bugs", 1<<32-1, "which of the bugs these schedulers have; with 0 no race may show")
)

// unseen compiles a scheduler that searches and explanations were not made with. It is written as
// most are: with vmlinux.h and the headers of scx, whose macros load and store.
func unseen(t *testing.T, name string) ktest.Scheduler {
	source := libbpf.Sources(t)
	object := filepath.Join(t.TempDir(), name+".bpf.o")
	out, err := exec.Command(cmp.Or(os.Getenv("CLANG"), "clang-19"), "-g", "-O2", "-Wno-missing-declarations", "-target", "bpf", "-mcpu=v3", "-D__TARGET_ARCH_x86",
		"-I"+filepath.Dir(source), "-I"+source+"/tools/sched_ext/include", "-I"+source+"/tools/lib", "-I/usr/include/bpf",
		"-c", "testdata/"+name+".bpf.c", "-o", object).CombinedOutput()
	require.NoError(t, err, "%s", out)
	return ktest.Object(object)
}

// unseenRun is a run of one of them: its snapshots, of which read reads one.
type unseenRun struct {
	t                   *testing.T
	start, offline, end *ktsnap.Snapshot
}

func numberIn(t *testing.T, snap *ktsnap.Snapshot, path string) int64 {
	v := snap.Get(path)
	n, err := v.Int64()
	if err != nil {
		addr, err := v.Uint64()
		require.NoError(t, err)
		return int64(addr)
	}
	return n
}

// since is by how much a sum of numbers has grown since the seed began. A minus in front subtracts one.
func (r *unseenRun) since(paths ...string) (sum int64) {
	for _, path := range paths {
		sign := int64(1)
		if rest, ok := strings.CutPrefix(path, "-"); ok {
			path, sign = rest, -1
		}
		sum += sign * (numberIn(r.t, r.end, path) - numberIn(r.t, r.start, path))
	}
	return sum
}

// classesIn returns how many tasks the entries of map classes have counted.
func classesIn(t *testing.T, snap *ktsnap.Snapshot) (sum int64) {
	for _, e := range snap.Map("classes").All() {
		n, err := e.Get("nr_enqueued").Int64()
		require.NoError(t, err)
		sum += n
	}
	return sum
}

// aged returns the path of an account that was aged when it was no longer that task's, or "".
func (r *unseenRun) aged() string {
	for i := range 400 {
		account := fmt.Sprintf("accounts[%d].", i)
		if was := numberIn(r.t, r.end, account+"aged_pid"); was != 0 && was != numberIn(r.t, r.end, account+"pid") {
			return account
		}
	}
	return ""
}

// unseenRace is one of their bugs.
type unseenRace struct {
	name   string
	shows  func(*unseenRun) bool
	places func(*unseenRun) []ktest.Target // that the explanation is to be about
	by     []string                        // whose accesses, in either order
}

func places(paths ...string) func(*unseenRun) []ktest.Target {
	return func(r *unseenRun) (all []ktest.Target) {
		for _, path := range paths {
			all = append(all, ktest.FieldOf(r.end.Get(path)))
		}
		return all
	}
}

var spreadRaces = []unseenRace{
	{"queued", func(r *unseenRun) bool {
		return slices.ContainsFunc([]string{"cpu_ctxs[0].", "cpu_ctxs[1].", "cpu_ctxs[2]."}, func(cc string) bool {
			return r.since(cc+"nr_queued", "-"+cc+"nr_put", cc+"nr_got") != 0
		})
	}, places("cpu_ctxs[0].nr_queued", "cpu_ctxs[1].nr_queued", "cpu_ctxs[2].nr_queued"), []string{"spread_enqueue", "spread_running", "spread_dequeue"}},
	{"claim", func(r *unseenRun) bool { return r.since("nr_double_claims") != 0 },
		places("cpu_ctxs[0].idle", "cpu_ctxs[1].idle", "cpu_ctxs[2].idle"), []string{"spread_select_cpu"}},
	{"vtime", func(r *unseenRun) bool { return r.since("nr_back") != 0 }, places("vtime_now"), []string{"spread_running"}},
	{"lease", func(r *unseenRun) bool { return r.since("nr_torn") != 0 }, places("lease.seq", "lease.holder"), []string{"spread_dispatch"}},
	{"offline", func(r *unseenRun) bool { return sched.Bind(r.t, r.offline).DSQ(1).Len() != 0 },
		places("cpu_ctxs[1].online", "orphans"), []string{"spread_enqueue", "spread_dispatch", "spread_cpu_offline"}},
}

var budgetRaces = []unseenRace{
	{"tokens", func(r *unseenRun) bool { return r.since("bucket.tokens", "-bucket.filled", "bucket.spent") != 0 },
		places("bucket.tokens"), []string{"refill", "budget_stopping"}},
	{"freed", func(r *unseenRun) bool { return r.aged() != "" },
		func(r *unseenRun) []ktest.Target { return places(r.aged()+"pid", r.aged()+"aged_pid")(r) }, []string{"age", "budget_exit_task"}},
	{"inbox", func(r *unseenRun) bool {
		return numberIn(r.t, r.end, "inbox") == 0 && numberIn(r.t, r.end, "nr_pushed") != numberIn(r.t, r.end, "nr_popped")
	}, places("inbox"), []string{"budget_enqueue", "age"}},
	{"class", func(r *unseenRun) bool {
		return r.since("nr_enqueued", "-nr_expired")-classesIn(r.t, r.end)+classesIn(r.t, r.start) != 0
	}, func(r *unseenRun) []ktest.Target {
		all := places("nr_expired")(r)
		for _, e := range r.end.Map("classes").All() {
			all = append(all, ktest.FieldOf(e.Get("nr_enqueued")))
		}
		return all
	}, []string{"budget_enqueue", "age"}},
	{"hint", func(r *unseenRun) bool { return r.since("hint_head", "-nr_hints_taken") != 0 }, places("hint_head"), []string{"budget_dispatch"}},
	{"lock", func(r *unseenRun) bool { return r.since("usages[0].events", "-nr_stopping", "-nr_yields") != 0 },
		places("usages[0].events"), []string{"budget_yield", "budget_stopping"}},
	{"wakeup", func(r *unseenRun) bool { return r.since("nr_slept") != 0 },
		places("pending", "nr_requests"), []string{"worker", "budget_enqueue"}},
	{"weight", func(r *unseenRun) bool {
		var sum int64
		for _, e := range r.end.Map("cgroup_ctxs").All() {
			weight, err := e.Get("weight").Int64()
			require.NoError(r.t, err)
			runnable, err := e.Get("nr_runnable").Int64()
			require.NoError(r.t, err)
			if runnable > 0 {
				sum += weight
			}
		}
		return numberIn(r.t, r.end, "total_weight") != sum
	}, places("total_weight"), []string{"budget_cgroup_set_weight", "budget_runnable", "budget_quiescent"}},
}

// explains reports whether a race or a split is of the bug's own functions.
func (r unseenRace) explains(blamed []*ktest.Blamed) bool {
	own := func(s ktest.Store) bool { return slices.Contains(r.by, s.Function.Source) }
	return slices.ContainsFunc(blamed, func(b *ktest.Blamed) bool {
		return slices.ContainsFunc(b.Races, func(two ktest.Race) bool { return own(two.First) && own(two.Second) }) ||
			slices.ContainsFunc(b.Splits, func(s ktest.Split) bool {
				return own(s.First.Store) && own(s.Last.Store) && !slices.ContainsFunc(s.Between, func(a ktest.Access) bool { return !own(a.Store) })
			})
	})
}

// TestUnseenRaces measures searches and explanations by schedulers that they were not made with: by windows of 2 to 60
// instructions, in schedulers that have more to do. Whoever changes searches or explanations reads its figures only.
func TestUnseenRaces(t *testing.T) {
	if *unseenSeeds == 0 {
		t.Skip("it takes 1 to 3 s a seed: give -unseen.seeds")
	}
	for _, row := range []struct {
		name  string
		races []unseenRace
		seeds ktest.Seeds
		test  func(t *testing.T, vm *ktest.VM) *unseenRun
	}{
		{"spread", spreadRaces, ktest.Seeds{Config: ktest.Config{CPUs: 3, Scheduler: unseen(t, "spread").Set("nr_cpus", 3)}, Prepare: prepareSpread}, runSpread},
		{"budget", budgetRaces, ktest.Seeds{Config: ktest.Config{CPUs: 2, Scheduler: unseen(t, "budget")}, Prepare: prepareBudget}, runBudget},
	} {
		row.seeds.N = *unseenSeeds
		row.seeds.Config.Scheduler = row.seeds.Config.Scheduler.Set("bugs", *unseenBugs)
		var mu sync.Mutex
		counts, first := make(map[string]int), make(map[string]uint64)
		t.Run(row.name, func(t *testing.T) {
			ktest.Search(t, row.seeds, func(t *testing.T, vm *ktest.VM) {
				if strings.Contains(t.Name(), "again") {
					row.test(t, vm)
					return
				}
				var n uint64
				_, err := fmt.Sscanf(path.Base(t.Name()), "seed=%d", &n)
				require.NoError(t, err)
				run := row.test(t, vm)
				mu.Lock()
				defer mu.Unlock()
				for _, r := range row.races {
					if r.shows(run) {
						if counts[r.name]++; first[r.name] == 0 || n < first[r.name] {
							first[r.name] = n
						}
					}
				}
			})
		})
		if *unseenBugs == 0 {
			require.Empty(t, counts, "a race shows in a scheduler that has none")
		}
		for _, r := range row.races {
			if counts[r.name] == 0 {
				t.Logf("%-8s in none of %d seeds", r.name, *unseenSeeds)
				continue
			}
			shown, explained := 0, false
			seeds := row.seeds
			seeds.First, seeds.N = first[r.name], 1
			t.Run(row.name+"/"+r.name, func(t *testing.T) {
				ktest.Search(t, seeds, func(t *testing.T, vm *ktest.VM) {
					run := row.test(t, vm)
					if !r.shows(run) {
						return
					}
					if shown++; shown > 1 {
						return
					}
					blamed, err := vm.Blame(t.Context(), r.places(run)...)
					require.NoError(t, err)
					explained = r.explains(blamed)
					for _, b := range blamed {
						t.Log(b)
					}
				})
			})
			t.Logf("%-8s in %d of %d seeds, first with %d; explained: %v", r.name, counts[r.name], *unseenSeeds, first[r.name], explained)
			require.Equal(t, 2, shown, "%s: seed %d shows it only once in two runs more", r.name, first[r.name])
		}
	}
}

func prepareSpread(t *testing.T, vm *ktest.VM) {
	work(t, vm, ktest.Yield, 5)
	work(t, vm, ktest.Pipe, 2)
	_, err := vm.Spawn(t.Context(), scenario.Workers{Kind: scenario.SleepWake, Count: 3, Busy: 100 * time.Microsecond, Sleep: 100 * time.Microsecond})
	require.NoError(t, err)
	require.NoError(t, vm.Hold(t.Context(), 50*time.Millisecond))
}

func runSpread(t *testing.T, vm *ktest.VM) *unseenRun {
	r := &unseenRun{t: t, start: vm.Freeze("start")}
	require.NoError(t, vm.Hold(t.Context(), 50*time.Millisecond))
	require.NoError(t, vm.Do(t.Context(), scenario.SetOnline{CPU: 1}))
	require.NoError(t, vm.Hold(t.Context(), 10*time.Millisecond))
	r.offline = vm.Freeze("offline")
	require.NoError(t, vm.Do(t.Context(), scenario.SetOnline{CPU: 1, Online: true}))
	stopWorkers(t, vm, "yield", "pipe", "sleep")
	require.NoError(t, vm.Hold(t.Context(), 5*time.Millisecond))
	r.end = vm.Freeze("end")
	return r
}

func prepareBudget(t *testing.T, vm *ktest.VM) {
	require.NoError(t, vm.Cgroup(t.Context(), scenario.Cgroup{Name: "g", Weight: 100, Workers: 2, Kind: ktest.SleepWake,
		Load: []scenario.Workers{{Name: "loud", Kind: scenario.Yield}}}))
	work(t, vm, ktest.Yield, 5)
	work(t, vm, ktest.ForkExit, 1)
	require.NoError(t, vm.Hold(t.Context(), 50*time.Millisecond))
}

func runBudget(t *testing.T, vm *ktest.VM) *unseenRun {
	r := &unseenRun{t: t, start: vm.Freeze("start")}
	for i := range 10 {
		require.NoError(t, vm.Hold(t.Context(), 5*time.Millisecond))
		require.NoError(t, vm.Do(t.Context(), scenario.Change{Cgroup: scenario.Cgroup{Name: "g", Weight: 200 + i*10}}))
	}
	stopWorkers(t, vm, "g", "loud", "yield", "fork")
	require.NoError(t, vm.Write(t.Context(), ktest.SetOf(r.start.Get("quit"), true)))
	require.NoError(t, vm.Hold(t.Context(), 2*time.Millisecond))
	r.end = vm.Freeze("end")
	return r
}

func work(t *testing.T, vm *ktest.VM, kind ktest.Work, n int) {
	t.Helper()
	_, err := vm.Work(t.Context(), kind, n)
	require.NoError(t, err)
}

func stopWorkers(t *testing.T, vm *ktest.VM, names ...string) {
	for _, name := range names {
		require.NoError(t, vm.Do(t.Context(), scenario.Stop{Workers: name}))
	}
}

// The line of a store by a macro of a header is the same for all of them: the scheduler's own is told, too.
func TestStoresByMacrosOfAHeaderHaveALineOfTheScheduler(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{Seed: 1, Scheduler: unseen(t, "spread")})
	work(t, vm, ktest.Pipe, 1)
	require.NoError(t, vm.Hold(t.Context(), 10*time.Millisecond))
	blamed, err := vm.Blame(t.Context(), ktest.FieldOf(vm.Freeze("end").Get("cpu_ctxs[1].idle")))
	require.NoError(t, err)
	claims := 0
	for _, s := range blamed[0].Stores {
		if s.Function.Source == "spread_select_cpu" {
			claims++
			require.Equal(t, "spread.bpf.c", path.Base(s.Function.File))
			require.Equal(t, "common.bpf.h", path.Base(s.Function.Inlined.File))
			require.Contains(t, s.String(), "near spread.bpf.c:")
		}
	}
	require.NotZero(t, claims)
}

// What is stored to an entry of a hash map is told without what is stored to others that had its memory. Which
// entries there are at a moment, and whose memory they have, is for the scheduler's tasks to say.
func TestStoresToAnEntryThatIsPutInAgainAreThoseOfItsKey(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{Seed: 1, Scheduler: unseen(t, "budget")})
	work(t, vm, ktest.Yield, 4)
	const looks = 20
	for range looks {
		require.NoError(t, vm.Hold(t.Context(), 20*time.Millisecond))
		var targets []ktest.Target
		for _, e := range vm.Freeze("end").Map("classes").All() {
			targets = append(targets, ktest.FieldOf(e.Get("nr_enqueued")))
		}
		if len(targets) == 0 {
			continue
		}
		blamed, err := vm.Blame(t.Context(), targets...)
		require.NoError(t, err)
		moved := false
		for _, b := range blamed {
			moved = moved || strings.Contains(b.String(), "its memory was another entry's before")
			require.NotContains(t, b.String(), "a device has")
		}
		if moved {
			return
		}
	}
	t.Errorf("no entry had the memory of another one at any of %d moments", looks)
}
