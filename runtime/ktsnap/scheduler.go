package ktsnap

import (
	"fmt"
	"strconv"
	"strings"
)

// Scheduler is what the guest's kernel says of its sched_ext scheduler at the
// moment of a snapshot. The zero value says that it is not known.
type Scheduler struct {
	// State is that of sched_ext, as /sys/kernel/sched_ext/state has it:
	// "enabling", "enabled", "disabling" or "disabled"; empty if it is not known.
	State string
	// Name is sched_ext_ops.name. Of a scheduler that has ended it is there if
	// whoever took the snapshot knew it.
	Name string
	// Reason and Message say why the scheduler has ended, or is about to: the
	// kernel's words for the kind of end, and what it or the scheduler adds.
	Reason, Message string
	// Instance counts schedulers that were enabled, this one included: since the boot,
	// and in captures of package ktest since the scheduler was started, where it is
	// 2 once its program has started it again. 0 if it is not known.
	Instance int
}

// Ends reports whether the scheduler has ended, or is about to: the kernel has
// decided on that.
func (s Scheduler) Ends() bool {
	return s.Reason != "" || s.State == "disabling" || s.State == "disabled"
}

// String describes the scheduler in a line: `scheduler "x" enabled`, `scheduler "x"
// disabled: runnable task stall: spin[41] failed to run for 5.0s`, `no scheduler`.
func (s Scheduler) String() string {
	switch {
	case s.State == "":
		return "scheduler not known"
	case s.State == "disabled" && s.Name == "" && s.Reason == "":
		return "no scheduler"
	}
	text := "scheduler "
	if s.Name != "" {
		text += strconv.Quote(s.Name) + " "
	}
	if s.Instance > 1 {
		text += fmt.Sprintf("(instance %d) ", s.Instance)
	}
	text += s.State
	if s.Reason != "" && s.State != "disabled" {
		text += ", about to end"
	}
	for _, why := range []string{s.Reason, s.Message} {
		if why = strings.TrimSpace(why); why != "" {
			text += ": " + why
		}
	}
	return text
}
