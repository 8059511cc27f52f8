package vmm

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// process is a running QEMU. It never outlives this process, and is reaped by
// a goroutine of its own.
type process struct {
	cmd    *exec.Cmd
	output *tail        // what QEMU wrote to its stdout and stderr
	memory memoryCounts // before its start

	exited chan struct{} // closed once QEMU is reaped
	err    error         // of exec.Cmd.Wait; readable once exited is closed
}

// startProcess runs QEMU with files as descriptors 3, 4, and so on, and with env beside
// the variables of this process. The files stay the caller's.
func startProcess(path string, args, env []string, files []*os.File) (*process, error) {
	p := &process{
		cmd:    exec.Command(path, args...),
		output: newTail(16 << 10),
		memory: countMemory(cgroupRoot, ownCgroup),
		exited: make(chan struct{}),
	}
	p.cmd.Stdout = p.output
	p.cmd.Stderr = p.output
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.ExtraFiles = files
	p.cmd.WaitDelay = time.Second
	p.cmd.SysProcAttr = &syscall.SysProcAttr{
		// The kernel kills QEMU when the thread that started it ends.
		Pdeathsig: syscall.SIGKILL,
		// A Ctrl-C on the terminal is for this process, not for QEMU.
		Setpgid: true,
	}

	started := make(chan error, 1)
	go p.run(started)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("starting %s: %w", path, err)
	}
	return p, nil
}

// run starts QEMU and reaps it. It keeps its thread until then: Pdeathsig
// fires when the parent *thread* ends, and Go may end a thread that another
// goroutine had locked while this process lives on.
func (p *process) run(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	err := p.cmd.Start()
	started <- err
	if err != nil {
		return
	}
	p.err = p.cmd.Wait()
	close(p.exited)
}

// kill ends QEMU and waits until it is reaped.
func (p *process) kill() {
	p.cmd.Process.Kill() // fails only if it has exited
	<-p.exited
}

// exitError describes how QEMU ended. It may be called once exited is closed.
func (p *process) exitError() *ExitError {
	e := &ExitError{State: p.cmd.ProcessState.String(), Output: strings.TrimSpace(p.output.String())}
	if status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signal() == syscall.SIGKILL {
		p.explainKill(e)
	}
	return e
}

// explainKill says why QEMU was killed, which it could not say itself.
func (p *process) explainKill(e *ExitError) {
	after := countMemory(cgroupRoot, ownCgroup)
	const look = "see the kernel's log (dmesg), and what ends processes here, such as a time limit"
	e.Err = p.memory.outOfMemory(after)
	switch {
	case e.Err != nil: // which says what to do
	case len(after) == 0:
		e.Advice = "no cgroup here counts kills for memory: " + look
	default:
		e.Advice = "its cgroup has counted no kill for memory: " + look
	}
}

// tail keeps the last bytes that were written to it.
type tail struct {
	mu    sync.Mutex
	limit int
	buf   []byte
	total int64 // bytes ever written
}

func newTail(limit int) *tail { return &tail{limit: limit} }

// Write never fails.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.total += int64(len(p))
	t.buf = append(t.buf, p[max(0, len(p)-t.limit):]...)
	if len(t.buf) > 2*t.limit {
		t.buf = append(t.buf[:0], t.buf[len(t.buf)-t.limit:]...)
	}
	return len(p), nil
}

// Bytes returns a copy of what is kept.
func (t *tail) Bytes() []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	return bytes.Clone(t.buf[max(0, len(t.buf)-t.limit):])
}

func (t *tail) String() string { return string(t.Bytes()) }
