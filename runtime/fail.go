package runtime

import (
	"fmt"
	"io"
	"path/filepath"
	goruntime "runtime"

	"github.com/ktgen/ktgen/runtime/internal/faultline"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// TB is what reading needs of a test: [testing.T], [testing.B] and [testing.F] have it.
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
	_, here, _, _ := goruntime.Caller(0)
	return faultline.Caller(b.generated, filepath.Dir(here))
}

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
