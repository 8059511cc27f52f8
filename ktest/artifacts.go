package ktest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/ktgen/ktgen/dump"
	"github.com/ktgen/ktgen/internal/excerpt"
	"github.com/ktgen/ktgen/runtime/ktsnap"
	"github.com/ktgen/ktgen/series"
	"github.com/ktgen/ktgen/vmm"
	"github.com/ktgen/ktgen/vmm/guest"
)

// EnvArtifacts names the environment variable with the directory in which a
// failed test's artifacts are put. By default it is "ktgen-artifacts" in the
// directory for temporary files.
const EnvArtifacts = "KTGEN_ARTIFACTS"

// finish ends a test's guest. If the test has failed, it writes what helps to
// find out why.
func (vm *VM) finish() {
	vm.awaitVerdict()
	if err := vm.unexpectedExit(); err != nil {
		vm.tb.Errorf("%v", err)
	}
	vm.sayDead()
	failed := vm.tb.Failed() || panicking()
	vm.awaitAutopsy()
	var records []guest.Record
	if failed {
		vm.captureFailure()
		vm.endScheduler()
		records = vm.kernelLog()
	}
	vm.shut()
	if failed {
		vm.saySeed(vm.tb)
		vm.reportArtifacts(records)
	}
	vm.captures.Close()
}

// sayDead fails a test that has not noticed that its workers have died: its guest was idle.
func (vm *VM) sayDead() {
	if vm.scenario == nil { // it did not boot
		return
	}
	for _, err := range vm.scenario.Died() {
		vm.tb.Errorf("%v; the test went on without it: one that wants that stops the workers (Running.Stop) or waits for their end (Running.Ended)", err)
	}
}

// endScheduler ends a scheduler, or its program, that runs when its test has failed: what it and
// the kernel say at the end is known before the guest is gone, which says nothing.
func (vm *VM) endScheduler() {
	s := vm.current()
	if s == nil || vm.machine.Err() != nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), vm.cfg.Timeouts.Close)
	defer cancel()
	_, err := s.Stop(ctx) // also for what the program of one that has ended still writes
	vm.mu.Lock()
	vm.dismissed = err == nil && s.Asked()
	vm.mu.Unlock()
	if err := vm.unexpectedExit(); err != nil {
		vm.tb.Errorf("%v", err)
	}
}

// panicking reports whether the caller is called because of a panic. Package
// testing runs the cleanups of a test that panics before it marks it as failed.
func panicking() bool {
	callers := make([]uintptr, 64)
	frames := goruntime.CallersFrames(callers[:goruntime.Callers(1, callers)])
	for {
		frame, more := frames.Next()
		if frame.Function == "runtime.gopanic" {
			return true
		}
		if !more {
			return false
		}
	}
}

// kernelLog returns the guest's kernel log, if the guest can still tell. The console
// has what there is of one that is no more.
func (vm *VM) kernelLog() []guest.Record {
	if vm.agent == nil || vm.machine.Err() != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), vm.cfg.Timeouts.Close)
	defer cancel()
	records, err := vm.agent.Log(ctx)
	if err != nil {
		vm.tb.Logf("the guest's kernel log is not complete: %v", vm.because(err))
	}
	return records
}

func (vm *VM) reportArtifacts(records []guest.Record) {
	files := vm.artifacts(records)
	dir, names, err := writeArtifacts(vm.tb, files)
	vm.tb.Logf("in short:\n\t%s", strings.Join(vm.brief().lines(), "\n\t"))
	sayArtifacts(vm.tb, dir, names, err)
}

func sayArtifacts(tb testing.TB, dir string, names []string, err error) {
	if len(names) > 0 {
		tb.Logf("artifacts of this test are in %s: %s", dir, strings.Join(names, ", "))
	}
	if err != nil {
		tb.Logf("not all artifacts could be written, which changes nothing else: %v", err)
	}
}

// reportLaunch writes what is left of a guest that did not come up: its console,
// and the whole error.
func reportLaunch(tb testing.TB, err error) {
	var console []byte
	var boot *vmm.BootError
	var panicked *vmm.GuestPanicError
	var infra *vmm.InfraError
	switch {
	case errors.As(err, &boot):
		console = boot.Console
	case errors.As(err, &panicked):
		console = panicked.Console
	case errors.As(err, &infra):
		console = infra.Console
	default:
		return // there was no guest
	}
	dir, names, err := writeArtifacts(tb, []artifact{
		{name: "console.log", write: text(string(console))},
		{name: "exit.txt", write: text(err.Error() + "\n")},
	})
	sayArtifacts(tb, dir, names, err)
}

func (vm *VM) brief() brief {
	b := brief{
		complaints: vm.machine.Complaints(),
		captures:   vm.captures.Captures(),
		output:     vm.output.String(),
		console:    string(vm.machine.Console()),
	}
	if err := vm.machine.Err(); !errors.Is(err, vmm.ErrClosed) {
		b.guest = err
	}
	b.scheduler = vm.describeExit()
	if s := vm.current(); s != nil && vm.died() {
		exit, _ := s.Exit()
		b.explained = exit.Kind != ExitNone && exit.Kind != ExitErrorStall
	}
	return b
}

// writeArtifacts writes the files to a new directory. What fails costs only
// itself.
func writeArtifacts(tb testing.TB, files []artifact) (dir string, written []string, err error) {
	base := os.Getenv(EnvArtifacts)
	if base == "" {
		base = filepath.Join(os.TempDir(), "ktgen-artifacts")
	}
	if err := os.MkdirAll(base, 0o755); err != nil {
		return "", nil, fmt.Errorf("%w (set $%s to a directory that can be written to)", err, EnvArtifacts)
	}
	if dir, err = os.MkdirTemp(base, fileName(tb.Name())+"-*"); err != nil {
		return "", nil, fmt.Errorf("%w (set $%s to a directory that can be written to)", err, EnvArtifacts)
	}

	var firstErr error
	var missing []string
	for _, a := range files {
		ok, err := a.writeTo(dir)
		if ok {
			written = append(written, a.name)
		}
		if err != nil {
			missing = append(missing, a.name)
			firstErr = cmp.Or(firstErr, err)
		}
	}
	if firstErr != nil {
		firstErr = fmt.Errorf("missing or cut short: %s: %w (make room there, or set $%s to where there is some)", strings.Join(missing, ", "), firstErr, EnvArtifacts)
	}
	return dir, written, firstErr
}

// artifact is a file to write; one without content is not written.
type artifact struct {
	name  string
	write func(io.Writer) error
	whole bool // a part of it is of no use
}

func (a artifact) writeTo(dir string) (written bool, err error) {
	path := filepath.Join(dir, a.name)
	f, err := os.Create(path)
	if err != nil {
		return false, err
	}
	err = a.contents(f)
	size, _ := f.Seek(0, io.SeekEnd)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if size == 0 || err != nil && a.whole {
		os.Remove(path)
		return false, err
	}
	return true, err
}

// contents writes the contents of the file. What is wrong with a snapshot does
// not end a test that has a result already.
func (a artifact) contents(w io.Writer) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("write %s: panic: %v", a.name, v)
		}
	}()
	return a.write(w)
}

func (vm *VM) artifacts(records []guest.Record) []artifact {
	files := []artifact{
		{name: "console.log", write: text(string(vm.machine.Console()))},
		{name: "kernel.log", write: text(formatLog(records))},
		{name: "scheduler.log", write: text(vm.output.String())},
		{name: "exit.txt", write: text(vm.describeExit())},
		{name: "verifier.log", write: text(vm.verifierLog())},
	}
	latest := vm.latest()
	var cause, others []artifact
	for i, c := range latest {
		snapshot := snapshotArtifacts(fmt.Sprintf("%02d-%s", i+1, fileName(c.Name)), c)
		if cause == nil && c.Trigger == series.Event {
			cause = snapshot // what the failure begins with: first, as a disk can be full
		} else {
			others = append(others, snapshot...)
		}
	}
	files = append(files, cause...)
	files = append(files, artifact{name: "captures.html", whole: true, write: page(latest, vm.story(vm.judged()))})
	return append(files, others...)
}

// maxPage bounds the snapshots that are shown on a page, in bytes that were
// captured: a browser has to hold it.
const maxPage = 16 << 20

// page writes the latest of captures as one page, with the story of their run. When
// the scheduler ended is told by the first capture that knows why.
func page(captures []series.Capture, story dump.Story) func(io.Writer) error {
	return func(w io.Writer) error {
		var shown []*ktsnap.Snapshot
		room := maxPage
		for _, c := range slices.Backward(captures) {
			snap, err := c.Read()
			if err != nil {
				continue // its own file says so
			}
			if room -= snap.Timing.Bytes; room < 0 {
				break
			}
			shown = append(shown, snap)
			if snap.Scheduler.Reason != "" {
				story.Ended, story.End = true, c.Elapsed
			}
		}
		if len(shown) == 0 {
			return nil
		}
		slices.Reverse(shown)
		return dump.PageOf(w, shown, story)
	}
}

// story is what the page of a test says beside its captures.
func (vm *VM) story(verdicts []series.Verdict) dump.Story {
	s := dump.Story{Reason: vm.reason(verdicts), Plots: plotsOf(verdicts)}
	if vm.tb != nil {
		s.Test = vm.tb.Name()
	}
	return s
}

// reason says in a line why the test has failed, as far as the guest, its scheduler
// and the verdicts tell; it is empty for a failure of the test's own.
func (vm *VM) reason(verdicts []series.Verdict) string {
	if err := vm.machine.Err(); err != nil && !errors.Is(err, vmm.ErrClosed) {
		return firstLine(err.Error())
	}
	vm.mu.Lock()
	err := cmp.Or(vm.unasked, vm.failed)
	vm.mu.Unlock()
	if err != nil {
		return firstLine(err.Error())
	}
	for _, v := range verdicts {
		if !v.Passed() {
			return firstLine(v.String())
		}
	}
	return ""
}

// snapshotArtifacts are a snapshot as a file for tools, and as text.
func snapshotArtifacts(name string, c series.Capture) []artifact {
	read := sync.OnceValues(c.Read)
	write := func(how func(*ktsnap.Snapshot, io.Writer) error) func(io.Writer) error {
		return func(w io.Writer) error {
			snap, err := read()
			if err != nil {
				return err
			}
			return how(snap, w)
		}
	}
	return []artifact{
		{name: name + ".ktsnap", whole: true, write: write(func(s *ktsnap.Snapshot, w io.Writer) error {
			_, err := s.WriteTo(w)
			return err
		})},
		{name: name + ".txt", write: write(func(s *ktsnap.Snapshot, w io.Writer) error {
			return dump.Text(w, s, dump.Options{Width: textWidth})
		})},
	}
}

// textWidth is how wide the text of snapshots is, in columns.
const textWidth = 120

// keptSnapshots is how many of the latest snapshots are written when a test
// fails.
const keptSnapshots = 8

// latest returns the latest captures that have a snapshot.
func (vm *VM) latest() []series.Capture {
	captures := slices.DeleteFunc(vm.captures.Captures(), func(c series.Capture) bool { return c.Snapshot == nil && c.Load == nil })
	return captures[max(0, len(captures)-keptSnapshots):]
}

func text(s string) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := io.WriteString(w, s)
		return err
	}
}

func formatLog(records []guest.Record) string {
	var b strings.Builder
	for _, r := range records {
		if r.Lost {
			b.WriteString("(records are missing here)\n")
		}
		fmt.Fprintf(&b, "<%d>[%12.6f] %s\n", r.Level, r.Time.Seconds(), r.Text)
	}
	return b.String()
}

// describeExit says why a scheduler could not be started, and how the latest ended
// by itself, with the kernel's dump.
func (vm *VM) describeExit() string {
	vm.mu.Lock()
	s, failed, dismissed := vm.scheduler, vm.failed, vm.dismissed
	vm.mu.Unlock()
	var b strings.Builder
	if failed != nil {
		fmt.Fprintf(&b, "%v\n", failed)
	}
	if s == nil {
		return b.String()
	}
	exit, err := vm.exitOf(s) // Close has waited for its end
	switch {
	case errors.Is(err, guest.ErrLost):
		fmt.Fprintf(&b, "scheduler %q: enabled until the guest's end\n", s.Name())
	case err != nil:
		fmt.Fprintf(&b, "%v\n", err)
	case !dismissed:
		fmt.Fprintf(&b, "%s\n\n%s", exit, exit.Dump)
	}
	return b.String()
}

// verifierLog is what the verifier says of a scheduler that it has rejected.
func (vm *VM) verifierLog() string {
	vm.mu.Lock()
	defer vm.mu.Unlock()
	if rejected := (*RejectedError)(nil); errors.As(vm.failed, &rejected) {
		return rejected.Log
	}
	return ""
}

// fileName turns a test's name into one that any file system takes.
func fileName(name string) string {
	const longest = 100
	safe := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.' {
			return r
		}
		return '_'
	}, name)
	return strings.TrimLeft(safe[:min(len(safe), longest)], ".")
}

// output keeps what the scheduler's program and the workers wrote.
type output struct {
	lines statsLines
	kept  excerpt.Buffer

	mu sync.Mutex // held while w is written to
	w  io.Writer  // a copy goes here; nil for none
}

func newOutput(w io.Writer) *output { return &output{w: w} }

// Write never fails: a program does not depend on who reads its output.
func (o *output) Write(p []byte) (int, error) {
	o.lines.write(p)
	_, _ = o.kept.Write(p)
	if o.w == nil {
		return len(p), nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	_, _ = o.w.Write(p)
	return len(p), nil
}

func (o *output) String() string { return o.kept.String() }
