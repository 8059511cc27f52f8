package scx

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/ktgen/ktgen/internal/excerpt"
	"github.com/ktgen/ktgen/vmm/guest"
)

// ExitKind is why the kernel ended a scheduler: enum scx_exit_kind
// (kernel/sched/ext/internal.h).
type ExitKind uint32

// Kinds of exits. From ExitError on the scheduler did something wrong; of the others
// the scheduler's own code or program has chosen ExitUnreg and ExitUnregBPF.
const (
	ExitNone       ExitKind = 0
	ExitUnreg      ExitKind = 64 // unregistered by user space: its link was closed
	ExitUnregBPF   ExitKind = 65 // it called scx_bpf_exit
	ExitUnregKern  ExitKind = 66 // the kernel ended it, such as for CPU hotplug
	ExitSysRq      ExitKind = 67 // somebody pressed SysRq-S
	ExitError      ExitKind = 1024
	ExitErrorBPF   ExitKind = 1025 // it called scx_bpf_error
	ExitErrorStall ExitKind = 1026 // a runnable task did not run for too long
	ExitErrorOther ExitKind = 1<<32 - 1
)

// reasons are the kernel's words for kinds (kernel/sched/ext/ext.c,
// scx_exit_reason).
var reasons = map[string]ExitKind{
	"unregistered from user space":      ExitUnreg,
	"unregistered from BPF":             ExitUnregBPF,
	"unregistered from the main kernel": ExitUnregKern,
	"disabled by sysrq-S":               ExitSysRq,
	"runtime error":                     ExitError,
	"scx_bpf_error":                     ExitErrorBPF,
	"runnable task stall":               ExitErrorStall,
}

// Exit is how a scheduler ended.
type Exit struct {
	Scheduler string   // its name, sched_ext_ops.name
	Kind      ExitKind // ExitNone: the kernel never had it enabled
	Reason    string   // the kernel's words for the kind
	Message   string   // what the kernel or the scheduler adds; often empty
	Code      int64    // scx_exit_info.exit_code: what it called scx_bpf_exit with, or bits of enum scx_exit_code
	Dump      string   // the state of CPUs and tasks, as the kernel dumps it for an error

	// Process is how the scheduler's own binary ended; nil if there is none,
	// or if it lived on when the kernel had ended the scheduler.
	Process *guest.Exit
}

// Err returns an [*ExitedError] if the kernel has thrown the scheduler out: for an error,
// for a CPU that came or went, or by SysRq. It is nil if the scheduler was told to end, or
// ended itself without an error.
func (e Exit) Err() error {
	if e.Kind <= ExitUnregBPF {
		return nil
	}
	return &ExitedError{Exit: e}
}

func (e Exit) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "scheduler %q: %s", e.Scheduler, e.Reason)
	if e.Message != "" {
		fmt.Fprintf(&b, ": %s", e.Message)
	}
	if e.Code != 0 {
		fmt.Fprintf(&b, " (exit code %s)", codeText(e.Code))
	}
	return b.String()
}

// exitCodes are the bits that the kernel sets in exit codes (enum scx_exit_code,
// kernel/sched/ext/internal.h).
var exitCodes = []struct {
	bit  int64
	name string
}{
	{1 << 48, "SCX_ECODE_ACT_RESTART"},
	{1 << 32, "SCX_ECODE_RSN_HOTPLUG"},
}

// codeText is a code as the scheduler has it, or by the names of the kernel's bits in it.
func codeText(code int64) string {
	rest := code
	var names []string
	for _, c := range exitCodes {
		if code > 0 && code&c.bit != 0 {
			names, rest = append(names, c.name), rest&^c.bit
		}
	}
	if len(names) == 0 {
		return strconv.FormatInt(code, 10)
	}
	if rest != 0 {
		names = append(names, fmt.Sprintf("%#x", rest))
	}
	return strings.Join(names, " | ")
}

// ExitedError is a scheduler that the kernel threw out, or one that ended itself
// although nobody had asked it to.
type ExitedError struct{ Exit Exit }

func (e *ExitedError) Error() string {
	s := "the kernel has ended the scheduler: " + e.Exit.String()
	switch {
	case e.Exit.Kind == ExitUnreg && e.Exit.Process != nil:
		return fmt.Sprintf("the scheduler's program has ended by itself (%s), and the scheduler with it: %s; %s", e.Exit.Process, e.Exit, unasked)
	case e.Exit.Kind == ExitUnreg:
		return fmt.Sprintf("the scheduler has been detached in the guest: %s; %s", e.Exit, unasked)
	case e.Exit.Kind == ExitUnregBPF:
		return fmt.Sprintf("the scheduler has ended itself, by scx_bpf_exit: %s; %s", e.Exit, unasked)
	case e.Exit.Kind == ExitUnregKern:
		return s + "; the kernel does that when a CPU comes or goes and the scheduler has neither cpu_online nor cpu_offline (sched_ext_ops): its program is to start it again; " + unasked
	case !e.Stalled():
		return s
	case strings.HasPrefix(e.Exit.Message, watchdogStarved):
		return s + "; the kernel's own workers did not get to run, because of the scheduler or of a host that is too busy to run the guest: see the host's load, or allow for more in sched_ext_ops.timeout_ms"
	}
	return s + "; tasks wait in a queue that no dispatch empties, or were never put into one"
}

// unasked is what a test can do that wants an end that is no error.
const unasked = "a test that wants that waits for it (VM.AwaitExit) or says so (Config.ExpectExit)"

// watchdogStarved is what scx_tick (kernel/sched/ext.c) says if the watchdog, a
// work item, is late.
const watchdogStarved = "watchdog failed to check in"

// Stalled reports whether the scheduler left a runnable task waiting for
// longer than the kernel's watchdog allows.
func (e *ExitedError) Stalled() bool { return e.Exit.Kind == ExitErrorStall }

// LoaderError is a scheduler's own binary that ended without a scheduler ever
// being enabled, or while it was.
type LoaderError struct {
	Args    []string
	Exit    guest.Exit
	Enabled bool         // it was enabled before
	Output  string       // what it wrote; of more than 1 MiB the beginning and the end
	Kernel  string       // what the kernel wrote to its log meanwhile
	Missed  []guest.Miss // files that it could not open before it enabled a scheduler, but for searches for libraries and locales
}

func (e *LoaderError) Error() string {
	when := "before it had enabled a scheduler"
	if e.Enabled {
		when = "while its scheduler was enabled"
	}
	s := fmt.Sprintf("the scheduler's program %s ended %s (%s)", strings.Join(e.Args, " "), when, e.Exit)
	if line := crashLine.FindString(e.Output); line != "" {
		s += ": " + strings.TrimSpace(line)
	}
	missed := e.missed()
	for _, hint := range hintsFor(missed + e.Output) {
		missed += "; " + hint
	}
	s += missed
	if e.Output == "" {
		return meanwhile(s+", and wrote nothing", e.Kernel)
	}
	return meanwhile(s+"; it wrote:\n"+excerpt.Lines(e.Output, shownFirst, shownLines-shownFirst), e.Kernel)
}

// crashLine is what the runtimes of Go and Rust, sanitizers and libc write first of a crash.
var crashLine = regexp.MustCompile(`(?m)^(panic: |fatal error: |SIG[A-Z]+: |thread '.*' .*panicked at|==\d+==ERROR: |\*\*\* .* \*\*\*|\S+: .*Assertion .* failed).*$`)

// shownMisses is how many files an error names.
const shownMisses = 12

// missed names the files that the program could not open.
func (e *LoaderError) missed() string {
	if len(e.Missed) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("; it could not open")
	for i, m := range e.Missed[:min(len(e.Missed), shownMisses)] {
		if i > 0 {
			b.WriteString(",")
		}
		fmt.Fprintf(&b, " %s (%s)", m.Path, m.Error)
	}
	if more := len(e.Missed) - shownMisses; more > 0 {
		fmt.Fprintf(&b, " and %d more", more)
	}
	if len(e.Missed) == 1 && e.Missed[0].Path == terminal {
		return b.String()
	}
	return b.String() + ": what it needs is put into the guest by Config.Files"
}

// UnsupportedError is a guest whose kernel has no sched_ext.
type UnsupportedError struct{ Release string }

func (e *UnsupportedError) Error() string {
	return fmt.Sprintf("the guest's kernel %s has no sched_ext (CONFIG_SCHED_CLASS_EXT); take one that has, such as what `ktgen kernel fetch` gets", e.Release)
}

// BusyError is an attempt to start a scheduler while there is one: the kernel
// has room for one.
type BusyError struct{ Scheduler string }

func (e *BusyError) Error() string {
	return fmt.Sprintf("scheduler %q is enabled in the guest, and there can be one only: detach it first (VM.Detach), or end the program that has started it", e.Scheduler)
}

// AttachError is a scheduler that could be loaded, and not be enabled.
type AttachError struct {
	Reason string
	Kernel string // what the kernel wrote to its log meanwhile
}

func (e *AttachError) Error() string {
	return meanwhile("attach the scheduler: "+e.Reason, e.Kernel)
}
