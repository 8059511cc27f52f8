package scenario

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestErrorsSayWhereTheyAreOf(t *testing.T) {
	no := errors.New("no")
	for want, err := range map[string]error{
		`stop: no`:                    &OpError{Op: "stop", Err: no},
		`step 1, op 2, stop: no`:      &OpError{Step: 1, N: 2, Op: "stop", Err: no},
		`step 3 "last", hold: no`:     &OpError{Step: 3, StepName: "last", Op: "hold", Err: no},
		`the scheduler has ended: no`: &SchedulerDiedError{Err: no},
		`a-0 (pid 7) has ended: by 9`: &WorkerDiedError{Comm: "a-0", PID: 7, How: "by 9"},
		`"x" did not come true within 1s (asked 2 times; the last time that failed: no)`:                                            &NeverTrueError{What: "x", Within: time.Second, Looks: 2, Last: no},
		`"x" did not come true within 1s (asked 2 times); wait longer, or see what keeps it from becoming true`:                     &NeverTrueError{What: "x", Within: time.Second, Looks: 2},
		`the scheduler has ended: no (while: no)`:                                                                                   &SchedulerDiedError{Err: no, While: no},
		`a-0 (pid 7) has ended: by 9; its cgroup ran out of memory: raise MemoryMax; it wrote: oh`:                                  &WorkerDiedError{Comm: "a-0", PID: 7, How: "by 9", OOM: true, Output: "oh"},
		`a-0 (pid 7) has ended: by 9; its cgroup may have no more tasks: raise PIDsMax, a worker has several threads; it wrote: oh`: &WorkerDiedError{Comm: "a-0", PID: 7, How: "by 9", Full: true, Output: "oh"},
	} {
		require.EqualError(t, err, want)
	}
	require.Len(t, (&SchedulerDiedError{Err: no}).Unwrap(), 1)
}

func TestSettingsAreWrittenAsTheKernelReadsThem(t *testing.T) {
	c := Cgroup{
		Name: "a", CPUs: []int{0, 1, 5}, Mems: []int{0}, Weight: 300, IOWeight: 20, PIDsMax: 9,
		MemoryMax: 1 << 20, MemoryHigh: 1 << 19, MemoryLow: 1 << 18, Max: CPUMax{Quota: 50 * time.Millisecond},
	}
	require.Equal(t, `change cgroup "a" cpuset.mems=0 cpuset.cpus=0,1,5 cpu.weight=300 cpu.max=50000 100000 memory.max=1048576 `+
		`memory.high=524288 memory.low=262144 io.weight=default 20 pids.max=9`, Change{c}.String())
	c = Cgroup{Name: "a", Max: CPUMax{Quota: time.Second, Period: time.Millisecond}}
	require.Equal(t, `change cgroup "a" cpu.max=1000000 1000`, Change{c}.String())
}

// The numbers are those of include/uapi/linux/sched.h.
func TestPoliciesAreTheKernels(t *testing.T) {
	for policy, number := range map[Policy]uint32{
		Normal: unix.SCHED_NORMAL, FIFO: unix.SCHED_FIFO, RR: unix.SCHED_RR, Batch: unix.SCHED_BATCH, Idle: unix.SCHED_IDLE, Ext: 7,
	} {
		place := Workers{Kind: SleepWake, Policy: policy}.wire().Place
		require.NotNil(t, place.Policy)
		require.Equal(t, number, *place.Policy, policy)
		require.Equal(t, policy == FIFO || policy == RR, place.Priority > 0, "%s: the kernel wants a priority of the real-time ones, and of no others", policy)
	}
	require.Nil(t, Workers{Kind: Spin}.wire().Place.Policy)
}

func TestWorkersAreNamedWhereTheirKindDoesNotTell(t *testing.T) {
	require.Equal(t, "2 spin", Workers{Kind: Spin, Count: 2}.String())
	require.Equal(t, `1 spin "busy"`, Workers{Kind: Spin, Name: "busy"}.String())
}

func TestHooksThatNobodySetSayWhich(t *testing.T) {
	h := Hooks{}.complete()
	ctx := t.Context()
	_, err := h.Snapshot(ctx)
	for name, err := range map[string]error{
		"Capture": h.Capture(ctx, "x"), "Snapshot": err, "Start": h.Start(ctx, nil), "Stop": h.Stop(ctx),
		"Why": h.Why(), "Install": h.Install(ctx, "a", "b"),
	} {
		require.EqualError(t, err, "whoever performs this scenario has set no scenario.Hooks."+name)
	}
	require.NoError(t, h.Died())
	require.Nil(t, h.Ended())
}
