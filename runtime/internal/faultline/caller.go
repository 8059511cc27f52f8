package faultline

import (
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// Caller names the line that called into the packages that read: "file.go:12: ". These are
// a generated file, which may be unknown, and the package of a directory.
func Caller(generated, dir string) string {
	var pcs [64]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(3, pcs[:])])
	for {
		frame, more := frames.Next()
		if frame.File != "" && frame.File != generated && !reads(frame, dir) {
			return Line{frame.File, frame.Line}.String()
		}
		if !more {
			return ""
		}
	}
}

// reads tells whether a frame is part of reading, not of the test that reads. Iterators are
// inlined into functions of the test's, so the file tells.
func reads(frame runtime.Frame, dir string) bool {
	return !strings.HasSuffix(frame.File, "_test.go") && (filepath.Dir(frame.File) == dir ||
		slices.ContainsFunc(readers, func(pkg string) bool { return strings.HasPrefix(frame.Function, pkg) }))
}

// readers begin the names of functions of other packages that read on behalf of a test: they
// are called with places in snapshots, or call Catch.
var readers = []string{"github.com/ktgen/ktgen/ktest.", "runtime.gopanic"}
