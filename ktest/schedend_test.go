package ktest_test

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ktgen/ktgen/ktest"
	"github.com/ktgen/ktgen/scenario"
	"github.com/ktgen/ktgen/vmm/guest"
)

// offline takes a CPU away, which ends a scheduler that does not follow CPUs.
func offline(t *testing.T, vm *ktest.VM) {
	t.Helper()
	require.NoError(t, vm.WriteFile(t.Context(), "/sys/devices/system/cpu/cpu1/online", []byte("0"), 0))
}

// asObjectAndProgram runs a test with a scheduler that ktest loads, and with one of
// a program that does not care what becomes of its scheduler.
func asObjectAndProgram(t *testing.T, name string, f func(t *testing.T, vm *ktest.VM)) {
	for how, cfg := range map[string]ktest.Config{
		"object":  {Scheduler: fault(name)},
		"program": {Scheduler: program(), Files: withObject(name)},
	} {
		t.Run(how, func(t *testing.T) {
			cfg.ExpectExit = true
			f(t, ktest.Boot(t, cfg))
		})
	}
}

func TestKernelsWordIsWhatCountsForObjectsAndPrograms(t *testing.T) {
	for name, row := range map[string]struct {
		fault string
		end   func(t *testing.T, vm *ktest.VM)
		want  ktest.Exit
	}{
		"an error": {
			fault: "error",
			end: func(t *testing.T, vm *ktest.VM) {
				_, err := vm.Work(bound(t, time.Minute), ktest.Spin, 1)
				require.NoError(t, err)
			},
			want: ktest.Exit{Scheduler: "fault", Kind: ktest.ExitErrorBPF, Reason: "scx_bpf_error", Message: "the fault was asked for"},
		},
		"an exit": {
			fault: "quit",
			end: func(t *testing.T, vm *ktest.VM) {
				_, _ = vm.Work(bound(t, time.Minute), ktest.Spin, 1)
			},
			want: ktest.Exit{Scheduler: "fault", Kind: ktest.ExitUnregBPF, Reason: "unregistered from BPF", Message: "the fault was asked for", Code: 7},
		},
		"a CPU that goes": {
			fault: "quit", end: offline,
			want: ktest.Exit{Scheduler: "fault", Kind: ktest.ExitUnregKern, Reason: "unregistered from the main kernel", Message: "cpu 1 going offline, exiting scheduler", Code: 1<<48 | 1<<32},
		},
	} {
		t.Run(name, func(t *testing.T) {
			asObjectAndProgram(t, row.fault, func(t *testing.T, vm *ktest.VM) {
				row.end(t, vm)
				select {
				case <-vm.Exited():
				case <-time.After(time.Minute):
					t.Fatal("the scheduler is gone, and vm.Exited is open")
				}
				exit, err := vm.AwaitExit(t.Context())
				require.NoError(t, err)
				require.Equal(t, row.want.Kind > ktest.ExitUnregBPF, exit.Err() != nil)
				exit.Dump, exit.Process = "", nil
				require.Equal(t, row.want, exit)

				require.NoError(t, vm.Attach(bound(t, time.Minute), fault("docile")), "a program that lives on is in nobody's way")
				_, err = vm.Detach(bound(t, time.Minute))
				require.NoError(t, err)
			})
		})
	}
}

// Neither a guest in lockstep nor one without the capture of that moment is stopped when the kernel notes an end.
func TestExitCodeIsKnownWithoutAWatchpoint(t *testing.T) {
	for name, cfg := range map[string]ktest.Config{
		"object":           {Scheduler: fault("quit"), NoBeforeExit: true},
		"program":          {Scheduler: program(), Files: withObject("quit"), NoBeforeExit: true},
		"seed and object":  {Scheduler: fault("quit"), Seed: 7},
		"seed and program": {Scheduler: program(), Files: withObject("quit"), Seed: 7},
	} {
		t.Run(name, func(t *testing.T) {
			vm := ktest.Boot(t, cfg)
			_, _ = vm.Work(bound(t, time.Minute), ktest.Spin, 1)
			exit, err := vm.AwaitExit(bound(t, time.Minute))
			require.NoError(t, err)
			require.EqualValues(t, 7, exit.Code)
			require.Equal(t, "the fault was asked for", exit.Message)
			require.Equal(t, `scheduler "fault": unregistered from BPF: the fault was asked for (exit code 7)`, exit.String())
		})
	}
}

// A program that detaches its scheduler and lives on is not waited for: all its threads sleep.
func TestSchedulerThatItsProgramDetachesIsToldAtOnce(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{Scheduler: program(livesOn), Files: withObject("docile"), Seed: 7})
	interrupt(t, vm)
	began := vm.Machine().Calls().Now()
	exit, err := vm.AwaitExit(bound(t, time.Minute))
	require.NoError(t, err)
	require.Less(t, vm.Machine().Calls().Now()-began, 2*time.Second, "of the guest's time")
	require.Equal(t, ktest.ExitUnreg, exit.Kind)
	require.Nil(t, exit.Process)
	processNamed(t, vm, "/ktgen/bin/ktest.test")
}

func TestCadenceEndsWithTheScheduler(t *testing.T) {
	asObjectAndProgram(t, "error", func(t *testing.T, vm *ktest.VM) {
		p, err := vm.Periodically(bound(t, 2*time.Minute), ktest.Cadence{Over: time.Hour, N: 10})
		require.NoError(t, err)
		_, err = vm.Work(bound(t, time.Minute), ktest.Spin, 1)
		require.NoError(t, err)
		var abandoned *ktest.AbandonedError
		var exited *ktest.ExitedError
		err = p.Wait()
		require.ErrorAs(t, err, &abandoned)
		require.ErrorAs(t, err, &exited)
		require.ErrorIs(t, err, ktest.ErrNoScheduler)
		require.Len(t, periodic(vm), 10, "what is missing is there, with the reason")
	})
}

func TestConditionsEndWithTheSchedulersReason(t *testing.T) {
	asObjectAndProgram(t, "error", func(t *testing.T, vm *ktest.VM) {
		go func() { _, _ = vm.Work(bound(t, time.Minute), ktest.Spin, 1) }()
		_, _, err := vm.CaptureBeforeStall(bound(t, time.Minute))
		var exited *ktest.ExitedError
		require.ErrorAs(t, err, &exited)
		require.ErrorIs(t, err, ktest.ErrNoScheduler)
		require.Equal(t, ktest.ExitErrorBPF, exited.Exit.Kind)
	})
}

// endEnv makes TestEndOfAScheduler do something that ends its scheduler.
const endEnv = "KTEST_END"

// end is a test that does not look at how its scheduler ends.
type end struct {
	cfg  ktest.Config
	do   func(t *testing.T, vm *ktest.VM)
	want []string // in what the test prints; it passes if there is nothing
}

func ends() map[string]end {
	return map[string]end{
		"error of a program's scheduler": {
			cfg: ktest.Config{Scheduler: program(), Files: withObject("error")},
			do: func(t *testing.T, vm *ktest.VM) {
				_, err := vm.Work(bound(t, time.Minute), ktest.Spin, 1)
				require.NoError(t, err)
				awaitDisabled(t, vm)
			},
			want: []string{"the kernel has ended the scheduler", "scx_bpf_error: the fault was asked for"},
		},
		"CPU offline, object":  {cfg: ktest.Config{Scheduler: fault("quit")}, do: offline, want: []string{"\tscheduler \"fault\": unregistered from the main kernel: cpu 1 going offline, exiting scheduler (exit code SCX_ECODE_ACT_RESTART | SCX_ECODE_RSN_HOTPLUG)\n", "cpu_offline"}},
		"CPU offline, program": {cfg: ktest.Config{Scheduler: program(), Files: withObject("quit")}, do: offline, want: []string{"unregistered from the main kernel"}},
		"exit": {
			cfg: ktest.Config{Scheduler: fault("quit")},
			do: func(t *testing.T, vm *ktest.VM) {
				_, err := vm.Work(bound(t, time.Minute), ktest.Spin, 1)
				require.NoError(t, err)
				awaitDisabled(t, vm)
			},
			want: []string{"by scx_bpf_exit: ", "\tscheduler \"fault\": unregistered from BPF: the fault was asked for (exit code 7)\n"},
		},
		"error that a scenario has returned": {
			cfg: ktest.Config{Scheduler: fault("error")},
			do: func(t *testing.T, vm *ktest.VM) {
				_, err := vm.TryRun(t.Context(), scenario.Scenario{Steps: []scenario.Step{{
					Workers: []scenario.Workers{{Count: 1, Kind: scenario.Spin}}, Hold: time.Minute,
				}}})
				require.ErrorAs(t, err, new(*scenario.SchedulerDiedError))
			},
			want: []string{"the kernel has ended the scheduler", "scx_bpf_error: the fault was asked for"},
		},
		"program that ends": {
			cfg:  ktest.Config{Scheduler: program(), Files: withObject("docile")},
			do:   func(t *testing.T, vm *ktest.VM) { interrupt(t, vm); awaitDisabled(t, vm) },
			want: []string{"the scheduler's program has ended by itself (exit status 0)"},
		},
		"error, then another scheduler": {
			cfg: ktest.Config{Scheduler: fault("quit")},
			do: func(t *testing.T, vm *ktest.VM) {
				offline(t, vm)
				<-vm.Exited()
				require.NoError(t, vm.Attach(bound(t, time.Minute), fault("docile")))
			},
			want: []string{"unregistered from the main kernel"},
		},
		"error, then Detach": {
			cfg: ktest.Config{Scheduler: fault("quit")},
			do: func(t *testing.T, vm *ktest.VM) {
				offline(t, vm)
				<-vm.Exited()
				_, err := vm.Detach(bound(t, time.Minute))
				require.NoError(t, err)
			},
			want: []string{"unregistered from the main kernel"},
		},
		"ends that were asked for": {
			cfg: ktest.Config{Scheduler: program(), Files: withObject("docile")},
			do: func(t *testing.T, vm *ktest.VM) {
				_, err := vm.Detach(bound(t, time.Minute))
				require.NoError(t, err)
				require.NoError(t, vm.Attach(bound(t, time.Minute), fault("quit")))
				offline(t, vm)
				_, err = vm.AwaitExit(bound(t, time.Minute))
				require.NoError(t, err)
			},
		},
	}
}

// awaitDisabled waits until the guest's kernel says that there is no scheduler.
func awaitDisabled(t *testing.T, vm *ktest.VM) {
	t.Helper()
	require.Eventually(t, func() bool {
		state, err := vm.ReadFile(t.Context(), "/sys/kernel/sched_ext/state")
		return err == nil && string(state) == "disabled\n"
	}, time.Minute, 5*time.Millisecond)
}

// interrupt makes the scheduler's program end as by Ctrl-C.
func interrupt(t *testing.T, vm *ktest.VM) {
	t.Helper()
	pid := processNamed(t, vm, "/ktgen/bin/ktest.test")
	require.NoError(t, vm.Agent().Signal(t.Context(), pid, unix.SIGINT))
}

// TestEndOfAScheduler is run by the test below, in a process of its own.
func TestEndOfAScheduler(t *testing.T) {
	end, ok := ends()[os.Getenv(endEnv)]
	if !ok {
		t.Skip("runs as a part of another test")
	}
	end.do(t, ktest.Boot(t, end.cfg))
}

func TestEveryEndThatWasNotAskedForFailsTheTest(t *testing.T) {
	for name, end := range ends() {
		t.Run(name, func(t *testing.T) {
			cmd := exec.CommandContext(context.WithoutCancel(t.Context()), os.Args[0], "-test.run=^TestEndOfAScheduler$", "-test.v")
			cmd.Env = append(os.Environ(), endEnv+"="+name, ktest.EnvArtifacts+"="+t.TempDir())
			output, err := cmd.CombinedOutput()
			if strings.Contains(string(output), "--- SKIP") {
				t.Skip("no guest can boot here")
			}
			if len(end.want) == 0 {
				require.NoError(t, err, "%s", output)
				return
			}
			require.Error(t, err, "%s", output)
			for _, want := range end.want {
				require.Contains(t, string(output), want)
			}
			require.NotContains(t, string(output), guest.ErrLost.Error(), "the teardown is not news")
		})
	}
}
