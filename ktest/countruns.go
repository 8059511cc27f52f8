package ktest

import (
	"context"
	"fmt"
)

// CountRuns switches the guest's statistics of BPF programs on or off, which are off at
// first: sched.Program.Runs and RunTime count while they are on, at a cost to each run.
func (vm *VM) CountRuns(ctx context.Context, on bool) error {
	const switched = "/proc/sys/kernel/bpf_stats_enabled"
	value := "0"
	if on {
		value = "1"
	}
	if err := vm.WriteFile(ctx, switched, []byte(value), 0); err != nil {
		return fmt.Errorf("switch the statistics of BPF programs: %w", err)
	}
	return nil
}
