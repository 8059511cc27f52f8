package ktest_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ktgen/ktgen/ktest"
)

// background is an argument of the scheduler's program of these tests: a child becomes the
// scheduler, and the first process ends. A session of its own is what daemon(3) makes.
const (
	background    = "background"
	inItsSession  = "in its session"
	ownSession    = "in a session of its own"
	backgroundEnv = "KTEST_BACKGROUND" // of the child
)

func goIntoBackground(how string) int {
	child := exec.Command("/proc/self/exe")
	child.Env = append(os.Environ(), backgroundEnv+"=1")
	child.Stdout, child.Stderr = os.Stdout, os.Stderr
	child.SysProcAttr = &syscall.SysProcAttr{Setsid: how == ownSession}
	if err := child.Start(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 8
	}
	fmt.Println("parent leaves")
	return 0
}

// countOn writes for as long as the program runs. A write to a pipe that nobody reads ends it.
func countOn() {
	for n := 0; ; n++ {
		fmt.Printf("{\"n\": %d}\n", n)
		time.Sleep(100 * time.Millisecond)
	}
}

func TestProgramThatGoesIntoTheBackground(t *testing.T) {
	for _, how := range []string{inItsSession, ownSession} {
		t.Run(how, func(t *testing.T) {
			var output buffer
			vm := ktest.Boot(t, ktest.Config{
				Scheduler: program(background, how), Files: withObject("docile"),
				Statistics: ktest.StatsLines(), Output: &output,
			})
			ctx := bound(t, time.Minute)
			require.Eventually(t, func() bool { return linesOf(t, vm) > 20 }, time.Minute, 50*time.Millisecond, "two seconds after the first process")
			state, err := vm.ReadFile(ctx, "/sys/kernel/sched_ext/state")
			require.NoError(t, err)
			require.Equal(t, "enabled\n", string(state))

			exit, err := vm.Detach(ctx)
			require.NoError(t, err)
			require.Equal(t, ktest.ExitUnreg, exit.Kind)
			require.Zero(t, exit.Process.Code)
			require.Contains(t, output.String(), "parent leaves\n")
			require.Contains(t, output.String(), "program ends\n", "the child is interrupted and waited for")
			require.NoError(t, vm.Attach(ctx, fault("docile")), "the guest is free for another")
		})
	}
}

// linesOf returns the number in the last line of statistics.
func linesOf(t *testing.T, vm *ktest.VM) int {
	var line struct{ N int }
	if text, err := vm.Statistics(t.Context(), ktest.StatsLines()); err == nil {
		require.NoError(t, json.Unmarshal(text, &line))
	}
	return line.N
}

func TestProgramThatIsKilledInTheBackgroundTakesItsSchedulerAlong(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{Scheduler: program(background, inItsSession), Files: withObject("docile"), ExpectExit: true})
	ctx := bound(t, time.Minute)
	pid := processNamed(t, vm, "/proc/self/exe")
	require.NoError(t, vm.Agent().Signal(ctx, pid, unix.SIGKILL))
	exit, err := vm.AwaitExit(ctx)
	require.NoError(t, err)
	require.Equal(t, ktest.ExitUnreg, exit.Kind)
	require.Zero(t, exit.Process.Code, "of the first process")
}
