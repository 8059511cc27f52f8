package series

import (
	"fmt"
	"strings"
)

// String says what the verdict is and why: what a person needs to see the
// problem without running the test again.
func (v Verdict) String() string {
	var b strings.Builder
	b.WriteString(v.headline())
	for _, note := range clip(v.Notes, maxListed) {
		b.WriteString("\n  " + note)
	}
	if len(v.Parts) > 0 {
		v.writeParts(&b)
		return b.String()
	}
	if v.Outcome == Invalid && len(v.Violations) == 0 {
		return b.String()
	}
	points := v.Points()
	if !v.Passed() {
		v.writePlot(&b, points)
		v.writeNeighbours(&b, points)
		v.writeViolations(&b)
	}
	writeMissing(&b, points, "")
	writeMissing(&b, onlyMissing(v.Effect(), points), " of the effect")
	return b.String()
}

// onlyMissing returns points that have no error where others have one, too.
func onlyMissing(points, others []PlotPoint) []PlotPoint {
	for i := range points {
		if others[i].Err != nil {
			points[i].Err = nil
		}
	}
	return points
}

// headline is the first line.
func (v Verdict) headline() string {
	colon := ":"
	if len(v.Parts) > 0 {
		colon = "" // the reason is in how many of them
	}
	switch v.Outcome {
	case Pass:
		return fmt.Sprintf("%s: %s holds for %s", v.Series, v.Pattern, v.extent())
	case Fail:
		return fmt.Sprintf("%s: %s fails%s %s", v.Series, v.Pattern, colon, v.Reason)
	}
	return fmt.Sprintf("%s: %s is %s%s %s", v.Series, v.Pattern, v.Outcome, colon, v.Reason)
}

// extent says what was judged.
func (v Verdict) extent() string {
	if len(v.Parts) > 0 {
		return fmt.Sprintf("%d series", len(v.Parts))
	}
	if v.Known == v.Samples {
		return count(v.Samples, "sample")
	}
	return fmt.Sprintf("%d of %s", v.Known, count(v.Samples, "sample"))
}

// writeParts writes the first of the verdicts that decided that on a group.
func (v Verdict) writeParts(b *strings.Builder) {
	if v.Passed() {
		return
	}
	written := 0
	for _, part := range v.Parts {
		if part.Outcome != v.Outcome {
			continue
		}
		if written++; written > maxReasons {
			return
		}
		b.WriteString("\n" + indent(part.String()))
	}
}

// indent moves the lines of a text to the right, but for empty ones.
func indent(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if line != "" {
			lines[i] = "  " + line
		}
	}
	return strings.Join(lines, "\n")
}

// writePlot draws the series if it is one of numbers.
func (v Verdict) writePlot(b *strings.Builder, points []PlotPoint) {
	marked := make([]int, len(v.Violations))
	for i, violation := range v.Violations {
		marked[i] = violation.At
	}
	line, marks := sparkline(points, marked)
	if line == "" {
		return
	}
	fmt.Fprintf(b, "\n\n    %s", line)
	if marks != "" {
		fmt.Fprintf(b, "\n    %s", marks)
	}
	if effect, _ := sparkline(v.Effect(), nil); effect != "" {
		fmt.Fprintf(b, "\n    %s, the effect", effect)
	}
}

// context is how many samples before and after a violation are listed.
const context = 2

// writeNeighbours lists the first violation with the samples around it.
func (v Verdict) writeNeighbours(b *strings.Builder, points []PlotPoint) {
	if len(v.Violations) == 0 || len(points) == 0 {
		return
	}
	first := v.Violations[0]
	from, to := max(0, first.At-context), min(len(points), first.At+context+1)
	if first.Prior >= 0 && first.Prior < from && first.At-first.Prior <= maxListed {
		from = max(0, first.Prior-1)
	}
	b.WriteString("\n")
	rows := make([][]string, 0, to-from)
	for i := from; i < to; i++ {
		rows = append(rows, row(points[i], i == first.At))
	}
	writeTable(b, rows)
}

func row(p PlotPoint, marked bool) []string {
	mark, value := " ", p.Text
	if marked {
		mark = ">"
	}
	if value == "" {
		value = "-"
	}
	phase := ""
	if p.Phase != (Phase{}) {
		phase = p.Phase.String()
	}
	return []string{mark, p.Name, offset(p.Elapsed), phase, value}
}

// writeTable writes rows with aligned columns.
func writeTable(b *strings.Builder, rows [][]string) {
	var widths [5]int
	for _, r := range rows {
		for i, cell := range r {
			widths[i] = max(widths[i], len([]rune(cell)))
		}
	}
	for _, r := range rows {
		line := ""
		for i, cell := range r {
			if widths[i] > 0 {
				line += fmt.Sprintf("%-*s  ", widths[i], cell)
			}
		}
		b.WriteString("\n  " + strings.TrimRight(line, " "))
	}
}

// writeViolations says what is wrong beside the first violation.
func (v Verdict) writeViolations(b *strings.Builder) {
	if len(v.Violations) < 2 {
		return
	}
	more := v.Violations[1:]
	fmt.Fprintf(b, "\n  %s:", count(len(more), "further violation"))
	for _, violation := range more[:min(len(more), maxReasons)] {
		b.WriteString("\n    " + violation.Text)
	}
	if n := len(more) - maxReasons; n > 0 {
		fmt.Fprintf(b, "\n    and %d more", n)
	}
}

// writeMissing says which samples of a series have no value, by reason.
func writeMissing(b *strings.Builder, points []PlotPoint, of string) {
	var reasons []string
	moments := make(map[string][]string)
	total := 0
	for i := range points {
		if points[i].Err == nil {
			continue
		}
		total++
		reason := points[i].Err.Error()
		if moments[reason] == nil {
			reasons = append(reasons, reason)
		}
		moments[reason] = append(moments[reason], points[i].Moment.String())
	}
	if total == 0 {
		return
	}
	fmt.Fprintf(b, "\n  %d of %s%s %s no value:", total, count(len(points), "sample"), of, hasHave(total))
	for _, reason := range clip(reasons, maxListed) {
		which := moments[reason]
		if which == nil {
			fmt.Fprintf(b, "\n    %s", reason)
			continue
		}
		fmt.Fprintf(b, "\n    %s: %s", strings.Join(clip(which, maxReasons), ", "), reason)
	}
}
