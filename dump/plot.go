package dump

import (
	"encoding/json"
	"math"
	"time"
)

// Plot is numbers over time for a page to draw, such as a series that was judged.
type Plot struct {
	Title string
	Text  string // about it, in lines
	Lines []PlotLine
}

// PlotLine is one line of a plot. All lines of a plot have the same times.
type PlotLine struct {
	Name   string
	Points []PlotPoint
}

// PlotPoint is a number at a time. NaN and infinite values leave a gap.
type PlotPoint struct {
	At     time.Duration
	Name   string // of the moment
	Value  float64
	Marked bool // the page marks it as wrong
}

// plot writes what the page's script draws. encoding/json escapes what could end
// the element.
func (p *pageWriter) plot(plot Plot) {
	type line struct {
		Name   string     `json:"name"`
		Values []*float64 `json:"values"`
		Marked []*float64 `json:"marked,omitempty"` // values of the points that are marked, null for others
	}
	doc := struct {
		Title string    `json:"title"`
		Text  string    `json:"text"`
		X     []float64 `json:"x"` // seconds
		Names []string  `json:"names"`
		Lines []line    `json:"lines"`
	}{Title: clean(plot.Title), Text: plot.Text}
	for i, l := range plot.Lines {
		drawn, marks := line{Name: clean(l.Name)}, make([]*float64, len(l.Points))
		for j, point := range l.Points {
			if i == 0 {
				doc.X = append(doc.X, point.At.Seconds())
				doc.Names = append(doc.Names, clean(point.Name))
			}
			value := finite(point.Value)
			drawn.Values = append(drawn.Values, value)
			if point.Marked && value != nil {
				marks[j], drawn.Marked = value, marks
			}
		}
		doc.Lines = append(doc.Lines, drawn)
	}
	text, err := json.Marshal(doc)
	if p.err == nil {
		p.err = err
	}
	p.text("<script type=\"application/json\" class=\"series\">\n" + string(text) + "\n</script>\n")
}

func finite(f float64) *float64 {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return nil
	}
	return &f
}
