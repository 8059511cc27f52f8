package scx

import (
	"fmt"
	"slices"
	"strings"
)

// RejectedError is a scheduler with a program that the verifier refuses.
type RejectedError struct {
	Program string
	Reason  string // the line of the log that has the complaint
	Log     string // the verifier's whole log
}

func (e *RejectedError) Error() string {
	return fmt.Sprintf("the guest's verifier rejects program %s: %s\n%s", e.Program, e.Reason, logEnd(e.Log))
}

// complaint returns the line of a verifier's log that says what is wrong. It
// comes last, but for statistics and, from Linux 7.3 on, a report about it that
// explains and suggests.
func complaint(log string) string {
	log, _, _ = strings.Cut(log, "\nVerification failed:")
	for _, line := range slices.Backward(strings.Split(log, "\n")) {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "processed ") {
			return line
		}
	}
	return "it does not say why"
}

// shownLines is how much of a log is part of an error's message.
const shownLines = 50

// logEnd returns the last lines of a log, and says how many are left out.
func logEnd(log string) string {
	lines := strings.Split(strings.TrimSpace(log), "\n")
	if len(lines) <= shownLines {
		return strings.Join(lines, "\n")
	}
	left := len(lines) - shownLines
	return fmt.Sprintf("(%d lines come before; RejectedError.Log has them)\n%s", left, strings.Join(lines[left:], "\n"))
}
