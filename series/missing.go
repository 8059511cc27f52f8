package series

import "fmt"

// NoSnapshot says that a capture has no snapshot, for instance because the
// guest could not be stopped in time.
type NoSnapshot struct{ Err error } // nil if the reason is not known

func (e *NoSnapshot) Error() string { return because("there is no snapshot", e.Err) }

// Unwrap returns the reason.
func (e *NoSnapshot) Unwrap() error { return e.Err }

// NoStatistics says that a capture has no statistics of the scheduler.
type NoStatistics struct {
	Capture string // its name, such as "periodic_003"
	Err     error  // nil if the reason is not known
}

func (e *NoStatistics) Error() string {
	return because(fmt.Sprintf("there are no statistics with %q", e.Capture), e.Err)
}

// Unwrap returns the reason.
func (e *NoStatistics) Unwrap() error { return e.Err }

func because(what string, err error) string {
	if err == nil {
		return what
	}
	return what + ": " + err.Error()
}

// Absent says that an entity, such as a task, does not exist in a capture.
type Absent struct{ Key any }

func (e *Absent) Error() string { return fmt.Sprintf("%v is not in the capture", e.Key) }

// NotFinite says that a projection returned NaN or an infinity. It is a
// mistake in the test rather than a finding about the guest: verdicts on the
// sample are [Invalid].
type NotFinite struct{ Value float64 }

func (e *NotFinite) Error() string {
	return fmt.Sprintf("the projection returned %v", e.Value)
}

// ZeroDenominator says that a ratio has no value because its denominator is 0.
type ZeroDenominator struct{}

func (*ZeroDenominator) Error() string { return "the denominator is 0" }

// Misaligned says that two series cannot be compared sample by sample, since
// they were not made of the same captures.
type Misaligned struct {
	A, B   string // their names
	Reason string
}

func (e *Misaligned) Error() string {
	return fmt.Sprintf("%s and %s are not of the same captures: %s; make both of the same samples", e.A, e.B, e.Reason)
}
