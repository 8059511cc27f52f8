package scx

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/ktgen/ktgen/vmm/guest"
	"golang.org/x/sys/unix"
)

// This file follows a scheduler's life in the guest by what the kernel writes
// to its log: one line when it is enabled, one when it is disabled, and for
// errors a second with the message.

const sysfs = "/sys/kernel/sched_ext"

var (
	enabledLine  = regexp.MustCompile(`^sched_ext: BPF scheduler "(.*)" enabled( \(partial\))?$`)
	disabledLine = regexp.MustCompile(`^sched_ext: BPF scheduler "(.*)" disabled \((.*)\)$`)
)

// monitor watches the kernel's log for one scheduler.
type monitor struct {
	log     *guest.Log
	words   *words
	enabled chan enabled  // of capacity 1
	over    chan struct{} // closed when the kernel says that the scheduler is disabled
	stopped chan struct{} // closed when the goroutine has ended
	end     sync.Once     // ends it

	mu   sync.Mutex
	exit Exit // complete once stopped is closed
}

// watch begins to watch. It comes before the scheduler's start, so that no
// line is missed.
func watch() (*monitor, error) {
	if err := checkFree(); err != nil {
		return nil, err
	}
	log, err := guest.OpenLog(guest.LogFromNow)
	if err != nil {
		return nil, err
	}
	m := &monitor{log: log, words: newWords(), enabled: make(chan enabled, 1), over: make(chan struct{}), stopped: make(chan struct{})}
	go m.follow() // ends with stop
	return m, nil
}

// checkFree says whether a scheduler can be started.
func checkFree() error {
	state, err := os.ReadFile(filepath.Join(sysfs, "state"))
	if errors.Is(err, os.ErrNotExist) {
		var uts unix.Utsname
		_ = unix.Uname(&uts) // fails for a bad address only
		return &UnsupportedError{Release: unix.ByteSliceToString(uts.Release[:])}
	}
	if err != nil {
		return err
	}
	if s := strings.TrimSpace(string(state)); s != "disabled" {
		return &BusyError{Scheduler: enabledName()}
	}
	return nil
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

// take looks at one line of the log.
func (m *monitor) take(line string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if at := enabledLine.FindStringSubmatch(line); at != nil {
		select {
		case m.enabled <- enabled{Scheduler: at[1], Partial: at[2] != ""}:
		default: // it has restarted itself
		}
		return
	}
	if at := disabledLine.FindStringSubmatch(line); at != nil && m.exit.Kind == ExitNone {
		m.exit.Scheduler, m.exit.Reason = at[1], at[2]
		m.exit.Kind = kindOf(at[2])
		close(m.over)
		return
	}
	if message, ok := strings.CutPrefix(line, "sched_ext: "+m.exit.Scheduler+": "); ok && m.exit.Kind != ExitNone && m.exit.Message == "" {
		m.exit.Message = message
	}
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
// milliseconds, and no event.
func (m *monitor) settle(ctx context.Context) (Exit, error) {
	for {
		state, err := os.ReadFile(filepath.Join(sysfs, "state"))
		if err != nil {
			return Exit{}, err
		}
		if strings.TrimSpace(string(state)) == "disabled" {
			break
		}
		select {
		case <-time.After(2 * time.Millisecond):
		case <-ctx.Done():
			return Exit{}, fmt.Errorf("wait until sched_ext is disabled (it is %s): %w", strings.TrimSpace(string(state)), context.Cause(ctx))
		}
	}
	m.stop()
	m.exit.Dump = readDump()
	return m.exit, nil
}

// stop ends the watching; lines that are in the log already are looked at
// first.
func (m *monitor) stop() {
	m.end.Do(func() {
		m.log.Interrupt()
		<-m.stopped
		_ = m.log.Drain(func(r guest.Record) error { m.hear(r); return nil })
		m.log.Close()
	})
}
