package runtime

import (
	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/internal/convert"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// source is what generated code reads the entries of a map or array through.
type source struct {
	ktsnap.Columns
	b      *Binding
	typ    int          // of the values, in Layout.Types
	shape  *ctype.Shape // of the values, in the guest
	plan   *convert.Plan
	number int // of the source in its binding, from 1, for values without an address
}

// fail reports that an operation on the source as a whole failed.
func (s *source) fail(op string, err error) {
	s.b.fail(&ktsnap.Error{Op: op, Path: s.Name, Err: err})
}

// require fails unless every entry is there: what is missing from a part proves nothing.
func (s *source) require(op string) {
	if err := s.Incomplete(); err != nil {
		s.fail(op, err)
	}
}
