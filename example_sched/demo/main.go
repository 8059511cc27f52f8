// Demo boots a guest, runs the tally scheduler in it, freezes it twice while it
// works, and prints what the typed accessors read.
//
// For authors of tests, as a first thing to run.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"text/tabwriter"
	"time"

	examplesched "github.com/ktgen/ktgen/example_sched"
	"github.com/ktgen/ktgen/ktest"
	ktrt "github.com/ktgen/ktgen/runtime"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

func main() {
	ktest.Init() // in the guest, this program is the agent and does not return

	object := flag.String("object", "example_sched/bpf/sched.bpf.o", "the scheduler's object")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := demo(ctx, os.Stdout, *object); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		stop()
		os.Exit(1)
	}
}

func demo(ctx context.Context, out io.Writer, object string) error {
	begin := time.Now()
	vm, err := ktest.Start(ctx, ktest.Config{CPUs: 2})
	if err != nil {
		return err
	}
	defer vm.Close()
	fmt.Fprintf(out, "guest  Linux %s, 2 CPUs, %s: %s in %s\n",
		vm.Kernel().Release, vm.Machine().Accel(), vm.Machine().Origin(), round(time.Since(begin)))

	begin = time.Now()
	if err := vm.Attach(ctx, ktest.Object(object)); err != nil {
		return err
	}
	fmt.Fprintf(out, "sched  tally is enabled after %s\n", round(time.Since(begin)))

	workers, err := vm.Work(ctx, ktest.Spin, 3)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "load   3 spinning processes, pids %v\n", workers.PIDs)

	first, err := vm.TryFreeze(ctx, "first")
	if err != nil {
		return err
	}
	if err := wait(ctx, time.Second); err != nil {
		return err
	}
	second, err := vm.TryFreeze(ctx, "second")
	if err != nil {
		return err
	}

	return ktrt.Try(func() {
		for _, snap := range []*ktsnap.Snapshot{first, second} {
			show(out, snap, workers.PIDs)
		}
		compare(out, first, second)
	})
}

// wait lets the guest work for a while.
func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// open reads a snapshot by the types of the scheduler.
func open(s *ktsnap.Snapshot) examplesched.Snap {
	snap, err := examplesched.Open(s)
	if err != nil {
		panic(err)
	}
	return snap
}

// show prints a part of what a snapshot holds.
func show(out io.Writer, s *ktsnap.Snapshot, workers []int) {
	snap := open(s)
	t := s.Timing
	fmt.Fprintf(out, "\n%s: the guest stood still for %s (stop %s, walk %s, copy %s, resume %s; %d KiB of %d maps)\n",
		s.Name, round(t.Paused), round(t.Stop), round(t.Walk), round(t.Copy), round(t.Resume), t.Bytes>>10, len(s.Maps))

	w := tabwriter.NewWriter(out, 2, 0, 2, ' ', 0)
	for cpu, run := range snap.ScxPerTask().Each(0) {
		fmt.Fprintf(w, "  snap.ScxPerTask().CPU(%d).At(0)\tTid %d\tCtx.Weight %d\tCtx.Policy %v\tSwitches %d\n",
			cpu, run.Tid, run.Ctx.Weight, run.Ctx.Policy, run.Switches)
	}
	for _, pid := range workers {
		task := snap.TaskCtxs().Get(int32(pid))
		fmt.Fprintf(w, "  snap.TaskCtxs().Get(%d)\tComm %q\tOnCpu %d\tVtime %s\tStats.NrRuns %d\n",
			pid, task.Comm, task.OnCpu, round(time.Duration(task.Vtime)), task.Stats.NrRuns)
	}
	w.Flush()

	bss := snap.Bss()
	fmt.Fprintf(out, "  snap.Bss()  NrCpusOnln %d  NrTasks %d  NrEnqueued %d  NrDispatched %d  NrDirect %d\n",
		bss.NrCpusOnln, bss.NrTasks, bss.NrEnqueued, bss.NrDispatched, bss.NrDirect)
}

// compare prints what changed between two snapshots.
func compare(out io.Writer, first, second *ktsnap.Snapshot) {
	a, b := open(first), open(second)
	fmt.Fprintf(out, "\nbetween them, %s apart: %d dispatches, %s of virtual time\n",
		round(second.Taken.Sub(first.Taken)), b.Bss().NrDispatched-a.Bss().NrDispatched,
		round(time.Duration(b.Bss().VtimeNow-a.Bss().VtimeNow)))

	type row struct {
		comm string
		pid  int32
		ran  time.Duration
	}
	var rows []row
	for pid, task := range b.TaskCtxs().All() {
		before, ok := a.TaskCtxs().Lookup(pid)
		if !ok || task.Stats == nil || before.Stats == nil {
			continue
		}
		rows = append(rows, row{task.Comm, pid, time.Duration(task.Stats.RuntimeNs - before.Stats.RuntimeNs)})
	}
	slices.SortFunc(rows, func(x, y row) int { return int(y.ran - x.ran) })
	for _, r := range rows[:min(len(rows), 5)] {
		fmt.Fprintf(out, "  %-16s pid %-5d ran %s\n", r.comm, r.pid, round(r.ran))
	}
}

// round drops the digits that say nothing.
func round(d time.Duration) time.Duration {
	switch {
	case d > time.Second:
		return d.Round(10 * time.Millisecond)
	case d > time.Millisecond:
		return d.Round(10 * time.Microsecond)
	}
	return d.Round(100 * time.Nanosecond)
}
