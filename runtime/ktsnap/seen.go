package ktsnap

import (
	"errors"
	"sync/atomic"

	"github.com/ktgen/ktgen/runtime/ctype"
)

// seen keeps the errors that the reads of a predicate or key function met. It
// may have handled them, which cannot be told: what it returned counts. But one
// that could not read what it asks for must not be taken for one that nothing
// satisfies.
type seen struct {
	fact       atomic.Pointer[Error] // the first that says what is in the guest
	unanswered atomic.Pointer[Error] // the first of the others
}

func (s *seen) note(e *Error) {
	switch {
	case s == nil:
	case isFact(e.Err):
		s.fact.CompareAndSwap(nil, e)
	default:
		s.unanswered.CompareAndSwap(nil, e)
	}
}

// failed returns the first error that left a question unanswered, or nil.
func (s *seen) failed() error {
	if e := s.unanswered.Load(); e != nil {
		return e
	}
	return nil
}

// cause returns the error that is most likely why nothing matched, or nil.
func (s *seen) cause() error {
	if err := s.failed(); err != nil {
		return err
	}
	if e := s.fact.Load(); e != nil {
		return e
	}
	return nil
}

// isFact tells whether an error says what is in the guest, such as that a pointer
// is NULL. Others are of the question, such as a member that there is not, or of
// the snapshot, which lacks what was asked for.
func isFact(err error) bool {
	switch e := err.(type) {
	case *NullError, *UnreadableError, *ContradictionError, *IndexOutOfRangeError, *EmptySlotError, *FieldAbsentError, *KeyNotFoundError, *ctype.OverflowError:
		return true
	case *PerCPUSlotError:
		return e.Unmapped
	case *TypeMismatchError:
		return e.Value != ""
	}
	inner := errors.Unwrap(err)
	return inner != nil && isFact(inner)
}
