// Package errtext words what the messages of errors have in common.
package errtext

import (
	"fmt"
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
