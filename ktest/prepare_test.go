package ktest_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/ktest"
	"github.com/ktgen/ktgen/runtime/ktsnap"
	"github.com/ktgen/ktgen/scenario"
)

// quick is a seed whose vCPUs do not wait long for one another, as is the next.
const quick = 2

// countedIn is what the scheduler of a snapshot had enqueued.
func countedIn(t testing.TB, snap *ktsnap.Snapshot) uint64 {
	n, err := snap.Map("race.bss").At(0).Get("enqueued").Uint64()
	require.NoError(t, err)
	return n
}

// workAWhile has workers work, captures what they did, and writes.
func workAWhile(t *testing.T, vm *ktest.VM) {
	_, err := vm.Spawn(t.Context(), scenario.Workers{Name: "early", Kind: scenario.Yield, Count: 2})
	require.NoError(t, err)
	require.NoError(t, vm.Hold(t.Context(), 10*time.Millisecond))
	snap := vm.Freeze("prepared")
	require.NoError(t, vm.Write(t.Context(), ktest.SetOf(snap.Map("race.bss").At(0).Get("counted"), 77_000_000)))
	require.NoError(t, vm.WriteFile(t.Context(), "/tmp/prepared", []byte("yes"), 0o600))
	require.NoError(t, vm.Await(t.Context(), scenario.Condition{What: "more", Within: time.Second, Snapshot: func(s *ktsnap.Snapshot) (bool, error) {
		return countedIn(t, s) > countedIn(t, snap), nil
	}}))
}

// What Prepare has led to is there for each seed, on the host's side and in the guest, and
// is the same for all; what comes then differs.
func TestSeedsBeginWherePrepareHasLed(t *testing.T) {
	var begins, ends trace
	ktest.Search(t, ktest.Seeds{First: quick, N: 2, AtOnce: 1, Config: ktest.Config{Scheduler: fault("race"), Watches: true}, Prepare: workAWhile}, func(t *testing.T, vm *ktest.VM) {
		captures := vm.Captures().Captures()
		require.Len(t, captures, 1)
		before := countedIn(t, captures[0].Snapshot)
		require.Positive(t, before)
		written, err := vm.ReadFile(t.Context(), "/tmp/prepared")
		require.NoError(t, err)
		require.Equal(t, "yes", string(written))
		snap := vm.Freeze("begun")
		require.Greater(t, countedIn(t, snap), before)
		counted, err := snap.Map("race.bss").At(0).Get("counted").Uint64()
		require.NoError(t, err)
		require.GreaterOrEqual(t, counted, uint64(77_000_000))

		workers, err := vm.Workers("early")
		require.NoError(t, err)
		early, err := workers.Stats(t.Context())
		require.NoError(t, err)
		watch, err := vm.Watch(t.Context(), ktest.FieldOf(snap.Map("race.bss").At(0).Get("counted")), ktest.WatchOptions{})
		require.NoError(t, err)
		require.NoError(t, vm.Hold(t.Context(), 10*time.Millisecond))
		require.NotEmpty(t, watch.Fires())
		require.LessOrEqual(t, counted, watch.Fires()[0].Old)
		late, err := workers.Stop(t.Context())
		require.NoError(t, err)
		require.Greater(t, late[0].Iterations, early[0].Iterations)
		begins = append(begins, fmt.Sprint(before, captures[0].Elapsed))
		ends.look(t, vm, "end")
		_, err = vm.Detach(t.Context())
		require.NoError(t, err)
	})
	require.Len(t, begins, 3, "the first seed is run again")
	require.Equal(t, begins[0], begins[1])
	require.NotEqual(t, ends[0], ends[1])
	require.Equal(t, ends[0], ends[2])
}

// The guests of all seeds begin with the same memory, and so they do when another search leads
// a guest there. What the seed decides comes then.
func TestGuestsOfASearchBeginAsOne(t *testing.T) {
	var begins, goOn trace
	for _, busy := range []int{0, 3} {
		rest := load(busy)
		t.Run("search", func(t *testing.T) {
			ktest.Search(t, ktest.Seeds{First: quick, N: 2, AtOnce: 1, Config: ktest.Config{Scheduler: fault("race")}, Prepare: func(t *testing.T, vm *ktest.VM) {
				_, err := vm.Work(t.Context(), ktest.Yield, 3)
				require.NoError(t, err)
				require.NoError(t, vm.Hold(t.Context(), 5*time.Millisecond))
				if !ktest.IsPrepared(vm) { // its memory is that of the moment already
					begins.look(t, vm, "begin")
				}
			}}, func(t *testing.T, vm *ktest.VM) { goOn.look(t, vm, "go on") })
		})
		rest()
	}
	require.Len(t, begins, 6, "in each search the first seed is run again")
	for _, b := range begins[1:] {
		require.Equal(t, begins[0], b)
	}
	require.Equal(t, goOn[:3], goOn[3:])
	require.Equal(t, goOn[0], goOn[2])
	require.NotEqual(t, goOn[0], goOn[1])
}

// What a failing test has read is found again by the command that it prints, in another
// process, with what Prepare did; and is explained.
func TestSearchFindsWhatWasPrepared(t *testing.T) {
	kept := keptIn(t, "TestSearchedPrepared")
	said := searched(t, "TestSearchedPrepared")
	require.Contains(t, said, "run again it fails in the same way")
	require.Contains(t, said, "race.bss.counted was written to")
	text, err := os.ReadFile(kept)
	require.NoError(t, err)
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	seed := lines[len(lines)-1]
	require.Contains(t, said, "KTGEN_SEED="+seed+" ")
	number, _, _ := strings.Cut(seed, "@")
	require.NotEmpty(t, countsOf(said, number), said)
	require.Equal(t, countsOf(said, number), countsOf(searched(t, "TestSearchedPrepared", ktest.EnvSeed+"="+seed), number))

	other := searched(t, "TestSearchedPrepared", ktest.EnvSeed+"="+seed, envPrepare+"=longer")
	require.Contains(t, other, "cannot be repeated, as this differs: what is done before a seed begins")
}

// Of what Prepare does otherwise each time, the first that differs is named.
func TestPrepareThatDiffersIsNamed(t *testing.T) {
	for how, named := range map[string]string{
		"random hold":  `it asked scenario\.hold\(\d+\) then, and scenario\.hold\(\d+\) now`,
		"random write": `it did not write [0-9a-f]+ \(mask [0-9a-f]*\) to race\.bss`,
		"less":         `it asked scenario\.hold\(\d+\) then, and nothing new now`,
		"more":         `it asked nothing new then, and scenario\.hold\(\d+\) now`,
	} {
		said := searched(t, "TestSearchedPrepared", envPrepare+"="+how)
		require.Regexp(t, named, said, how)
		require.Contains(t, said, "seed 2 did not begin", how)
		require.NoFileExists(t, "testdata/seeds/TestSearchedPrepared")
	}
}

// A Prepare that fails, or leads to what cannot be kept, fails the search before any seed, and
// says why.
func TestPrepareThatFailsEndsTheSearch(t *testing.T) {
	for how, why := range map[string]string{
		"fails":   "Prepare has failed",
		"dies":    "sysrq triggered crash",
		"watch":   "VM.Watch cannot be used in Seeds.Prepare, as no guest of the search runs yet",
		"at":      "VM.At cannot be used in Seeds.Prepare",
		"looks":   "cannot be used in Seeds.Prepare, as it looks at the guest's memory while the guest runs",
		"ends":    "disabled by sysrq-S",
		"waiting": "somebody still waits for it",
	} {
		said := searched(t, "TestSearchedPrepared", envPrepare+"="+how)
		require.Contains(t, said, why, how)
		require.Contains(t, said, "no seed was run", how)
		require.NotContains(t, said, "seed=", how)
	}
}

// envPrepare says what TestSearchedPrepared does before its seeds.
const envPrepare = "KTEST_PREPARE"

func TestSearchedPrepared(t *testing.T) {
	if os.Getenv(envSearch) == "" {
		t.Skip("TestSearchFindsWhatWasPrepared runs it")
	}
	runs := 0
	ktest.Search(t, ktest.Seeds{First: quick, N: 20, AtOnce: 1, Config: ktest.Config{Scheduler: fault("race")}, Prepare: func(t *testing.T, vm *ktest.VM) {
		runs++
		_, err := vm.Work(t.Context(), ktest.Yield, 4)
		require.NoError(t, err)
		prepareAs(t, vm, os.Getenv(envPrepare), runs)
	}}, func(t *testing.T, vm *ktest.VM) {
		require.NoError(t, vm.Hold(t.Context(), 100*time.Millisecond))
		enqueued, counted := counts(t, vm)
		require.Equal(t, enqueued, counted)
	})
}

// prepareAs is what one of several Prepares does when it is called for the nth time.
func prepareAs(t *testing.T, vm *ktest.VM, how string, n int) {
	hold := func(d time.Duration) { require.NoError(t, vm.Hold(t.Context(), d)) }
	ctx := t.Context()
	switch how {
	case "":
		hold(time.Millisecond)
	case "longer":
		hold(2 * time.Millisecond)
	case "random hold":
		hold(time.Duration(1 + rand.Int64N(1<<40)%1e6))
	case "random write":
		require.NoError(t, vm.Write(ctx, ktest.SetOf(vm.Freeze("now").Map("race.bss").At(0).Get("counted"), rand.Uint32())))
	case "less", "more":
		if (how == "less") == (n == 1) {
			hold(time.Millisecond)
		}
	case "fails":
		t.Fatal("Prepare has failed")
	case "dies":
		require.NoError(t, vm.WriteFile(ctx, "/proc/sysrq-trigger", []byte("c"), 0))
	case "watch":
		_, err := vm.Watch(ctx, ktest.Symbol("panic_timeout", 4), ktest.WatchOptions{})
		require.NoError(t, err)
	case "at":
		_, err := vm.At(ctx, time.Second)
		require.NoError(t, err)
	case "looks":
		_, err := vm.AwaitState(ctx, ktest.NrRunning(0), func(int) bool { return true })
		require.NoError(t, err)
	case "ends":
		require.NoError(t, vm.WriteFile(ctx, "/proc/sysrq-trigger", []byte("S"), 0))
		hold(time.Second)
	case "waiting":
		ctx, cancel := context.WithCancel(context.Background())
		t.Cleanup(cancel)
		rang, stop := vm.Machine().Calls().After(time.Millisecond) // which passes only if somebody waits
		defer stop()
		go func() { _ = vm.Hold(ctx, time.Hour) }() // ends with the guest
		(<-rang)()
	}
}
