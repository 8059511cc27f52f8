package agent

import (
	"encoding/binary"
	"fmt"
	"os"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// kinds are what workers do. Each returns one turn of the work, which counts as
// an iteration and is done over and over. Package scenario names them.
var kinds = map[string]func(*worker) (func(), error){
	"spin":   (*worker).spinning,
	"sleep":  (*worker).sleeping,
	"yield":  (*worker).yielding,
	"io":     (*worker).readingAndWriting,
	"pipe":   (*worker).pingPong,
	"fork":   (*worker).forking,
	"memory": (*worker).walking,
	"mixed":  (*worker).mixing,
}

// spinTurn is how often the clock is read between two looks at it.
const spinTurn = 64

func (w *worker) spinning() (func(), error) {
	return func() {
		for range spinTurn {
			w.page.ran(w.now())
		}
	}, nil
}

// busy spins for a time that the clock tells: preemption counts.
func (w *worker) busy(d time.Duration) {
	for end := w.now() + int64(d); ; {
		now := w.now()
		w.page.ran(now)
		if now >= end {
			return
		}
	}
}

func (w *worker) sleeping() (func(), error) {
	return func() {
		w.busy(w.work.Busy)
		w.sleep(w.work.Sleep)
	}, nil
}

// sleep blocks until a moment, and notes how long after it the thread ran.
func (w *worker) sleep(d time.Duration) {
	now := w.now()
	until := now + int64(d)
	w.page.ran(now)
	w.page.asleep.Store(until)
	ts := unix.NsecToTimespec(until)
	for unix.ClockNanosleep(unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME, &ts, nil) == unix.EINTR {
	}
	now = w.now()
	w.page.woke(max(now-until, 0))
	w.page.seen.Store(now)
	w.page.asleep.Store(0)
}

func (w *worker) yielding() (func(), error) {
	return func() { _, _, _ = unix.RawSyscall(unix.SYS_SCHED_YIELD, 0, 0, 0) }, nil
}

// ioBlock is how much is written and read in one turn.
const ioBlock = 64 << 10

func (w *worker) readingAndWriting() (func(), error) {
	f, err := os.CreateTemp("", "ktgen-io")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, err
	}
	block := make([]byte, ioBlock)
	return func() {
		for _, step := range []func() (int, error){
			func() (int, error) { return f.WriteAt(block, 0) },
			func() (int, error) { return 0, f.Sync() },
			func() (int, error) { return f.ReadAt(block, 0) },
		} {
			if _, err := step(); err != nil {
				fail("read and write a file", err)
			}
			w.page.ran(w.now())
		}
	}, nil
}

// pingPong passes a message between two threads through pipes. What it carries
// is when it was sent; whoever gets it was woken for it.
func (w *worker) pingPong() (func(), error) {
	there, err := newPipe()
	if err != nil {
		return nil, err
	}
	back, err := newPipe()
	if err != nil {
		return nil, err
	}
	go func() { // ends with the process
		runtime.LockOSThread()
		for {
			w.receive(there)
			w.send(back)
		}
	}()
	return func() {
		w.page.ran(w.now())
		w.send(there)
		w.receive(back)
	}, nil
}

type pipe struct{ r, w int }

func newPipe() (pipe, error) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return pipe{}, fmt.Errorf("make a pipe: %w", err)
	}
	return pipe{r: fds[0], w: fds[1]}, nil
}

func (w *worker) send(to pipe) {
	var message [8]byte
	binary.LittleEndian.PutUint64(message[:], uint64(w.now()))
	if _, err := unix.Write(to.w, message[:]); err != nil {
		fail("write to a pipe", err)
	}
}

func (w *worker) receive(from pipe) {
	var message [8]byte
	for {
		n, err := unix.Read(from.r, message[:])
		if err == unix.EINTR {
			continue
		}
		if n != len(message) {
			fail("read from a pipe", err)
		}
		break
	}
	w.page.woke(max(w.now()-int64(binary.LittleEndian.Uint64(message[:])), 0))
}

func (w *worker) forking() (func(), error) { return w.fork, nil }

// fork makes a process that ends at once, and waits for it.
func (w *worker) fork() {
	w.page.ran(w.now())
	pid, errno := forkExit()
	if errno != 0 {
		w.page.fork.Store(uint32(errno))
		fail("fork", errno)
	}
	for {
		_, err := unix.Wait4(int(pid), nil, 0, nil)
		if err == nil {
			return
		}
		if err != unix.EINTR {
			fail("wait for a child", err)
		}
	}
}

// forkExit forks a child that does nothing. In the child there is no Go
// runtime, so it may not call anything that could need it.
//
//go:norace
//go:nosplit
func forkExit() (pid uintptr, errno syscall.Errno) {
	pid, _, errno = syscall.RawSyscall6(syscall.SYS_CLONE, uintptr(syscall.SIGCHLD), 0, 0, 0, 0, 0)
	if errno != 0 || pid != 0 {
		return pid, errno
	}
	for {
		_, _, _ = syscall.RawSyscall(syscall.SYS_EXIT_GROUP, 0, 0, 0)
	}
}

// lineSize is the distance of the bytes that are touched, a cache line.
const lineSize = 64

func (w *worker) walking() (func(), error) {
	mem := make([]byte, w.work.Memory)
	return func() { w.walk(mem) }, nil
}

// walk touches each cache line of mem, and looks at the clock for each page.
func (w *worker) walk(mem []byte) {
	for at := 0; at < len(mem); at += lineSize {
		mem[at]++
		if at%pageSize == 0 {
			w.page.ran(w.now())
		}
	}
}

// mixing does everything that one thread can, in turn.
func (w *worker) mixing() (func(), error) {
	var turns []func()
	for _, begin := range []func() (func(), error){w.sleeping, w.yielding, w.readingAndWriting, w.forking, w.walking} {
		turn, err := begin()
		if err != nil {
			return nil, err
		}
		turns = append(turns, turn)
	}
	next := 0
	return func() {
		turns[next%len(turns)]()
		next++
	}, nil
}

// fail ends the worker, which the agent takes notice of.
func fail(what string, err error) {
	fmt.Fprintf(os.Stderr, "worker: %s: %v\n", what, err)
	os.Exit(1)
}
