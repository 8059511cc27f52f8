package guest

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// This file starts and reaps processes in the guest. PID 1 inherits every
// orphan, and must not take away the exit status of a child that somebody
// waits for.

// Command is a program to run in the guest.
type Command struct {
	Args []string // program and arguments; found by $PATH
	Env  []string // "name=value", added to the agent's environment
	Dir  string   // working directory; "/" if empty

	// Cgroup is the directory of the cgroup that the program is born in; the
	// agent's own if empty.
	Cgroup string

	// Begin is called in the guest, by the thread that makes the process, before it
	// does. It does not travel.
	Begin func(tid int) `json:"-"`
}

// Exit is how a process ended.
type Exit struct {
	Code   int    // exit status; -1 if a signal ended the process
	Signal string // name of that signal, such as "SIGKILL"
}

func (e Exit) String() string {
	if e.Signal != "" {
		return "killed by " + e.Signal
	}
	return fmt.Sprintf("exit status %d", e.Code)
}

// Process is a process that the agent has started.
type Process struct {
	cmd *exec.Cmd
}

// children are the processes that somebody waits for.
var children = struct {
	sync.Mutex // held while a process is started, so that it is never an orphan
	pids       map[int]bool
}{pids: make(map[int]bool)}

// outputGrace is how long the output of a process is read on after its end, if
// its own children hold it open.
const outputGrace = time.Second

// Start starts a process, as a session of its own. Any of the streams may be
// nil. It is for handlers, in the guest; there, os/exec must not be used
// directly, as the agent would take its processes for orphans.
func Start(c Command, in io.Reader, out, errOut io.Writer) (*Process, error) {
	if len(c.Args) == 0 {
		return nil, errors.New("start a process: no program is named")
	}
	cmd := exec.Command(c.Args[0], c.Args[1:]...)
	cmd.Env = append(os.Environ(), c.Env...)
	cmd.Dir = c.Dir
	cmd.Stdout, cmd.Stderr = out, errOut
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.WaitDelay = outputGrace

	var stdin io.WriteCloser
	if in != nil {
		pipe, err := cmd.StdinPipe()
		if err != nil {
			return nil, fmt.Errorf("start %s: %w", c.Args[0], err)
		}
		stdin = pipe
	}
	if c.Cgroup != "" {
		dir, err := os.Open(c.Cgroup)
		if err != nil {
			return nil, fmt.Errorf("start %s in a cgroup: %w", c.Args[0], err)
		}
		defer dir.Close()
		cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, int(dir.Fd())
	}
	if err := spawn(cmd, c.Begin); err != nil {
		return nil, explainStart(c.Args[0], err)
	}
	if stdin != nil {
		go func() { // ends with in, or when Wait closes the pipe and in has data
			_, _ = io.Copy(stdin, in)
			stdin.Close()
		}()
	}
	return &Process{cmd: cmd}, nil
}

// spawn starts cmd from a thread that is scheduled like any other program: a
// child inherits the policy of the thread that makes it, and the agent's own
// threads have escaped the scheduler.
func spawn(cmd *exec.Cmd, begin func(tid int)) error {
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		if err := setPolicy(unix.Gettid(), unix.SCHED_NORMAL, 0); err != nil {
			started <- err
			return
		}
		if begin != nil {
			begin(unix.Gettid())
		}
		children.Lock()
		defer children.Unlock()
		err := cmd.Start()
		if err == nil {
			children.pids[cmd.Process.Pid] = true
		}
		started <- err
	}()
	return <-started
}

// explainStart says which of the two files is missing when the kernel says
// that there is none.
func explainStart(program string, err error) error {
	if !errors.Is(err, os.ErrNotExist) && !errors.Is(err, exec.ErrNotFound) {
		return fmt.Errorf("start %s: %w", program, err)
	}
	path, lookErr := exec.LookPath(program)
	if lookErr != nil {
		return fmt.Errorf("start %s: the guest has no such program (looked in %s); add it to the guest's files: %w", program, os.Getenv("PATH"), os.ErrNotExist)
	}
	return fmt.Errorf("start %s: %s exists, and the interpreter it names does not; pack its shared libraries, or link it statically: %w", program, path, err)
}

// PID returns the process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Signal sends a signal to the process and all of its session's first process
// group.
func (p *Process) Signal(sig syscall.Signal) error {
	return unix.Kill(-p.PID(), sig)
}

// Wait waits for the process and its output.
func (p *Process) Wait() (Exit, error) {
	err := p.cmd.Wait()
	children.Lock()
	delete(children.pids, p.PID())
	children.Unlock()

	state := p.cmd.ProcessState
	if state == nil {
		return Exit{}, fmt.Errorf("wait for %s: %w", p.cmd.Path, err)
	}
	status := state.Sys().(syscall.WaitStatus)
	if status.Signaled() {
		return Exit{Code: -1, Signal: unix.SignalName(status.Signal())}, nil
	}
	return Exit{Code: status.ExitStatus()}, nil
}

// CPUTime returns how long the process has run, with those of its children that
// it has waited for. It may be called after Wait.
func (p *Process) CPUTime() time.Duration {
	return p.cmd.ProcessState.UserTime() + p.cmd.ProcessState.SystemTime()
}

// reapOrphans waits for the processes that nobody else waits for.
func reapOrphans() {
	died := make(chan os.Signal, 1)
	signal.Notify(died, unix.SIGCHLD)
	for range died {
		for _, pid := range orphans() {
			reap(pid)
		}
	}
}

// reap takes the status of pid if it is a zombie and an orphan.
func reap(pid int) {
	children.Lock()
	defer children.Unlock()
	if children.pids[pid] {
		return
	}
	var status unix.WaitStatus
	_, _ = unix.Wait4(pid, &status, unix.WNOHANG, nil)
}

// orphans returns the zombies whose parent is PID 1.
func orphans() []int {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	var pids []int
	for _, file := range stats {
		b, err := os.ReadFile(file)
		if err != nil {
			continue // it is gone
		}
		if pid, state, parent, ok := parseStat(string(b)); ok && state == "Z" && parent == 1 {
			pids = append(pids, pid)
		}
	}
	return pids
}

// parseStat reads the first fields of /proc/PID/stat: "pid (comm) state ppid".
// comm can hold any bytes, parentheses and spaces included.
func parseStat(s string) (pid int, state string, parent int, ok bool) {
	open, end := strings.IndexByte(s, '('), strings.LastIndexByte(s, ')')
	if open < 0 || end < open {
		return 0, "", 0, false
	}
	rest := strings.Fields(s[end+1:])
	if len(rest) < 2 {
		return 0, "", 0, false
	}
	pid, err1 := strconv.Atoi(strings.TrimSpace(s[:open]))
	parent, err2 := strconv.Atoi(rest[1])
	return pid, rest[0], parent, err1 == nil && err2 == nil
}
