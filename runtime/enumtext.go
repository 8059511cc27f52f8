package runtime

import (
	"strconv"

	"github.com/ktgen/ktgen/runtime/ctype"
)

// This file makes the String of values of generated enums.

// Flag is an enumerator that is one bit.
type Flag = ctype.Flag

// Unnamed is the String of a value that its enum has no name for: "policy(17)".
func Unnamed[T int64 | uint64](enum string, value T) string {
	if value < 0 {
		return enum + "(" + strconv.FormatInt(int64(value), 10) + ")"
	}
	return enum + "(" + strconv.FormatUint(uint64(value), 10) + ")"
}

// JoinFlags is the String of a value of an enum of flags that has no name of
// its own: "SCX_ENQ_WAKEUP|SCX_ENQ_HEAD". Bits without a name are a number
// behind the others. flags are in ascending order.
func JoinFlags(enum string, value uint64, flags []Flag) string {
	if text, ok := ctype.FlagText(value, flags); ok {
		return text
	}
	return enum + "(" + strconv.FormatUint(value, 10) + ")"
}

// JoinTags is the String of a value of an enum with [ctype.Shape.TopFlags] that has no name
// of its own: "SCX_DSQ_LOCAL_ON|3".
func JoinTags(enum string, value uint64, tags []Flag) string {
	if text, ok := ctype.TagText(value, tags); ok {
		return text
	}
	return Unnamed(enum, value)
}
