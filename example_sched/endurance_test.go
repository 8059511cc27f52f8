package examplesched_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	examplesched "github.com/ktgen/ktgen/example_sched"
	"github.com/ktgen/ktgen/ktest"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

var (
	boots    = flag.Int("boots", 2, "guests that TestGuestsInARowLeaveNothingBehind starts")
	captures = flag.Int("captures", 10, "snapshots that it takes of each")
)

// TestGuestsInARowLeaveNothingBehind starts guest after guest with the
// scheduler at work, and captures each many times. Every fifth guest is booted,
// the others are restored. `make stress` asks for 50 guests and 500 captures.
func TestGuestsInARowLeaveNothingBehind(t *testing.T) {
	// The first guest of a process opens what stays open: the host's entropy,
	// netpoll, the cache of the kernel's symbols.
	endure(t, 0)
	files, goroutines := openFiles(t), goleak.IgnoreCurrent()

	for i := range *boots {
		endure(t, i)
	}

	goleak.VerifyNone(t, goroutines)
	require.Equal(t, files, openFiles(t))
	require.Empty(t, children(t))
}

func endure(t *testing.T, i int) {
	vm, err := ktest.Start(t.Context(), ktest.Config{
		CPUs: 2, Scheduler: scheduler, NoTemplate: i%5 == 4,
	})
	require.NoError(t, err, "guest %d", i)
	defer func() { require.NoError(t, vm.Close(), "guest %d", i) }()

	workers, err := vm.Work(t.Context(), ktest.Spin, 2)
	require.NoError(t, err, "guest %d", i)

	var dispatched uint64
	for n := range *captures {
		frozen, err := vm.TryFreeze(t.Context(), fmt.Sprintf("%d.%d", i, n))
		require.NoError(t, err, "guest %d, capture %d", i, n)
		snap := examplesched.Bind(t, frozen)
		require.GreaterOrEqual(t, snap.Bss().NrDispatched, dispatched)
		dispatched = snap.Bss().NrDispatched
		for _, pid := range workers.PIDs {
			require.EqualValues(t, 100, snap.TaskCtxs().Get(int32(pid)).Ctx.Weight)
		}
	}
}

// openFiles counts this process's open files by what they are.
func openFiles(t *testing.T) map[string]int {
	entries, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	count := make(map[string]int)
	for _, e := range entries {
		target, err := os.Readlink(filepath.Join("/proc/self/fd", e.Name()))
		if err != nil {
			continue // the descriptor of the directory itself
		}
		kind, _, _ := strings.Cut(target, ":[") // socket:[1234]
		count[kind]++
	}
	return count
}

// children lists the processes that this one has started.
func children(t *testing.T) []string {
	tasks, err := filepath.Glob("/proc/self/task/*/children")
	require.NoError(t, err)
	var all []string
	for _, path := range tasks {
		pids, err := os.ReadFile(path)
		if err != nil {
			continue // the thread has ended
		}
		all = append(all, strings.Fields(string(pids))...)
	}
	return all
}
