package ktest_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/ktest"
)

// The schedulers of tools/sched_ext start from their objects with what their own
// programs set before the load, each in two ways.
func TestPublicSchedulersStartAsTheirProgramsConfigureThem(t *testing.T) {
	const slice = 20_000_000 // ns, SCX_SLICE_DFL
	start := func(name string) ktest.Scheduler { return ktest.Object(public(t, name)) }
	central := func() ktest.Scheduler {
		return start("scx_central").Set("nr_cpu_ids", 2).Set("slice_ns", slice).
			Resize("cpu_gimme_task", 2).Resize("cpu_started_at", 2)
	}
	for name, row := range map[string]struct {
		scheduler func() ktest.Scheduler
		vars      map[string]uint64
	}{
		"scx_simple vtime":   {func() ktest.Scheduler { return start("scx_simple") }, map[string]uint64{"fifo_sched": 0}},
		"scx_simple fifo":    {func() ktest.Scheduler { return start("scx_simple").Set("fifo_sched", true) }, map[string]uint64{"fifo_sched": 1}},
		"scx_central on 0":   {central, map[string]uint64{"central_cpu": 0, "nr_cpu_ids": 2}},
		"scx_central on 1":   {func() ktest.Scheduler { return central().Set("central_cpu", 1) }, map[string]uint64{"central_cpu": 1}},
		"scx_flatcg weights": {func() ktest.Scheduler { return start("scx_flatcg").Set("nr_cpus", 2).Set("cgrp_slice_ns", slice) }, map[string]uint64{"fifo_sched": 0}},
		"scx_flatcg fifo": {func() ktest.Scheduler {
			return start("scx_flatcg").Set("nr_cpus", 2).Set("cgrp_slice_ns", slice).Set("fifo_sched", true)
		}, map[string]uint64{"fifo_sched": 1, "nr_cpus": 2}},
	} {
		t.Run(name, func(t *testing.T) {
			vm := ktest.Boot(t, ktest.Config{CPUs: 2, Scheduler: row.scheduler()})
			_, err := vm.Work(t.Context(), ktest.Sleep, 3)
			require.NoError(t, err)
			snap := vm.Freeze("scheduling")
			for variable, want := range row.vars {
				got, err := snap.Var(variable).Uint64()
				require.NoError(t, err)
				require.Equal(t, want, got, variable)
			}
		})
	}
}
