package sched_test

import (
	"bytes"
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
	"github.com/ktgen/ktgen/runtime/ktsnap"
	"github.com/ktgen/ktgen/sched"
	"github.com/ktgen/ktgen/vmm"
	"github.com/ktgen/ktgen/vmm/guest"
	"github.com/ktgen/ktgen/vmm/kernel"
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

// BenchmarkPause measures how long a guest stands still for captures with and without
// what the kernel keeps of scheduling, by turns.
func BenchmarkPause(b *testing.B) {
	for _, tasks := range []int{100, 5000} {
		b.Run(fmt.Sprintf("%d tasks", tasks), func(b *testing.B) {
			vm := ktest.Boot(b, ktest.Config{Memory: 1 << 30, Scheduler: ktest.Object("../ktest/testdata/docile.bpf.o")})
			startThreads(b, vm, tasks)
			with, without := &pauses{f: newFreezer(b, vm, freeze.Options{})}, &pauses{f: newFreezer(b, vm, freeze.Options{NoTables: true})}
			snap := with.capture(b)
			n := len(sched.Bind(b, snap).Tasks())
			for b.Loop() {
				without.capture(b)
				with.capture(b)
			}
			b.ReportMetric(float64(n), "tasks")
			b.ReportMetric(median(with.paused)/1e3, "µs-paused")
			b.ReportMetric(median(without.paused)/1e3, "µs-paused-without")
			b.ReportMetric(median(with.paused)/median(without.paused), "ratio")
			b.ReportMetric(median(with.stop)/1e3, "µs-stop")
			b.ReportMetric(median(without.stop)/1e3, "µs-stop-without")
			b.ReportMetric(median(with.tables)/1e3, "µs-tables")
			b.ReportMetric(median(with.tables)/float64(n), "ns/task")
		})
	}
}

// pauses are the captures of one freezer, in nanoseconds.
type pauses struct {
	f                    *freeze.Freezer
	paused, stop, tables []float64
}

func (p *pauses) capture(b *testing.B) *ktsnap.Snapshot {
	snap, err := p.f.Capture(b.Context(), "x")
	require.NoError(b, err)
	t := snap.Timing
	p.paused, p.stop, p.tables = append(p.paused, float64(t.Paused)), append(p.stop, float64(t.Stop+t.Resume)), append(p.tables, float64(t.Tables))
	return snap
}

// memory is a machine's RAM as package freeze reads it.
type memory struct{ *vmm.RAM }

func newFreezer(b *testing.B, vm *ktest.VM, o freeze.Options) *freeze.Freezer {
	image, err := kernel.Find(b.Context())
	require.NoError(b, err)
	types, err := image.BTF()
	require.NoError(b, err)
	text, err := vm.ReadFile(b.Context(), "/proc/kallsyms")
	require.NoError(b, err)
	symbols, err := freeze.ParseKallsyms(bytes.NewReader(text))
	require.NoError(b, err)
	k := freeze.Kernel{Release: vm.Kernel().Release, Symbols: symbols, BTF: types, PhysText: vm.Kernel().TextPhys}
	f, err := freeze.New(vm.Machine(), memory{vm.Machine().RAM()}, k, o)
	require.NoError(b, err)
	return f
}

func median(times []float64) float64 {
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
