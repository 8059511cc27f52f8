package runtime

import (
	"fmt"
	"io"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strings"

	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// TB is what reading needs of a test: [testing.T], [testing.B] and
// [testing.F] have it.
type TB interface {
	Output() io.Writer
	FailNow()
	Cleanup(func())
}

// fail reports err to the test that b is bound to, which ends there, or panics
// with err if there is none; see [Try].
func (b *Binding) fail(err *ktsnap.Error) {
	if b.tb == nil {
		panic(err)
	}
	report(b.tb, b.caller(), err.Error())
}

// report ends the test with a message. It goes through Output, which adds no
// source line: tb.Fatal would name this file, and marking every function on
// the way there as a helper costs more than the read.
func report(tb TB, where, message string) {
	fmt.Fprintf(tb.Output(), "%s%s\n", where, message)
	tb.FailNow()
}

// caller names the line that called into this package or generated code: "file.go:12: ".
func (b *Binding) caller() string {
	var pcs [64]uintptr
	frames := goruntime.CallersFrames(pcs[:goruntime.Callers(3, pcs[:])])
	for {
		frame, more := frames.Next()
		if frame.File != "" && !b.internal(frame) {
			return fmt.Sprintf("%s:%d: ", filepath.Base(frame.File), frame.Line)
		}
		if !more {
			return ""
		}
	}
}

// internal tells whether a frame is part of reading, not of the test that reads.
func (b *Binding) internal(frame goruntime.Frame) bool {
	if frame.File == b.generated {
		return true
	}
	_, here, _, _ := goruntime.Caller(0) // iterators are inlined into functions of the test's
	return !strings.HasSuffix(frame.File, "_test.go") && (filepath.Dir(frame.File) == filepath.Dir(here) ||
		slices.ContainsFunc(readers, func(pkg string) bool { return strings.HasPrefix(frame.Function, pkg) }))
}

// readers begin the names of functions of other packages that read on behalf of a test: they
// are called with places in snapshots, or call [Catch].
var readers = []string{"github.com/ktgen/ktgen/ktest.", "runtime.gopanic"}

// Try calls f and returns the error that a read in it failed with: reads of a
// snapshot that is bound to no test panic with [*ktsnap.Error], or one of package sched's.
func Try(f func()) (err error) {
	defer func() {
		switch failed := recover().(type) {
		case nil:
		case *ktsnap.Error:
			err = failed
		case interface{ ReadFailed() error }:
			err = failed.ReadFailed()
		default:
			panic(failed)
		}
	}()
	f()
	return nil
}
