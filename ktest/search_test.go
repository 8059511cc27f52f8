package ktest_test

import (
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

// racing lets tasks yield to one another, and returns what the scheduler has counted.
func racing(t *testing.T, vm *ktest.VM) (enqueued, counted, clashes uint64) {
	_, err := vm.Work(t.Context(), ktest.Yield, 4)
	require.NoError(t, err)
	require.NoError(t, vm.Hold(t.Context(), 100*time.Millisecond))
	snap := vm.Freeze("end")
	for name, to := range map[string]*uint64{"enqueued": &enqueued, "counted": &counted, "nr_clashes": &clashes} {
		*to, err = snap.Map("race.bss").At(0).Get(name).Uint64()
		require.NoError(t, err)
	}
	return enqueued, counted, clashes
}

func TestSearchedLostUpdate(t *testing.T) {
	if os.Getenv(envSearch) == "" {
		t.Skip("TestSearchFindsWhatItRepeats runs it")
	}
	ktest.Search(t, ktest.Seeds{N: 40, Config: ktest.Config{Scheduler: fault("race")}}, func(t *testing.T, vm *ktest.VM) {
		enqueued, counted, _ := racing(t, vm)
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

// searched runs a test of this binary that fails, and returns what it says.
func searched(t *testing.T, name string, env ...string) string {
	run := exec.Command(os.Args[0], "-test.run=^"+name+"$", "-test.v")
	run.Env = append(os.Environ(), append(env, envSearch+"=1")...)
	out, err := run.CombinedOutput()
	exited := (*exec.ExitError)(nil)
	require.ErrorAs(t, err, &exited, "%s", out)
	return string(out)
}

// A search finds the interleaving that loses an update, finds it again at once, keeps the seed and says how it
// is repeated; and so it is.
func TestSearchFindsWhatItRepeats(t *testing.T) {
	kept := filepath.Join("testdata", "seeds", "TestSearchedLostUpdate")
	t.Cleanup(func() { os.Remove(kept); os.Remove(filepath.Dir(kept)) })
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
}

// countsOf is what a search says was counted with a seed, of which several can fail at the
// same time.
func countsOf(said, seed string) string {
	failure := regexp.MustCompile(`(?s)(expected: \S+\s+actual  : \S+).*?Test:\s+TestSearchedLostUpdate/seed=(\d+)`)
	for _, m := range failure.FindAllStringSubmatch(said, -1) {
		if m[2] == seed {
			return m[1]
		}
	}
	return ""
}

func TestSearchNamesATestThatDecidesByItself(t *testing.T) {
	said := searched(t, "TestSearchedAtRandom")
	require.Regexp(t, `seed 1 was run twice, and the two runs differ: the test did, at \S+ of the guest's time: first it asked scenario\.hold\(\d+\), then scenario\.hold\(\d+\)`, said)
}
