package series

import (
	"math"
	"strings"
)

const (
	bars      = "▁▂▃▄▅▆▇█"
	gap       = '·' // no value
	violation = '▲'
	maxWidth  = 64 // columns of a sparkline
)

// sparkline draws numbers in one line, with their range, and marks some of
// them in a second line. It returns "" if there are no numbers. A long series
// shares columns: one shows its first marked sample, or else its last value.
func sparkline(points []PlotPoint, marked []int) (line, marks string) {
	lo, hi := extent(points)
	if lo > hi {
		return "", ""
	}
	columns := min(len(points), maxWidth)
	column := func(i int) int { return i * columns / len(points) }

	shown := make([]int, columns) // 1 + index of the sample that the column shows
	for i := range points {
		if c := column(i); shown[c] == 0 || !math.IsNaN(points[i].Value) {
			shown[c] = i + 1
		}
	}
	under := []rune(strings.Repeat(" ", columns))
	for k := len(marked) - 1; k >= 0; k-- {
		shown[column(marked[k])] = marked[k] + 1
		under[column(marked[k])] = violation
	}
	var b strings.Builder
	for _, i := range shown {
		b.WriteRune(bar(points[i-1].Value, lo, hi))
	}
	b.WriteString("  " + scale(points, lo, hi))
	return b.String(), strings.TrimRight(string(under), " ")
}

// extent returns the least and the greatest number. The least is greater if
// there is none.
func extent(points []PlotPoint) (lo, hi float64) {
	lo, hi = math.Inf(1), math.Inf(-1)
	for i := range points {
		if v := points[i].Value; !math.IsNaN(v) {
			lo, hi = min(lo, v), max(hi, v)
		}
	}
	return lo, hi
}

// scale says what the lowest and the highest bar stand for.
func scale(points []PlotPoint, lo, hi float64) string {
	least, greatest := bound(points, lo), bound(points, hi)
	if least == greatest {
		return least
	}
	return least + " to " + greatest
}

// maxDigits is how long a number beside a sparkline may be.
const maxDigits = 12

// bound returns a number as it is printed where it occurs, if that is short.
func bound(points []PlotPoint, value float64) string {
	for i := range points {
		if text := points[i].Text; points[i].Value == value && text != "" && len(text) <= maxDigits {
			return text
		}
	}
	return text(value)
}

func bar(value, lo, hi float64) rune {
	levels := []rune(bars)
	switch {
	case math.IsNaN(value):
		return gap
	case lo == hi:
		return levels[0]
	}
	if math.IsInf(hi-lo, 0) {
		value, lo, hi = value/2, lo/2, hi/2
	}
	height := (value - lo) / (hi - lo)
	return levels[int(height*float64(len(levels)-1)+0.5)]
}
