// Package excerpt keeps the beginning and the end of what somebody writes, in
// bounded memory.
package excerpt

import (
	"cmp"
	"fmt"
	"strings"
	"sync"
)

// Buffer keeps what is written to it. Of what does not fit it keeps the beginning,
// the end, and how much was between them. It is for several goroutines. The zero
// value keeps [DefaultSize] bytes.
type Buffer struct {
	// Size is how many bytes are kept. A quarter of them are from the beginning, where
	// programs say what they were asked to do. The rest are from the end, where they
	// say what went wrong.
	Size int

	mu   sync.Mutex
	head []byte
	tail []byte // at most twice what is kept of the end
	left int64  // bytes between head and tail
}

// DefaultSize is how many bytes a Buffer keeps that does not say. A verifier's log
// fits as a rule.
const DefaultSize = 1 << 20

// sizes returns how many bytes are kept of the beginning and of the end.
func (b *Buffer) sizes() (head, tail int) {
	size := cmp.Or(b.Size, DefaultSize)
	return size / 4, size - size/4
}

// Write never fails.
func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := len(p)
	head, tail := b.sizes()
	room := min(len(p), head-len(b.head))
	b.head = append(b.head, p[:room]...)
	p = p[room:]
	if over := len(p) - tail; over > 0 {
		b.left += int64(len(b.tail) + over)
		b.tail, p = b.tail[:0], p[over:]
	}
	b.tail = append(b.tail, p...)
	if len(b.tail) > 2*tail {
		b.trim(tail)
	}
	return n, nil
}

// trim leaves the last bytes of the tail.
func (b *Buffer) trim(size int) {
	over := max(len(b.tail)-size, 0)
	b.left += int64(over)
	b.tail = append(b.tail[:0], b.tail[over:]...)
}

// String returns what is kept, with a line of how much was left out where it was.
func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	_, size := b.sizes()
	b.trim(size)
	if b.left == 0 {
		return string(b.head) + string(b.tail)
	}
	return fmt.Sprintf("%s\n(%d bytes are left out here)\n%s", b.head, b.left, b.tail)
}

// Lines returns the first and the last lines of a text, at most first and last of
// them, with a line of how much was left out between them. Long lines are cut.
func Lines(text string, first, last int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	for i, line := range lines {
		lines[i] = clip(line)
	}
	if len(lines) <= first+last {
		return strings.Join(lines, "\n")
	}
	left := lines[first : len(lines)-last]
	note := fmt.Sprintf("(%d lines, %d bytes, are left out here)", len(left), len(strings.Join(left, "\n"))+1)
	kept := append(append(append([]string(nil), lines[:first]...), note), lines[len(lines)-last:]...)
	return strings.Join(kept, "\n")
}

// clip cuts a line that is too long to be read.
func clip(line string) string {
	const most = 500
	if len(line) <= most {
		return line
	}
	return fmt.Sprintf("%s... (%d bytes more)", strings.ToValidUTF8(line[:most], ""), len(line)-most)
}
