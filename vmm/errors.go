package vmm

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrClosed is returned by the methods of a VM after [VM.Close].
var ErrClosed = errors.New("the VM is closed")

// ErrPoweredOff is why a VM is done whose guest switched itself off.
var ErrPoweredOff = errors.New("the guest switched itself off")

// ErrReset is why a VM is done whose guest rebooted without a panic, or whose CPU could not
// handle a fault of its fault handlers (a triple fault), which resets a PC.
var ErrReset = errors.New("the guest reset itself: something rebooted it, or its kernel was damaged so much that a CPU could not report its fault (triple fault)")

// ErrNotPaused is returned by [VM.Resume] without a [VM.Pause] before it.
var ErrNotPaused = errors.New("the VM is not paused")

// ConfigError reports a field of a [Config] that makes no sense.
type ConfigError struct {
	Field  string
	Reason string
}

func (e *ConfigError) Error() string { return fmt.Sprintf("vmm.Config.%s: %s", e.Field, e.Reason) }

// FileError reports a kernel or initramfs that cannot be booted.
type FileError struct {
	What string // "kernel" or "initramfs"
	Path string
	Err  error
}

func (e *FileError) Error() string {
	return fmt.Sprintf("the %s %q cannot be booted: %v", e.What, e.Path, e.Err)
}

func (e *FileError) Unwrap() error { return e.Err }

// NoQEMUError reports that there is no QEMU to run.
type NoQEMUError struct{ Err error }

func (e *NoQEMUError) Error() string {
	return fmt.Sprintf("no QEMU: %v; install it (Debian and Ubuntu: apt-get install qemu-system-x86; Fedora: dnf install qemu-system-x86-core), or name the binary in $%s", e.Err, EnvQEMU)
}

func (e *NoQEMUError) Unwrap() error { return e.Err }

// MemoryError reports that the host cannot hold a guest's RAM.
type MemoryError struct {
	Want      Size
	Available Size
	Limit     string // what limits: "the host's free memory" or "the cgroup's memory.max"
}

func (e *MemoryError) Error() string {
	return fmt.Sprintf("a guest with %v of RAM does not fit: %s leaves %s; give the guest less (Config.Memory), run fewer guests at once, or free memory",
		e.Want, e.Limit, e.Available.roundedMiB())
}

// Phase is a part of a launch.
type Phase string

const (
	PhaseStart   Phase = "starting QEMU"
	PhaseSilent  Phase = "waiting for the kernel's first output"
	PhaseReady   Phase = "waiting until the guest is ready"
	PhaseKeep    Phase = "keeping a template of the guest"
	PhaseRestore Phase = "restoring the guest from its template"
)

// BootError reports that a guest did not come up. Its cause is a
// [*GuestPanicError], an [*InfraError], an [*ExitError], [ErrPoweredOff], the error of a
// hook, or context.DeadlineExceeded.
type BootError struct {
	Phase   Phase
	Accel   Accel
	Console []byte // the last output of the guest
	Advice  string // what to do; may be empty
	Err     error
}

func (e *BootError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "booting the guest (accelerator %s): %s: ", e.Accel, e.Phase)
	if e.Advice != "" {
		fmt.Fprintf(&b, "%s: ", e.Advice)
	}
	b.WriteString(e.Err.Error())
	if len(e.Console) > 0 && !quotesConsole(e.Err) {
		writeConsole(&b, e.Console)
	}
	return b.String()
}

func (e *BootError) Unwrap() error { return e.Err }

// quotesConsole reports whether err's message has the end of the console in it.
func quotesConsole(err error) bool {
	return is[*GuestPanicError](err) || is[*InfraError](err)
}

func is[E error](err error) bool {
	var target E
	return errors.As(err, &target)
}

// GuestPanicError reports that the guest's kernel has died.
type GuestPanicError struct {
	Complaint Complaint // what it died of
	Console   []byte    // the last output of the guest
}

func (e *GuestPanicError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "the guest's kernel died: %s", e.Complaint.Title)
	lines := quotable(e.Console)
	died := slices.IndexFunc(lines, func(line string) bool { return strings.Contains(line, e.Complaint.Title) })
	if died < 0 {
		writeConsole(&b, e.Console)
		return b.String()
	}
	// What init wrote last is before it; where the kernel was is after it.
	b.WriteString("\nthe console where it died:")
	for _, line := range lines[max(died-consoleLines, 0):min(died+consoleLines/2, len(lines))] {
		b.WriteString("\n\t" + line)
	}
	return b.String()
}

// InfraError reports that the machinery under the guest failed, so that the
// run says nothing about what was tested. Running it again may well succeed.
type InfraError struct {
	What    string // such as "the guest stopped with internal-error"
	Advice  string // what to do; may be empty
	Console []byte // the last output of the guest
}

func (e *InfraError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "the virtual machine failed, not the code under test: %s", e.What)
	if e.Advice != "" {
		b.WriteString("; " + e.Advice)
	}
	writeConsole(&b, e.Console)
	return b.String()
}

// ExitError reports that QEMU ended by itself.
type ExitError struct {
	State  string // such as "exit status 1" or "signal: killed"
	Output string // what QEMU wrote to its stderr
	Advice string // what to do; may be empty
	Err    error  // an [*OutOfMemoryError] if that was why; nil if it is not known
}

func (e *ExitError) Error() string {
	s := "QEMU ended: " + e.State
	if e.Output != "" {
		s += ": " + e.Output
	}
	if e.Err != nil {
		s += "; " + e.Err.Error()
	}
	if e.Advice != "" {
		s += "; " + e.Advice
	}
	return s
}

func (e *ExitError) Unwrap() error { return e.Err }

// RestoreError reports that a template could not be started from.
type RestoreError struct {
	Template string // file
	Err      error
}

func (e *RestoreError) Error() string {
	return fmt.Sprintf("starting from the template %s: %v", e.Template, e.Err)
}

func (e *RestoreError) Unwrap() error { return e.Err }

// consoleLines is how many lines of console an error message quotes.
const consoleLines = 12

// writeConsole appends the last lines of a console to a message.
func writeConsole(b *strings.Builder, console []byte) {
	lines := quotable(console)
	if len(lines) == 0 {
		b.WriteString("\nthe console is empty")
		return
	}
	b.WriteString("\nthe console ends with:")
	for _, line := range lines[max(len(lines)-consoleLines, 0):] {
		b.WriteString("\n\t" + line)
	}
}

// quotable returns the lines of text that are not blank, printable.
func quotable(text []byte) (lines []string) {
	for line := range strings.FieldsFuncSeq(string(text), func(r rune) bool { return r == '\n' || r == '\r' }) {
		if strings.TrimSpace(line) != "" {
			lines = append(lines, printable(line))
		}
	}
	return lines
}

// printable replaces what a terminal would act on.
func printable(line string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' || r == 0x7f {
			return '.'
		}
		return r
	}, strings.ToValidUTF8(line, "?"))
}
