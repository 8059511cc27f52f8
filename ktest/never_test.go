package ktest_test

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/ktest"
)

// A scheduler's program that never enables one is given up after some of the guest's time, of
// which much passes while nothing runs, and the search says why no seed was run.
func TestSearchOfASchedulerThatNeverStartsEnds(t *testing.T) {
	said := searched(t, "TestSearchedNever")
	require.Contains(t, said, "start scheduler /bin/sleep: wait until the scheduler is enabled: it is not, within 2m0s of the guest's time (Config.Timeouts.Scheduler)")
	require.Contains(t, said, "no seed was run")
}

func TestSearchedNever(t *testing.T) {
	if os.Getenv(envSearch) == "" {
		t.Skip("TestSearchOfASchedulerThatNeverStartsEnds runs it")
	}
	ktest.Search(t, ktest.Seeds{N: 1, Config: ktest.Config{
		Scheduler: ktest.Binary("/bin/sleep", "100000"), Timeouts: ktest.Timeouts{Scheduler: 2 * time.Minute},
	}}, func(*testing.T, *ktest.VM) {})
}

// The verifier says nothing for as long as it looks at a program.
func TestProgramThatTheVerifierIsStillAtIsNamed(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{Timeouts: ktest.Timeouts{Scheduler: 3 * time.Second}})
	err := vm.Attach(bound(t, time.Minute), fault("endless"))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, "it is not, within 3s of the host's time (Config.Timeouts.Scheduler): context deadline exceeded: "+
		"the guest's verifier looks at program refused_enqueue, which is number 1 of 2, and")
}
