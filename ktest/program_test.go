package ktest_test

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ktgen/ktgen/ktest"
	"github.com/ktgen/ktgen/object"
	"github.com/ktgen/ktgen/vmm/guest"
)

// buffer is what a scheduler's program writes to, from another goroutine.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func TestSchedulerAsItsOwnProgram(t *testing.T) {
	var output buffer
	vm := ktest.Boot(t, ktest.Config{
		Scheduler: program("-v", "two words"),
		Files:     withObject("docile"),
		Output:    &output,
	})
	ops, err := vm.ReadFile(t.Context(), "/sys/kernel/sched_ext/root/ops")
	require.NoError(t, err)
	require.Equal(t, "fault\n", string(ops))

	exit, err := vm.Detach(bound(t, time.Minute))
	require.NoError(t, err)
	require.Equal(t, ktest.ExitUnreg, exit.Kind)
	require.Zero(t, exit.Process.Code)
	require.Equal(t, "program starts with [-v two words]\nprogram ends\n", output.String())
}

func TestProgramThatWasNotPackedIsCopiedIntoTheGuest(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{Files: withObject("docile")})
	ctx := bound(t, time.Minute)
	require.NoError(t, vm.Attach(ctx, program()))
	exit, err := vm.Detach(ctx)
	require.NoError(t, err)
	require.Equal(t, ktest.ExitUnreg, exit.Kind)
}

func TestProgramThatEndsWithoutAScheduler(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{})
	ctx := bound(t, time.Minute)
	var ended *ktest.LoaderError
	err := vm.Attach(ctx, program())
	require.ErrorAs(t, err, &ended)
	require.Equal(t, 3, ended.Exit.Code)
	require.Contains(t, ended.Output, objectPath+": no such file")
	require.False(t, ended.Enabled)

	require.ErrorAs(t, vm.Attach(ctx, ktest.Binary("/bin/false")), &ended, "with its shared libraries")
	require.Equal(t, 1, ended.Exit.Code)
	require.Empty(t, ended.Output)
}

// A program that says nothing fails for files that are not there; its message names them.
func TestFilesThatAProgramMissesAreNamed(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{})
	ctx := bound(t, time.Minute)
	var ended *ktest.LoaderError
	err := vm.Attach(ctx, program()) // which opens its object
	require.ErrorAs(t, err, &ended)
	require.Contains(t, ended.Missed, guest.Miss{Path: objectPath, Error: "no such file or directory"})
	require.ErrorContains(t, err, "it could not open")
	require.ErrorContains(t, err, objectPath+" (no such file or directory)")
	require.ErrorContains(t, err, "Config.Files")

	require.ErrorAs(t, vm.Attach(ctx, ktest.Binary("/bin/sh", "-c", "exec 2>/dev/null; (: </dev/tty); : </root/.config/sched")), &ended)
	require.Equal(t, []guest.Miss{
		{Path: "/dev/tty", Error: "no such device or address"},
		{Path: "/root/.config/sched", Error: "no such file or directory"},
	}, ended.Missed, "one of them by a child")
	events, err := vm.ReadFile(ctx, "/sys/kernel/tracing/set_event")
	require.NoError(t, err)
	require.Empty(t, string(events))
}

func TestProgramThatIsKilledTakesItsSchedulerAlong(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{Scheduler: program(), Files: withObject("docile"), ExpectExit: true})
	ctx := bound(t, time.Minute)
	pid := processNamed(t, vm, "/ktgen/bin/ktest.test")
	require.NoError(t, vm.Agent().Signal(ctx, pid, unix.SIGKILL))

	exit, err := vm.AwaitExit(ctx)
	var ended *ktest.LoaderError
	require.ErrorAs(t, err, &ended)
	require.True(t, ended.Enabled)
	require.Equal(t, ktest.ExitUnreg, exit.Kind)
	require.Equal(t, `scheduler "fault": unregistered from user space`, exit.String())
	require.Equal(t, ended.Exit, *exit.Process)
	require.Equal(t, "SIGKILL", ended.Exit.Signal)
}

func TestProgramThatEnablesNothingIsGivenUp(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{})
	err := vm.Attach(bound(t, 2*time.Second), ktest.Binary("/bin/sleep", "1000"))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, "wait until the scheduler is enabled")
	require.ErrorContains(t, err, "; its program has written nothing")
	err = vm.Attach(bound(t, 10*time.Second), ktest.Binary("/bin/sh", "-c", "echo waiting for its config; while :; do :; done"))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, "; its program wrote last:\nwaiting for its config")
	require.NoError(t, vm.Attach(bound(t, time.Minute), fault("docile")), "the guest is free for another")
}

func TestAFileThatIsNoObjectIsRefusedBeforeAGuestBoots(t *testing.T) {
	_, err := ktest.Start(t.Context(), ktest.Config{
		Kernel:    "/no/such/kernel",
		Scheduler: ktest.Object("main_test.go"),
	})
	require.ErrorIs(t, err, object.ErrNotELF)
	require.ErrorContains(t, err, "start scheduler main_test.go")
}

func TestSchedulersThatCannotBe(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{})
	ctx := bound(t, time.Minute)

	require.ErrorIs(t, vm.Attach(ctx, ktest.Object("/no/such.bpf.o")), fs.ErrNotExist)
	require.ErrorIs(t, vm.Attach(ctx, ktest.Binary("/no/such")), fs.ErrNotExist)
	require.ErrorContains(t, vm.Attach(ctx, ktest.Binary("main_test.go")), "main_test.go is no program")
	require.ErrorIs(t, vm.Attach(ctx, ktest.Object("main_test.go")), object.ErrNotELF)
	require.ErrorContains(t, vm.Attach(ctx, fault("docile").Ops("other")), `no scheduler "other": those that it has are fault_ops`)
	require.NoError(t, vm.Attach(ctx, fault("docile").Ops("fault_ops")))
}

// processNamed returns the id of the process in the guest whose program is at
// path.
func processNamed(t *testing.T, vm *ktest.VM, path string) int {
	t.Helper()
	for pid := 2; pid < 1000; pid++ {
		cmdline, err := vm.ReadFile(t.Context(), fmt.Sprintf("/proc/%d/cmdline", pid))
		if err == nil && bytes.HasPrefix(cmdline, []byte(path+"\x00")) {
			return pid
		}
	}
	t.Fatalf("no process runs %s", path)
	return 0
}
