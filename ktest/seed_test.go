package ktest

import (
	"crypto/sha256"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestSeedsAreReadAsTheyArePrinted(t *testing.T) {
	for _, s := range []seed{{n: 37}, {37, "111111.222222.333333.444444"}, {1<<64 - 1, "k"}} {
		again, err := parseSeed(s.String())
		require.NoError(t, err)
		require.Equal(t, s, again)
	}
	for _, wrong := range []string{"", "0", "-1", "x", "1.5", "@key", "1@", "1@ ", "18446744073709551616"} {
		_, err := parseSeed(wrong)
		refused := (*SeedError)(nil)
		require.ErrorAs(t, err, &refused, wrong)
	}
}

// The environment's seed stands for that of a test that has one.
func TestSeedOfTheEnvironmentIsForGuestsInLockstep(t *testing.T) {
	t.Setenv(EnvSeed, "37@key")
	cfg, err := Config{Seed: 7}.seeded()
	require.NoError(t, err)
	require.EqualValues(t, 37, cfg.Seed)
	require.Equal(t, []string{"key"}, cfg.seedKeys)
	cfg, err = Config{}.seeded()
	require.NoError(t, err)
	require.Zero(t, cfg.Seed)
	t.Setenv(EnvSeed, "x")
	_, err = Config{Seed: 7}.seeded()
	require.ErrorContains(t, err, `$KTGEN_SEED: seed "x": a seed is a number`)
}

// One command repeats the runs of all guests of a test: what it prints gives each its own seed and key.
func TestEachGuestOfATestTakesItsOwnSeed(t *testing.T) {
	for _, row := range []struct {
		asked string
		own   uint64
		want  uint64
		keys  []string
	}{
		{"4@a,9@b", 4, 4, []string{"a"}},
		{"4@a,9@b", 9, 9, []string{"b"}},
		{"4@a,4@b,9@b", 4, 4, []string{"a", "b"}},
		{"37@a,37@b", 9, 37, []string{"a", "b"}}, // as KTGEN_SEED=37 prints it
		{"37", 9, 37, nil},
	} {
		t.Setenv(EnvSeed, row.asked)
		cfg, err := Config{Seed: row.own}.seeded()
		require.NoError(t, err)
		require.Equal(t, row.want, cfg.Seed, row.asked)
		require.Equal(t, row.keys, cfg.seedKeys, row.asked)
	}
	t.Setenv(EnvSeed, "4@a,9@b")
	_, err := Config{Seed: 5}.seeded()
	require.ErrorContains(t, err, "$KTGEN_SEED: seed 4@a,9@b: a guest of the test has Config.Seed 5, which is none of them")
	_, _, err = askedSeed()
	require.ErrorContains(t, err, "a search runs one")
	t.Setenv(EnvSeed, "4@a,9@")
	_, err = Config{Seed: 4}.seeded()
	require.ErrorContains(t, err, `seed "9@": a seed is`)
}

func TestSeedsOfATestAreThoseThatItsCommandRuns(t *testing.T) {
	s := seedsOfTests{byName: make(map[string]*seedsOfTest)}
	note := func(name string, n uint64) { s.note(name, seed{n, "k"}) }
	told := func(name string) string {
		seeds, wanted := s.tell(name)
		if !wanted {
			return ""
		}
		return repeat(name, seeds...)
	}
	note("TestA", 4)
	note("TestA", 9)
	note("TestA", 4)
	note("TestA/sub", 5)
	note("TestA/other", 6)
	note("TestAB", 7)
	require.Equal(t, `KTGEN_SEED=4@k,9@k,5@k go test -count=1 -run '^TestA$/^sub$'`, told("TestA/sub"))
	require.Equal(t, `KTGEN_SEED=4@k,9@k,6@k,5@k go test -count=1 -run '^TestA$'`, told("TestA"))
	require.Empty(t, told("TestA"), "it is told once")
	s.end("TestA")
	note("TestA", 8)
	require.Equal(t, `KTGEN_SEED=8@k,6@k,5@k go test -count=1 -run '^TestA$'`, told("TestA"), "another run of it")

	note("TestB", 4)
	note("TestB/sub", 5)
	s.refuse("TestB/other")
	require.NotEmpty(t, told("TestB/sub"), "it ran, and is not of the other one")
	require.Empty(t, told("TestB"), "a part of it did not run")
}

func TestRepeatIsTheTestAndNoOther(t *testing.T) {
	require.Equal(t, `KTGEN_SEED=37@k go test -count=1 -run '^TestA$/^b\.c$'`, repeat("TestA/b.c", seed{37, "k"}))
}

// A seed is the same run everywhere, so what it decides must not change.
func TestSeedsDecideTheSameAsEver(t *testing.T) {
	all := sha256.New()
	for n := uint64(1); n < 1000; n++ {
		k := knobsOf(n)
		require.Equal(t, k, knobsOf(n))
		require.Len(t, k.entropy, 64)
		fmt.Fprintf(all, "%+v", k)
		for _, q := range k.quanta {
			require.GreaterOrEqual(t, q, minQuantum)
			require.LessOrEqual(t, q, maxQuantum)
		}
		require.NotEqual(t, k, knobsOf(n+1))
	}
	const rule, decided = 1, "a68554d6451367de"
	require.Equal(t, decided, fmt.Sprintf("%x", all.Sum(nil))[:16], "seeds decide something else: seedRule has to be another number, and with it those here")
	require.Equal(t, rule, seedRule)
	require.Nil(t, Config{}.lockstep())
}

// Without quanta, what leads the guest of a search to where seeds begin waits for vCPUs that spin.
func TestTurnsEndBeforeSeedsBegin(t *testing.T) {
	require.Equal(t, []time.Duration{maxQuantum}, Config{Seed: 7, preparation: newPreparation()}.lockstep().Quanta)
}
