package sched_test

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ktgen/ktgen/freeze"
	"github.com/ktgen/ktgen/ktest"
	"github.com/ktgen/ktgen/sched"
	"github.com/ktgen/ktgen/vmm/guest"
)

// threadsEnv makes a process of this binary, in a guest, one of so many threads that sleep.
const threadsEnv = "SCHED_THREADS"

// sleepInThreads says in a file when all threads are there.
func sleepInThreads(n int) {
	ready := make(chan bool)
	for range n {
		go func() {
			runtime.LockOSThread()
			ready <- true
			select {}
		}()
	}
	for range n {
		<-ready
	}
	_ = os.WriteFile("/ready", []byte("yes"), 0o600)
	_ = unix.Pause() // until the guest ends
}

// BenchmarkPause measures how long a guest stands still for a capture with and without
// what the kernel keeps of scheduling.
func BenchmarkPause(b *testing.B) {
	for _, tasks := range []int{100, 5000} {
		for name, without := range map[string]bool{"with": false, "without": true} {
			b.Run(fmt.Sprintf("%d tasks, %s", tasks, name), func(b *testing.B) {
				vm := ktest.Boot(b, ktest.Config{
					Memory: 1 << 30, Scheduler: ktest.Object("../ktest/testdata/docile.bpf.o"), Capture: freeze.Options{NoTables: without},
				})
				startThreads(b, vm, tasks)
				var paused, still, tables []time.Duration
				n := 0
				for b.Loop() {
					snap, err := vm.TryFreeze(b.Context(), "x")
					require.NoError(b, err)
					timing := snap.Timing
					paused, still, tables = append(paused, timing.Paused), append(still, timing.Paused-timing.Stop-timing.Resume), append(tables, timing.Tables)
					if s, err := sched.Open(snap); err == nil {
						n = len(s.Tasks())
					}
				}
				b.ReportMetric(median(paused).Seconds()*1e6, "µs-paused")
				b.ReportMetric(median(still).Seconds()*1e6, "µs-still")
				b.ReportMetric(median(tables).Seconds()*1e6, "µs-tables")
				if n > 0 {
					b.ReportMetric(float64(median(tables).Nanoseconds())/float64(n), "ns/task")
				}
			})
		}
	}
}

func median(times []time.Duration) time.Duration {
	slices.Sort(times)
	return times[len(times)/2]
}

// startThreads has the guest have more threads, and waits until they are there.
func startThreads(b *testing.B, vm *ktest.VM, n int) {
	ctx, cancel := context.WithTimeout(b.Context(), 5*time.Minute)
	defer cancel()
	go func() { // ends with the guest
		_, _ = vm.Agent().Exec(b.Context(), guest.Command{Args: []string{"/init"}, Env: []string{threadsEnv + "=" + strconv.Itoa(n)}}, guest.Streams{})
	}()
	for ctx.Err() == nil {
		if _, err := vm.ReadFile(ctx, "/ready"); err == nil {
			return
		}
	}
	b.Fatal("the threads have not begun: ", ctx.Err())
}
