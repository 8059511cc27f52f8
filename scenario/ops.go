package scenario

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/ktgen/ktgen/scenario/internal/wire"
	"github.com/ktgen/ktgen/vmm/guest"
)

// This file has the ops that are not about cgroups or workers.

// SetOnline switches a CPU on or off. When a scenario ends, the CPUs that it has
// switched off are on again. A scheduler that does not follow CPUs (cpu_online
// and cpu_offline of sched_ext_ops) is ended by the kernel.
type SetOnline struct {
	CPU    int
	Online bool
}

func (o SetOnline) String() string {
	return fmt.Sprintf("take CPU %d %s", o.CPU, o.where())
}

func (o SetOnline) where() string {
	if o.Online {
		return "online"
	}
	return "offline"
}

func (o SetOnline) check(s *state) error {
	switch {
	case !slices.Contains(s.cpus, o.CPU):
		return invalid(fmt.Sprintf("there is no CPU %d", o.CPU), fmt.Sprintf("the guest has %v", s.cpus))
	case o.CPU == 0 && !o.Online:
		return invalid("CPU 0 cannot go offline", "choose another CPU")
	case s.online[o.CPU] == o.Online:
		return invalid(fmt.Sprintf("CPU %d is %s already", o.CPU, o.where()), "leave the op out")
	}
	s.online[o.CPU] = o.Online
	return nil
}

func (o SetOnline) do(p *performance) error {
	return p.call(wire.Online, wire.CPU{ID: o.CPU, Online: o.Online})
}

// Scheduler is a scheduler that can be started. Package ktest has them.
type Scheduler interface {
	String() string
	// Check says what is wrong with it as far as that can be told without a
	// guest.
	Check() error
}

// StartScheduler starts a scheduler in a guest that runs none of ours.
type StartScheduler struct{ Scheduler Scheduler }

func (o StartScheduler) String() string { return "start scheduler " + schedulerName(o.Scheduler) }

func (o StartScheduler) check(s *state) error {
	if s.scheduler {
		return invalid("a scheduler runs at this point", "use ReplaceScheduler, or StopScheduler before")
	}
	return s.start(o.Scheduler)
}

func (o StartScheduler) do(p *performance) error { return p.guest.hooks.Start(p.ctx, o.Scheduler) }

func (StartScheduler) callsTest() {} // ktest.Scheduler.Loaded

// StopScheduler ends the scheduler; the kernel's own takes over.
type StopScheduler struct{}

func (StopScheduler) String() string { return "stop the scheduler" }

func (StopScheduler) check(s *state) error {
	if !s.scheduler {
		return invalid("no scheduler runs at this point", "start one before")
	}
	s.scheduler = false
	return nil
}

func (StopScheduler) do(p *performance) error { return p.guest.hooks.Stop(p.ctx) }

// ReplaceScheduler stops the scheduler and starts another one, or the same anew.
type ReplaceScheduler struct{ Scheduler Scheduler }

func (o ReplaceScheduler) String() string {
	return "replace the scheduler by " + schedulerName(o.Scheduler)
}

func (o ReplaceScheduler) check(s *state) error {
	if !s.scheduler {
		return invalid("no scheduler runs at this point", "use StartScheduler")
	}
	return s.start(o.Scheduler)
}

func (o ReplaceScheduler) do(p *performance) error {
	if err := p.guest.hooks.Stop(p.ctx); err != nil {
		return err
	}
	return p.guest.hooks.Start(p.ctx, o.Scheduler)
}

func (ReplaceScheduler) callsTest() {}

func schedulerName(s Scheduler) string {
	if s == nil {
		return "(none)"
	}
	return s.String()
}

func (s *state) start(sched Scheduler) error {
	if sched == nil {
		return invalid("it names no scheduler", "set Scheduler, to ktest.Object(...) for example")
	}
	if err := sched.Check(); err != nil {
		return fmt.Errorf("the scheduler cannot be started: %w", err)
	}
	s.scheduler = true
	return nil
}

// Capture takes a snapshot and keeps it under its name. If that fails, or nobody takes
// snapshots, a scenario goes on: [Report].Warnings and the series of captures say what is
// missing. A Capture that is performed by itself fails.
type Capture struct {
	Name string
	Must bool // a scenario is to end if there is no snapshot
}

func (c Capture) String() string { return fmt.Sprintf("capture %q", c.Name) }

func (c Capture) check(*state) error {
	if c.Name == "" {
		return invalid("the capture has no name", "give one, under which the snapshot is found afterwards")
	}
	return nil
}

func (c Capture) do(p *performance) error {
	err := p.guest.hooks.Capture(p.ctx, c.Name)
	if err == nil {
		return nil
	}
	return &NotCapturedError{Name: c.Name, Err: err}
}

// bearable returns whether a scenario goes on though an op has failed with err.
func bearable(op Op, err error) bool {
	c, is := op.(Capture)
	missing := (*NotCapturedError)(nil)
	return is && !c.Must && errors.As(err, &missing)
}

// Exec runs a program in the guest and waits for it. Another status than 0 is a
// failure.
type Exec struct{ Args []string }

func (e Exec) String() string { return fmt.Sprintf("run %q", strings.Join(e.Args, " ")) }

func (e Exec) check(*state) error {
	if len(e.Args) == 0 || e.Args[0] == "" {
		return invalid("it names no program", `set Args to the program and what it is given, such as {"stress-ng", "--cpu", "2"}`)
	}
	return nil
}

func (e Exec) do(p *performance) error {
	var stderr bytes.Buffer
	exit, err := p.guest.client.Exec(p.ctx, guest.Command{Args: e.Args}, guest.Streams{Out: p.guest.hooks.Output, Err: &stderr})
	if err == nil && exit != (guest.Exit{}) {
		err = fmt.Errorf("it ended with %s%s", exit, lastWords(stderr.Bytes()))
	}
	return err
}

// maxWords bounds what is repeated of what a program has said, in bytes.
const maxWords = 1024

// lastWords is the end of what a program has said.
func lastWords(said []byte) string {
	said = bytes.TrimSpace(said)
	switch left := len(said) - maxWords; {
	case len(said) == 0:
		return ", and has written nothing to its standard error"
	case left > 0:
		return fmt.Sprintf(": (%d bytes before) %s", left, said[left:])
	}
	return ": " + string(said)
}

// Hook calls functions of the test, on the host: to write values to the guest, to arm
// watchpoints, or to do anything else beside the guest. Do can perform further ops
// ([Guest.Do]); what they make in the guest is removed with the scenario.
type Hook struct {
	What string // what Do does, for errors and reports
	Do   func(context.Context) error
	Undo func(context.Context) error // called when the scenario has ended, if Do returned nil; may be nil
}

func (h Hook) String() string { return h.What }

func (h Hook) check(*state) error {
	switch {
	case h.What == "":
		return invalid("the hook has no What", "say what Do does, for errors and reports")
	case h.Do == nil:
		return invalid("the hook has no Do", "set it to the function to call")
	}
	return nil
}

func (h Hook) do(p *performance) error {
	if err := h.Do(p.ctx); err != nil {
		return err
	}
	p.guest.hooked(h)
	return nil
}

func (Hook) callsTest() {}
