package dump

import (
	"fmt"
	"html"
	"io"
	"strings"
	"time"

	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// Story is what a page tells of the run that its captures are of. All of it is
// optional.
type Story struct {
	Test   string // its name
	Reason string // what went wrong, which the page begins with
	// End is when the scheduler ended, if it has (Ended), on the clock of the times in
	// Plots.
	Ended bool
	End   time.Duration
	Plots []Plot // which the page opens with
}

// PageOf is [Page] with the story of a run.
func PageOf(w io.Writer, snaps []*ktsnap.Snapshot, story Story, maps ...string) error {
	return writePage(w, snaps, story, maps)
}

// opening is what the page's body begins with.
func (s Story) opening() string {
	var b strings.Builder
	for _, part := range []struct{ id, text string }{{"reason", s.Reason}, {"test", s.Test}} {
		if part.text != "" {
			fmt.Fprintf(&b, "<p id=%q>%s</p>\n", part.id, html.EscapeString(clean(part.text)))
		}
	}
	return b.String()
}

// title is the page's, which names its snapshots if there is nothing to tell.
func (s Story) title(snaps []*ktsnap.Snapshot) string {
	reason, _, _ := strings.Cut(s.Reason, "\n")
	var parts []string
	for _, part := range []string{s.Test, reason} {
		if part != "" {
			parts = append(parts, clean(part))
		}
	}
	if len(parts) == 0 {
		return pageTitle(snaps)
	}
	return strings.Join(parts, ": ")
}

// end is what the page's script takes for the end of the scheduler.
func (s Story) end() string {
	if !s.Ended {
		return ""
	}
	return fmt.Sprintf("<script type=\"application/json\" id=\"end\">%g</script>\n", s.End.Seconds())
}
