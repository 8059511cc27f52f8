package series

import (
	"cmp"
	"fmt"
)

// Bounds judges each value of a series by itself; see [Each].
type Bounds[V cmp.Ordered] struct{ series Series[V] }

// Each returns what judges each value of a series by itself. Its patterns
//
//	fail          if a value is out of bounds
//	inconclusive  without samples, or if a sample has no value: that could be
//	              the one that is out of bounds
//	invalid       if a bound is NaN, or the lower is above the upper
func Each[V cmp.Ordered](s Series[V]) Bounds[V] { return Bounds[V]{series: s} }

// AtLeast judges whether no value is less than lo.
func (b Bounds[V]) AtLeast(lo V) Verdict {
	return b.judge(fmt.Sprintf("Each.AtLeast(%v)", lo), &lo, nil)
}

// AtMost judges whether no value is more than hi.
func (b Bounds[V]) AtMost(hi V) Verdict {
	return b.judge(fmt.Sprintf("Each.AtMost(%v)", hi), nil, &hi)
}

// Between judges whether no value is less than lo or more than hi.
func (b Bounds[V]) Between(lo, hi V) Verdict {
	return b.judge(fmt.Sprintf("Each.Between(%v, %v)", lo, hi), &lo, &hi)
}

// judge compares with the bounds that there are.
func (b Bounds[V]) judge(pattern string, lo, hi *V) Verdict {
	j := newJudge(b.series, pattern, rule{values: 1, coverage: complete})
	if lo != nil && *lo != *lo || hi != nil && *hi != *hi {
		j.reject("a bound is NaN")
	}
	if lo != nil && hi != nil && *lo > *hi {
		j.reject("the lower bound %v is above the upper bound %v", *lo, *hi)
	}
	for i, v := range j.known() {
		switch {
		case lo != nil && v < *lo:
			j.violate(i, -1, "%s is less than %v", j.at(i, *lo), *lo)
		case hi != nil && v > *hi:
			j.violate(i, -1, "%s is more than %v", j.at(i, *hi), *hi)
		}
	}
	return j.verdict()
}
