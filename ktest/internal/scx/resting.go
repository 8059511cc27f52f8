package scx

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// This file tells a program that lives on without its scheduler from one that is about to end: when
// the kernel has closed a scheduler's link for a program that exits, that program runs or is in the kernel.

const (
	// restInterval is the time between two looks at what a program does, and restLooks how many
	// of them find the same of one that rests.
	restInterval = 50 * time.Millisecond
	restLooks    = 3
)

// rest looks at the processes of a session.
type rest struct {
	proc    string // where procfs is
	session int
	last    string
	same    int // looks that found the same as the one before
}

// look reports whether all threads sleep, and none has run since some looks ago.
func (r *rest) look() bool {
	now := sleepers(r.proc, r.session)
	if now == "" || now != r.last {
		r.last, r.same = now, 0
		return false
	}
	r.same++
	return r.same >= restLooks-1
}

// sleepers tells the threads of a session and how often each has run; it is empty unless all of them
// sleep, and may be woken by a signal.
func sleepers(proc string, session int) string {
	var all strings.Builder
	threads, _ := filepath.Glob(filepath.Join(proc, "[0-9]*/task/*"))
	for _, dir := range threads {
		stat, err := os.ReadFile(filepath.Join(dir, "stat"))
		if err != nil {
			continue // it has ended
		}
		state, of, ok := sessionOf(stat)
		if !ok || of != session {
			continue
		}
		status, err := os.ReadFile(filepath.Join(dir, "status"))
		if err != nil || state != "S" {
			return ""
		}
		fmt.Fprintln(&all, dir)
		for line := range strings.Lines(string(status)) {
			if strings.Contains(line, "ctxt_switches:") {
				all.WriteString(line)
			}
		}
	}
	return all.String()
}

// sessionOf reads the state and the session of /proc/PID/stat.
func sessionOf(stat []byte) (state string, session int, ok bool) {
	var parent, group int
	behind := stat[bytes.LastIndexByte(stat, ')')+1:]
	_, err := fmt.Sscan(string(behind), &state, &parent, &group, &session)
	return state, session, err == nil
}
