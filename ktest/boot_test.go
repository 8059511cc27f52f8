package ktest_test

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/ktgen/ktgen/ktest"
)

func TestGuestIsAsConfigured(t *testing.T) {
	for name, row := range map[string]struct {
		cfg  ktest.Config
		cpus int
	}{
		"the default":           {cfg: ktest.Config{}, cpus: 2},
		"one CPU":               {cfg: ktest.Config{CPUs: 1, KernelArgs: []string{"ktgen.note=hello"}}, cpus: 1},
		"four CPUs, more RAM":   {cfg: ktest.Config{CPUs: 4, Memory: 1 << 30}, cpus: 4},
		"booted, not restored":  {cfg: ktest.Config{NoTemplate: true}, cpus: 2},
		"at a random address":   {cfg: ktest.Config{KASLR: true}, cpus: 2},
		"random and not stored": {cfg: ktest.Config{KASLR: true, NoTemplate: true}, cpus: 2},
	} {
		t.Run(name, func(t *testing.T) {
			vm := ktest.Boot(t, row.cfg)
			require.Len(t, vm.Kernel().Online, row.cpus)
			require.Empty(t, vm.Kernel().Notes)
			version, err := vm.ReadFile(t.Context(), "/proc/version")
			require.NoError(t, err)
			require.Contains(t, string(version), vm.Kernel().Release)
			cmdline, err := vm.ReadFile(t.Context(), "/proc/cmdline")
			require.NoError(t, err)
			for _, arg := range row.cfg.KernelArgs {
				require.Contains(t, string(cmdline), arg)
			}
			if row.cfg.NoTemplate {
				require.False(t, vm.Machine().Origin().Restored)
			}

			require.NoError(t, vm.Attach(bound(t, time.Minute), fault("docile")))
			require.NotEmpty(t, vm.Freeze("attached").Maps)
		})
	}
}

func TestWorkersKeepCPUsBusyUntilTheyAreStopped(t *testing.T) {
	for _, cpus := range []int{1, 2} {
		vm := ktest.Boot(t, ktest.Config{CPUs: cpus, Scheduler: fault("docile")})
		ctx := bound(t, time.Minute)
		for _, work := range []ktest.Work{ktest.Spin, ktest.Sleep, ktest.Yield} {
			workers, err := vm.Work(ctx, work, 3)
			require.NoError(t, err)
			require.Len(t, workers.PIDs, 3)
			comm := fmt.Sprintf("/proc/%d/comm", workers.PIDs[0])
			name, err := vm.ReadFile(ctx, comm)
			require.NoError(t, err)
			require.Regexp(t, "^"+string(work)+"-[0-2]\n$", string(name))
			if work == ktest.Spin { // it is the task with that pid that spins, not another of its threads
				for state := ""; state != "R"; {
					stat, err := vm.ReadFile(ctx, fmt.Sprintf("/proc/%d/stat", workers.PIDs[0]))
					require.NoError(t, err, "it was never seen to run: %s", state)
					state = strings.Fields(string(stat))[2]
				}
			}
			_, err = workers.Stop(ctx)
			require.NoError(t, err)
			_, err = vm.ReadFile(ctx, comm)
			require.ErrorIs(t, err, fs.ErrNotExist)
		}
		_, err := vm.Work(ctx, "nonsense", 1)
		require.ErrorContains(t, err, "nonsense")
	}
}

func TestRestoredGuestsHaveTheirOwnTimeAndRandomness(t *testing.T) {
	seen := make(map[string]bool)
	for range 3 {
		vm := ktest.Boot(t, ktest.Config{})
		ctx := bound(t, time.Minute)
		require.NoError(t, vm.WriteFile(ctx, "/tmp/stamp", nil, 0o600))
		info, err := vm.Agent().Stat(ctx, "/tmp/stamp")
		require.NoError(t, err)
		require.WithinDuration(t, time.Now(), info.ModTime, 5*time.Second)

		id, err := vm.ReadFile(ctx, "/proc/sys/kernel/random/uuid")
		require.NoError(t, err)
		require.False(t, seen[string(id)], "two guests made the same random number")
		seen[string(id)] = true
	}
}

func TestGuestsShareNothing(t *testing.T) {
	vms := make([]*ktest.VM, 3)
	for i := range vms {
		vms[i] = ktest.Boot(t, ktest.Config{Scheduler: fault("docile")})
		require.NoError(t, vms[i].WriteFile(t.Context(), "/tmp/me", []byte{byte(i)}, 0o600))
	}
	for i, vm := range vms {
		me, err := vm.ReadFile(t.Context(), "/tmp/me")
		require.NoError(t, err)
		require.Equal(t, []byte{byte(i)}, me)
	}
}

func TestGuestsLeaveNothingInThisProcess(t *testing.T) {
	one := func() {
		vm, err := ktest.Start(t.Context(), ktest.Config{Scheduler: fault("docile")})
		require.NoError(t, err)
		_, err = vm.TryFreeze(t.Context(), "it")
		require.NoError(t, err)
		workers, err := vm.Work(t.Context(), ktest.Spin, 1)
		require.NoError(t, err)
		require.NoError(t, vm.Close())
		_, err = workers.Stop(t.Context())
		require.ErrorContains(t, err, "the VM is closed")
	}
	ktest.Boot(t, ktest.Config{}) // skips where there is no guest
	one()                         // what is kept for the next guest is made here
	ignore := goleak.IgnoreCurrent()
	before := openFiles(t)
	for range 5 {
		one()
	}
	goleak.VerifyNone(t, ignore)
	require.Equal(t, before, openFiles(t))
}

func TestStartEndsWithItsContext(t *testing.T) {
	ktest.Boot(t, ktest.Config{}) // skips where there is no guest
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := ktest.Start(ctx, ktest.Config{NoTemplate: true})
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

func TestKernelLogIsRead(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{})
	records, err := vm.Agent().Log(t.Context())
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(records[0].Text, "Linux version "), records[0].Text)
	for i, r := range records[1:] {
		require.Greater(t, r.Seq, records[i].Seq)
	}
	require.NoError(t, vm.WriteFile(t.Context(), "/dev/kmsg", bytes.Repeat([]byte("x"), 10), 0))
}
