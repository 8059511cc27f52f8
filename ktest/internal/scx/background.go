package scx

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/ktgen/ktgen/vmm/guest"
	"golang.org/x/sys/unix"
)

// This file runs a program that may go on in the background: its first process ends, and a
// child has the scheduler.

const (
	// remainsInterval is the time between two looks at what a program has left behind.
	remainsInterval = 50 * time.Millisecond
	// remainsTime is how long it may go on if the first process has failed, or the scheduler
	// has ended, too; and how long output is read that others hold open.
	remainsTime = time.Second
)

// markEnv is in the environment of all processes of a program, and in no other's.
const markEnv = "KTGEN_PROGRAM"

var programs atomic.Int64

// program is a scheduler's own program: the process that is started, and those that it leaves
// behind.
type program struct {
	process *guest.Process
	mark    string
	first   chan struct{}   // closed when the process that was started has ended
	ended   chan guest.Exit // gets its exit when all have ended
	once    sync.Once       // closes killed
	killed  chan struct{}   // closed when all are to be killed
}

// startProgram starts a program, whose output is read until nothing of it is left.
func startProgram(c guest.Command, output io.Writer) (*program, error) {
	read, write, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make the pipe for the program's output: %w", err)
	}
	defer write.Close()
	p := &program{mark: fmt.Sprintf("%s=%d", markEnv, programs.Add(1)), first: make(chan struct{}), ended: make(chan guest.Exit, 1), killed: make(chan struct{})}
	c.Env = append(c.Env[:len(c.Env):len(c.Env)], p.mark)
	if p.process, err = guest.Start(c, nil, write, write); err != nil {
		read.Close()
		return nil, err
	}
	copied := make(chan struct{})
	go func() { // ends with the last that holds the output, or with wait
		defer close(copied)
		_, _ = io.Copy(output, read)
	}()
	go func() { // ends with the program
		defer read.Close()
		exit := p.wait()
		select {
		case <-copied:
		case <-time.After(remainsTime):
		}
		p.ended <- exit
	}()
	return p, nil
}

// wait waits for the end of all processes, and returns how the first has ended.
func (p *program) wait() guest.Exit {
	exit, _ := p.process.Wait()
	close(p.first)
	if exit != (guest.Exit{}) {
		failed := time.AfterFunc(remainsTime, p.kill)
		defer failed.Stop()
	}
	for pids := p.remains(); len(pids) > 0; pids = p.remains() {
		if closed(p.killed) {
			signalAll(pids, unix.SIGKILL)
			time.Sleep(time.Millisecond)
			continue
		}
		select {
		case <-time.After(remainsInterval):
		case <-p.killed:
		}
	}
	return exit
}

// interrupt does what Ctrl-C does, also to what runs in the background.
func (p *program) interrupt() {
	if closed(p.first) {
		signalAll(p.remains(), unix.SIGINT)
		return
	}
	_ = p.process.Signal(unix.SIGINT) // fails if it has ended
}

// kill ends all processes; it does not wait for that.
func (p *program) kill() {
	_ = p.process.Signal(unix.SIGKILL) // fails if it has ended
	p.once.Do(func() { close(p.killed) })
}

func signalAll(pids []int, sig syscall.Signal) {
	for _, pid := range pids {
		_ = unix.Kill(pid, sig) // fails if it has ended
	}
}

// remains returns the processes of the program that have not ended: those of its session, and
// those that have left it, as daemon(3) does.
func (p *program) remains() []int {
	var pids []int
	processes, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range processes {
		stat, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		state, session, ok := sessionOf(stat)
		if !ok || state == "Z" || state == "X" || session != p.process.PID() && !p.hasMark(filepath.Dir(file)) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file))); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

func (p *program) hasMark(process string) bool {
	environment, _ := os.ReadFile(filepath.Join(process, "environ"))
	for variable := range bytes.SplitSeq(environment, []byte{0}) {
		if string(variable) == p.mark {
			return true
		}
	}
	return false
}
