package ktest

import (
	"io"
	"slices"

	"github.com/ktgen/ktgen/dump"
	"github.com/ktgen/ktgen/series"
)

// Judge fails the test, and ends it, if one of the verdicts is not [series.Pass],
// as their Require does. The page that a failed test leaves behind draws their
// series, with the violations marked.
func (vm *VM) Judge(verdicts ...series.Verdict) {
	vm.tb.Helper()
	vm.mu.Lock()
	vm.verdicts = append(vm.verdicts, verdicts...)
	vm.mu.Unlock()
	passed := true
	for _, v := range verdicts {
		passed = v.Assert(vm.tb) && passed
	}
	if !passed {
		vm.tb.FailNow()
	}
}

// WritePage writes the latest captures as one page, which begins with why the
// test fails, names it, and draws the series of verdicts: what a failed test leaves
// behind as captures.html. Without captures it writes nothing.
func (vm *VM) WritePage(w io.Writer, verdicts ...series.Verdict) error {
	return page(vm.latest(), vm.story(verdicts))(w)
}

func (vm *VM) judged() []series.Verdict {
	vm.mu.Lock()
	defer vm.mu.Unlock()
	return slices.Clone(vm.verdicts)
}

// maxPlots bounds the series that a page draws.
const maxPlots = 16

// plotsOf are the series of verdicts: those that did not pass first, and of a
// group all its parts.
func plotsOf(verdicts []series.Verdict) []dump.Plot {
	var all []series.Verdict
	for _, v := range verdicts {
		if len(v.Parts) > 0 {
			all = append(all, v.Parts...)
		} else {
			all = append(all, v)
		}
	}
	slices.SortStableFunc(all, func(a, b series.Verdict) int { return rank(a) - rank(b) })
	var plots []dump.Plot
	for _, v := range all[:min(len(all), maxPlots)] {
		if plot := plotOf(v); len(plot.Lines) > 0 {
			plots = append(plots, plot)
		}
	}
	return plots
}

func rank(v series.Verdict) int {
	if v.Passed() {
		return 1
	}
	return 0
}

func plotOf(v series.Verdict) dump.Plot {
	plot := dump.Plot{Title: v.Series + ": " + v.Pattern + " " + v.Outcome.String(), Text: v.String()}
	for i, points := range [][]series.PlotPoint{v.Points(), v.Effect()} {
		if len(points) == 0 {
			continue
		}
		line := dump.PlotLine{Name: []string{v.Series, "effect"}[i]}
		for _, p := range points {
			line.Points = append(line.Points, dump.PlotPoint{At: p.Time() - points[0].Began, Name: p.Name, Value: p.Value})
		}
		plot.Lines = append(plot.Lines, line)
	}
	for _, violation := range v.Violations {
		plot.Lines[0].Points[violation.At].Marked = true
	}
	return plot
}
