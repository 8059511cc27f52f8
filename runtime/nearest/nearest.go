// Package nearest finds the name that a misspelt one was meant to be.
//
// For contributors.
package nearest

import (
	"fmt"
	"strings"
)

// maxNameForDistance bounds the names that Nearest compares, in bytes: the
// time it takes grows with the square.
const maxNameForDistance = 128

// Name returns the name among names that name was probably meant to be, or
// the empty string if none is near: the one with the fewest typing errors, at
// most a third of the name, letter case counting as none.
func Name(name string, names []string) string {
	if len(name) > maxNameForDistance {
		return ""
	}
	best, bestDistance := "", len(name)/3+1
	for _, candidate := range names {
		if len(candidate) > maxNameForDistance {
			continue
		}
		d := distance(strings.ToLower(name), strings.ToLower(candidate))
		if d < bestDistance {
			best, bestDistance = candidate, d
		}
	}
	return best
}

// distance counts the bytes to insert, delete, replace or swap with their
// neighbour to make b of a (optimal string alignment).
func distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}

// Hint is the end of a message about a name that is not among names: " (did
// you mean \"weight\"?)", and empty if none is near.
func Hint(name string, names []string) string { return advice(name, names, " (did you mean %q?)") }

// Advice is Hint as the end of a list of clauses: "; did you mean \"weight\"?".
func Advice(name string, names []string) string { return advice(name, names, "; did you mean %q?") }

// BareAdvice is Advice for names that need no quotes: "; did you mean weight?".
func BareAdvice(name string, names []string) string {
	return advice(name, names, "; did you mean %s?")
}

func advice(name string, names []string, format string) string {
	if near := Name(name, names); near != "" {
		return fmt.Sprintf(format, near)
	}
	return ""
}
