package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/ktgen/ktgen/internal/excerpt"
	"github.com/ktgen/ktgen/scenario/internal/wire"
	"github.com/ktgen/ktgen/vmm/guest"
	"golang.org/x/sys/unix"
)

// group is workers that were started together.
type group struct {
	work    wire.Workers
	pages   *os.File // a page for each worker; nil for payloads
	members []*member
	died    chan *wire.DiedError // of capacity 1: the first that ended on its own
	killed  int                  // by the OOM killer in the cgroup, before the start
	refused int                  // tasks that were too many for the cgroup, before the start

	mu       sync.Mutex
	stopping bool // they end because they are told to

	pagesMu sync.Mutex
	closed  bool // the pages are gone
}

// member is one worker of a group.
type member struct {
	comm    string
	process *guest.Process
	began   int64 // ns of CLOCK_MONOTONIC
	stdin   *io.PipeWriter
	output  *output
	page    *page // nil for a payload
	unmap   func() error

	over chan struct{} // closed when it has ended; then exit is set
	exit guest.Exit
	ran  int64 // ns, once it has ended
}

func (m *member) ended() bool {
	select {
	case <-m.over:
		return true
	default:
		return false
	}
}

// spawn starts workers. The call lasts as long as they do: until the host ends
// its stream, or one of them ends on its own.
func (a *Agent) spawn(ctx context.Context, c *guest.Call) (any, error) {
	g := &group{died: make(chan *wire.DiedError, 1)}
	if err := c.Decode(&g.work); err != nil {
		return nil, err
	}
	g.work.Place.Workers, g.killed = g.work.Name, killedForMemory(g.work.Cgroup)
	g.refused = refusedTasks(g.work.Cgroup)
	defer g.close()
	if err := g.start(ctx, c.Err); err != nil {
		return nil, g.end(err)
	}
	if err := a.enter(g); err != nil {
		return nil, g.end(err)
	}
	defer a.leave(g)

	if err := json.NewEncoder(c.Out).Encode(wire.Started{PIDs: g.pids()}); err != nil {
		return nil, g.end(err)
	}
	stop := make(chan struct{})
	go func() { // ends with the call
		defer close(stop)
		_, _ = io.Copy(io.Discard, c.In)
	}()
	select {
	case <-stop:
		stats := g.measure()
		return stats, g.end(nil)
	case died := <-g.died:
		return nil, g.end(died)
	case <-ctx.Done():
		return nil, g.end(context.Cause(ctx))
	}
}

func (a *Agent) enter(g *group) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.groups == nil {
		a.groups = make(map[string]*group)
	}
	if a.groups[g.work.Name] != nil {
		return fmt.Errorf("there are workers called %q", g.work.Name)
	}
	a.groups[g.work.Name] = g
	return nil
}

func (a *Agent) leave(g *group) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.groups, g.work.Name)
}

func (a *Agent) group(name string) (*group, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if g := a.groups[name]; g != nil {
		return g, nil
	}
	return nil, fmt.Errorf("there are no workers called %q", name)
}

// start starts all workers, and lets them work when the last one is set up.
func (g *group) start(ctx context.Context, out io.Writer) error {
	if err := g.makePages(); err != nil {
		return err
	}
	all := &shared{w: out}
	for i := range g.work.Comms {
		if err := g.startOne(i, all); err != nil {
			return err
		}
	}
	for _, m := range g.members {
		if err := g.await(ctx, m); err != nil {
			return err
		}
		// A payload can have ended by now.
		if err := placeProcess(m.process.PID(), g.work.Place); err != nil && !m.ended() {
			return fmt.Errorf("%s (pid %d): %w", m.comm, m.process.PID(), err)
		}
	}
	for _, m := range g.members {
		if m.stdin != nil {
			m.page.release(monotonic())
			_, _ = m.stdin.Write([]byte{'\n'}) // it fails if the worker has ended, which is told
		}
	}
	return nil
}

func (g *group) makePages() error {
	if g.work.Kind == "" {
		return nil
	}
	var err error
	if g.pages, err = os.CreateTemp("", "ktgen-workers"); err != nil {
		return err
	}
	return g.pages.Truncate(int64(len(g.work.Comms)) * pageSize)
}

func (g *group) startOne(i int, all io.Writer) error {
	m := &member{comm: g.work.Comms[i], began: monotonic(), over: make(chan struct{})}
	m.output = newOutput()
	command := guest.Command{Args: g.work.Args, Env: g.work.Env}
	var stdin io.Reader
	if g.work.Kind == "" {
		m.output.also = all
	} else {
		var err error
		if m.page, m.unmap, err = share(g.pages, i); err != nil {
			return err
		}
		o := order{Work: g.work, Index: i, File: g.pages.Name()}
		if command, err = o.command(); err != nil {
			return err
		}
		stdin, m.stdin = io.Pipe()
	}
	if g.work.Cgroup != "" {
		command.Cgroup = cgroupDir(g.work.Cgroup)
	}
	g.members = append(g.members, m)

	p, err := guest.Start(command, stdin, m.output, m.output)
	if err != nil {
		close(m.over)
		if g.isFull() {
			return &wire.FullError{Err: fmt.Errorf("%s: %w", m.comm, err)}
		}
		return fmt.Errorf("%s: %w", m.comm, err)
	}
	m.process = p
	go g.watch(m) // ends with the process
	return nil
}

// watch waits for a worker's end.
func (g *group) watch(m *member) {
	exit, err := m.process.Wait()
	m.exit = exit
	if err == nil {
		m.ran = int64(m.process.CPUTime())
	}
	if m.stdin != nil {
		m.stdin.Close()
	}
	g.mu.Lock()
	expected := g.stopping || g.work.Kind == "" && exit == (guest.Exit{})
	g.mu.Unlock()
	if !expected {
		select {
		case g.died <- g.obituary(m):
		default: // it is not the first
		}
	}
	close(m.over)
}

func (g *group) obituary(m *member) *wire.DiedError {
	died := &wire.DiedError{
		Comm: m.comm, PID: m.process.PID(), How: m.exit.String(), Output: m.output.String(),
		OOM: killedForMemory(g.work.Cgroup) > g.killed, Full: g.isFull(),
	}
	g.pagesMu.Lock()
	defer g.pagesMu.Unlock()
	if m.page != nil && !g.closed {
		died.Fork = syscall.Errno(m.page.fork.Load())
	}
	return died
}

// isFull tells whether the cgroup has refused a task since the start.
func (g *group) isFull() bool { return refusedTasks(g.work.Cgroup) > g.refused }

// await waits until a worker is set up. A payload is from the beginning.
func (g *group) await(ctx context.Context, m *member) error {
	if m.page == nil {
		return nil
	}
	select {
	case <-m.output.ready:
		return nil
	case <-m.over:
		return <-g.died
	case <-ctx.Done():
		return fmt.Errorf("wait until %s (pid %d) is set up: %w", m.comm, m.process.PID(), context.Cause(ctx))
	}
}

// end kills the workers and waits for them. It returns why.
func (g *group) end(reason error) error {
	g.mu.Lock()
	g.stopping = true
	g.mu.Unlock()
	for _, m := range g.members {
		if m.process != nil {
			_ = m.process.Signal(unix.SIGKILL) // which fails if it has ended
		}
	}
	for _, m := range g.members {
		<-m.over
	}
	return reason
}

// close releases what the group has of the agent.
func (g *group) close() {
	g.pagesMu.Lock()
	defer g.pagesMu.Unlock()
	g.closed = true
	for _, m := range g.members {
		if m.stdin != nil {
			m.stdin.Close()
		}
		if m.unmap != nil {
			_ = m.unmap()
		}
	}
	if g.pages != nil {
		g.pages.Close()
		_ = os.Remove(g.pages.Name())
	}
}

func (g *group) pids() []int {
	var pids []int
	for _, m := range g.members {
		pids = append(pids, m.process.PID())
	}
	return pids
}

// measure says what workers have done. If they have just ended, that is for
// their own call to say.
func (a *Agent) measure(_ context.Context, c *guest.Call) (any, error) {
	var name string
	if err := c.Decode(&name); err != nil {
		return nil, err
	}
	g, err := a.group(name)
	if err != nil {
		return nil, nil
	}
	return g.measure(), nil
}

func (g *group) measure() []wire.Stats {
	g.pagesMu.Lock()
	defer g.pagesMu.Unlock()
	var all []wire.Stats
	if g.closed {
		return nil
	}
	for _, m := range g.members {
		all = append(all, m.measure())
	}
	return all
}

func (m *member) measure() wire.Stats {
	s := wire.Stats{Comm: m.comm, PID: m.process.PID(), Now: monotonic(), Ended: m.ended()}
	s.Age = s.Now - m.began
	if s.Ended {
		s.Runtime = uint64(m.ran)
	} else {
		s.Runtime, s.Waited, s.Switches = schedstat(filepath.Join("/proc", strconv.Itoa(s.PID), "task/*/schedstat"))
	}
	if m.page != nil {
		// The first thread works; what the others wait for is no matter of the worker's.
		_, s.Waited, _ = schedstat(filepath.Join("/proc", strconv.Itoa(s.PID), "schedstat"))
		s.Iterations = m.page.iterations.Load()
		s.Gap = m.page.takeGap(monotonic())
		s.Wakeups = m.page.histogram()
	}
	return s
}

// schedstat adds up what the kernel has measured of threads, whose files have a pattern.
func schedstat(pattern string) (ran, waited, switches uint64) {
	files, _ := filepath.Glob(pattern)
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			continue // the thread has ended
		}
		fields := strings.Fields(string(b))
		if len(fields) != 3 {
			continue
		}
		for i, sum := range []*uint64{&ran, &waited, &switches} {
			n, _ := strconv.ParseUint(fields[i], 10, 64)
			*sum += n
		}
	}
	return ran, waited, switches
}

// output keeps the beginning and the end of what a worker writes.
type output struct {
	ready chan struct{} // closed when the worker is set up
	also  io.Writer     // of a payload, which says nothing of being set up: gets it, too
	kept  excerpt.Buffer

	mu    sync.Mutex
	first []byte // what may be the beginning of ready
	begun bool   // the worker has said that it is set up, or something else
}

// maxOutput bounds what is kept, in bytes.
const maxOutput = 2 << 10

func newOutput() *output {
	return &output{ready: make(chan struct{}), kept: excerpt.Buffer{Size: maxOutput}}
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.also != nil {
		_, _ = o.also.Write(p) // the host may have gone
		return o.kept.Write(p)
	}
	_, err := o.kept.Write(o.settle(p))
	return len(p), err
}

// settle takes what tells that the worker is set up out of what it writes.
func (o *output) settle(p []byte) []byte {
	if o.begun {
		return p
	}
	o.first = append(o.first, p...)
	if len(o.first) < len(ready) && strings.HasPrefix(ready, string(o.first)) {
		return nil
	}
	text, ok := bytes.CutPrefix(o.first, []byte(ready))
	if ok {
		close(o.ready)
	}
	o.begun, o.first = true, nil
	return text
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return strings.TrimSpace(o.kept.String() + string(o.first))
}

// shared lets several goroutines write.
type shared struct {
	mu sync.Mutex
	w  io.Writer
}

func (s *shared) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.w.Write(p)
}
