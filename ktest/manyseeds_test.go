package ktest_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/ktest"
)

var manySeeds = flag.Int("search.seeds", 0, "seeds of a test of 300 ms of the guest's time that are run; 0 skips them")

// TestManySeedsLeaveNothing logs what a search costs: of its time a seed and CPU of the host, what the
// guest's own instructions take is told apart.
func TestManySeedsLeaveNothing(t *testing.T) {
	if *manySeeds == 0 {
		t.Skip("it takes a second a seed: give -search.seeds")
	}
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	var mu sync.Mutex
	var held time.Duration // the guests' own
	var most int           // bytes of a QEMU
	runs := 0
	began := time.Now()
	ktest.Search(t, ktest.Seeds{
		N:      *manySeeds,
		Config: ktest.Config{Scheduler: fault("docile")},
		Prepare: func(t *testing.T, vm *ktest.VM) {
			_, err := vm.Work(t.Context(), ktest.Yield, 3)
			require.NoError(t, err)
		},
	}, func(t *testing.T, vm *ktest.VM) {
		from := time.Now()
		require.NoError(t, vm.Hold(t.Context(), 300*time.Millisecond))
		took := time.Since(from)
		require.NotEmpty(t, vm.Freeze("end").Maps)
		size := ownMemory(t, vm.Machine().PID())
		mu.Lock()
		defer mu.Unlock()
		held, most, runs = held+took, max(most, size), runs+1
	})
	require.GreaterOrEqual(t, runs, *manySeeds)
	all, cpus := time.Since(began), runtime.GOMAXPROCS(0)
	beyond := all*time.Duration(cpus) - held
	t.Logf("%d seeds on %d CPUs in %v: %v a seed and CPU, %v beyond the guest's own; a QEMU had %d MiB of its own", *manySeeds, cpus,
		all.Round(time.Second), all*time.Duration(cpus)/time.Duration(*manySeeds), beyond/time.Duration(*manySeeds), most>>20)
	left, err := filepath.Glob(filepath.Join(temp, "ktgen*"))
	require.NoError(t, err)
	require.Empty(t, left)
	require.Empty(t, children(t))
}

// ownMemory returns what a process has in memory that it shares with no other, in bytes.
func ownMemory(t *testing.T, pid int) int {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	require.NoError(t, err)
	total := 0
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) == 3 && strings.HasPrefix(fields[0], "Private_") {
			n, err := strconv.Atoi(fields[1])
			require.NoError(t, err)
			total += n << 10
		}
	}
	return total
}

// children lists the processes that this one has started and that are there.
func children(t *testing.T) []string {
	files, err := filepath.Glob("/proc/self/task/*/children")
	require.NoError(t, err)
	var pids []string
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err == nil { // the thread may have ended
			pids = append(pids, strings.Fields(string(text))...)
		}
	}
	return pids
}
