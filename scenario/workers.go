package scenario

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/ktgen/ktgen/runtime/nearest"
	"github.com/ktgen/ktgen/scenario/internal/wire"
)

// Kind is what a worker does, over and over.
type Kind string

// Kinds of work.
const (
	Spin       Kind = "spin"   // runs without ever sleeping
	SleepWake  Kind = "sleep"  // runs for Busy and sleeps for Sleep
	Yield      Kind = "yield"  // gives up the CPU all the time
	IO         Kind = "io"     // writes, syncs and reads a file, in memory as all files of the guest
	Pipe       Kind = "pipe"   // passes a message to and fro between two threads of its own
	ForkExit   Kind = "fork"   // makes a process that ends at once, and waits for it
	MemoryWalk Kind = "memory" // writes to each cache line of Memory bytes
	Mixed      Kind = "mixed"  // does in turn what SleepWake, Yield, IO, ForkExit and MemoryWalk do
)

var kinds = []Kind{Spin, SleepWake, Yield, IO, Pipe, ForkExit, MemoryWalk, Mixed}

// sleeps says of which kinds a worker does not want the CPU all the time.
func (k Kind) sleeps() bool { return k == SleepWake || k == Mixed }

// Policy is a scheduling policy. The zero value changes nothing: it is normal.
type Policy string

// Scheduling policies. Real-time ones have priority 1, which is the agent's.
const (
	Normal Policy = "normal"
	Batch  Policy = "batch"
	Idle   Policy = "idle"
	FIFO   Policy = "fifo"
	RR     Policy = "rr"
	Ext    Policy = "ext" // the policy of sched_ext, which a partial scheduler asks for
)

// policies are the numbers of include/uapi/linux/sched.h.
var policies = map[Policy]uint32{Normal: 0, FIFO: 1, RR: 2, Batch: 3, Idle: 5, Ext: 7}

// Workers are processes that work until they are stopped. As an op they are
// started. A worker is a process of its own, so that it has a pid, a name, and a
// place among the scheduler's tasks; it is called Name-N, N from 0.
type Workers struct {
	Name   string // the kind's if empty
	Kind   Kind   // unless there is a Payload
	Count  int    // 1 if 0
	Cgroup string // the root if empty

	CPUs   []int // affinity; nil for all
	Nice   int   // -20 to 19
	Policy Policy

	Busy, Sleep time.Duration // of SleepWake and Mixed; 1 ms if 0
	Memory      int64         // bytes, of MemoryWalk and Mixed; 4 MiB if 0

	// Payload is a program that each worker runs in place of a kind of work. It may end
	// with status 0. If it still runs when the workers are stopped, it is killed.
	Payload *Payload
}

// Payload is a program.
type Payload struct {
	Args []string // in the guest; the first is the program
	Env  []string // "name=value"
	// Host is the program on this machine. It is put to the guest, as Args[0],
	// with the shared libraries that it needs. If empty, the guest has it.
	Host string
}

func (w Workers) String() string {
	what := string(w.Kind)
	if w.Payload != nil {
		what = strings.Join(w.Payload.Args, " ")
	}
	s := fmt.Sprintf("%d %s", w.count(), what)
	if w.name() != what {
		s += fmt.Sprintf(" %q", w.name())
	}
	return s
}

func (w Workers) name() string {
	if w.Name == "" && w.Payload != nil && len(w.Payload.Args) > 0 {
		return w.Payload.Args[0][strings.LastIndexByte(w.Payload.Args[0], '/')+1:]
	}
	return cmp.Or(w.Name, string(w.Kind))
}

func (w Workers) count() int { return cmp.Or(w.Count, 1) }

// maxWorkers bounds the workers that start together.
const maxWorkers = 256

func (w Workers) check(s *state) error {
	for _, err := range []error{w.checkWork(), w.checkName(s), w.checkPolicy(), s.usable(w.CPUs, "the affinity")} {
		if err != nil {
			return err
		}
	}
	b, err := s.enterable(w.Cgroup)
	if err != nil {
		return err
	}
	if b.frozen {
		return invalid(fmt.Sprintf("%s is frozen, where nothing can start", boxName(w.Cgroup)), "thaw it before")
	}
	if err := overlap(w.CPUs, b.cpus, w.Cgroup); err != nil {
		return err
	}
	s.workers[w.name()] = crowd{cgroup: w.Cgroup, cpus: w.CPUs}
	return nil
}

func (w Workers) checkWork() error {
	switch {
	case w.Payload != nil && w.Kind != "":
		return invalid("they have both a Kind and a Payload", "choose one")
	case w.Payload != nil:
		return w.Payload.check()
	case !slices.Contains(kinds, w.Kind):
		fix := fmt.Sprintf("there are %q", kinds)
		if near := nearest.Name(string(w.Kind), texts(kinds)); near != "" {
			fix = fmt.Sprintf("did you mean %q?", near)
		}
		return invalid(fmt.Sprintf("no kind of work is called %q", w.Kind), fix)
	case min(w.Busy, w.Sleep) < 0 || w.Memory < 0:
		return invalid("Busy, Sleep or Memory is negative", "leave it out for the usual")
	case w.Memory > 1<<40:
		return invalid(fmt.Sprintf("Memory is %d bytes", w.Memory), "let it fit the guest")
	}
	return nil
}

func texts(kinds []Kind) []string {
	var all []string
	for _, k := range kinds {
		all = append(all, string(k))
	}
	return all
}

func (p *Payload) check() error {
	if len(p.Args) == 0 || p.Args[0] == "" {
		return invalid("the payload names no program", "set Args")
	}
	if p.Host == "" {
		return nil
	}
	if !strings.HasPrefix(p.Args[0], "/") {
		return invalid(fmt.Sprintf("%q says not where in the guest to put %s", p.Args[0], p.Host), "begin Args with an absolute path")
	}
	info, err := os.Stat(p.Host)
	if err != nil {
		return invalid(fmt.Sprintf("the payload cannot be read: %v", err), "build it before the test, or correct Host")
	}
	if info.IsDir() || info.Mode()&0o111 == 0 {
		return invalid(fmt.Sprintf("the payload %s is no program (%v)", p.Host, info.Mode()), "name an executable file")
	}
	return nil
}

func (w Workers) checkName(s *state) error {
	if err := checkName("group of workers", w.name()); err != nil {
		return err
	}
	if w.count() < 0 || w.count() > maxWorkers {
		return invalid(fmt.Sprintf("Count is %d", w.Count), fmt.Sprintf("start 1 to %d together", maxWorkers))
	}
	if last := w.comm(w.count() - 1); w.Payload == nil && len(last) > maxComm {
		return invalid(fmt.Sprintf("the name of a task would be %q, which has %d bytes", last, len(last)), fmt.Sprintf("the kernel keeps %d; shorten Name", maxComm))
	}
	if _, taken := s.workers[w.name()]; taken {
		return invalid(fmt.Sprintf("there are workers called %q", w.name()), "give these a Name of their own")
	}
	return nil
}

func (w Workers) comm(i int) string { return fmt.Sprintf("%s-%d", w.name(), i) }

func (w Workers) checkPolicy() error {
	if err := checkNice(w.Nice); err != nil {
		return err
	}
	if w.Policy == "" {
		return nil
	}
	if _, ok := policies[w.Policy]; !ok {
		return invalid(fmt.Sprintf("no scheduling policy is called %q", w.Policy), fmt.Sprintf("there are %q", slices.Sorted(maps.Keys(policies))))
	}
	realtime := w.Policy == FIFO || w.Policy == RR
	if realtime && w.Nice != 0 {
		return invalid(fmt.Sprintf("policy %s knows no nice value", w.Policy), "leave Nice out")
	}
	if w.Policy == FIFO && w.Payload == nil && !w.Kind.sleeps() {
		return invalid(fmt.Sprintf("a FIFO worker of kind %q would keep the agent from running", w.Kind), "use RR, or SleepWake")
	}
	return nil
}

func checkNice(nice int) error {
	if nice < -20 || nice > 19 {
		return invalid(fmt.Sprintf("the nice value is %d", nice), "it is -20 to 19")
	}
	return nil
}

// wire returns what the agent is told.
func (w Workers) wire() wire.Workers {
	m := wire.Workers{
		Name: w.name(), Kind: string(w.Kind), Cgroup: w.Cgroup,
		Busy: cmp.Or(w.Busy, time.Millisecond), Sleep: cmp.Or(w.Sleep, time.Millisecond),
		Memory: cmp.Or(w.Memory, 4<<20),
		Place:  wire.Placement{CPUs: w.CPUs},
	}
	for i := range w.count() {
		m.Comms = append(m.Comms, w.comm(i))
	}
	if w.Payload != nil {
		m.Args, m.Env = w.Payload.Args, w.Payload.Env
	}
	if w.Nice != 0 {
		m.Place.Nice = &w.Nice
	}
	if w.Policy != "" {
		policy := policies[w.Policy]
		m.Place.Policy = &policy
		if w.Policy == FIFO || w.Policy == RR {
			m.Place.Priority = 1
		}
	}
	return m
}

func (w Workers) do(p *performance) error {
	_, err := p.spawn(w)
	return err
}

// Stop ends workers.
type Stop struct{ Workers string }

func (s Stop) String() string { return fmt.Sprintf("stop workers %q", s.Workers) }

func (s Stop) check(st *state) error {
	_, err := st.crowd(s.Workers)
	delete(st.workers, s.Workers)
	return err
}

func (s Stop) do(p *performance) error { return p.stop(s.Workers) }

// Move moves workers to another cgroup, the root if Cgroup is empty.
type Move struct{ Workers, Cgroup string }

func (m Move) String() string {
	return fmt.Sprintf("move workers %q to %s", m.Workers, boxName(m.Cgroup))
}

func boxName(cgroup string) string {
	if cgroup == "" {
		return "the root cgroup"
	}
	return fmt.Sprintf("cgroup %q", cgroup)
}

func (m Move) check(s *state) error {
	c, err := s.crowd(m.Workers)
	if err != nil {
		return err
	}
	if m.Cgroup == c.cgroup {
		return invalid("they are there already", "leave the op out")
	}
	b, err := s.enterable(m.Cgroup)
	if err != nil {
		return err
	}
	if err := overlap(c.cpus, b.cpus, m.Cgroup); err != nil {
		return err
	}
	c.cgroup = m.Cgroup
	s.workers[m.Workers] = c
	return nil
}

func (m Move) do(p *performance) error {
	return p.call(wire.Place, wire.Placement{Workers: m.Workers, Cgroup: &m.Cgroup})
}

// SetAffinity says on which CPUs workers may run.
type SetAffinity struct {
	Workers string
	CPUs    []int
}

func (a SetAffinity) String() string {
	return fmt.Sprintf("set the affinity of workers %q to %v", a.Workers, a.CPUs)
}

func (a SetAffinity) check(s *state) error {
	c, err := s.crowd(a.Workers)
	if err != nil {
		return err
	}
	if a.CPUs == nil {
		a.CPUs = []int{}
	}
	if err := s.usable(a.CPUs, "the affinity"); err != nil {
		return err
	}
	if err := overlap(a.CPUs, s.within(c.cgroup).cpus, c.cgroup); err != nil {
		return err
	}
	c.cpus = a.CPUs
	s.workers[a.Workers] = c
	return nil
}

func (a SetAffinity) do(p *performance) error {
	return p.call(wire.Place, wire.Placement{Workers: a.Workers, CPUs: a.CPUs})
}

// SetNice changes the nice value of workers.
type SetNice struct {
	Workers string
	Nice    int
}

func (n SetNice) String() string {
	return fmt.Sprintf("set the nice value of workers %q to %d", n.Workers, n.Nice)
}

func (n SetNice) check(s *state) error {
	if _, err := s.crowd(n.Workers); err != nil {
		return err
	}
	return checkNice(n.Nice)
}

func (n SetNice) do(p *performance) error {
	return p.call(wire.Place, wire.Placement{Workers: n.Workers, Nice: &n.Nice})
}
