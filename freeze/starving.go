package freeze

import (
	"bytes"
	"fmt"

	ebtf "github.com/cilium/ebpf/btf"

	"github.com/ktgen/ktgen/btf"
	"github.com/ktgen/ktgen/freeze/internal/kmem"
)

// This file looks at how long tasks of a BPF scheduler have been waiting for a
// CPU, as the kernel's watchdog does (check_rq_for_timeouts, kernel/sched/ext.c): each
// struct rq has a list of its runnable tasks (rq.scx.runnable_list), and each task
// the time since which it is (sched_ext_entity.runnable_at, in jiffies).

// Waiting is the task of the BPF scheduler that has been runnable for the longest
// time without running. Times are jiffies.
type Waiting struct {
	PID   int
	Comm  string
	CPU   int    // whose runqueue it is on
	Since uint64 // it is runnable
	For   uint64 // as much
	Limit uint64 // after which the watchdog ends the scheduler; 0 if no scheduler is attached
}

func (w Waiting) String() string {
	return fmt.Sprintf("%s (pid %d), of CPU %d, has been runnable for %d of %d jiffies", w.Comm, w.PID, w.CPU, w.For, w.Limit)
}

// waitingLayout is where the kernel keeps what is read. Since Linux 7.1 the limit is
// a member of struct scx_sched; before it is a variable.
type waitingLayout struct {
	runqueues, jiffies, root, limit kmem.Addr // symbols; limit may be 0

	list, node        int // rq.scx.runnable_list; task_struct.scx.runnable_node
	since             kmem.Field
	pid               kmem.Field
	comm, commSize    int
	schedLimit        kmem.Field // scx_sched.watchdog_timeout
	schedLimitIsThere bool
}

// maxWaiting bounds the tasks of a runqueue that are looked at.
const maxWaiting = 1 << 14

func newWaitingLayout(spec *ebtf.Spec, symbols *Symbols) (*waitingLayout, error) {
	l := new(waitingLayout)
	for name, to := range map[string]*kmem.Addr{"runqueues": &l.runqueues, "jiffies": &l.jiffies, "scx_root": &l.root} {
		addr, ok := symbols.Lookup(name)
		if !ok {
			return nil, &kmem.MissingSymbolsError{Names: []string{name}}
		}
		*to = kmem.Addr(addr)
	}
	var err error
	field := func(of, path string) (f btf.Field) {
		if err == nil {
			f, err = btf.Find(spec, of, path)
		}
		return f
	}
	l.list = field("rq", "scx.runnable_list").Offset
	l.node = field("task_struct", "scx.runnable_node").Offset
	since, pid, comm := field("task_struct", "scx.runnable_at"), field("task_struct", "pid"), field("task_struct", "comm")
	if err != nil {
		return nil, err
	}
	l.since, l.pid = kmem.Field{Offset: since.Offset, Size: 8}, kmem.Field{Offset: pid.Offset, Size: 4}
	l.comm, l.commSize = comm.Offset, 16 // TASK_COMM_LEN
	if limit, err := btf.Find(spec, "scx_sched", "watchdog_timeout"); err == nil {
		l.schedLimit, l.schedLimitIsThere = kmem.Field{Offset: limit.Offset, Size: 8}, true
		return l, nil
	}
	addr, ok := symbols.Lookup("scx_watchdog_timeout")
	if !ok {
		return nil, &kmem.MissingSymbolsError{Names: []string{"scx_watchdog_timeout"}}
	}
	l.limit = kmem.Addr(addr)
	return l, nil
}

// LongestWaiting looks at the running guest, without stopping it. Lists change
// under its hands: what makes no sense is passed over, and a task can be missed
// that the next look finds. Without a waiting task For is 0.
//
// The error says what the kernel lacks, or where memory could not be read.
func (f *Freezer) LongestWaiting() (Waiting, error) {
	f.peek.mu.Lock()
	defer f.peek.mu.Unlock()
	if f.peek.waiting == nil {
		l, err := newWaitingLayout(f.programs.kernel.spec, f.symbols)
		if err != nil {
			return Waiting{}, fmt.Errorf("look for tasks that wait: %w", err)
		}
		f.peek.waiting = l
	}
	space := f.peek.space
	space.Flush()
	longest, err := f.peek.waiting.look(space, f.cpus)
	if err != nil {
		return Waiting{}, fmt.Errorf("look for tasks that wait: %w", err)
	}
	return longest, nil
}

func (l *waitingLayout) look(space *kmem.Space, cpus *kmem.CPUs) (longest Waiting, err error) {
	limit, err := l.readLimit(space)
	if err != nil || limit == 0 {
		return Waiting{}, err
	}
	now, err := space.Uint64(l.jiffies)
	if err != nil {
		return Waiting{}, err
	}
	for cpu := range cpus.Len() {
		rq, ok := cpus.PerCPU(l.runqueues, cpu)
		if !ok {
			continue
		}
		if w := l.first(space, rq, now); w.For > longest.For {
			longest = w
			longest.CPU = cpu
		}
	}
	longest.Limit = limit
	return longest, nil
}

// readLimit returns 0 without a scheduler.
func (l *waitingLayout) readLimit(space *kmem.Space) (uint64, error) {
	sched, err := space.Addr(l.root)
	if err != nil || sched == 0 {
		return 0, err
	}
	if l.schedLimitIsThere {
		return space.Fetch(sched, l.schedLimit)
	}
	return space.Uint64(l.limit)
}

// first returns the task of a runqueue that has waited longest.
func (l *waitingLayout) first(space *kmem.Space, rq kmem.Addr, now uint64) (longest Waiting) {
	head := rq + kmem.Addr(l.list)
	next, err := space.Addr(head)
	for range maxWaiting {
		if err != nil || next == head || next == 0 {
			return longest
		}
		task := next - kmem.Addr(l.node)
		since, failed := space.Fetch(task, l.since)
		if failed != nil {
			return longest
		}
		if waited := int64(now - since); waited > 0 && uint64(waited) > longest.For {
			w := Waiting{Since: since, For: uint64(waited)}
			pid, pidErr := space.Fetch(task, l.pid)
			comm := make([]byte, l.commSize)
			if pidErr == nil && space.Read(task+kmem.Addr(l.comm), comm) == nil {
				w.PID = int(int32(pid))
				w.Comm = string(comm[:max(0, bytes.IndexByte(comm, 0))])
				longest = w
			}
		}
		next, err = space.Addr(next)
	}
	return longest
}
