package dump

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/ktgen/ktgen/sched"
)

// This file writes what the kernel keeps of scheduling: the member "sched" of documents.

// tasksOf says which tasks a document has.
type tasksOf int

const (
	noTasks      tasksOf = iota // nor anything else of the kernel's scheduling
	runnableOnly                // those that run, wait, or are in a queue
	allTasks
)

type jsonSched struct {
	Starving   []jsonStarving  `json:"starving"`
	Schedulers []jsonScheduler `json:"schedulers"`
	CPUs       []jsonCPU       `json:"cpus"`
	Queues     []jsonQueue     `json:"queues"`
	NrTasks    int             `json:"nr_tasks"`
	Tasks      []jsonTask      `json:"tasks"`
	Cgroups    []jsonCgroup    `json:"cgroups"`
	Programs   []jsonProgram   `json:"programs"`
	Problems   []string        `json:"problems,omitempty"`
	Absent     []string        `json:"absent,omitempty"`
}

type jsonStarving struct {
	PID     int    `json:"pid"`
	ForNS   number `json:"for_ns"`
	LimitNS number `json:"limit_ns"`
	Text    string `json:"text"`
}

type jsonScheduler struct {
	Name        string            `json:"name"`
	Root        bool              `json:"root"`
	Flags       number            `json:"flags"`
	TimeoutNS   number            `json:"timeout_ns"`
	BypassDepth int               `json:"bypass_depth"`
	ExitKind    string            `json:"exit_kind"`
	Events      map[string]number `json:"events"`
}

type jsonCPU struct {
	ID        int    `json:"id"`
	Online    bool   `json:"online"`
	Idle      bool   `json:"idle"`
	IdleMask  bool   `json:"in_idle_mask"`
	PID       *int   `json:"pid"`
	Comm      string `json:"comm"`
	Class     string `json:"class"`
	Does      string `json:"does"`
	NrRunning int    `json:"nr_running"`
	Switches  number `json:"switches"`
	ClockNS   number `json:"clock_ns"`
}

type jsonQueue struct {
	Name  string `json:"name"`
	ID    string `json:"id"`
	User  bool   `json:"user"`
	CPU   *int   `json:"cpu"`
	Node  *int   `json:"node"`
	Count int    `json:"count"`
	Seq   number `json:"seq"`
	PIDs  []int  `json:"pids"`
}

type jsonTask struct {
	PID        int    `json:"pid"`
	TGID       int    `json:"tgid"`
	Comm       string `json:"comm"`
	Class      string `json:"class"`
	CPU        int    `json:"cpu"`
	Runnable   bool   `json:"runnable"`
	Current    bool   `json:"current"`
	WaitsNS    number `json:"waits_ns"`
	Allowed    string `json:"allowed"`
	Cgroup     string `json:"cgroup,omitempty"`
	RuntimeNS  number `json:"runtime_ns"`
	State      string `json:"scx_state"`
	OpsState   string `json:"ops_state"`
	SliceNS    number `json:"slice_ns"`
	VTime      number `json:"vtime"`
	Weight     number `json:"weight"`
	StickyCPU  int    `json:"sticky_cpu"`
	HoldingCPU int    `json:"holding_cpu"`
}

type jsonCgroup struct {
	ID     number `json:"id"`
	Path   string `json:"path"`
	Weight number `json:"weight"`
	Quota  number `json:"quota_us"`
	Period number `json:"period_us"`
}

type jsonProgram struct {
	ID         int    `json:"id"`
	Name       string `json:"name"`
	Type       string `json:"type"`
	Tag        string `json:"tag"`
	Verified   int    `json:"verified_insns"`
	Insns      int    `json:"insns"`
	JITed      int    `json:"jited_bytes"`
	StackDepth int    `json:"stack_depth"`
	Runs       number `json:"runs"`
	RuntimeNS  number `json:"runtime_ns"`
	Misses     number `json:"misses"`

	VerifierNS number `json:"verifier_ns,omitempty"`
	States     int    `json:"verifier_states,omitempty"`
	PeakStates int    `json:"verifier_peak_states,omitempty"`
}

// number is an integer as documents have it, which readers may take for a float.
type number uint64

// MarshalJSON writes integers that floats cannot hold as strings.
func (n number) MarshalJSON() ([]byte, error) {
	if n < 1<<53 {
		return fmt.Append(nil, uint64(n)), nil
	}
	return fmt.Appendf(nil, `{"$int":"%d"}`, uint64(n)), nil
}

// sched writes the member, if the snapshot has what it is of.
func (e *encoder) sched(which tasksOf) {
	if which == noTasks {
		return
	}
	state, err := sched.Open(e.snap)
	var none *sched.NoStateError
	if errors.As(err, &none) && none.Reason == "" {
		return // it is of an older ktgen, or a fixture
	}
	e.member("sched")
	var v any = map[string]string{"error": fmt.Sprint(err)}
	if err == nil {
		v = schedOf(state, which)
	}
	text, err := json.Marshal(v) // escapes markup
	if err != nil {
		e.err = errors.Join(e.err, err)
		text = []byte("null")
	}
	e.buf = append(e.buf, text...)
}

func schedOf(s *sched.State, which tasksOf) jsonSched {
	v := jsonSched{Starving: []jsonStarving{}, Schedulers: []jsonScheduler{}, CPUs: []jsonCPU{}, Queues: []jsonQueue{}, Tasks: []jsonTask{}, Cgroups: []jsonCgroup{}, Programs: []jsonProgram{}, NrTasks: len(s.Tasks()), Problems: s.Problems(), Absent: s.Absent()}
	for _, one := range s.Starving() {
		v.Starving = append(v.Starving, jsonStarving{one.Task.PID, number(one.For), number(one.Limit), one.String()})
	}
	for _, c := range s.Schedulers() {
		j := jsonScheduler{c.Name, c.Root, number(c.Flags), number(c.Timeout), c.BypassDepth, c.ExitKind, make(map[string]number)}
		for _, event := range c.Events() {
			j.Events[event.Name] = number(max(event.Count, 0))
		}
		v.Schedulers = append(v.Schedulers, j)
	}
	for _, c := range s.CPUs() {
		v.CPUs = append(v.CPUs, cpuOf(c))
	}
	for _, d := range s.DSQs() {
		v.Queues = append(v.Queues, queueOf(d))
	}
	for _, t := range s.Tasks() {
		if which == allTasks || t.IsRunnable() || t.DSQ() != nil {
			v.Tasks = append(v.Tasks, taskOf(t))
		}
	}
	for _, g := range s.Cgroups() {
		v.Cgroups = append(v.Cgroups, jsonCgroup{number(g.ID), g.Path, number(g.Weight), number(g.Quota), number(g.Period)})
	}
	for _, p := range s.Programs() {
		v.Programs = append(v.Programs, jsonProgram{p.ID, p.Name, p.Type, p.Tag, p.Verified, p.Insns, p.JITed, p.StackDepth, number(p.Runs), number(p.RunTime), number(p.Misses), number(p.Verification.Time), p.Verification.States, p.Verification.PeakStates})
	}
	return v
}

func cpuOf(c *sched.CPU) jsonCPU {
	v := jsonCPU{ID: c.ID, Online: c.Online, Idle: c.IsIdle(), IdleMask: c.InIdleMask, Does: c.Doing(), NrRunning: c.NrRunning, Switches: number(c.Switches), ClockNS: number(c.Clock)}
	if t := c.Current(); t != nil {
		v.PID, v.Comm, v.Class = &t.PID, t.Comm, t.Class
	}
	return v
}

func queueOf(d *sched.DSQ) jsonQueue {
	v := jsonQueue{Name: d.Name(), ID: fmt.Sprintf("%#x", d.ID), User: d.User, Count: d.Count, Seq: number(d.Seq), PIDs: []int{}}
	if d.CPU >= 0 {
		v.CPU = &d.CPU
	}
	if d.Node >= 0 {
		v.Node = &d.Node
	}
	for _, t := range d.Tasks() {
		v.PIDs = append(v.PIDs, t.PID)
	}
	return v
}

func taskOf(t *sched.Task) jsonTask {
	v := jsonTask{
		PID: t.PID, TGID: t.TGID, Comm: t.Comm, Class: t.Class, CPU: t.CPU, Runnable: t.IsRunnable(), Current: t.IsCurrent(),
		WaitsNS: number(t.RunnableFor()), Allowed: t.Allowed.String(), RuntimeNS: number(t.Runtime),
		State: t.Ext.State, OpsState: t.Ext.OpsState, SliceNS: number(t.Ext.Slice), VTime: number(t.Ext.VTime), Weight: number(t.Ext.Weight),
		StickyCPU: t.Ext.StickyCPU, HoldingCPU: t.Ext.HoldingCPU,
	}
	if t.Group != nil {
		v.Cgroup = t.Group.Path
	}
	return v
}

// tasksFor returns which tasks documents have that are of these maps only.
func tasksFor(maps []string, which tasksOf) tasksOf {
	if len(maps) > 0 {
		return noTasks
	}
	return which
}
