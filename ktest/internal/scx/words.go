package scx

import (
	"errors"
	"strings"

	"github.com/ktgen/ktgen/internal/excerpt"
	"github.com/ktgen/ktgen/vmm/guest"
)

// maxWords is how much is kept of what the kernel writes while a scheduler is
// started, in bytes. It travels as a part of an error.
const maxWords = 16 << 10

// words are the lines that the kernel itself has written to its log, in which
// programs write, too.
type words struct{ kept excerpt.Buffer }

func newWords() *words { return &words{kept: excerpt.Buffer{Size: maxWords}} }

func (w *words) hear(r guest.Record) {
	if r.Facility == 0 {
		_, _ = w.kept.Write([]byte(r.Text + "\n"))
	}
}

func (w *words) String() string { return strings.TrimSpace(w.kept.String()) }

// testify adds to an error of a start what the kernel wrote meanwhile, to the last
// line. It ends the watching.
func (m *monitor) testify(err error) error {
	if err == nil {
		return nil
	}
	m.stop()
	var attach *AttachError
	var ended *LoaderError
	switch {
	case errors.As(err, &attach):
		attach.Kernel = m.words.String()
	case errors.As(err, &ended):
		ended.Kernel = m.words.String()
	}
	return err
}

// shownWords is how many lines of the kernel are part of an error's message.
const shownWords = 20

// meanwhile adds to a message what the kernel wrote meanwhile.
func meanwhile(message, kernel string) string {
	if kernel == "" {
		return message
	}
	return message + "\nthe kernel wrote meanwhile:\n" + excerpt.Lines(kernel, shownWords/2, shownWords/2)
}
