package object

import (
	"errors"
	"fmt"
	"strings"
)

// Reasons why a file cannot be read, for errors.Is.
var (
	ErrNotELF     = errors.New("not an ELF file")
	ErrNotBPF     = errors.New("not a BPF object")
	ErrNoBTF      = errors.New("no BTF")
	ErrStripped   = errors.New("no symbol table")
	ErrLegacyMaps = errors.New("legacy map definitions")
	ErrTruncated  = errors.New("file is cut short")
	ErrSeveral    = errors.New("several objects")
	ErrNone       = errors.New("no BPF object inside")
	ErrNoSuch     = errors.New("no object of that name")
)

// Error says which part of a file could not be read, why, and what to do.
type Error struct {
	File    string
	Section string // the ELF section, if it is about one
	Offset  int64  // bytes into the section, or into the file without one; -1 if about the whole
	Err     error  // may wrap ErrNotELF and the others above
	Advice  string // what to do next
}

func (e *Error) Unwrap() error { return e.Err }

func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "read BPF object %s: ", e.File)
	if e.Section != "" {
		fmt.Fprintf(&b, "section %s", e.Section)
		if e.Offset >= 0 {
			fmt.Fprintf(&b, "+%#x", e.Offset)
		}
		b.WriteString(": ")
	} else if e.Offset >= 0 {
		fmt.Fprintf(&b, "at byte %#x: ", e.Offset)
	}
	b.WriteString(e.Err.Error())
	if e.Advice != "" {
		b.WriteString("; " + e.Advice)
	}
	return b.String()
}
