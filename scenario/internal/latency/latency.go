// Package latency sorts times into buckets, finely for short ones and coarsely
// for long ones, so that counters of a fixed size hold times from nanoseconds to
// minutes with an error of an eighth.
package latency

import "math/bits"

const (
	subBits = 3
	sub     = 1 << subBits // buckets of each power of two

	// Buckets is the number of buckets. The last one holds all times from
	// about 70 minutes on.
	Buckets = 40 * sub
)

// Bucket returns the bucket of a time in ns. Negative times count as 0.
func Bucket(ns int64) int {
	if ns < sub {
		return int(max(ns, 0))
	}
	exp := bits.Len64(uint64(ns)) - 1 // 2^exp <= ns
	i := (exp-subBits+1)*sub + int(uint64(ns)>>(exp-subBits)&(sub-1))
	return min(i, Buckets-1)
}

// Bounds returns the times, in ns, that bucket i holds: from lo to below hi.
func Bounds(i int) (lo, hi int64) {
	if i < sub {
		return int64(i), int64(i) + 1
	}
	exp := i/sub + subBits - 1
	width := int64(1) << (exp - subBits)
	lo = int64(1)<<exp + int64(i%sub)*width
	return lo, lo + width
}
