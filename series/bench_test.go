package series

import (
	"fmt"
	"testing"
	"time"
)

// BenchmarkPatterns judges series of two lengths, of which the longer takes
// ten times as long.
func BenchmarkPatterns(b *testing.B) {
	for _, n := range []int{10_000, 100_000} {
		s := counting(n)
		low := s.Is(func(v uint64) bool { return v%64 == 0 })
		high := s.Is(func(v uint64) bool { return v%64 == 32 })
		for name, pattern := range map[string]func() Verdict{
			"NonDecreasing": func() Verdict { return NonDecreasing(s) },
			"RateWithin":    func() Verdict { return RateWithin(s, 0, 1e9) },
			"SteadyWithin":  func() Verdict { return SteadyWithin(s, 0, 2) },
			"ConvergesTo":   func() Verdict { return ConvergesTo(s, float64(n), 1e9, time.Second) },
			"LeadsTo":       func() Verdict { return LeadsTo(low, high, time.Second) },
			"RatioWithin":   func() Verdict { return RatioWithin(s, s, 1, 1) },
			"AtLeast":       func() Verdict { return Each(s).AtLeast(0) },
			"Fails":         func() Verdict { return Never(high) },
		} {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					pattern()
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/sample")
			})
		}
	}
}

func BenchmarkProjection(b *testing.B) {
	for _, n := range []int{10_000, 100_000} {
		samples := every(make([]uint64, n)...)
		b.Run(fmt.Sprintf("Of/%d", n), func(b *testing.B) {
			for b.Loop() {
				Of(samples, func(v uint64) uint64 { return v })
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/sample")
		})
		b.Run(fmt.Sprintf("PerKey/%d", n), func(b *testing.B) {
			few := samples[:n/100]
			for b.Loop() {
				PerKey(few, func(_ uint64, add func(int, uint64)) {
					for pid := range 100 {
						add(pid, 1)
					}
				})
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/value")
		})
	}
}

func BenchmarkText(b *testing.B) {
	v := NonDecreasing(Of(every(make([]uint64, 100_000)...), func(uint64) uint64 { return 1 }).Named("x"))
	v.Outcome = Fail
	for b.Loop() {
		_ = v.String()
	}
}

// counting makes a series of a counter, of which some samples have no value.
func counting(n int) Series[uint64] {
	samples := every(make([]uint64, n)...)
	for i := range samples {
		samples[i].Value = uint64(i)
		samples[i].Elapsed = time.Duration(i) * time.Millisecond
	}
	s := Of(samples, func(v uint64) uint64 { return v }).Named("counter")
	for i := 100; i < n; i += 100 {
		s.points[i].Err = errMissing
	}
	return s
}
