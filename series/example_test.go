package series_test

import (
	"errors"
	"fmt"
	"time"

	"github.com/ktgen/ktgen/series"
)

// Snap stands for the type of the same name in generated code.
type Snap struct {
	NrDispatched uint64
	Vtimes       map[int32]uint64
}

// captured stands for series.Open(captures, examplesched.Open).
func captured() []series.Sample[Snap] {
	var samples []series.Sample[Snap]
	for i, n := range []uint64{100, 180, 260, 0, 240, 330} {
		s := series.Sample[Snap]{Value: Snap{NrDispatched: n, Vtimes: map[int32]uint64{17: n}}}
		s.Name = fmt.Sprintf("periodic_%03d", i)
		s.Elapsed = time.Duration(1+i) * 500 * time.Millisecond
		samples = append(samples, s)
	}
	samples[3].Err = &series.NoSnapshotError{Err: errors.New("the vCPUs did not stop within 30s")}
	return samples
}

// A counter falls while a sample could not be captured.
func Example() {
	dispatched := series.Of(captured(), func(s Snap) uint64 { return s.NrDispatched })

	fmt.Println(series.NonDecreasing(dispatched))
	// Output:
	// NrDispatched: NonDecreasing fails: 240 at periodic_004 (+2.5s) is less than 260 at periodic_002 (+1.5s), across 1 sample without a value
	//
	//     ▁▃▆·▅█  100 to 330
	//         ▲
	//
	//      periodic_002  +1.5s  260
	//      periodic_003  +2s    -
	//   >  periodic_004  +2.5s  240
	//      periodic_005  +3s    330
	//   1 of 6 samples has no value:
	//     periodic_003 (+2s): there is no snapshot: the vCPUs did not stop within 30s
}

func ExamplePerKey() {
	vtimes := series.PerKey(captured(), func(s Snap, add func(pid int32, vtime uint64)) {
		for pid, vtime := range s.Vtimes {
			add(pid, vtime)
		}
	}).Named("vtime")

	verdict := vtimes.Every(func(s series.Series[uint64]) series.Verdict { return series.RateWithin(s, 0, 200) })
	fmt.Println(verdict.Outcome, verdict.Reason)
	fmt.Println(verdict.Parts[0].Reason)
	// Output:
	// fail in 1 of 1 series: 17
	// -20/s is less than 0/s, from 260 at periodic_002 (+1.5s) to 240 at periodic_004 (+2.5s), across 1 sample without a value
}

func ExampleLeadsTo() {
	dispatched := series.Of(captured(), func(s Snap) uint64 { return s.NrDispatched }).Named("nr_dispatched")
	busy := dispatched.Is(func(n uint64) bool { return n > 250 })
	quiet := dispatched.Is(func(n uint64) bool { return n < 250 })

	fmt.Println(series.LeadsTo(busy, quiet, time.Second))
	// Output:
	// nr_dispatched is n > 250: LeadsTo(nr_dispatched is n < 250, 1s) holds for 5 of 6 samples
	//   1 possible cause is not judged: the series ends within 1s of it
	//   1 of 6 samples has no value:
	//     periodic_003 (+2s): there is no snapshot: the vCPUs did not stop within 30s
}
