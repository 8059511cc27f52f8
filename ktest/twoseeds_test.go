package ktest_test

import (
	"os"
	"os/exec"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/ktest"
)

// seedsEnv makes TestGuestsOfTwoSeeds fail.
const seedsEnv = "KTEST_SEEDS"

// TestGuestsOfTwoSeeds is run by the test below, in a process of its own.
func TestGuestsOfTwoSeeds(t *testing.T) {
	if os.Getenv(seedsEnv) == "" {
		t.Skip("runs as a part of another test")
	}
	for _, seed := range []uint64{4, 9, 0} {
		vm := ktest.Boot(t, ktest.Config{Seed: seed})
		id, err := vm.ReadFile(t.Context(), "/proc/sys/kernel/random/uuid")
		require.NoError(t, err)
		if seed != 0 {
			t.Logf("guest %d: %s", seed, id)
		}
	}
	t.Fail()
}

func TestCommandRepeatsTheRunsOfAllGuests(t *testing.T) {
	run := func(seed string) (ids, seeds []string, output string) {
		cmd := exec.Command(os.Args[0], "-test.run=^TestGuestsOfTwoSeeds$", "-test.v")
		cmd.Env = append(os.Environ(), seedsEnv+"=1", ktest.EnvSeed+"="+seed, ktest.EnvArtifacts+"="+t.TempDir())
		raw, err := cmd.CombinedOutput()
		if regexp.MustCompile(`(?m)^--- SKIP`).Match(raw) {
			t.Skip("no guest can boot here")
		}
		require.Error(t, err, "%s", raw)
		ids = regexp.MustCompile(`guest \d+: [-0-9a-f]{36}`).FindAllString(string(raw), -1)
		require.Len(t, ids, 2, "%s", raw)
		for _, at := range regexp.MustCompile(`KTGEN_SEED=(\S+) go test`).FindAllStringSubmatch(string(raw), -1) {
			seeds = append(seeds, at[1])
		}
		require.Len(t, seeds, 1, "one command for both: %s", raw)
		return ids, seeds, string(raw)
	}
	first, command, output := run("")
	require.NotContains(t, output, "this guest runs without a seed")
	again, same, output := run(command[0])
	require.Equal(t, first, again)
	require.Equal(t, command, same)
	require.Contains(t, output, "this guest runs without a seed: Config.Seed is 0")

	both, command, _ := run("37")
	require.NotEqual(t, first, both)
	again, _, _ = run(command[0])
	require.Equal(t, both, again)
}

// A seed that is refused has run nothing that could be repeated, also if another guest of the test has run.
func TestRefusedSeedIsNotRepeated(t *testing.T) {
	for seed, reason := range map[string]string{
		"4@1.2.3.4":   "cannot be repeated, as this differs",
		"4@1.2.3.4,5": "cannot be repeated, as this differs",
		"4,5":         "a guest of the test has Config.Seed 9, which is none of them",
	} {
		cmd := exec.Command(os.Args[0], "-test.run=^TestGuestsOfTwoSeeds$", "-test.v")
		cmd.Env = append(os.Environ(), seedsEnv+"=1", ktest.EnvSeed+"="+seed, ktest.EnvArtifacts+"="+t.TempDir())
		raw, err := cmd.CombinedOutput()
		if regexp.MustCompile(`(?m)^--- SKIP`).Match(raw) {
			t.Skip("no guest can boot here")
		}
		require.Error(t, err, "%s", raw)
		require.Contains(t, string(raw), reason)
		require.NotContains(t, string(raw), "repeat this run")
		require.NotContains(t, string(raw), "go test -count=1")
	}
}
