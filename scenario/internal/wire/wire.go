// Package wire holds what a scenario on the host and its agent in the guest say
// to one another.
package wire

import (
	"fmt"
	"syscall"
	"time"
)

// Methods of the agent.
const (
	Probe     = "scenario.probe"      // nil: Facts
	AddCgroup = "scenario.add-cgroup" // Cgroup: nil
	SetCgroup = "scenario.set-cgroup" // Cgroup: nil
	Remove    = "scenario.remove"     // Cgroup: nil
	Freeze    = "scenario.freeze"     // Freezing: nil
	Spawn     = "scenario.spawn"      // Workers: []Stats, at the end of the workers
	Place     = "scenario.place"      // Placement: nil
	Measure   = "scenario.measure"    // string, the name: []Stats, empty if they have ended
	Hold      = "scenario.hold"       // time.Duration: nil
	Online    = "scenario.online"     // CPU: nil
)

// RoleWorker is the role of the agent's program as a worker.
const RoleWorker = "worker"

// Facts are what a guest offers to scenarios.
type Facts struct {
	Controllers []string          // those that cgroups have
	Refused     map[string]string // other ones, and why
	Files       []string          // control files of a cgroup
	Online      []int             // CPUs
	Possible    []int
}

// Write is a value for a control file.
type Write struct{ File, Value string }

// Cgroup is a cgroup and what to write to its files, in order.
type Cgroup struct {
	Name   string
	Writes []Write
}

// Freezing freezes or thaws a cgroup.
type Freezing struct {
	Cgroup string
	Frozen bool
}

// Workers are processes that are started together.
type Workers struct {
	Name   string
	Comms  []string // one for each worker
	Kind   string   // empty for a payload
	Cgroup string
	Place  Placement

	Busy, Sleep time.Duration
	Memory      int64 // bytes

	Args, Env []string // of a payload
}

// Placement says where and how workers run. Nil and empty fields change nothing.
type Placement struct {
	Workers  string
	CPUs     []int
	Nice     *int
	Policy   *uint32 // SCHED_*
	Priority uint32  // of real-time policies
	Cgroup   *string // empty for the root
}

// Started is sent once all workers are up.
type Started struct{ PIDs []int }

// CPU is to be switched on or off.
type CPU struct {
	ID     int
	Online bool
}

// Stats is what one worker has done since its start.
type Stats struct {
	Comm  string
	PID   int
	Now   int64 // ns of the guest's CLOCK_MONOTONIC
	Ended bool

	Age        int64 // ns since its start
	Iterations uint64
	Runtime    uint64   // ns on a CPU
	Waited     uint64   // ns ready to run, and waiting for a CPU
	Switches   uint64   // times that it was given a CPU
	Gap        int64    // ns; the longest since the last Measure
	Wakeups    []uint64 // by package latency, without the zeroes at the end
}

// Codes of errors.
const (
	CodeDied = "scenario-died"
	CodeFull = "scenario-full"
)

// DiedError is a worker that ended though nobody had told it to.
type DiedError struct {
	Comm   string
	PID    int
	How    string        // exit status or signal
	Output string        // the end of what it wrote
	OOM    bool          // its cgroup has seen the OOM killer
	Full   bool          // its cgroup, or one above, has refused a task
	Fork   syscall.Errno // that its own fork failed with; zero if none did
}

// full says what to do in a cgroup that has refused a task.
const full = "its cgroup may have no more tasks: raise PIDsMax, a worker has several threads"

// Code implements the interface of errors that the host tells apart.
func (e *DiedError) Code() string { return CodeDied }

func (e *DiedError) Error() string {
	s := fmt.Sprintf("%s (pid %d) has ended: %s", e.Comm, e.PID, e.How)
	if e.OOM {
		s += "; its cgroup ran out of memory: raise MemoryMax"
	}
	if e.Full {
		s += "; " + full
	}
	if e.Output != "" {
		s += "; it wrote: " + e.Output
	}
	return s
}

// FullError is a process that its cgroup, or one above, did not let start.
type FullError struct {
	Err error `json:"-"`
}

// Code implements the interface of errors that the host tells apart.
func (e *FullError) Code() string { return CodeFull }

func (e *FullError) Error() string { return e.Err.Error() + "; " + full }

func (e *FullError) Unwrap() error { return e.Err }
