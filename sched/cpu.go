package sched

import (
	"fmt"
	"time"
)

// CPU is a runqueue: struct rq, with its struct scx_rq.
type CPU struct {
	ID     int
	Addr   uint64 // of the struct rq; 0 if there can be no such CPU
	Online bool

	NrRunning  int // tasks of all classes
	ExtRunning int // tasks of the BPF scheduler (scx.nr_running)
	Switches   uint64
	Clock      time.Duration // rq.clock
	Pending    bool          // a wakeup is on its way (ttwu_pending)

	// InIdleMask and InIdleCoreMask tell whether sched_ext takes the CPU, and its whole
	// core, for idle, as scx_bpf_pick_idle_cpu does.
	InIdleMask, InIdleCoreMask bool

	ExtFlags uint64 // enum scx_rq_flags
	Released bool   // the BPF scheduler was told that a higher class has taken it
	ExtClock uint64
	Locked   bool // somebody holds its lock

	s       *State
	current uint64
	idle    uint64

	clockTask time.Duration // rq.clock_task: Clock without interrupts

	local *DSQ
	dsqs  []*DSQ // other queues of the CPU's
}

func (s *State) loadCPUs(t *records) {
	for i := range t.N {
		r := t.record(i)
		s.cpus = append(s.cpus, &CPU{
			ID: i, Addr: t.Addrs[i], Online: r.int("is_online") == 1, s: s,
			NrRunning: int(r.uint("nr_running")), ExtRunning: int(r.uint("scx.nr_running")), Switches: r.uint("nr_switches"),
			Clock: time.Duration(r.uint("clock")), clockTask: time.Duration(r.uint("clock_task")), Pending: r.uint("ttwu_pending") != 0,
			InIdleMask: r.int("in_idle_mask") == 1, InIdleCoreMask: r.int("in_idle_smt_mask") == 1,
			ExtFlags: r.uint("scx.flags"), Released: r.uint("scx.cpu_released") != 0, ExtClock: r.uint("scx.clock"),
			Locked: r.isLocked("__lock"), current: r.uint("curr"), idle: r.uint("idle"),
		})
		if current := s.byAddr[r.uint("curr")]; current != nil {
			current.current = true
		}
	}
}

// CPUs returns all CPUs that the guest can have, by their number.
func (s *State) CPUs() []*CPU { return s.cpus }

// CPU returns a CPU by its number, and fails if the guest can have none of it.
func (s *State) CPU(id int) *CPU {
	if id < 0 || id >= len(s.cpus) {
		s.fail("CPU", fmt.Sprint(id), fmt.Errorf("the guest has CPUs 0 to %d", len(s.cpus)-1))
		return nil
	}
	return s.cpus[id]
}

func (c *CPU) String() string { return fmt.Sprintf("CPU %d", c.ID) }

// Current returns the task that the CPU runs, nil if it is not known. An idle CPU runs
// a task of class "idle".
func (c *CPU) Current() *Task { return c.s.byAddr[c.current] }

// IsIdle tells whether the CPU runs nothing.
func (c *CPU) IsIdle() bool { return c.current != 0 && c.current == c.idle }

// Local returns the CPU's local queue (SCX_DSQ_LOCAL), nil if the kernel has none.
func (c *CPU) Local() *DSQ { return c.local }

// DSQs returns the other queues that sched_ext keeps for the CPU, such as that which it
// uses while it bypasses the BPF scheduler.
func (c *CPU) DSQs() []*DSQ { return c.dsqs }
