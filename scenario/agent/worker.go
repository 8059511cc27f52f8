package agent

import (
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/ktgen/ktgen/scenario/internal/wire"
	"github.com/ktgen/ktgen/vmm/guest"
	"golang.org/x/sys/unix"
)

// This file is a worker's process.

// order is what a worker is started with.
type order struct {
	Work  wire.Workers
	Index int
	File  string // of pages
}

// command returns the command that starts a worker. The runtime of a worker
// takes no part in its work: it interrupts no loop and collects no garbage.
func (o order) command() (guest.Command, error) {
	b, err := json.Marshal(o)
	if err != nil {
		return guest.Command{}, err
	}
	c := guest.Role(wire.RoleWorker, string(b))
	c.Env = append(c.Env, "GODEBUG=asyncpreemptoff=1", "GOMAXPROCS=2", "GOGC=off")
	return c, nil
}

// ready is what a worker says when it is set up. It begins to work when it is
// told to, by a byte.
const ready = "ready\n"

func runWorker(args []string) int {
	fmt.Fprintf(os.Stderr, "worker: %v\n", work(args))
	return 1
}

// work works until the process is killed. It returns why it cannot.
func work(args []string) error {
	var o order
	if len(args) != 1 {
		return fmt.Errorf("%d arguments", len(args))
	}
	if err := json.Unmarshal([]byte(args[0]), &o); err != nil {
		return err
	}
	begin, ok := kinds[o.Work.Kind]
	if !ok {
		return fmt.Errorf("no kind of work is called %q", o.Work.Kind)
	}
	if err := os.WriteFile("/proc/self/comm", []byte(o.Work.Comms[o.Index]), 0); err != nil {
		return fmt.Errorf("set the name of the thread: %w", err)
	}
	if err := giveWay(); err != nil {
		return err
	}
	w, err := newWorker(o)
	if err != nil {
		return err
	}
	turn, err := begin(w)
	if err != nil {
		return err
	}
	fmt.Print(ready)
	if n, err := os.Stdin.Read(make([]byte, 1)); n == 0 {
		return fmt.Errorf("wait for the agent: %w", err)
	}
	w.page.ran(w.now())
	for {
		turn()
		w.page.iterations.Add(1)
		w.page.ran(w.now())
	}
}

// giveWay returns when the thread has left its CPU and runs again: a scheduler learns of
// its new name then. A short sleep can be over before the thread is asleep.
func giveWay() error {
	var before, now unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_THREAD, &before); err != nil {
		return fmt.Errorf("ask how often the thread was switched: %w", err)
	}
	for now = before; now.Nvcsw == before.Nvcsw; {
		_ = unix.Nanosleep(&unix.Timespec{Nsec: 100_000}, nil)
		_ = unix.Getrusage(unix.RUSAGE_THREAD, &now) // as before
	}
	return nil
}

// worker is what kinds of work use.
type worker struct {
	work wire.Workers
	page *page

	began time.Time // a moment by Go's clock, which needs no system call,
	mono  int64     // and by CLOCK_MONOTONIC
}

func newWorker(o order) (*worker, error) {
	f, err := os.OpenFile(o.File, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	p, _, err := share(f, o.Index) // for as long as the process lives
	if err != nil {
		return nil, err
	}
	// A sleep ends when it should, not within the usual 50 us after that.
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0); err != nil {
		return nil, fmt.Errorf("make timers precise: %w", err)
	}
	return &worker{work: o.Work, page: p, began: time.Now(), mono: monotonic()}, nil
}

func (w *worker) now() int64 { return w.mono + int64(time.Since(w.began)) }
