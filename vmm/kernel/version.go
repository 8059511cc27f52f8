package kernel

import "strings"

// compareReleases orders kernel releases (uname -r) as dpkg orders versions
// (deb-version(7)): numbers by value, "~" before everything, letters before
// other characters. A release candidate comes before its release.
func compareReleases(a, b string) int {
	return compareVersions(strings.ReplaceAll(a, "-rc", "~rc"), strings.ReplaceAll(b, "-rc", "~rc"))
}

// compareVersions orders two versions without epochs; the revision takes part
// like the rest, which is right as long as both have one.
func compareVersions(a, b string) int {
	for a != "" || b != "" {
		var textA, textB, numberA, numberB string
		textA, a = cutSpan(a, false)
		textB, b = cutSpan(b, false)
		if order := compareText(textA, textB); order != 0 {
			return order
		}
		numberA, a = cutSpan(a, true)
		numberB, b = cutSpan(b, true)
		if order := compareNumbers(numberA, numberB); order != 0 {
			return order
		}
	}
	return 0
}

// cutSpan splits s after its leading characters that are digits, or are not.
func cutSpan(s string, digits bool) (span, rest string) {
	i := 0
	for i < len(s) && isDigit(s[i]) == digits {
		i++
	}
	return s[:i], s[i:]
}

// compareText orders two spans without digits; the end of a span comes after
// "~" and before everything else.
func compareText(a, b string) int {
	for i := range max(len(a), len(b)) {
		if order := rank(a, i) - rank(b, i); order != 0 {
			return order
		}
	}
	return 0
}

func rank(s string, i int) int {
	switch {
	case i >= len(s):
		return 0
	case s[i] == '~':
		return -1
	case isLetter(s[i]):
		return int(s[i])
	default:
		return int(s[i]) + 256
	}
}

// compareNumbers orders decimal numbers of any length.
func compareNumbers(a, b string) int {
	a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	return strings.Compare(a, b)
}

func isDigit(c byte) bool  { return '0' <= c && c <= '9' }
func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }
