package sched

import (
	"time"

	"github.com/ktgen/ktgen/runtime/ctype"
)

// Scheduler is a sched_ext scheduler: struct scx_sched.
type Scheduler struct {
	Addr    uint64
	Name    string        // sched_ext_ops.name
	Root    bool          // it is scx_root, and no scheduler below one
	Flags   uint64        // sched_ext_ops.flags: enum scx_ops_flags
	Timeout time.Duration // of the watchdog, after which it ends the scheduler

	// BypassDepth is how many times the kernel has been told to pass the scheduler
	// over, as while it is enabled or disabled; it is in use at 0.
	BypassDepth int
	Aborting    bool
	SliceDfl    time.Duration

	ExitKind string // why it ends: "NONE" while it runs
	ExitCode int64
	ExitCPU  int // where that was noticed; -1 is not known

	counters []Counters // by CPU
}

// Counters are a scheduler's event counters on one CPU: struct scx_event_stats.
type Counters struct {
	CPU       int
	Flags     uint64 // enum scx_sched_pcpu_flags
	Events    []Event
	bypassing bool
}

// Bypassing tells whether the kernel passes the scheduler over on that CPU.
func (c Counters) Bypassing() bool { return c.bypassing }

// Event is one counter.
type Event struct {
	Name  string // SCX_EV_SELECT_CPU_FALLBACK
	Count int64
}

func (s *State) loadSchedulers(t, perCPU *records) {
	if t == nil {
		return
	}
	// Before the kernel kept it for each scheduler it was this constant.
	slice, _ := s.enums["scx_public_consts"].value("SCX_SLICE_DFL")
	for i := range t.N {
		r := t.record(i)
		if t.has("slice_dfl") {
			slice = r.uint("slice_dfl")
		}
		s.schedulers = append(s.schedulers, &Scheduler{
			Addr: t.Addrs[i], Name: r.text("ops.name"), Root: r.uint("is_root") == 1, Flags: r.uint("ops.flags"),
			Timeout: s.duration(r.int("watchdog_timeout")), BypassDepth: int(r.int("bypass_depth")), Aborting: r.uint("aborting") != 0,
			SliceDfl: time.Duration(slice), ExitKind: s.enums["scx_exit_kind"].text(r.uint("exit_kind.counter"), "SCX_EXIT_"),
			ExitCode: r.int("exit_code"), ExitCPU: int(r.int("exit_cpu")),
		})
	}
	if perCPU == nil {
		return
	}
	for i := range perCPU.N {
		r := perCPU.record(i)
		if n := r.uint("scheduler"); n < uint64(len(s.schedulers)) {
			s.schedulers[n].counters = append(s.schedulers[n].counters, s.counters(r))
		}
	}
}

func (s *State) counters(r record) Counters {
	c := Counters{CPU: int(r.int("cpu")), Flags: r.uint("flags")}
	bit, _ := s.enums["scx_sched_pcpu_flags"].value("SCX_SCHED_PCPU_BYPASSING")
	c.bypassing = c.Flags&bit != 0
	p := r.place("event_stats")
	if p.shape == nil || p.shape.Underlying().Kind != ctype.KindStruct {
		return c
	}
	for _, m := range p.shape.Underlying().Members {
		c.Events = append(c.Events, Event{m.Name, r.int("event_stats." + m.Name)})
	}
	return c
}

// Schedulers returns the schedulers that are enabled, the root first.
func (s *State) Schedulers() []*Scheduler { return s.schedulers }

// Scheduler returns the root scheduler, nil if none is enabled.
func (s *State) Scheduler() *Scheduler {
	if len(s.schedulers) == 0 || !s.schedulers[0].Root {
		return nil
	}
	return s.schedulers[0]
}

// Counters returns the scheduler's counters on each CPU, ascending.
func (c *Scheduler) Counters() []Counters { return c.counters }

// Events returns the scheduler's counters, summed over the CPUs, in the kernel's order.
func (c *Scheduler) Events() (sum []Event) {
	for _, cpu := range c.counters {
		for i, e := range cpu.Events {
			if i == len(sum) {
				sum = append(sum, Event{Name: e.Name})
			}
			sum[i].Count += e.Count
		}
	}
	return sum
}
