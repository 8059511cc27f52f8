package ktest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ktgen/ktgen/sched"
	"github.com/ktgen/ktgen/series"
	"github.com/ktgen/ktgen/vmm"
)

// brief is what a person wants to know first of a guest whose test has failed.
type brief struct {
	guest      error  // why it is no more; nil if it ran until the test's end
	scheduler  string // how its scheduler ended; empty if there was none
	explained  bool   // the kernel has said why it has ended, and that is no stall
	complaints []vmm.Complaint
	captures   []series.Capture
	output     string // of the scheduler's program
	console    string
}

// briefLines bounds what the test's log shows.
const briefLines = 10

// lines returns the brief in at most briefLines lines, the most telling first.
func (b brief) lines() []string {
	var lines []string
	add := func(format string, args ...any) {
		lines = append(lines, clipLine(strings.TrimSpace(fmt.Sprintf(format, args...))))
	}
	if b.guest != nil {
		add("guest: %s", firstLine(b.guest.Error()))
	}
	if b.scheduler != "" {
		add("%s", firstLine(b.scheduler))
	}
	for _, c := range b.complaints[:min(len(b.complaints), 2)] {
		add("kernel: %s: %s", c.Kind, firstLine(c.Title))
	}
	lines = append(lines, b.starving()...)
	b.addCaptures(add)
	output := lastLines(b.output, 3)
	console := lastLines(b.console, max(briefLines-len(lines)-len(output), 1))
	for _, line := range output {
		add("program: %s", line)
	}
	for _, line := range console {
		add("console: %s", line)
	}
	return lines[:min(len(lines), briefLines)]
}

// addCaptures says what was captured, and of what was not why.
func (b brief) addCaptures(add func(string, ...any)) {
	var last *series.Capture
	var missing []series.Capture
	for i := range b.captures {
		c := &b.captures[i]
		if c.Snapshot == nil && c.Load == nil {
			missing = append(missing, *c)
			continue
		}
		last = c
	}
	if last != nil {
		add("captures: %d, the last is %s", len(b.captures)-len(missing), last.Moment)
	}
	if n := len(missing); n > 0 {
		add("captures that failed: %d, the last is %s: %v", n, missing[n-1].Moment, firstLine(fmt.Sprint(missing[n-1].NoSnapshot)))
	}
}

// briefStarving bounds the starving tasks that are named, and briefLooked the captures
// that are looked at for them.
const briefStarving, briefLooked = 2, 8

// starving says which tasks starved, and why, in the last capture that has any: once
// a scheduler is thrown out they run again. Where the kernel has said why, those that waited
// for less than half of what the watchdog allows have nothing to do with it. These lines are whole.
func (b brief) starving() (lines []string) {
	for i := range b.captures[max(0, len(b.captures)-briefLooked):] {
		c := b.captures[len(b.captures)-1-i]
		snap, err := c.Read()
		if err != nil || snap == nil {
			continue
		}
		state, err := sched.Open(snap)
		if err != nil {
			continue
		}
		starving := slices.DeleteFunc(state.Starving(), func(v sched.Starvation) bool { return b.explained && v.For < v.Limit/2 })
		for _, v := range starving[:min(len(starving), briefStarving)] {
			lines = append(lines, fmt.Sprintf("starving in %s: %s", c.Name, v))
		}
		if len(lines) > 0 {
			break
		}
	}
	return lines
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

// clipLine cuts a line that is too long to be read in a log.
func clipLine(s string) string {
	const most = 200
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "..."
}

// lastLines returns the last n lines of text that are not blank.
func lastLines(text string, n int) []string {
	var lines []string
	for _, line := range strings.Split(text, "\n") {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	return lines[max(0, len(lines)-n):]
}
