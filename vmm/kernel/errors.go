package kernel

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrNoKernel is wrapped by the error of [Find] when there is no kernel that
// ktgen can use.
var ErrNoKernel = errors.New("no kernel to boot")

// fetchHint is the way out of not having a kernel.
const fetchHint = "run `ktgen kernel fetch` to download one, or set $" + Env + " to a bzImage, an ELF vmlinux or a directory with one"

// NotFoundError lists where [Find] looked. It is [ErrNoKernel].
type NotFoundError struct {
	Looked []Look
}

func (e *NotFoundError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v:", ErrNoKernel)
	for _, look := range e.Looked {
		fmt.Fprintf(&b, "\n  %s: %v", look.Origin, look.Err)
	}
	fmt.Fprintf(&b, "\n%s", fetchHint)
	return b.String()
}

func (e *NotFoundError) Is(target error) bool { return target == ErrNoKernel }

// UnfitError says that a kernel cannot run ktgen's guests.
type UnfitError struct {
	Path    string
	Release string
	Lacks   []string // requirements, each with its kernel option
}

func (e *UnfitError) Error() string {
	way := "build it with that"
	isOther := func(what string) bool { return driverOf(what) == "" }
	if len(e.Lacks) > 0 && !slices.ContainsFunc(e.Lacks, isOther) {
		way += fmt.Sprintf(", have module %s beside it (in the tree, or in lib/modules/%s of the image's package)", driverOf(e.Lacks[0]), e.Release)
	}
	return fmt.Sprintf("kernel %s (%s) lacks %s: %s, or take one that has it (`ktgen kernel fetch` downloads one)", e.Release, e.Path, strings.Join(e.Lacks, ", "), way)
}

// FormatError says that a file is not the kernel image it should be: cut
// short, corrupt or something else.
type FormatError struct {
	Path   string
	Offset int64  // bytes into the file where the rule is broken
	Rule   string // what does not hold there
	Err    error  // what a decompressor or reader said, or nil
}

func (e *FormatError) Error() string {
	msg := fmt.Sprintf("at offset %#x: %s", e.Offset, e.Rule)
	if e.Path != "" {
		msg = fmt.Sprintf("reading kernel image %s: %s", e.Path, msg)
	}
	if e.Err != nil {
		msg += ": " + e.Err.Error()
	}
	return msg
}

func (e *FormatError) Unwrap() error { return e.Err }
