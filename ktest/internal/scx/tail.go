package scx

import (
	"io"
	"sync"
)

// tailSize is how much of a program's output is kept, in bytes: a verifier's log
// fits as a rule.
const tailSize = 1 << 20

// tail passes on what is written to it, and keeps the end.
type tail struct {
	w io.Writer

	mu   sync.Mutex
	kept []byte
}

// Write keeps p even if it cannot be passed on, and never fails: a program is
// not to fail for a reader that is gone.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	t.kept = append(t.kept, p...)
	if len(t.kept) > 2*tailSize {
		t.kept = append(t.kept[:0], t.kept[len(t.kept)-tailSize:]...)
	}
	t.mu.Unlock()
	if t.w != nil {
		_, _ = t.w.Write(p)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.kept[max(0, len(t.kept)-tailSize):])
}
