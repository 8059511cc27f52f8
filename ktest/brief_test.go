package ktest

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/runtime/ktsnap"
	"github.com/ktgen/ktgen/series"
	"github.com/ktgen/ktgen/vmm"
)

func TestBriefSaysWhatMattersInTenLines(t *testing.T) {
	moment := series.Moment{Name: "scheduler_exit", Elapsed: 1500 * time.Millisecond, Phase: series.Phase{Step: 2}}
	var console strings.Builder
	for i := range 50 {
		fmt.Fprintf(&console, "[%d] line\r\n\n", i)
	}
	b := brief{
		guest:      errors.New("the guest's kernel has died\nwith more lines"),
		scheduler:  "scheduler \"tally\": runnable task stall: spin[41] failed to run for 5.0s\n\nCPU states",
		complaints: []vmm.Complaint{{Kind: vmm.HungTask, Title: "task hog:42 blocked"}},
		captures: []series.Capture{
			{Moment: series.Moment{Name: "a"}, Snapshot: new(ktsnap.Snapshot)},
			{Moment: moment, Snapshot: new(ktsnap.Snapshot)},
			{Moment: series.Moment{Name: "test_failure", Elapsed: 2 * time.Second}, NoSnapshot: errors.New("the guest is no more")},
		},
		output:  "one\ntwo\nthree\nfour\n",
		console: console.String(),
	}
	require.Equal(t, strings.Split(strings.TrimSpace(`
guest: the guest's kernel has died
scheduler "tally": runnable task stall: spin[41] failed to run for 5.0s
kernel: hung task: task hog:42 blocked
captures: 2, the last is scheduler_exit (+1.5s, step 2)
captures that failed: 1, the last is test_failure (+2s): the guest is no more
program: two
program: three
program: four
console: [48] line
console: [49] line`), "\n"), b.lines())

	require.Empty(t, brief{}.lines())
	long := brief{scheduler: strings.Repeat("é", 1000)}
	require.Len(t, long.lines()[0], 203)
}
