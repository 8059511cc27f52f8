package scx

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ktgen/ktgen/vmm/guest"
	"golang.org/x/sys/unix"
)

// This file follows a scheduler's life in the guest, whoever has started it, by
// what the kernel writes to its log: one line when it is enabled, one when it is
// disabled, and for errors a second with the message. A log that is flooded loses
// lines; what sysfs says is looked at from time to time, so that nothing depends on them.

const sysfs = "/sys/kernel/sched_ext"

var (
	enabledLine  = regexp.MustCompile(`^sched_ext: BPF scheduler "(.*)" enabled( \(partial\))?$`)
	disabledLine = regexp.MustCompile(`^sched_ext: BPF scheduler "(.*)" disabled \((.*)\)$`)
)

// monitor watches one scheduler.
type monitor struct {
	log      *guest.Log
	words    *words
	note     note          // of the kernel's
	enabled  chan enabled  // of capacity 1
	over     chan struct{} // closed when the kernel has the scheduler disabled, or is about to
	stopped  chan struct{} // closed when the goroutine that reads the log has ended
	stopping chan struct{} // closed to end the one that looks at sysfs
	end      sync.Once     // ends both

	mu     sync.Mutex
	seen   enabled // that was told; its Scheduler is empty before
	isOver bool    // its end was seen: over is closed once the kernel's note has been read
	again  bool    // it was enabled once more after that
	exit   Exit    // complete once stopped is closed, and if it is over, over
}

// note is what the kernel notes of one scheduler and its end. It is used without the
// monitor's lock, as reading the kernel's memory takes long.
type note interface {
	find() // while the scheduler is enabled
	read(ExitKind) (noted Exit, ok bool)
}

func newMonitor(log *guest.Log, note note) *monitor {
	return &monitor{
		log: log, note: note, words: newWords(), enabled: make(chan enabled, 1), over: make(chan struct{}),
		stopped: make(chan struct{}), stopping: make(chan struct{}),
	}
}

// watch begins to watch. It comes before the scheduler's start, so that no
// line is missed.
func watch(note *exitNote) (*monitor, error) {
	if err := checkFree(); err != nil {
		return nil, err
	}
	return watchOn(note)
}

// watchOn begins to watch what may be there already.
func watchOn(note *exitNote) (*monitor, error) {
	log, err := guest.OpenLog(guest.LogFromNow)
	if err != nil {
		return nil, err
	}
	m := newMonitor(log, note)
	go m.follow()    // ends with stop
	go m.look(state) // ends with stop
	return m, nil
}

// checkFree says whether a scheduler can be started.
func checkFree() error {
	s, err := state()
	if errors.Is(err, os.ErrNotExist) {
		var uts unix.Utsname
		_ = unix.Uname(&uts) // fails for a bad address only
		return &UnsupportedError{Release: unix.ByteSliceToString(uts.Release[:])}
	}
	if err != nil {
		return err
	}
	if s != disabled {
		return &BusyError{Scheduler: enabledName()}
	}
	return nil
}

// States of sched_ext that matter here (scx_enable_state_str, kernel/sched/ext).
const (
	isEnabled = "enabled"
	disabled  = "disabled"
)

// state returns what the kernel says of sched_ext.
func state() (string, error) {
	s, err := os.ReadFile(filepath.Join(sysfs, "state"))
	return strings.TrimSpace(string(s)), err
}

// isPartial tells whether the scheduler that is enabled has only the tasks that
// have asked for it.
func isPartial() bool {
	all, err := os.ReadFile(filepath.Join(sysfs, "switch_all"))
	return err == nil && strings.TrimSpace(string(all)) == "0"
}

// enabledSoFar is how many schedulers the kernel has enabled since the boot; 0 if it does
// not tell.
func enabledSoFar() uint64 {
	text, _ := os.ReadFile(filepath.Join(sysfs, "enable_seq"))
	n, _ := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
	return n
}

// enabledName returns the name of the scheduler that is enabled.
func enabledName() string {
	name, err := os.ReadFile(filepath.Join(sysfs, "root", "ops"))
	if err != nil {
		return "?"
	}
	return strings.TrimSpace(string(name))
}

func (m *monitor) follow() {
	defer close(m.stopped)
	for {
		r, err := m.log.Next()
		if err != nil {
			return // interrupted by stop
		}
		m.hear(r)
	}
}

// hear looks at one record of the log.
func (m *monitor) hear(r guest.Record) {
	m.words.hear(r)
	m.take(r.Text)
}

// lookInterval is the time between two looks at sysfs.
const lookInterval = 250 * time.Millisecond

// look does what follow does, later and without reasons, where the log has lost
// the lines. An end that is seen twice in a row is one that the log does not tell of.
func (m *monitor) look(state func() (string, error)) {
	looks := time.NewTicker(lookInterval)
	defer looks.Stop()
	gone := 0
	for {
		select {
		case <-looks.C:
		case <-m.stopping:
			return
		}
		s, err := state()
		switch {
		case err == nil && s == isEnabled:
			gone = 0
			m.tellEnabled(enabled{Scheduler: enabledName(), Partial: isPartial()})
		case err == nil && s == disabled && m.wasEnabled():
			if gone++; gone > 1 {
				m.tellOver()
			}
		}
	}
}

func (m *monitor) wasEnabled() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.seen.Scheduler != ""
}

func (m *monitor) tellEnabled(e enabled) {
	if m.isFirst(e) {
		m.note.find()
		m.enabled <- e // which has room for one
	}
}

// isFirst tells whether the scheduler has not been seen before.
func (m *monitor) isFirst(e enabled) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.again = m.isOver
	if m.seen.Scheduler != "" {
		return false
	}
	m.seen = e
	return true
}

// tellOver reads what the kernel has noted, at the first sign of the end. Until over is closed
// nobody lets go of an object's scheduler, and with it of that.
func (m *monitor) tellOver() {
	kind, isNew := m.begunEnd()
	if !isNew {
		return
	}
	noted, ok := m.note.read(kind)
	m.mu.Lock()
	defer m.mu.Unlock()
	if ok {
		m.complete(noted)
	}
	close(m.over)
}

// begunEnd returns what the log has told of the end. It is new to the first caller.
func (m *monitor) begunEnd() (kind ExitKind, isNew bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	isNew, m.isOver = !m.isOver, true
	return m.exit.Kind, isNew
}

// complete adds what the kernel has noted of the end, and its log does not tell. Notes of
// another end are of a scheduler that has the memory by now.
func (m *monitor) complete(noted Exit) {
	if m.exit.Kind != ExitNone && noted.Reason != m.exit.Reason {
		return
	}
	if m.exit.Kind == ExitNone {
		m.exit.Scheduler, m.exit.Kind, m.exit.Reason = m.seen.Scheduler, kindOf(noted.Reason), noted.Reason
	}
	m.exit.Code, m.exit.Message = noted.Code, noted.Message
}

// take looks at one line of the log.
func (m *monitor) take(line string) {
	if at := enabledLine.FindStringSubmatch(line); at != nil {
		m.tellEnabled(enabled{Scheduler: at[1], Partial: at[2] != ""})
		return
	}
	if m.tellsEnd(line) {
		m.tellOver()
	}
}

// tellsEnd tells whether a line is the first that says why the scheduler has ended. The
// message may come in a later one.
func (m *monitor) tellsEnd(line string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if at := disabledLine.FindStringSubmatch(line); at != nil && m.exit.Kind == ExitNone {
		m.exit.Scheduler, m.exit.Reason = at[1], at[2]
		m.exit.Kind = kindOf(at[2])
		return true
	}
	if message, ok := strings.CutPrefix(line, "sched_ext: "+m.exit.Scheduler+": "); ok && m.exit.Kind != ExitNone && m.exit.Message == "" {
		m.exit.Message = message
	}
	return false
}

// kindOf returns the kind that the kernel's words stand for. Words that are not
// known are those of errors: later kernels have added kinds of those only.
func kindOf(reason string) ExitKind {
	if kind, ok := reasons[reason]; ok {
		return kind
	}
	return ExitErrorOther
}

// settle waits until the kernel has finished disabling the scheduler, and
// returns how it ended. Between the log's line and that moment lie
// milliseconds, and no event. One whose program has started it again has ended, too.
func (m *monitor) settle(ctx context.Context) (Exit, error) {
	for {
		s, err := state()
		if err != nil {
			return Exit{}, err
		}
		if s == disabled || m.restarted() {
			break
		}
		select {
		case <-time.After(2 * time.Millisecond):
		case <-ctx.Done():
			return Exit{}, fmt.Errorf("wait until sched_ext is disabled (it is %s): %w", s, context.Cause(ctx))
		}
	}
	m.stop()
	if m.hasEnded() {
		<-m.over // sysfs may tell of the end, too
	}
	m.exit.Dump = readDump()
	if m.exit.Kind == ExitNone && m.wasEnabled() {
		m.exit.Scheduler, m.exit.Kind, m.exit.Reason = m.seen.Scheduler, ExitErrorOther, lostReason
	}
	return m.exit, nil
}

// lostReason stands for the kernel's words where they were lost.
const lostReason = "for a reason that the kernel's log does not have any more"

// hasEnded tells whether the kernel has ended the scheduler.
func (m *monitor) hasEnded() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.isOver
}

// restarted tells whether it was enabled once more after it had ended.
func (m *monitor) restarted() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.again
}

// stop ends the watching; lines that are in the log already are looked at
// first.
func (m *monitor) stop() {
	m.end.Do(func() {
		close(m.stopping)
		m.log.Interrupt()
		<-m.stopped
		_ = m.log.Drain(func(r guest.Record) error { m.hear(r); return nil })
		m.log.Close()
	})
}
