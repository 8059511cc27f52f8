// Package series judges how values change over time.
//
// For authors of tests.
//
// A run has captures, in order of time: snapshots of the guest, statistics of its
// scheduler, or both. A projection makes a [Series] of them, one value for each, and a
// pattern judges it:
//
//	samples := series.Open(captures, examplesched.Open)
//	dispatched := series.Of(samples, func(s examplesched.Snap) uint64 { return s.Bss().NrDispatched })
//
//	series.NonDecreasing(dispatched).Require(t)
//	series.RateWithin(dispatched, 100, 50_000).Require(t) // per second
//
// [PerKey] makes a series for each task, cgroup or CPU, and [Series.ByPhase]
// one for each step of the scenario; [Group.Every] judges all of them.
//
// A pattern returns a [Verdict]: Pass, Fail, Inconclusive or Invalid. Only Pass passes a
// test. A verdict prints what happened at which sample, with the samples around it.
//
// # Samples without a value
//
// A sample has no value if there is no snapshot, if a read failed, or if a
// denominator is 0. Such a sample cannot make a pattern fail. It hides nothing: the values
// on both sides of it are compared. It keeps a pattern from passing if too few samples are
// left. Each pattern says how many it needs:
//
//	pattern                    fails if                                       passes with at least
//	NonDecreasing              a value is less than one before it             2 values, half of the samples
//	StrictlyIncreasing         a value is not greater than one before it      2 values, half of the samples
//	NonDecreasingWithResets    as NonDecreasing, but for a number of resets   2 values, half of the samples
//	RateWithin                 the rate between two values is out of bounds   2 values, half of the samples
//	SteadyWithin               a value is too far from the mean               2 values, half of the samples, after the warm-up
//	ConvergesTo                a value is off at or after the deadline        3 values at the end, half of the samples
//	RatioWithin                a ratio is out of bounds                       1 ratio, half of the samples, no 0 below
//	PhaseRatioWithin           the ratio of two steps is out of bounds        1 value and half of the samples in each
//	AlwaysTrue, Never          it is false, or true, at a sample              all samples
//	Each                       a value is out of bounds                       all samples
//	Eventually                 it is false at all samples                     1 sample at which it is true
//	EventuallyWithin           it is false at all samples in time             1 sample in time at which it is true
//	LeadsTo                    a cause has no effect in time                  1 cause, all causes decided
//	Group.Every                it fails for a series of the group             1 series, and it passes for all
//
// [Series.MinCoverage] and [Series.MinSamples] change what it takes to pass,
// never what it takes to fail.
//
// A verdict is invalid if a bound is NaN, the lower bound is above the upper, a tolerance
// is negative, a value that is judged is NaN or infinite, or two series are not of the same
// captures. Invalid comes before Fail, and Fail before Inconclusive.
//
// # Time
//
// Patterns see samples and nothing in between. They order samples by [Moment.Time];
// samples of the same time keep their order. Times in patterns count from the beginning of
// the scenario, and for the series of a phase or of an entity from its first sample.
package series
