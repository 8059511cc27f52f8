package series

import "fmt"

// NoSnapshotError says that a capture has no snapshot, for instance because the
// guest could not be stopped in time.
type NoSnapshotError struct{ Err error } // nil if the reason is not known

func (e *NoSnapshotError) Error() string { return because("there is no snapshot", e.Err) }

// Unwrap returns the reason.
func (e *NoSnapshotError) Unwrap() error { return e.Err }

// NoStatisticsError says that a capture has no statistics of the scheduler.
type NoStatisticsError struct {
	Capture string // its name, such as "periodic_003"
	Err     error  // nil if the reason is not known
}

func (e *NoStatisticsError) Error() string {
	return because(fmt.Sprintf("there are no statistics with %q", e.Capture), e.Err)
}

// Unwrap returns the reason.
func (e *NoStatisticsError) Unwrap() error { return e.Err }

func because(what string, err error) string {
	if err == nil {
		return what
	}
	return what + ": " + err.Error()
}

// AbsentError says that an entity, such as a task, does not exist in a capture.
type AbsentError struct{ Key any }

func (e *AbsentError) Error() string { return fmt.Sprintf("%v is not in the capture", e.Key) }

// NotFiniteError says that a projection returned NaN or an infinity. It is a
// mistake in the test rather than a finding about the guest: verdicts on the
// sample are [Invalid].
type NotFiniteError struct{ Value float64 }

func (e *NotFiniteError) Error() string {
	return fmt.Sprintf("the projection returned %v", e.Value)
}

// ZeroDenominatorError says that a ratio has no value because its denominator is 0.
type ZeroDenominatorError struct{}

func (*ZeroDenominatorError) Error() string { return "the denominator is 0" }

// MisalignedError says that two series cannot be compared sample by sample, since
// they were not made of the same captures.
type MisalignedError struct {
	A, B   string // their names
	Reason string
}

func (e *MisalignedError) Error() string {
	return fmt.Sprintf("%s and %s are not of the same captures: %s; make both of the same samples", e.A, e.B, e.Reason)
}
