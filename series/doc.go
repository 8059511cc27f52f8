// Package series judges how values change over time.
//
// For authors of tests.
//
// A run leaves captures behind: snapshots of the guest and statistics of its
// scheduler, in order of time, some of them without the one or the other. A
// projection makes a [Series] of them, one value for each, and a pattern judges
// it:
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
// A pattern answers with a [Verdict], which is a value: Pass, Fail,
// Inconclusive or Invalid. Only Pass passes a test. A verdict prints as what
// happened where, with the samples around it.
//
// # What is not known
//
// A sample has no value if there is no snapshot, if a read failed, or if a
// denominator is 0. Such a sample is evidence of nothing. It cannot make a
// pattern fail, and it does not hide what the others show: values on both
// sides of it are compared. It keeps a pattern from passing if too few samples
// are left. How many have to be there is a property of the pattern:
//
//	pattern                    fails if                                       passes with at least
//	NonDecreasing              a value is less than one before it             2 values, half of the samples
//	StrictlyIncreasing         a value is not greater than one before it      2 values, half of the samples
//	NonDecreasingWithResets    as NonDecreasing, but for a number of resets   2 values, half of the samples
//	RateWithin                 the rate between two values is out of bounds   2 values, half of the samples
//	SteadyWithin               a value is too far from the mean               2 values, half of the samples, after the warm-up
//	ConvergesTo                a value is off after the deadline, or at it    3 values at the end, half of the samples
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
// A verdict is invalid if the question makes no sense: a bound is NaN, the
// lower bound is above the upper, a tolerance is negative, a value that is
// judged is NaN or infinite, or two series are not of the same captures. This
// comes before everything else. A violation comes before a lack of data.
//
// # Time
//
// Patterns see samples and nothing in between. Samples are ordered by
// [Moment.Elapsed], whatever the order they are given in; those of the same
// time keep the order they are given in. Times in patterns count from the
// beginning of the scenario, and for the series of a phase or of an entity
// from their first sample.
package series
