package scenario

import (
	"fmt"
	"slices"
	"time"
)

// Scenario is steps that follow one another.
type Scenario struct {
	// Duration is what fractions of steps refer to. It may be left out if no
	// step has one.
	Duration time.Duration
	Steps    []Step
}

// Step is a part of a scenario: cgroups are made, workers are started, ops are
// performed in their order, and then time passes. At most one of Hold,
// HoldFraction and Until is set; without any of them the next step follows at
// once.
type Step struct {
	Name    string // optional
	Cgroups []Cgroup
	Workers []Workers // in cgroups that exist, or in the root
	Ops     []Op

	Hold         time.Duration // by the guest's clock, which stands still during captures
	HoldFraction float64       // of the scenario's Duration
	Until        *Condition
}

// Op is one thing that happens in the guest. Package documentation lists them.
type Op interface {
	// String says what the op does, in the words of errors and reports.
	String() string

	// check says why the op cannot be performed in a guest that is in the
	// state, as an [*InvalidError] or [*UnsupportedError], or changes the state as the
	// op changes the guest.
	check(*state) error

	// do performs the op.
	do(*performance) error
}

// ops returns all that happens in the step before time passes.
func (s *Step) ops() []Op {
	var all []Op
	for _, c := range s.Cgroups {
		all = append(all, c)
	}
	for _, w := range s.Workers {
		all = append(all, w)
	}
	return append(all, s.Ops...)
}

// minHold is the shortest time that a step may last, if it lasts at all.
const minHold = time.Millisecond

// lasts returns how long the step holds, if a time says so.
func (s *Step) lasts(scenario time.Duration) time.Duration {
	if s.HoldFraction != 0 {
		return time.Duration(s.HoldFraction * float64(scenario))
	}
	return s.Hold
}

// checkHold says what is wrong with how long the step lasts.
func (s *Step) checkHold(scenario time.Duration) error {
	set := 0
	for _, is := range []bool{s.Hold != 0, s.HoldFraction != 0, s.Until != nil} {
		if is {
			set++
		}
	}
	switch {
	case set > 1:
		return invalid("it has more than one of Hold, HoldFraction and Until", "choose one")
	case s.Until != nil:
		return s.Until.check()
	case s.Hold < 0:
		return invalid(fmt.Sprintf("the time %v is negative", s.Hold), "give a time to hold, or none")
	case set == 0:
		return nil
	}
	if s.HoldFraction != 0 {
		if !(s.HoldFraction > 0 && s.HoldFraction <= 1) { // NaN, too
			return invalid(fmt.Sprintf("the fraction %v is not within 0 and 1", s.HoldFraction), "give a part of the scenario's Duration")
		}
		if scenario <= 0 {
			return invalid("it lasts for a fraction, and the scenario has no duration", "set Scenario.Duration, or Step.Hold")
		}
	}
	if d := s.lasts(scenario); d < minHold {
		return invalid(fmt.Sprintf("it lasts %v, and the shortest hold is %v", d, minHold), "hold longer, or leave the hold out")
	}
	return nil
}

// Machine is what a scenario is checked against before there is a guest.
type Machine struct {
	CPUs      int
	Offline   []int // those of the CPUs that are offline when the scenario begins
	Scheduler bool  // one runs when the scenario begins
}

// Check says what is wrong with a scenario, all of it, as far as that can be
// told without a guest. The error joins [*OpError]s that wrap an [*InvalidError].
func (s Scenario) Check(m Machine) error {
	st := newState()
	for cpu := range m.CPUs {
		st.cpus, st.online[cpu] = append(st.cpus, cpu), !slices.Contains(m.Offline, cpu)
	}
	st.scheduler = m.Scheduler
	return s.check(st)
}

// check performs the scenario on a state instead of a guest.
func (s Scenario) check(st *state) error {
	var found problems
	if len(s.Steps) == 0 {
		found.add(invalid("the scenario has no steps", "add one"))
	}
	var fractions float64
	for i := range s.Steps {
		step := &s.Steps[i]
		for n, op := range step.ops() {
			if err := checkOp(st, op); err != nil {
				found.add(&OpError{Step: i + 1, StepName: step.Name, N: n + 1, Op: opName(op), Err: err})
			}
		}
		err := step.checkHold(s.Duration)
		if fractions += max(step.HoldFraction, 0); err == nil && fractions > 1+1e-9 {
			err = invalid(fmt.Sprintf("the fractions of the steps so far are %.2f of the scenario", fractions), "let them be 1 at most")
		}
		if err != nil {
			found.add(&OpError{Step: i + 1, StepName: step.Name, Op: "hold", Err: err})
		}
	}
	return found.join()
}

func checkOp(st *state, op Op) error {
	if op == nil {
		return invalid("the op is nil", "leave it out")
	}
	return op.check(st)
}

func opName(op Op) string {
	if op == nil {
		return "nil"
	}
	return op.String()
}
