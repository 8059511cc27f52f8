package scx

import (
	"cmp"
	"fmt"
	"regexp"
	"strings"

	"github.com/ktgen/ktgen/ktest/internal/bpfload"
)

// RejectedError is a scheduler with a program that the verifier refuses.
type RejectedError struct {
	Program string
	Reason  string // the line of the log that has the complaint
	Log     string // the verifier's whole log
}

func (e *RejectedError) Error() string {
	return fmt.Sprintf("the guest's verifier rejects program %s: %s\n%s", e.Program, e.Reason, lastLines(e.Log, shownLines))
}

// complaint returns the line of a verifier's log that says what is wrong.
func complaint(log string) string { return cmp.Or(bpfload.Complaint(log), silent) }

// silent is said of a log without a complaint.
const silent = "it does not say why"

// shownLines is how much of a log is part of an error's message. shownFirst of
// them are those that a program wrote first.
const (
	shownLines = 50
	shownFirst = 12
)

// lastLines returns the last lines of a text, and says how many are left out.
func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if len(lines) <= n {
		return strings.Join(lines, "\n")
	}
	left := len(lines) - n
	return fmt.Sprintf("(%d lines come before; the error's value has them)\n%s", left, strings.Join(lines[left:], "\n"))
}

// libbpfLog is how libbpf prints the verifier's log of a program that is
// rejected (tools/lib/bpf/libbpf.c, bpf_object_load_prog).
var libbpfLog = regexp.MustCompile(`(?s)libbpf: prog '([^'\n]*)': -- BEGIN PROG LOAD LOG --\n(.*?)-- END PROG LOAD LOG --`)

// rejection finds the rejection of a program in what a scheduler's own binary
// has written. It returns nil if there is none.
func rejection(output string) *RejectedError {
	at := libbpfLog.FindStringSubmatch(output)
	if at == nil {
		return nil
	}
	reason := complaint(at[2])
	if reason == silent {
		reason += outsideLog(output)
	}
	return &RejectedError{Program: at[1], Reason: reason, Log: at[2]}
}

// libbpfFailure is how libbpf prints the kernel's answer for a program.
var libbpfFailure = regexp.MustCompile(`libbpf: prog '[^'\n]*': BPF program load failed: ([^\n]*)`)

// outsideLog returns what the output says of a program whose log has no complaint.
func outsideLog(output string) (said string) {
	if at := libbpfFailure.FindStringSubmatch(output); at != nil {
		said = fmt.Sprintf("; the kernel's answer was %q", at[1])
	}
	if skipped := skippedSection(output); skipped != "" {
		said += "; " + skipped
	}
	return said
}
