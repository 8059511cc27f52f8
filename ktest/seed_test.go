package ktest

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSeedsAreReadAsTheyArePrinted(t *testing.T) {
	for _, s := range []seed{{n: 37}, {37, "111111.222222.333333.444444"}, {1<<64 - 1, "k"}} {
		again, err := parseSeed(s.String())
		require.NoError(t, err)
		require.Equal(t, s, again)
	}
	for _, wrong := range []string{"", "0", "-1", "x", "1.5", "@key", "18446744073709551616"} {
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
	require.Equal(t, "key", cfg.seedKey)
	cfg, err = Config{}.seeded()
	require.NoError(t, err)
	require.Zero(t, cfg.Seed)
	t.Setenv(EnvSeed, "x")
	_, err = Config{Seed: 7}.seeded()
	require.ErrorContains(t, err, `$KTGEN_SEED: seed "x": a seed is a number`)
}

func TestRepeatIsTheTestAndNoOther(t *testing.T) {
	require.Equal(t, `KTGEN_SEED=37@k go test -count=1 -run '^TestA$/^b\.c$'`, repeat("TestA/b.c", seed{37, "k"}))
}

// A seed is the same run everywhere, so what it decides must not change.
func TestSeedsDecideTheSameAsEver(t *testing.T) {
	for n := uint64(1); n < 1000; n++ {
		k := knobsOf(n)
		require.Equal(t, k, knobsOf(n))
		require.Len(t, k.entropy, 64)
		for _, q := range k.quanta {
			require.GreaterOrEqual(t, q, minQuantum)
			require.LessOrEqual(t, q, maxQuantum)
		}
		require.NotEqual(t, k, knobsOf(n+1))
	}
	require.Nil(t, Config{}.lockstep())
}
