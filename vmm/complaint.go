package vmm

import (
	"bytes"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// Kind is a class of kernel complaints.
type Kind uint8

const (
	Warning     Kind = iota + 1 // WARN_ON and the like: the kernel goes on
	HungTask                    // a task has been in uninterruptible sleep for too long
	SoftLockup                  // a CPU has not scheduled for too long
	HardLockup                  // a CPU has not taken interrupts for too long
	RCUStall                    // an RCU grace period does not end
	OutOfMemory                 // the OOM killer was at work
	Bug                         // "BUG:" without an exception, such as scheduling while atomic
	Oops                        // an exception in kernel mode
	Panic                       // the end
)

var kindNames = map[Kind]string{
	Warning: "warning", HungTask: "hung task", SoftLockup: "soft lockup", HardLockup: "hard lockup",
	RCUStall: "RCU stall", OutOfMemory: "out of memory", Bug: "bug", Oops: "oops", Panic: "panic",
}

func (k Kind) String() string { return kindNames[k] }

// Complaint is something that the guest's kernel reported on its console about
// its own state.
type Complaint struct {
	Kind  Kind
	Title string // the line, without the time stamp
	Where string // the function that the instruction pointer was in, such as "foo+0x10/0x20"; empty if not printed
}

// Fatal reports whether a guest with the kernel arguments of this package
// (panic=-1 oops=panic) dies of it.
func (c Complaint) Fatal() bool { return c.Kind == Oops || c.Kind == Panic }

// patterns tell complaints from other lines, first match first. They are
// matched from the beginning of a line's text. The texts are those of, in Linux:
// kernel/panic.c, arch/x86/mm/fault.c, arch/x86/kernel/{dumpstack,traps}.c,
// lib/bug.c, kernel/{watchdog,watchdog_perf,hung_task}.c, kernel/rcu/tree_stall.h,
// mm/oom_kill.c.
var patterns = []struct {
	kind Kind
	line *regexp.Regexp
}{
	{Panic, regexp.MustCompile(`^Kernel panic - not syncing`)},
	{Oops, regexp.MustCompile(`^(?:BUG: kernel NULL pointer dereference|BUG: unable to handle|BUG: (?:TASK|IRQ|NMI|#DF) stack guard page|kernel BUG at |kernel tried to execute NX-protected page|Oops: |int3: |general protection fault|divide error: |invalid opcode: |stack segment: |double fault: |traps: PANIC: double fault|PANIC: double fault)`)},
	{SoftLockup, regexp.MustCompile(`^(?:watchdog: )?BUG: soft lockup`)},
	{HardLockup, regexp.MustCompile(`^(?:(?:NMI )?[wW]atchdog: )?(?:Watchdog detected hard LOCKUP|CPU\d+: Watchdog detected hard LOCKUP)`)},
	{HungTask, regexp.MustCompile(`^INFO: task .* blocked(?: on .*)? for more than \d+ seconds`)},
	{RCUStall, regexp.MustCompile(`^(?:rcu: )?INFO: rcu\S* (?:self-detected stall|detected (?:expedited )?stalls)|^rcu: \S+ kthread (?:starved|timer wakeup)`)},
	{OutOfMemory, regexp.MustCompile(`^(?:Memory cgroup out|Out) of memory: Killed process`)},
	{Bug, regexp.MustCompile(`^(?:watchdog: )?BUG: `)},
	{Warning, regexp.MustCompile(`^WARNING: |^INFO: possible |^INFO: suspicious RCU usage`)},
}

var (
	// timeStamp is what printk puts before a line: the time, and with
	// CONFIG_PRINTK_CALLER the task or CPU.
	timeStamp = regexp.MustCompile(`^(?:<\d+>)?\[ *\d+\.\d+\](?:\[ *[TC]\d+\])? `)
	location  = regexp.MustCompile(`^RIP: \w+:(\S+)`)
)

// ParseComplaints returns the complaints in a console's text, in order.
func ParseComplaints(console []byte) []Complaint {
	var w complaintWatch
	w.Write(console)
	w.Write([]byte{'\n'})
	return w.list()
}

const (
	maxComplaints  = 256
	maxConsoleLine = 1024 // LOG_LINE_MAX of Linux's kernel/printk
)

// complaintWatch finds complaints in console output as it comes in. It keeps
// the first maxComplaints.
type complaintWatch struct {
	mu    sync.Mutex
	line  []byte
	found []Complaint
}

// Write never fails.
func (w *complaintWatch) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := len(p)
	for {
		end := bytes.IndexByte(p, '\n')
		if end < 0 {
			w.extend(p)
			return n, nil
		}
		w.extend(p[:end])
		w.endLine()
		p = p[end+1:]
	}
}

func (w *complaintWatch) extend(p []byte) {
	room := maxConsoleLine - len(w.line)
	w.line = append(w.line, p[:min(room, len(p))]...)
}

func (w *complaintWatch) endLine() {
	line := strings.TrimRight(string(w.line), "\r")
	w.line = w.line[:0]
	text := strings.TrimPrefix(line, timeStamp.FindString(line))

	if at := location.FindStringSubmatch(text); at != nil && len(w.found) > 0 {
		if last := &w.found[len(w.found)-1]; last.Where == "" {
			last.Where = at[1]
		}
		return
	}
	for _, p := range patterns {
		if p.line.MatchString(text) && len(w.found) < maxComplaints {
			w.found = append(w.found, Complaint{Kind: p.kind, Title: printable(text)})
			return
		}
	}
}

func (w *complaintWatch) list() []Complaint {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.found)
}

// causeOfDeath returns the complaint that a dead kernel died of: the first
// fatal one, since those after it are its consequences.
func causeOfDeath(complaints []Complaint) (Complaint, bool) {
	i := slices.IndexFunc(complaints, Complaint.Fatal)
	if i < 0 {
		return Complaint{}, false
	}
	cause := complaints[i]
	for _, c := range complaints[i:] {
		if cause.Where == "" && c.Kind == Oops {
			cause.Where = c.Where
		}
	}
	return cause, true
}

// isTextPatching reports whether a kernel died of QEMU's stale translations:
// kernel code is patched by way of an int3 instruction (Linux:
// arch/x86/kernel/alternative.c), and a vCPU of TCG executed one that was no
// longer there when the exception was handled.
func isTextPatching(accel Accel, complaints []Complaint) bool {
	return accel == TCG && slices.ContainsFunc(complaints, func(c Complaint) bool {
		return c.Kind == Oops && strings.Contains(c.Title, "int3: ")
	})
}
