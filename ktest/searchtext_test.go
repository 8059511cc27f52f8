package ktest

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSearchSaysThatNoSeedHasPassed(t *testing.T) {
	some := func(n int) []*searchRun { return make([]*searchRun, n) }
	require.Contains(t, (&search{done: 2, failed: some(2)}).nonePassed(), "no seed has passed: what was wrong before seeds begin")
	require.NotEmpty(t, (&search{done: 3, failed: some(2), skips: some(1)}).nonePassed())
	require.Empty(t, (&search{done: 3, failed: some(2)}).nonePassed())
}
