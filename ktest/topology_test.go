package ktest_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/ktest"
	"github.com/ktgen/ktgen/scenario"
	"github.com/ktgen/ktgen/vmm"
)

// twoSockets has 12 CPUs on 2 sockets of a die of 3 cores of 2 threads, the second
// without memory, a third node without CPUs, and two CPUs that are off.
var twoSockets = ktest.Topology{
	Sockets: 2, Cores: 3, Threads: 2,
	Nodes: []ktest.Node{
		{CPUs: []int{0, 1, 2, 3, 4, 5}, Memory: 512 * vmm.MiB, Distances: []int{10, 21, 31}},
		{CPUs: []int{6, 7, 8, 9, 10, 11}, Distances: []int{21, 10, 41}},
		{Memory: 100 * vmm.MiB, Distances: []int{31, 41, 10}},
	},
	Offline: []int{3, 11},
}

func TestGuestHasTheTopologyThatWasAskedFor(t *testing.T) {
	for range 2 { // booted or restored, and restored
		vm := ktest.Boot(t, ktest.Config{Topology: twoSockets, Scheduler: fault("docile")})
		ctx := bound(t, time.Minute)
		require.Equal(t, []int{0, 1, 2, 4, 5, 6, 7, 8, 9, 10}, vm.Kernel().Online)
		require.Len(t, vm.Kernel().Possible, 12)
		has, err := vm.Topology(ctx)
		require.NoError(t, err)
		require.False(t, has.CPUs[3].Online)
		require.Equal(t, []int{2}, has.CPUs[2].Core, "its sibling is off")
		require.Equal(t, []int{4, 5}, has.CPUs[4].Core)
		require.Equal(t, []int{6, 7, 8, 9, 10}, has.CPUs[9].LLC())
		require.Equal(t, 1, has.Node(9))
		require.Equal(t, []int{31, 41, 10}, has.Nodes[2].Distances)
		require.Zero(t, has.Nodes[1].Memory)

		snap := vm.Freeze("twelve")
		require.Equal(t, 12, snap.Guest.CPUs)
		require.Equal(t, vm.Kernel().Online, snap.Guest.Online)
	}
}

func TestGuestOf64CPUsIsCaptured(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{Memory: vmm.GiB, Topology: ktest.Topology{
		Sockets: 2, Dies: 2, Cores: 8, Threads: 2, Nodes: make([]ktest.Node, 4), Offline: []int{1, 63},
	}})
	t.Logf("%v %+v", vm.Machine().Origin(), vm.Machine().Timing())
	require.Len(t, vm.Kernel().Online, 62)
	zoo := keepZoo(t, vm)
	require.NoError(t, vm.Attach(bound(t, 5*time.Minute), fault("docile")))
	snap := vm.Freeze("64")
	t.Logf("%+v", snap.Timing)
	require.Equal(t, 64, snap.Guest.CPUs)
	for _, m := range zoo.Maps {
		requireSameEntries(t, m, mapByID(t, snap, m.ID))
	}
}

func TestScenariosKnowWhichCPUsAreOff(t *testing.T) {
	pinned := func(cpu int) ktest.Config {
		return ktest.Config{Topology: ktest.Topology{Cores: 3, Offline: []int{2}}, Scenarios: []scenario.Scenario{{Steps: []scenario.Step{{
			Ops:  []scenario.Op{scenario.Workers{Kind: scenario.Spin, CPUs: []int{cpu}}},
			Hold: 100 * time.Millisecond,
		}}}}}
	}
	_, err := ktest.Start(t.Context(), pinned(2))
	require.ErrorContains(t, err, "CPU 2, which is offline at this point")
	cfg := pinned(2)
	steps := cfg.Scenarios[0].Steps
	steps[0].Ops = append([]scenario.Op{scenario.SetOnline{CPU: 2, Online: true}}, steps[0].Ops...)
	vm := ktest.Boot(t, cfg)
	report, err := vm.TryRun(bound(t, time.Minute), cfg.Scenarios[0])
	require.NoError(t, err)
	require.NotZero(t, report.Workers[0].Iterations)
}

func TestMachinesThatCannotBeAreRefusedBeforeTheBoot(t *testing.T) {
	for want, cfg := range map[string]ktest.Config{
		"CPU 0 cannot be offline on x86: choose others of 1 to 1": {Topology: ktest.Topology{Offline: []int{0}}},
		"CPU 4 is to be offline, and there are CPUs 0 to 3":       {CPUs: 4, Topology: ktest.Topology{Offline: []int{4}}},
		"CPU 1 is to be offline twice":                            {Topology: ktest.Topology{Offline: []int{1, 1}}},
		"are 8 CPUs, and Config.CPUs is 4":                        {CPUs: 4, Topology: ktest.Topology{Dies: 4, Cores: 2}},
		"node 0 is 9 away from node 1, which has to be 11 to 254": {Topology: ktest.Topology{Sockets: 2, Nodes: []ktest.Node{{Distances: []int{10, 9}}, {}}}},
		"300 is not between 1 and 255":                            {CPUs: 300},
	} {
		_, err := ktest.Start(t.Context(), cfg)
		require.ErrorContains(t, err, want)
		require.ErrorAs(t, err, new(*vmm.ConfigError))
	}
}
