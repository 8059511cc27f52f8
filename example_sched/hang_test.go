package examplesched_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	examplesched "github.com/ktgen/ktgen/example_sched"
	"github.com/ktgen/ktgen/ktest"
	"github.com/ktgen/ktgen/vmm/guest"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// hangLine is what the process writes that hangs the guest, just before.
const hangLine = "hanging\n"

// hang takes every CPU away from everything else: from user space for good, the
// agent included.
func hang(out io.Writer) error {
	// What keeps real-time threads from doing so otherwise: their bandwidth limit,
	// and the deadline servers that run others in between (kernel/sched/debug.c).
	if err := os.WriteFile("/proc/sys/kernel/sched_rt_runtime_us", []byte("-1"), 0); err != nil {
		return err
	}
	servers, err := filepath.Glob("/sys/kernel/debug/sched/*_server/cpu*/runtime")
	if err != nil {
		return err
	}
	for _, path := range servers {
		if err := os.WriteFile(path, []byte("0"), 0); err != nil {
			return err
		}
	}
	if _, err := io.WriteString(out, hangLine); err != nil {
		return err
	}
	failed := make(chan error)
	var pinned sync.WaitGroup
	pinned.Add(runtime.NumCPU())
	for cpu := range runtime.NumCPU() {
		go func() { failed <- takeCPU(cpu, &pinned) }()
	}
	return <-failed
}

// takeCPU keeps a CPU from all other threads. It begins when all threads are
// where they belong, since none would get there afterwards.
func takeCPU(cpu int, pinned *sync.WaitGroup) error {
	runtime.LockOSThread()
	var only unix.CPUSet
	only.Set(cpu)
	if err := unix.SchedSetaffinity(0, &only); err != nil {
		return fmt.Errorf("moving to CPU %d: %w", cpu, err)
	}
	pinned.Done()
	pinned.Wait()
	fifo := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: 99}
	if err := unix.SchedSetAttr(0, &fifo, 0); err != nil {
		return fmt.Errorf("becoming a real-time thread: %w", err)
	}
	for turns := uint64(0); ; {
		turns++
	}
}

// A hung guest can be asked what it is doing: the vCPUs are stopped from
// outside, and nothing in the guest has to answer.
func TestAGuestThatHangsIsCapturedAndEnds(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{CPUs: 2, Scheduler: scheduler, ExpectExit: true})
	_, err := vm.Work(t.Context(), ktest.Sleep, 1)
	require.NoError(t, err)

	stdout, out := io.Pipe()
	go func() { // ends with the guest
		_, err := vm.Agent().Exec(context.Background(), guest.Command{
			Args: []string{"/init"}, Env: []string{hangEnv + "=1"},
		}, guest.Streams{Out: out})
		out.CloseWithError(err)
	}()
	line, err := bufio.NewReader(stdout).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, hangLine, line)

	awaitSilence(t, vm)
	first := examplesched.Bind(t, vm.Freeze("hung"))
	second := examplesched.Bind(t, vm.Freeze("hung still"))
	require.EqualValues(t, 2, second.Bss().NrCpusOnln)
	require.GreaterOrEqual(t, second.Bss().NrEnqueued, first.Bss().NrEnqueued)

	began := time.Now()
	require.NoError(t, vm.Close())
	require.Less(t, time.Since(began), 10*time.Second, "a guest that hangs takes long to end")
	require.NotZero(t, first.TaskCtxs().Len(), "snapshots outlive the guest")
}

// awaitSilence returns when the agent does not answer any more.
func awaitSilence(t *testing.T, vm *ktest.VM) {
	for {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		_, err := vm.ReadFile(ctx, "/proc/uptime")
		cancel()
		if err != nil {
			require.ErrorIs(t, err, context.DeadlineExceeded)
			return
		}
	}
}
