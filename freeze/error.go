package freeze

import (
	"fmt"
	"strings"
)

// CaptureError says at what a capture failed, and what is left of it.
type CaptureError struct {
	Name  string // of the capture
	Doing string // "stop the guest", "copy the BPF maps", ...
	Kept  int    // complete maps in the snapshot that came with the error
	Found int    // maps in it
	Err   error  // why; nil if only resuming failed

	// Resume is why the guest could not be resumed; nil if it was, or if it
	// was never stopped.
	Resume error
}

func (e *CaptureError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "capture %q: %s", e.Name, e.Doing)
	if e.Err != nil {
		fmt.Fprintf(&b, ": %v", e.Err)
	}
	if e.Found == 0 {
		b.WriteString("; nothing was captured")
	} else {
		fmt.Fprintf(&b, "; kept %d of %d maps", e.Kept, e.Found)
	}
	if e.Resume != nil {
		fmt.Fprintf(&b, "; the guest did not resume: %v", e.Resume)
	}
	return b.String()
}

func (e *CaptureError) Unwrap() []error {
	var errs []error
	for _, err := range []error{e.Err, e.Resume} {
		if err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

// PanicError is a panic while the guest stood still: a mistake in this package
// or in Options.Select.
type PanicError struct {
	Value any
	Stack []byte
}

func (e *PanicError) Error() string {
	return fmt.Sprintf("panic: %v\n%s", e.Value, e.Stack)
}
