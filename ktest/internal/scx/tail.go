package scx

import (
	"io"
	"strings"

	"github.com/ktgen/ktgen/internal/excerpt"
)

// tail passes on what is written to it, and keeps the beginning and the end.
type tail struct {
	w    io.Writer // nil for none
	kept excerpt.Buffer
}

// Write keeps p even if it cannot be passed on, and never fails: a program is
// not to fail for a reader that is gone.
func (t *tail) Write(p []byte) (int, error) {
	_, _ = t.kept.Write(p)
	if t.w != nil {
		_, _ = t.w.Write(p)
	}
	return len(p), nil
}

func (t *tail) String() string { return t.kept.String() }

// last says what was written last, for the end of a message.
func (t *tail) last() string {
	written := strings.TrimSpace(t.String())
	if written == "" {
		return "; its program has written nothing"
	}
	return "; its program wrote last:\n" + excerpt.Lines(written, 0, shownLast)
}

const shownLast = 5 // lines
