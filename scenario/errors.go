package scenario

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/ktgen/ktgen/runtime/nearest"
	"github.com/ktgen/ktgen/scenario/internal/wire"
	"github.com/ktgen/ktgen/vmm/guest"
)

// OpError says which op of which step is wrong or has failed.
type OpError struct {
	Step     int    // counted from 1; 0 if the op is of no scenario
	StepName string // often empty
	N        int    // number of the op in its step, from 1; 0 for the hold
	Op       string // what it does
	Err      error  // why
}

func (e *OpError) Error() string {
	var b strings.Builder
	if e.Step > 0 {
		fmt.Fprintf(&b, "step %d", e.Step)
		if e.StepName != "" {
			fmt.Fprintf(&b, " %q", e.StepName)
		}
		b.WriteString(", ")
		if e.N > 0 {
			fmt.Fprintf(&b, "op %d, ", e.N)
		}
	}
	fmt.Fprintf(&b, "%s: %v", e.Op, e.Err)
	return b.String()
}

// Unwrap returns Err.
func (e *OpError) Unwrap() error { return e.Err }

// InvalidError is something that no guest could perform.
type InvalidError struct {
	Cause string
	Fix   string // what to do
}

func (e *InvalidError) Error() string { return e.Cause + ": " + e.Fix }

func invalid(cause, fix string) error { return &InvalidError{Cause: cause, Fix: fix} }

// UnsupportedError is a setting that this guest's kernel has no control file for.
type UnsupportedError struct {
	File        string            // such as "io.weight"
	Controllers []string          // those that cgroups have in this guest
	Refused     map[string]string // the other ones, and why
}

func (e *UnsupportedError) Error() string {
	controller, _, _ := strings.Cut(e.File, ".")
	s := fmt.Sprintf("cgroups of this guest have no %s", e.File)
	if why := e.Refused[controller]; why != "" {
		s += fmt.Sprintf(" (controller %s: %s)", controller, why)
	}
	return s + fmt.Sprintf("; there are the controllers %q: leave the setting out, or boot a kernel that has it", e.Controllers)
}

// WorkerDiedError is a worker that ended though nothing had told it to.
type WorkerDiedError struct {
	Comm   string
	PID    int
	How    string        // exit status or signal
	Output string        // the beginning and the end of what it wrote
	OOM    bool          // its cgroup has seen the OOM killer
	Full   bool          // its cgroup, or one above, has refused a task
	Fork   syscall.Errno // that its own fork failed with; zero if none did
}

func (e *WorkerDiedError) Error() string { return (*wire.DiedError)(e).Error() }

// CgroupFullError is a process that its cgroup, or one above, did not let start:
// see [Cgroup].PIDsMax.
type CgroupFullError struct{ Err error }

func (e *CgroupFullError) Error() string { return e.Err.Error() }

func (e *CgroupFullError) Unwrap() error { return e.Err }

// SchedulerDiedError is a scheduler that ended while a scenario ran, or an op did.
type SchedulerDiedError struct {
	Err   error // how it ended
	While error // what an op failed with meanwhile, which is its effect as a rule; may be nil
}

func (e *SchedulerDiedError) Error() string {
	s := "the scheduler has ended: " + e.Err.Error()
	if e.While != nil {
		s += fmt.Sprintf(" (while: %v)", e.While)
	}
	return s
}

// Unwrap returns Err and While.
func (e *SchedulerDiedError) Unwrap() []error {
	if e.While == nil {
		return []error{e.Err}
	}
	return []error{e.Err, e.While}
}

// NotCapturedError is a snapshot that a [Capture] did not get.
type NotCapturedError struct {
	Name string
	Err  error // why
}

func (e *NotCapturedError) Error() string {
	return fmt.Sprintf("no snapshot: %v", e.Err)
}

// Unwrap returns Err.
func (e *NotCapturedError) Unwrap() error { return e.Err }

// NeverTrueError is a condition that did not come true in time.
type NeverTrueError struct {
	What   string
	Within time.Duration
	Looks  int   // how often it was asked
	Last   error // what the last look failed with; nil if it said no
}

func (e *NeverTrueError) Error() string {
	s := fmt.Sprintf("%q did not come true within %v (asked %d times", e.What, e.Within, e.Looks)
	if e.Last != nil {
		return s + fmt.Sprintf("; the last time that failed: %v)", e.Last)
	}
	return s + "); wait longer, or see what keeps it from becoming true"
}

// Unwrap returns Last.
func (e *NeverTrueError) Unwrap() error { return e.Last }

// maxProblems bounds how many mistakes are told at once.
const maxProblems = 20

type problems struct {
	errs []error
	more int
}

func (p *problems) add(err error) {
	if len(p.errs) == maxProblems {
		p.more++
		return
	}
	p.errs = append(p.errs, err)
}

func (p *problems) join() error {
	if p.more > 0 {
		p.errs = append(p.errs, fmt.Errorf("and %d more", p.more))
	}
	return errors.Join(p.errs...)
}

// unknown says that a name stands for nothing.
func unknown(what, name string, there []string) error {
	slices.Sort(there)
	cause := fmt.Sprintf("there is no %s called %q at this point", what, name)
	if near := nearest.Name(name, there); near != "" {
		return invalid(cause, fmt.Sprintf("did you mean %q?", near))
	}
	if len(there) == 0 {
		return invalid(cause, "there is none at all; make it before")
	}
	return invalid(cause, fmt.Sprintf("there are %q", there))
}

// typed turns an error of the agent back into what it was there.
func typed(err error) error {
	var e *guest.Error
	if !errors.As(err, &e) {
		return err
	}
	switch died := new(WorkerDiedError); {
	case e.Code == wire.CodeFull:
		return &CgroupFullError{Err: err}
	case e.Code == wire.CodeDied && e.Decode(died) == nil:
		return died
	}
	return err
}
