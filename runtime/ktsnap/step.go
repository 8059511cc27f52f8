package ktsnap

import (
	"strconv"
	"strings"
)

// This file takes paths apart. A path is members separated by dots, indices in
// brackets, and names in brackets and quotes, which may hold dots:
//
//	ctx.weight
//	per_llc[3].load
//	["dispatch.count"]

// maxPath bounds a path, in bytes. Longer ones are no paths.
const maxPath = 4096

// step is one component of a path: a member, or an index if name is empty.
type step struct {
	name  string
	index int
}

// nextStep returns the step at byte at of a path, and where the next one
// begins.
func nextStep(path string, at int) (s step, next int, err error) {
	start := at
	if path[at] == '[' {
		s, next, err = bracketStep(path, at)
		return s, next, err
	}
	if path[at] == '.' && at > 0 {
		start++
	} else if at > 0 {
		return s, at, &PathSyntaxError{Requested: path, Offset: at, Problem: "a dot or a bracket is missing"}
	}
	end := start
	for end < len(path) && path[end] != '.' && path[end] != '[' && path[end] != ']' {
		end++
	}
	switch {
	case end < len(path) && path[end] == ']':
		return s, at, &PathSyntaxError{Requested: path, Offset: end, Problem: "the bracket was not opened"}
	case end == start:
		return s, at, &EmptyPathComponentError{Requested: path, Offset: start}
	}
	return step{name: path[start:end]}, end, nil
}

// bracketStep returns the step in the bracket at byte at.
func bracketStep(path string, at int) (s step, next int, err error) {
	text, next, err := bracket(path, at)
	switch {
	case err != nil:
		return s, at, err
	case text == `""`:
		return s, at, &EmptyPathComponentError{Requested: path, Offset: at + 1}
	case text[0] == '"':
		s.name, _ = strconv.Unquote(text)
		return s, next, nil
	case strings.Trim(text, "0123456789") != "":
		return s, at, &PathSyntaxError{Requested: path, Offset: at + 1, Problem: `a bracket holds an index, such as [3], or a name in double quotes, such as ["a.b"]`}
	}
	if s.index, err = strconv.Atoi(text); err != nil {
		return s, at, &PathSyntaxError{Requested: path, Offset: at + 1, Problem: "the index is larger than any array"}
	}
	return s, next, nil
}

// bracket returns what is in the bracket at byte at, a name in its quotes, and where
// the bracket ends.
func bracket(path string, at int) (text string, next int, err error) {
	if at+1 < len(path) && path[at+1] == '"' {
		return quotedBracket(path, at)
	}
	length := strings.IndexByte(path[at:], ']')
	switch {
	case length < 0:
		return "", at, &PathSyntaxError{Requested: path, Offset: at, Problem: "the bracket is not closed"}
	case length == 1:
		return "", at, &EmptyPathComponentError{Requested: path, Offset: at + 1}
	}
	return path[at+1 : at+length], at + length + 1, nil
}

// quotedBracket returns the quoted name in the bracket at byte at.
func quotedBracket(path string, at int) (quoted string, next int, err error) {
	quoted, err = strconv.QuotedPrefix(path[at+1:])
	if err != nil {
		return "", at, &PathSyntaxError{Requested: path, Offset: at + 1, Problem: "the quoted name is not closed, or has an unknown escape"}
	}
	end := at + 1 + len(quoted)
	if end == len(path) || path[end] != ']' {
		return "", at, &PathSyntaxError{Requested: path, Offset: at, Problem: "the bracket is not closed behind the name"}
	}
	return quoted, end + 1, nil
}

// joinPath returns the path that goes on with another.
func joinPath(path, more string) string {
	switch {
	case path == "":
		return more
	case more == "" || more[0] == '[':
		return path + more
	}
	return path + "." + more
}
