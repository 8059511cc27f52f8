package ktest_test

import (
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/ktest"
	"github.com/ktgen/ktgen/runtime/ktsnap"
	"github.com/ktgen/ktgen/scenario"
)

// Of TestRacesAreFoundRepeatedAndExplained.
var (
	raceSeeds   = flag.Int("races.seeds", 0, "seeds that are tried for the races of races.bpf.c; 0 skips them")
	raceFirst   = flag.Uint64("races.first", 1, "the first of them")
	raceRepeats = flag.Int("races.repeats", 1, "how often each seed that is the first to show a race is repeated")
)

type race struct {
	name   string
	places []string
	line   string
	splits bool
}

// races are those of races.bpf.c: where they are, and the text of the lines that race, or of those that come
// between each other's where nothing is overwritten.
var races = []race{
	{"lost_update", []string{"count"}, "lost_update.count", false},
	{"check_then_act", []string{"taken"}, "check_then_act.taken", false},
	{"double_claim", []string{"slot[0].busy", "slot[1].busy"}, "double_claim.slot[i].busy", false},
	{"torn", []string{"a", "b"}, "torn.", true},
	{"unfilled", []string{"head", "slot"}, "unfilled.", true},
	{"went_back", []string{"seen"}, "went_back.seen", false},
	{"refs", []string{"count"}, "refs.count", false},
	{"remote", []string{"queued[0]", "queued[1]"}, "remote.queued[cpu]", false},
	{"drained", []string{"delta"}, "drained.delta", false},
	{"wakeup", []string{"pending", "sleeping"}, "wakeup.", true},
	{"freelist", []string{"head"}, "freelist.head", false},
	{"lazy", []string{"made"}, "lazy.made", false},
	{"lock_order", []string{"a", "b"}, "trylock(u32 *lock)", true},
	{"offline", []string{"cpu[0]", "cpu[1]"}, "offline.", true},
	{"freed", []string{"current", "live"}, "freed.", true},
}

// shown says whether a race of the scheduler's has shown.
func shown(t *testing.T, bss ktsnap.Entry, name string) bool {
	number := func(path string) uint64 {
		n, err := bss.Get(name + "." + path).Uint64()
		require.NoError(t, err)
		return n
	}
	switch name {
	case "lost_update", "refs":
		return number("count") != number("exact")
	case "remote":
		return number("queued[0]") != number("exact[0]") || number("queued[1]") != number("exact[1]")
	case "drained":
		return number("delta")+number("total") != number("exact")
	}
	return number("bad") != 0
}

// raced runs the scheduler with a seed, and returns its variables, and which races have shown.
func raced(t *testing.T, seed uint64) (vm *ktest.VM, bss ktsnap.Entry, names []string) {
	vm = ktest.Boot(t, ktest.Config{Seed: seed, Scheduler: fault("races")})
	_, err := vm.Work(t.Context(), ktest.Yield, 4)
	require.NoError(t, err)
	require.NoError(t, vm.Hold(t.Context(), 100*time.Millisecond))
	for _, online := range []bool{false, true, false, true, false, true} {
		require.NoError(t, vm.Do(t.Context(), scenario.SetOnline{CPU: 1, Online: online}))
	}
	bss = vm.Freeze("end").Map("races.bss").At(0)
	for _, r := range races {
		if shown(t, bss, r.name) {
			names = append(names, r.name)
		}
	}
	return vm, bss, names
}

// Each race that a seed shows is shown by that seed again, and both stores that raced are named.
func TestRacesAreFoundRepeatedAndExplained(t *testing.T) {
	if *raceSeeds == 0 {
		t.Skip("it takes 2 to 5 s a seed: give -races.seeds; TestSearchFindsWhatItRepeats is a sample")
	}
	counts, first := make(map[string]int), make(map[string]uint64)
	for seed := *raceFirst; seed < *raceFirst+uint64(*raceSeeds); seed++ {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			_, _, names := raced(t, seed)
			t.Logf("shows %v", names)
			for _, name := range names {
				if counts[name]++; counts[name] == 1 {
					first[name] = seed
				}
			}
		})
	}
	require.NotEmpty(t, first, "no seed shows any race")
	explained := explainRaces(t, first)
	for _, r := range races {
		t.Logf("%-15s in %d of %d seeds, first with %d; explained: %v", r.name, counts[r.name], *raceSeeds, first[r.name], explained[r.name])
		if counts[r.name] > 0 {
			require.True(t, explained[r.name], r.name)
		}
	}
}

// explainRaces repeats the first seed of each race, and has the last of these runs explained.
func explainRaces(t *testing.T, first map[string]uint64) (explained map[string]bool) {
	explained = make(map[string]bool)
	of := make(map[uint64][]string)
	for name, seed := range first {
		of[seed] = append(of[seed], name)
	}
	for seed, names := range of {
		for n := range *raceRepeats {
			t.Run(fmt.Sprintf("seed=%d/again=%d", seed, n+1), func(t *testing.T) {
				vm, bss, again := raced(t, seed)
				require.Subset(t, again, names)
				if n+1 == *raceRepeats {
					explain(t, vm, bss, names, explained)
				}
			})
		}
	}
	return explained
}

func explain(t *testing.T, vm *ktest.VM, bss ktsnap.Entry, names []string, explained map[string]bool) {
	var targets []ktest.Target
	var asked []race
	for _, r := range races {
		for _, place := range r.places {
			if slices.Contains(names, r.name) {
				targets, asked = append(targets, ktest.FieldOf(bss.Get(r.name+"."+place))), append(asked, r)
			}
		}
	}
	blamed, err := vm.Blame(t.Context(), targets...)
	require.NoError(t, err)
	for i, b := range blamed {
		explained[asked[i].name] = explained[asked[i].name] || asked[i].explainedBy(b)
	}
}

// explainedBy says whether the race's own lines are among those that are told of.
func (r race) explainedBy(b *ktest.Blamed) bool {
	own := func(s ktest.Store) bool { return strings.Contains(s.Function.Text, r.line) }
	here := func(a ktest.Access) bool { return own(a.Store) && strings.Contains(a.Place, "."+r.name+".") }
	if r.splits {
		return slices.ContainsFunc(b.Splits, func(s ktest.Split) bool {
			return here(s.First) && here(s.Last) && here(s.Between[0]) && here(s.Between[len(s.Between)-1])
		})
	}
	return slices.ContainsFunc(b.Races, func(two ktest.Race) bool { return own(two.First) && own(two.Second) })
}
