package guest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// This file finds out which files a program has opened in vain: what it writes
// when it fails often does not say.

// Miss is a file that could not be opened.
type Miss struct {
	Path  string
	Error string // such as "no such file or directory"
}

// OpenTrace notes the files that processes open in vain. It is an instance of the
// kernel's tracing with one event of its own, beside what programs trace.
type OpenTrace struct {
	dir    string // "" when it has ended
	misses []Miss
}

const (
	tracing   = "/sys/kernel/tracing"
	openEvent = "ktgen/open"
	// Both the argument and the result are known where the function returns (Linux:
	// Documentation/trace/fprobetrace.rst).
	openProbe = "f:" + openEvent + " do_sys_openat2%return file=+0($arg2):ustring ret=$retval:s32\n"
)

// TraceOpens begins to trace; of no process yet. A kernel that cannot returns an error.
func TraceOpens() (*OpenTrace, error) {
	if err := probeOpens(); err != nil {
		return nil, fmt.Errorf("trace files that are opened: %w", err)
	}
	dir, err := os.MkdirTemp(filepath.Join(tracing, "instances"), "ktgen-opens-")
	if err != nil {
		return nil, fmt.Errorf("trace files that are opened: %w", err)
	}
	t := &OpenTrace{dir: dir}
	for _, setting := range [][2]string{
		{"buffer_size_kb", "64"}, {"options/event-fork", "1"}, {"events/" + openEvent + "/filter", "ret < 0"},
	} {
		if err := t.set(setting[0], setting[1]); err != nil {
			t.End()
			return nil, err
		}
	}
	return t, nil
}

// Follow traces what the calling thread starts from now on, with its descendants.
// It is a [Command.Begin].
func (t *OpenTrace) Follow(tid int) {
	if t.set("set_event_pid", strconv.Itoa(tid)) == nil {
		_ = t.set("events/"+openEvent+"/enable", "1") // without it nothing is missed
	}
}

func (t *OpenTrace) set(file, value string) error {
	if err := os.WriteFile(filepath.Join(t.dir, file), []byte(value), 0); err != nil {
		return fmt.Errorf("trace files that are opened: %w", err)
	}
	return nil
}

// Misses ends the tracing and returns what could not be opened, in the order of the first
// time.
func (t *OpenTrace) Misses() []Miss {
	t.End()
	if t == nil {
		return nil
	}
	return t.misses
}

// End ends the tracing.
func (t *OpenTrace) End() {
	if t == nil || t.dir == "" {
		return
	}
	_ = t.set("events/"+openEvent+"/enable", "0")
	if text, err := os.ReadFile(filepath.Join(t.dir, "trace")); err == nil {
		t.misses = parseMisses(text)
	}
	_ = unix.Rmdir(t.dir) // whoever has a file of it open keeps it until then
	t.dir = ""
}

var missLine = regexp.MustCompile(` open: \(.*\) file="(.*)" ret=-(\d{1,3})$`)

// parseMisses reads the trace. Searches for shared libraries and for locales are
// left out: they try many places, and who finds none says so. So is what the runtimes of
// languages look at in every program.
func parseMisses(trace []byte) (misses []Miss) {
	for line := range bytes.Lines(trace) {
		fields := missLine.FindStringSubmatch(strings.TrimRight(string(line), "\n"))
		if fields == nil || isSearched(fields[1]) || isProbed(fields[1]) {
			continue
		}
		number, _ := strconv.Atoi(fields[2]) // three digits
		miss := Miss{Path: fields[1], Error: syscall.Errno(number).Error()}
		if !slices.Contains(misses, miss) {
			misses = append(misses, miss)
		}
	}
	return misses
}

func isSearched(path string) bool {
	base := filepath.Base(path)
	return strings.HasSuffix(base, ".so") || strings.Contains(base, ".so.") || strings.Contains(path, "/locale/")
}

// isProbed tells whether Go, Rust, libc or an allocator opens a file by itself, and does without:
// the CPU limit of the cgroup, the size of huge pages, the conversions of texts, how names of
// hosts are looked up.
func isProbed(path string) bool {
	switch base := filepath.Base(path); {
	case strings.HasPrefix(path, "/sys/fs/cgroup/"):
		return base == "cpu.max" || base == "cpu.cfs_quota_us" || base == "cpu.cfs_period_us"
	case strings.HasPrefix(path, "/sys/kernel/mm/transparent_hugepage/"):
		return true
	case strings.HasPrefix(base, "gconv-modules"):
		return true
	}
	return path == "/proc/sys/vm/overcommit_memory" || path == "/etc/malloc.conf" || path == "/etc/host.conf"
}

// probeOpens makes the event, which stays.
func probeOpens() error {
	if _, err := os.Stat(filepath.Join(tracing, "events", openEvent)); err == nil {
		return nil
	}
	f, err := os.OpenFile(filepath.Join(tracing, "dynamic_events"), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(openProbe)
	return errors.Join(err, f.Close())
}
