package ktest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	goruntime "runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ktgen/ktgen/vmm/guest"
	"golang.org/x/sys/unix"
)

// Work is what workers in the guest do.
type Work string

// Kinds of work. A worker is a process of its own, and one thread of it works.
const (
	Spin  Work = "spin"  // runs without ever sleeping
	Sleep Work = "sleep" // runs for a millisecond and sleeps for one, again and again
	Yield Work = "yield" // gives up the CPU all the time
)

// roleWorker is the role of this program as a worker.
const roleWorker = "worker"

// Workers are processes that work in the guest until they are stopped.
type Workers struct {
	PIDs []int // in the guest

	cancel context.CancelFunc // kills them
	stdin  []*io.PipeWriter   // the end of its input ends a worker
	ended  sync.WaitGroup
}

// Work starts n workers and returns when all of them work. They end with the
// guest, or by [Workers.Stop].
func (vm *VM) Work(ctx context.Context, work Work, n int) (*Workers, error) {
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	w := &Workers{cancel: cancel}
	starts := make(chan workerStart, 2*n) // each worker sends two
	for i := range n {
		w.start(running, vm, guest.Role(roleWorker, string(work), strconv.Itoa(i)), starts)
	}

	for len(w.PIDs) < n {
		select {
		case s := <-starts:
			if s.err != nil {
				w.Stop()
				return nil, vm.because(fmt.Errorf("start %d workers of kind %q: %w", n, work, s.err))
			}
			w.PIDs = append(w.PIDs, s.pid)
		case <-ctx.Done():
			w.Stop()
			return nil, vm.because(fmt.Errorf("start %d workers of kind %q: %d work: %w", n, work, len(w.PIDs), context.Cause(ctx)))
		}
	}
	return w, nil
}

// workerStart says that a worker works, or why it does not.
type workerStart struct {
	pid int
	err error
}

// start starts a worker, whose first line of output is its process id.
func (w *Workers) start(ctx context.Context, vm *VM, command guest.Command, starts chan<- workerStart) {
	in, stdin := io.Pipe()
	out, stdout := io.Pipe()
	w.stdin = append(w.stdin, stdin)
	w.ended.Go(func() { // ends with the worker
		exit, err := vm.agent.Exec(ctx, command, guest.Streams{In: in, Out: stdout, Err: vm.output})
		in.Close()
		stdout.Close()
		if err == nil {
			err = fmt.Errorf("it ended: %s", exit)
		}
		starts <- workerStart{err: err}
	})
	w.ended.Go(func() { // ends with the worker's output
		lines := bufio.NewReader(out)
		line, err := lines.ReadString('\n')
		if err != nil {
			return // the other goroutine says why
		}
		pid, err := strconv.Atoi(strings.TrimSpace(line))
		starts <- workerStart{pid: pid, err: err}
		_, _ = io.Copy(io.Discard, lines)
	})
}

// stopTime is how long workers may take to end; then they are killed.
const stopTime = 5 * time.Second

// Stop ends the workers.
func (w *Workers) Stop() {
	for _, stdin := range w.stdin {
		stdin.Close()
	}
	kill := time.AfterFunc(stopTime, w.cancel)
	w.ended.Wait()
	kill.Stop()
	w.cancel()
}

// runWorker is the life of a worker in the guest. It says its process id when
// it begins to work, and ends with its input.
func runWorker(args []string) int {
	work, ok := map[Work]func(){
		Spin:  func() { spin(time.Second) },
		Sleep: func() { spin(time.Millisecond); time.Sleep(time.Millisecond) },
		Yield: func() { _, _, _ = unix.RawSyscall(unix.SYS_SCHED_YIELD, 0, 0, 0) },
	}[Work(args[0])]
	if !ok {
		fmt.Fprintf(os.Stderr, "worker: no kind of work is called %q\n", args[0])
		return 2
	}
	goruntime.LockOSThread()
	for _, thread := range []string{"self", "thread-self"} {
		if err := os.WriteFile("/proc/"+thread+"/comm", []byte(strings.Join(args, "-")), 0); err != nil {
			fmt.Fprintf(os.Stderr, "worker: set the name of the thread: %v\n", err)
			return 1
		}
	}
	go func() { // ends with the process
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	fmt.Println(os.Getpid())
	for {
		work()
	}
}

// spin keeps a CPU busy for as long as d.
func spin(d time.Duration) {
	for began := time.Now(); time.Since(began) < d; {
	}
}
