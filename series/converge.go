package series

import (
	"cmp"
	"fmt"
	"time"
)

// confirmations is how many values in a row show that a value has converged.
const confirmations = 3

// ConvergesTo judges whether a value comes within tolerance of target by a
// deadline and stays there. deadline counts as in [Series.After].
//
//	passes        if from a sample at or before the deadline on all values are
//	              in target ± tolerance, and there are 3 or more of them
//	fails         if a value after the deadline is outside, or if the last
//	              sample up to the deadline is and the series goes on to the
//	              deadline or beyond
//	inconclusive  otherwise: the series ends too early, the sample that decides
//	              has no value, or the coverage is below a half
//	invalid       if target is NaN or infinite, tolerance is NaN, infinite or
//	              negative, or deadline is negative
func ConvergesTo[V Number](s Series[V], target, tolerance float64, deadline time.Duration) Verdict {
	j := newJudge(s, fmt.Sprintf("ConvergesTo(%v, %v, %v)", target, tolerance, deadline), rule{values: 1, coverage: bridged})
	if notFinite(target) {
		j.reject("the target %v is not a finite number", target)
	}
	j.checkTolerance(tolerance)
	j.checkTime("deadline", deadline)

	c := convergence[V]{judge: j, lo: target - tolerance, hi: target + tolerance, deadline: deadline}
	c.look()
	c.conclude()
	return j.verdict()
}

// convergence is what is seen of a value on its way.
type convergence[V Number] struct {
	*judge[V]
	lo, hi   float64
	deadline time.Duration // from the origin of the series

	settled int // first value of those at the end that are all in the band
	values  int // how many those are
	due     int // last sample up to the deadline, with or without a value; -1 if none
}

func (c *convergence[V]) outside(v V) bool { return float64(v) < c.lo || float64(v) > c.hi }

// compareDue compares the time of sample i with the deadline.
func (c *convergence[V]) compareDue(i int) int {
	return cmp.Compare(c.series.origin.to(c.moment(i)), c.deadline)
}

// look finds where the value settles, and violates with what is out of the
// band after the deadline.
func (c *convergence[V]) look() {
	c.settled, c.due = -1, -1
	for i := range c.series.points {
		p := &c.series.points[i]
		if c.compareDue(i) <= 0 {
			c.due = i
		}
		switch {
		case p.Err != nil:
		case c.outside(p.Value):
			c.settled, c.values = -1, 0
			c.late(i)
		default:
			if c.settled < 0 {
				c.settled = i
			}
			c.values++
		}
	}
}

// late violates with a value out of the band if the deadline is over.
func (c *convergence[V]) late(i int) {
	if c.compareDue(i) > 0 {
		c.violate(i, -1, "%s, after the deadline, %s", c.at(i), c.beyond(i))
	}
}

func (c *convergence[V]) beyond(i int) string {
	v := float64(c.value(i))
	return outside(v < c.lo, text(c.lo, v), text(c.hi, v))
}

// conclude judges a series that is in the band after the deadline.
func (c *convergence[V]) conclude() {
	n := len(c.series.points)
	settledInTime := c.settled >= 0 && c.settled <= c.due
	switch {
	case len(c.violations) > 0 || n == 0:
	case settledInTime && c.values < confirmations:
		c.doubt("only %s at the end confirm%s it, and it takes %d", count(c.values, "value"), singular(c.values), confirmations)
	case settledInTime:
	case c.compareDue(n-1) < 0:
		c.doubt("the series ends at %s, before the deadline, and has not converged", c.moment(n-1))
	case c.due < 0:
		c.doubt("there is no sample up to the deadline")
	case c.missing(c.due):
		c.doubt("%s, the last sample up to the deadline, has no value", c.moment(c.due))
	default:
		c.violate(c.due, -1, "%s, the last sample up to the deadline, %s", c.at(c.due), c.beyond(c.due))
	}
}

// singular returns the ending of a verb.
func singular(n int) string {
	if n == 1 {
		return "s"
	}
	return ""
}
