package kwalk

import (
	"errors"
	"fmt"
)

// ErrCorrupt is the cause of errors about values that no working kernel has.
var ErrCorrupt = errors.New("the guest's memory is corrupted, or its kernel is laid out differently than its BTF says")

// Corrupt returns an error about such a value.
func Corrupt(format string, args ...any) error {
	return fmt.Errorf(format+": %w", append(args, ErrCorrupt)...)
}
