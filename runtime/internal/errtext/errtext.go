// Package errtext words what the messages of errors have in common.
package errtext

import (
	"fmt"
	"reflect"
	"strings"
)

// Count says n of something.
func Count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// MaxListed bounds the alternatives that a message lists.
const MaxListed = 16

// List names what there is.
func List(names []string) string { return First(names, len(names)) }

// First names the first of n things.
func First(names []string, n int) string {
	if len(names) > MaxListed {
		names = names[:MaxListed]
	}
	s := strings.Join(names, ", ")
	if more := n - len(names); more > 0 {
		s += fmt.Sprintf(" and %d more", more)
	}
	return s
}

// maxQuoted bounds what messages repeat of a caller's names and paths, in
// bytes.
const maxQuoted = 128

// Clip cuts the middle out of what is too long for a message.
func Clip(s string) string {
	if len(s) <= maxQuoted {
		return s
	}
	return s[:maxQuoted/2] + "..." + s[len(s)-maxQuoted/2:]
}

// Untargeted says why a pointer to a t, which is not NULL, has nothing to read its target with.
func Untargeted(t reflect.Type) string {
	if t.Kind() == reflect.Struct && t.NumField() == 0 {
		return t.Name() + " is generated without members, so only the address is read: the type's comment says why, and how to choose members"
	}
	return "it was made of its address, or shares its bytes with other members of a union"
}
