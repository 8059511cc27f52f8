package freeze

import (
	"bytes"
	"fmt"

	ebtf "github.com/cilium/ebpf/btf"

	"github.com/ktgen/ktgen/btf"
	"github.com/ktgen/ktgen/freeze/internal/kmem"
)

// Running is the task that a CPU runs.
type Running struct {
	Addr uint64 // of its task_struct
	PID  int
	Comm string
}

func (r Running) String() string { return fmt.Sprintf("%s (pid %d)", r.Comm, r.PID) }

// runningLayout is where the kernel keeps that: rq.curr.
type runningLayout struct {
	runqueues uint64
	curr, pid kmem.Field
	comm      btf.Field
}

func newRunningLayout(spec *ebtf.Spec, symbols *Symbols) (l *runningLayout, err error) {
	runqueues, ok := symbols.Lookup("runqueues")
	if !ok {
		return nil, &kmem.MissingSymbolsError{Names: []string{"runqueues"}}
	}
	curr, err := btf.Find(spec, "rq", "curr")
	if err != nil {
		return nil, err
	}
	pid, err := btf.Find(spec, "task_struct", "pid")
	if err != nil {
		return nil, err
	}
	comm, err := btf.Find(spec, "task_struct", "comm")
	return &runningLayout{
		runqueues: runqueues,
		curr:      kmem.Field{Offset: curr.Offset, Size: 8}, pid: kmem.Field{Offset: pid.Offset, Size: 4},
		comm: comm,
	}, err
}

// Running returns the task that a CPU runs. In a guest that runs it can be another one by now.
func (f *Freezer) Running(cpu int) (Running, error) {
	f.peek.mu.Lock()
	defer f.peek.mu.Unlock()
	r, err := f.current(cpu)
	if err != nil {
		return Running{}, fmt.Errorf("find the task that CPU %d runs: %w", cpu, err)
	}
	return r, nil
}

func (f *Freezer) current(cpu int) (r Running, err error) {
	if f.peek.running == nil {
		if f.peek.running, err = newRunningLayout(f.programs.kernel.spec, f.symbols); err != nil {
			return r, err
		}
	}
	l, space := f.peek.running, f.peek.space
	space.Flush()
	rq, err := f.OnCPU(l.runqueues, cpu)
	if err != nil {
		return r, err
	}
	task, err := space.Fetch(kmem.Addr(rq), l.curr)
	if err != nil {
		return r, err
	}
	pid, err := space.Fetch(kmem.Addr(task), l.pid)
	if err != nil {
		return r, err
	}
	comm := make([]byte, 16) // TASK_COMM_LEN
	if err := space.Read(kmem.Addr(task)+kmem.Addr(l.comm.Offset), comm); err != nil {
		return r, err
	}
	name, _, _ := bytes.Cut(comm, []byte{0})
	return Running{Addr: task, PID: int(int32(pid)), Comm: string(name)}, nil
}
