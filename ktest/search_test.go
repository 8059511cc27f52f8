package ktest_test

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/ktest"
)

// envSearch has the tests run that TestSearch... run, which fail.
const envSearch = "KTEST_SEARCH"

// searchFixed, as its value, has the scheduler be one without the bug.
const searchFixed = "fixed"

// racing lets tasks yield to one another, and returns what the scheduler has counted.
func racing(t testing.TB, vm *ktest.VM) (enqueued, counted uint64) {
	_, err := vm.Work(t.Context(), ktest.Yield, 4)
	require.NoError(t, err)
	began := vm.Machine().Calls().Now()
	require.NoError(t, vm.Hold(t.Context(), 40*time.Millisecond))
	require.Less(t, vm.Machine().Calls().Now()-began, 140*time.Millisecond, "a CPU has waited for a lock that the other one takes again and again")
	return counts(t, vm)
}

// counts returns what the scheduler has counted: the same twice, unless an update was lost.
func counts(t testing.TB, vm *ktest.VM) (enqueued, counted uint64) {
	bss := vm.Freeze("end").Map("race.bss").At(0)
	enqueued, err := bss.Get("enqueued").Uint64()
	require.NoError(t, err)
	counted, err = bss.Get("counted").Uint64()
	require.NoError(t, err)
	return enqueued, counted
}

// It is the test of SEARCHING.md.
func TestSearchedLostUpdate(t *testing.T) {
	scheduler, n := fault("race"), 40
	switch os.Getenv(envSearch) {
	case "":
		t.Skip("TestSearchFindsWhatItRepeats runs it")
	case searchFixed:
		scheduler, n = fault("fixed/race"), 1
	}
	ktest.Search(t, ktest.Seeds{N: n, Config: ktest.Config{Scheduler: scheduler}}, func(t *testing.T, vm *ktest.VM) {
		_, err := vm.Work(t.Context(), ktest.Yield, 4)
		require.NoError(t, err)
		require.NoError(t, vm.Hold(t.Context(), 100*time.Millisecond))
		bss := vm.Freeze("end").Map("race.bss").At(0)
		enqueued, err := bss.Get("enqueued").Uint64()
		require.NoError(t, err)
		counted, err := bss.Get("counted").Uint64()
		require.NoError(t, err)
		require.Equal(t, enqueued, counted)
	})
}

func TestSearchedAtRandom(t *testing.T) {
	if os.Getenv(envSearch) == "" {
		t.Skip("TestSearchNamesATestThatDecidesByItself runs it")
	}
	ktest.Search(t, ktest.Seeds{N: 1}, func(t *testing.T, vm *ktest.VM) {
		_, err := vm.ReadFile(t.Context(), "/proc/version")
		require.NoError(t, err)
		require.NoError(t, vm.Hold(t.Context(), time.Duration(rand.Int64N(1<<40)%1e6)))
	})
}

func TestSearchedEndlessly(t *testing.T) {
	if os.Getenv(envSearch) == "" {
		t.Skip("TestInterruptedSearchKeepsWhatItFound runs it")
	}
	ktest.Search(t, ktest.Seeds{N: 1 << 20, All: true, AtOnce: 1}, func(t *testing.T, vm *ktest.VM) {
		t.Error("fails")
	})
}

func TestSearchedElsewhere(t *testing.T) {
	if os.Getenv(envSearch) == "" {
		t.Skip("TestSearchSaysThatNothingWasRead runs it")
	}
	ktest.Search(t, ktest.Seeds{N: 1}, func(t *testing.T, vm *ktest.VM) { t.Error("what the kernel keeps is wrong") })
}

func TestSearchSaysThatNothingWasRead(t *testing.T) {
	keptIn(t, "TestSearchedElsewhere")
	require.Contains(t, searched(t, "TestSearchedElsewhere"), "the test has read none of the scheduler's variables")
}

func TestSearchedPanic(t *testing.T) {
	if os.Getenv(envSearch) == "" {
		t.Skip("TestSearchThatPanicsKeepsTheSeed runs it")
	}
	ktest.Search(t, ktest.Seeds{N: 1}, func(t *testing.T, vm *ktest.VM) { panic("of the test") })
}

func TestSearchedSkip(t *testing.T) {
	if os.Getenv(envSearch) == "" {
		t.Skip("TestSearchOfATestThatSkipsSaysSo runs it")
	}
	switch os.Getenv(envSearch) {
	case "all":
		ktest.Search(t, ktest.Seeds{N: 2, AtOnce: 1}, func(t *testing.T, vm *ktest.VM) { t.Skip("not on Mondays") })
	case "one":
		ktest.Search(t, ktest.Seeds{N: 3, AtOnce: 1}, skipsThenFails(t, 1, 0))
	case "fails":
		ktest.Search(t, ktest.Seeds{N: 3, AtOnce: 1}, skipsThenFails(t, 1, 3))
	}
}

// skipsThenFails is a test that skips the nth time that it is called, and fails another time.
func skipsThenFails(t *testing.T, skips, fails int) func(*testing.T, *ktest.VM) {
	runs := 0
	return func(t *testing.T, vm *ktest.VM) {
		switch runs++; runs {
		case skips:
			t.Skip("not on Mondays")
		case fails:
			t.Fatal("not on Wednesdays")
		}
	}
}

func TestSearchOfATestThatSkipsSaysSo(t *testing.T) {
	keptIn(t, "TestSearchedSkip")
	said, err := search("TestSearchedSkip", envSearch+"=all")
	require.NoError(t, err, said)
	if !strings.Contains(said, "not on Mondays") {
		t.Skip("no guest can boot here")
	}
	require.Contains(t, said, "the test skips with each of 2 seeds: see there")
	require.NotContains(t, said, "no guest can boot here")

	said, err = search("TestSearchedSkip", envSearch+"=one")
	require.NoError(t, err, said)
	require.Contains(t, said, "2 of 3 seeds pass, in ")
	require.Contains(t, said, "; with the others the test skips, such as seed 1")

	said, err = search("TestSearchedSkip", envSearch+"=fails")
	require.Error(t, err, "a seed that skips keeps no other from being tried")
	require.Contains(t, said, "not on Wednesdays")
	require.Contains(t, said, "seed 3 fails (1 of 3 runs failed")
}

// search runs a test of this binary, and returns what it says.
func search(name string, env ...string) (said string, err error) {
	run := exec.Command(os.Args[0], "-test.run=^"+name+"$", "-test.v")
	run.Env = append(os.Environ(), env...)
	out, err := run.CombinedOutput()
	return string(out), err
}

// searched is search for a test that fails.
func searched(t *testing.T, name string, env ...string) string {
	out, err := search(name, append(env, envSearch+"=1")...)
	exited := (*exec.ExitError)(nil)
	require.ErrorAs(t, err, &exited, "%s", out)
	return out
}

// A search finds the interleaving that loses an update, finds it again at once, keeps the seed and says how it
// is repeated; and so it is.
func TestSearchFindsWhatItRepeats(t *testing.T) {
	kept := keptIn(t, "TestSearchedLostUpdate")
	said := searched(t, "TestSearchedLostUpdate")
	require.Contains(t, said, "run again it fails in the same way")
	command := regexp.MustCompile(`KTGEN_SEED=(\S+) go test -count=1 -run '\^TestSearchedLostUpdate\$'`).FindStringSubmatch(said)
	require.NotNil(t, command, said)
	text, err := os.ReadFile(kept)
	require.NoError(t, err)
	require.Contains(t, string(text), "\n"+command[1]+"\n")

	require.Contains(t, said, "race.bss.counted was written to")
	require.Contains(t, said, "did not take the first into account")

	number, _, _ := strings.Cut(command[1], "@")
	first := countsOf(said, number)
	require.NotEmpty(t, first, said)
	require.Equal(t, first, countsOf(searched(t, "TestSearchedLostUpdate", "KTGEN_SEED="+command[1]), number))

	fixed, err := search("TestSearchedLostUpdate", envSearch+"="+searchFixed)
	require.NoError(t, err, fixed)
	require.Contains(t, fixed, "/seed="+number, "the kept seed is tried")
	passes := "the only seed, 1, passes"
	if n := len(numbersOf(string(text), "1")); n > 1 { // the kept ones and seed 1
		passes = fmt.Sprintf("all of %d seeds pass", n)
	}
	require.Contains(t, fixed, passes)
}

// numbersOf returns the numbers of the seeds in a file of them, and more ones.
func numbersOf(file string, more ...string) map[string]bool {
	numbers := make(map[string]bool)
	for _, n := range more {
		numbers[n] = true
	}
	for line := range strings.Lines(file) {
		if number, _, ok := strings.Cut(line, "@"); ok && !strings.HasPrefix(line, "#") {
			numbers[number] = true
		}
	}
	return numbers
}

// keptIn returns the file with the seeds of a test, which is removed with the test.
func keptIn(t *testing.T, name string) string {
	kept := filepath.Join("testdata", "seeds", name)
	t.Cleanup(func() { os.Remove(kept); os.Remove(filepath.Dir(kept)) })
	return kept
}

func TestInterruptedSearchKeepsWhatItFound(t *testing.T) {
	kept := keptIn(t, "TestSearchedEndlessly")
	run := exec.Command(os.Args[0], "-test.run=^TestSearchedEndlessly$", "-test.v")
	run.Env = append(os.Environ(), envSearch+"=1")
	out, err := run.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, run.Start())
	for lines := bufio.NewScanner(out); lines.Scan() && !strings.Contains(lines.Text(), "seed=2"); {
	}
	require.NoError(t, run.Process.Signal(os.Interrupt))
	_, _ = io.Copy(io.Discard, out)
	require.Error(t, run.Wait())
	text, err := os.ReadFile(kept)
	require.NoError(t, err)
	require.Regexp(t, `(?m)^1@\S+$`, string(text))
}

func TestSearchThatPanicsKeepsTheSeed(t *testing.T) {
	kept := keptIn(t, "TestSearchedPanic")
	require.Contains(t, searched(t, "TestSearchedPanic"), "seed 1 panics; repeat this run with")
	text, err := os.ReadFile(kept)
	require.NoError(t, err)
	require.Regexp(t, `(?m)^1@\S+$`, string(text))
}

// What the tutorial shows of code is in the code, line by line.
func TestTutorialOfSearchesShowsWhatThereIs(t *testing.T) {
	tutorial, err := os.ReadFile("SEARCHING.md")
	require.NoError(t, err)
	code := make(map[string]map[string]bool)
	for language, file := range map[string]string{"c": "testdata/race.bpf.c", "go": "search_test.go"} {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		code[language] = make(map[string]bool)
		for line := range strings.Lines(string(text)) {
			code[language][strings.TrimSpace(line)] = true
		}
	}
	shown, language := 0, ""
	for line := range strings.Lines(string(tutorial)) {
		line = strings.TrimSpace(line)
		if fence, ok := strings.CutPrefix(line, "```"); ok {
			language = fence
			continue
		}
		if lines := code[language]; lines != nil {
			require.True(t, lines[line], "%s has no line %q", language, line)
			shown++
		}
	}
	require.Greater(t, shown, 10)
}

// countsOf is what a search says was counted with a seed, of which several can fail at the
// same time.
func countsOf(said, seed string) string {
	failure := regexp.MustCompile(`(?s)(expected: \S+\s+actual  : \S+).*?Test:\s+\w+/seed=(\d+)`)
	for _, m := range failure.FindAllStringSubmatch(said, -1) {
		if m[2] == seed {
			return m[1]
		}
	}
	return ""
}

func TestSearchNamesATestThatDecidesByItself(t *testing.T) {
	said := searched(t, "TestSearchedAtRandom")
	require.NotContains(t, said, "passes, in")
	require.Regexp(t, `seed 1 was run twice, and the two runs differ, so that what the other runs say is worth nothing: the test did, at \S+ of the guest's time: first it asked scenario\.hold\(\d+\), then scenario\.hold\(\d+\)`, said)
}

// What no search can be made of is refused before a guest boots.
func TestSearchesOfNothingAreRefused(t *testing.T) {
	for _, row := range []struct {
		seeds ktest.Seeds
		want  string
	}{
		{ktest.Seeds{N: -1}, "N -1 and AtOnce 0: neither can be negative"},
		{ktest.Seeds{AtOnce: -2}, "N 0 and AtOnce -2: neither can be negative"},
		{ktest.Seeds{First: math.MaxUint64 - 9}, "100 seeds from 18446744073709551606 on are more than there are"},
		{ktest.Seeds{First: math.MaxUint64, N: 1}, "1 seeds from 18446744073709551615"},
		{ktest.Seeds{Config: ktest.Config{Seed: 37}}, "say First: 37 to begin with it, or $KTGEN_SEED=37"},
	} {
		require.ErrorContains(t, row.seeds.Check(), row.want)
	}
	require.NoError(t, ktest.Seeds{}.Check())
	require.NoError(t, ktest.Seeds{First: math.MaxUint64 - 9, N: 8}.Check())
}
