package ktest_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/ktest"
)

// A dump or a page that shows a thread of ktest's own says that it is one.
func TestThreadsOfHelpersAreNamedAfterKtest(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{})
	group, err := vm.Work(bound(t, time.Minute), ktest.Spin, 2)
	require.NoError(t, err)
	var others int
	for _, pid := range group.PIDs {
		for tid := pid; tid < pid+50; tid++ {
			comm, err := vm.ReadFile(t.Context(), fmt.Sprintf("/proc/%d/task/%d/comm", pid, tid))
			if err != nil {
				continue // no thread of this process
			}
			if name := strings.TrimSpace(string(comm)); !strings.HasPrefix(name, "spin") {
				require.Equal(t, "ktest-worker", name)
				others++
			}
		}
	}
	require.NotZero(t, others, "the runtime of Go has threads of its own")
}
