package dump

import (
	"embed"
	"errors"
	"fmt"
	"html"
	"io"
	"strings"

	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// The page, and uPlot 1.6.32 (MIT, uPlot.LICENSE), which draws its plots.
//
//go:embed page
var page embed.FS

// HTML writes snapshots, in the order in which they were taken, as one page that
// needs nothing else: it can be searched, parts of it folded, two captures
// compared, and numbers of several captures plotted over time.
func HTML(w io.Writer, snaps ...*ktsnap.Snapshot) error { return Page(w, snaps, nil) }

// Page is [HTML] with further plots, which the page opens with. If maps are
// named the page has only those: of each snapshot the ones that it has. A name
// that none of them has is an error of [ktsnap.Snapshot.Map].
func Page(w io.Writer, snaps []*ktsnap.Snapshot, plots []Plot, maps ...string) error {
	return writePage(w, snaps, Story{Plots: plots}, maps)
}

func writePage(w io.Writer, snaps []*ktsnap.Snapshot, story Story, maps []string) error {
	if len(snaps) == 0 {
		return errors.New("write a page: there is no snapshot to show")
	}
	views, err := chooseOfEach(snaps, maps)
	if err != nil {
		return err
	}
	draws := len(snaps)+len(story.Plots) > 1
	before, rest, err := pageText(story, snaps, draws)
	if err != nil {
		return err
	}
	between, after, _ := strings.Cut(rest, "{{script}}")
	out := &pageWriter{w: w}
	out.text(before)
	for i, s := range snaps {
		out.text("<script type=\"application/json\" class=\"capture\">\n")
		if out.err == nil {
			out.err = writeDocument(w, s, views[i], tasksFor(maps, runnableOnly))
		}
		out.text("</script>\n")
	}
	for _, p := range story.Plots {
		out.plot(p)
	}
	out.text(story.end())
	out.text(between)
	if draws {
		out.file("uPlot.iife.min.js")
	}
	out.file("page.js")
	out.text(after)
	return out.err
}

// chooseOfEach returns the maps of these names that each snapshot has, all if
// there are no names.
func chooseOfEach(snaps []*ktsnap.Snapshot, names []string) ([][]ktsnap.MapView, error) {
	chosen, missing := make([][]string, len(snaps)), error(nil)
	for _, name := range names {
		found := false
		for i, s := range snaps {
			v := s.Map(name)
			var absent *ktsnap.MapNotFoundError
			switch {
			case v.Map() != nil:
				chosen[i], found = append(chosen[i], name), true
			case errors.As(v.Err(), &absent):
				missing = v.Err()
			default:
				return nil, v.Err()
			}
		}
		if !found {
			return nil, missing
		}
	}
	views := make([][]ktsnap.MapView, len(snaps))
	for i, s := range snaps {
		if len(names) > 0 && len(chosen[i]) == 0 {
			continue
		}
		var err error
		if views[i], err = choose(s, chosen[i]); err != nil {
			return nil, err
		}
	}
	return views, nil
}

// pageText returns what comes before the captures and after them.
func pageText(story Story, snaps []*ktsnap.Snapshot, draws bool) (before, after string, err error) {
	text, err := page.ReadFile("page/page.html")
	if err != nil {
		return "", "", err
	}
	style, err := page.ReadFile("page/page.css")
	if err != nil {
		return "", "", err
	}
	if draws {
		plots, err := page.ReadFile("page/uPlot.min.css")
		if err != nil {
			return "", "", err
		}
		style = append(style, plots...)
	}
	before, after, _ = strings.Cut(string(text), "{{data}}")
	head, body, _ := strings.Cut(before, "{{style}}")
	head = strings.ReplaceAll(head, "{{title}}", html.EscapeString(story.title(snaps)))
	return head + string(style) + strings.Replace(body, "{{opening}}\n", story.opening(), 1), after, nil
}

func pageTitle(snaps []*ktsnap.Snapshot) string {
	name := clean(snaps[len(snaps)-1].Name)
	switch {
	case name == "":
		return "snapshot"
	case len(snaps) > 1:
		return fmt.Sprintf("%s and %d before", name, len(snaps)-1)
	}
	return name
}

// pageWriter keeps the first error.
type pageWriter struct {
	w   io.Writer
	err error
}

func (p *pageWriter) text(s string) {
	if p.err == nil {
		_, p.err = io.WriteString(p.w, s)
	}
}

// file writes one of the page's files.
func (p *pageWriter) file(name string) {
	b, err := page.ReadFile("page/" + name)
	if p.err == nil {
		p.err = err
	}
	p.text(string(b) + "\n")
}
