package examplesched_test

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	examplesched "github.com/ktgen/ktgen/example_sched"
	"github.com/ktgen/ktgen/ktest"
	"github.com/ktgen/ktgen/scenario"
)

// BenchmarkWatchFire measures what a write to a watched place costs the guest:
// its time stands still meanwhile, but not the host's. The guest does little but
// write. The time on the CPU is that of this process, without QEMU's.
func BenchmarkWatchFire(b *testing.B) {
	for name, opts := range map[string]ktest.WatchOptions{
		"count":   {},
		"capture": {Capture: "fire"},
	} {
		b.Run(name, func(b *testing.B) {
			vm := ktest.Boot(b, ktest.Config{CPUs: 1, Scheduler: scheduler})
			_, err := vm.Work(b.Context(), ktest.Yield, 2)
			require.NoError(b, err)
			opts.Max, opts.Rate = b.N, 1_000_000
			before := cpuTime(b)
			b.ResetTimer()
			watch, err := vm.Watch(b.Context(), dispatched, opts)
			require.NoError(b, err)
			_, err = watch.Await(b.Context(), b.N)
			require.NoError(b, err)
			b.StopTimer()
			b.ReportMetric(float64((cpuTime(b)-before).Microseconds())/float64(b.N), "µs-cpu/op")
			require.NoError(b, watch.Close())
		})
	}
}

// BenchmarkWatchArmed measures how much slower a guest is while a watch is armed
// that nothing writes to: on a page that nobody uses, and beside the counters of
// the scheduler, where QEMU's translator looks at each access. Turns with and
// without the watch follow one another; the ratio is of what workers do in a second
// of QEMU's CPU time.
func BenchmarkWatchArmed(b *testing.B) {
	quiet := ktest.FieldAt(examplesched.Open, func(s examplesched.Snap) *bool { return &s.Bss().InjectFault })
	for name, target := range map[string]ktest.Target{
		"elsewhere":     ktest.Symbol("panic_timeout", 4),
		"beside-counts": quiet,
	} {
		b.Run(name, func(b *testing.B) {
			vm := ktest.Boot(b, ktest.Config{CPUs: 2, Scheduler: scheduler})
			workers, err := vm.Work(b.Context(), ktest.Yield, 4)
			require.NoError(b, err)
			var bare, armed pace
			for b.Loop() {
				bare.measure(b, vm, workers)
				watch, err := vm.Watch(b.Context(), target, ktest.WatchOptions{})
				require.NoError(b, err)
				armed.measure(b, vm, workers)
				require.NoError(b, watch.Close())
				require.Zero(b, watch.Stats().Hits)
			}
			b.ReportMetric(bare.speed()/armed.speed(), "bare/armed")
		})
	}
}

// pace is what workers have done in QEMU's CPU time.
type pace struct {
	turns uint64
	used  time.Duration
}

func (p *pace) speed() float64 { return float64(p.turns) / p.used.Seconds() }

// measure watches the workers for some time.
func (p *pace) measure(b *testing.B, vm *ktest.VM, workers *scenario.Running) {
	count := func() (n uint64, used time.Duration) {
		stats, err := workers.Stats(b.Context())
		require.NoError(b, err)
		for _, s := range stats {
			n += s.Iterations
		}
		return n, qemuTime(b, vm.Machine().PID())
	}
	turns, used := count()
	time.Sleep(300 * time.Millisecond)
	turns2, used2 := count()
	p.turns += turns2 - turns
	p.used += used2 - used
}

// qemuTime is what a process has used, to 10 ms.
func qemuTime(b *testing.B, pid int) time.Duration {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	require.NoError(b, err)
	_, rest, _ := bytes.Cut(stat, []byte(") "))
	fields := bytes.Fields(rest)
	var ticks int
	for _, field := range fields[11:13] { // utime and stime
		n, err := strconv.Atoi(string(field))
		require.NoError(b, err)
		ticks += n
	}
	const userHZ = 100
	return time.Duration(ticks) * time.Second / userHZ
}

// cpuTime is what this process has used.
func cpuTime(b *testing.B) time.Duration {
	var used unix.Rusage
	require.NoError(b, unix.Getrusage(unix.RUSAGE_SELF, &used))
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
