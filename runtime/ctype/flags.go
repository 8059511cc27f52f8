package ctype

import (
	"math/bits"
	"slices"
	"strconv"
	"strings"
)

// Flag is an enumerator that is one bit.
type Flag struct {
	Bit  uint64
	Name string
}

// Flags returns the enumerators that values of an enum are made of, if its enumerators are
// or'ed together, and nil otherwise. C does not say which enums are. An unsigned enum is
// taken for one if three or more of its values are single bits, all others are masks or
// combinations of these, and it does not just count.
func (s *Shape) Flags() []Flag {
	if s.Kind != KindEnum || s.Signed || len(s.Values) > maxFlagValues {
		return nil
	}
	var flags []Flag
	var known uint64
	values := make(map[uint64]bool)
	for _, v := range s.Values {
		if bits.OnesCount64(v.Value) == 1 && !values[v.Value] {
			flags = append(flags, Flag{v.Value, v.Name})
			known |= v.Value
		}
		values[v.Value] = true
	}
	delete(values, 0)
	if len(flags) < minFlags || 2*len(flags) < len(values) || counts(values) {
		return nil
	}
	for v := range values {
		run := v>>bits.TrailingZeros64(v) + 1
		if v&^known != 0 && run&(run-1) != 0 {
			return nil
		}
	}
	slices.SortFunc(flags, func(a, b Flag) int {
		if a.Bit < b.Bit {
			return -1
		}
		return 1
	})
	return flags
}

const (
	// minFlags is from how many bits on an enum is one of flags: two are as
	// likely the numbers 1 and 2.
	minFlags = 3
	// maxFlagValues is up to how many values: 64 bits, and masks of them.
	maxFlagValues = 256
)

// counts tells whether values are 1, 2, 3, ...
func counts(values map[uint64]bool) bool {
	for i := range len(values) {
		if !values[uint64(i)+1] {
			return false
		}
	}
	return true
}

// FlagText names the flags of a value that has at least one of them, or is 0:
// "SCX_ENQ_WAKEUP|SCX_ENQ_HEAD". Bits without a name are a number behind the others.
// flags are in ascending order.
func FlagText(value uint64, flags []Flag) (text string, ok bool) {
	if value == 0 {
		return "0", true
	}
	var parts []string
	rest := value
	for _, f := range flags {
		if value&f.Bit != 0 {
			parts = append(parts, f.Name)
			rest &^= f.Bit
		}
	}
	if rest == value {
		return "", false
	}
	if rest != 0 {
		parts = append(parts, "0x"+strconv.FormatUint(rest, 16))
	}
	return strings.Join(parts, "|"), true
}
