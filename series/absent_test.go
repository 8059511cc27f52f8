package series

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// queueStats is what statistics are decoded into in these tests.
type queueStats struct {
	Common
	Enqueued uint64 `json:"nr_enqueued"`
	Dropped  uint64 `json:"nr_dropped,omitempty"`
	Last     *int   `json:"last"`
	Queues   []struct {
		Len int `json:"len"`
	} `json:"queues"`
	CPUs   [2]int         `json:"cpus"`
	Layers map[string]int `json:"layers"`
	Taken  time.Time      `json:"taken"`
	Note   any            `json:"note"`
	Skip   int            `json:"-"`
}

type Common struct{ Version int }

const wholeStats = `{"version": 1, "nr_enqueued": 5, "queues": [{"len": 1}, {"len": 2}], "cpus": [1, 2],
	"layers": {"a": 1}, "taken": "2026-01-02T03:04:05Z", "note": null, "more": 1}`

func TestAbsentStatisticsAreErrorsWithTheCaptureTheyLackIn(t *testing.T) {
	for _, c := range []struct{ name, json, want string }{
		{"whole", wholeStats, ""},
		{"empty", `{}`, `the statistics of "tick" have no member Version: there is nothing in its place (tag the field omitempty if it may be absent)`},
		{"null", `null`, `the statistics of "tick" have null at their top: make the field a pointer if that is a value`},
		{"misspelt", `{"version": 1, "nr_enqued": 5}`, `the statistics of "tick" have no member nr_enqueued: there are nr_enqued, version; did you mean nr_enqued? (tag the field omitempty if it may be absent)`},
		{"a null number", `{"version": 1, "nr_enqueued": null}`, `the statistics of "tick" have null at nr_enqueued: make the field a pointer if that is a value`},
		{"in an element", `{"version": 1, "nr_enqueued": 5, "queues": [{"len": 1}, {}]}`, `the statistics of "tick" have no member queues[1].len: there is nothing in its place (tag the field omitempty if it may be absent)`},
		{"a short array", `{"version": 1, "nr_enqueued": 5, "queues": [], "cpus": [1]}`, `the statistics of "tick" have no member cpus[1]: there is nothing in its place (tag the field omitempty if it may be absent)`},
		{"a null entry", `{"version": 1, "nr_enqueued": 5, "queues": [], "cpus": [1, 2], "layers": {"a": null}}`, `the statistics of "tick" have null at layers.a: make the field a pointer if that is a value`},
	} {
		t.Run(c.name, func(t *testing.T) {
			sample := Statistics[queueStats]([]Capture{{Moment: Moment{Name: "tick"}, Statistics: []byte(c.json)}})[0]
			if c.want == "" {
				require.NoError(t, sample.Err)
				return
			}
			var lacks *AbsentStatisticError
			require.ErrorAs(t, sample.Err, &lacks)
			require.EqualError(t, lacks, c.want)
			require.NotErrorAs(t, sample.Err, new(*NoStatisticsError))
		})
	}
}

// A statistic that no capture has is no zero that never decreases.
func TestPatternsFailForStatisticsThatAreAbsent(t *testing.T) {
	var captures []Capture
	for i := range 3 {
		captures = append(captures, Capture{
			Moment:     Moment{Name: fmt.Sprintf("tick %d", i), Elapsed: time.Duration(i) * time.Second},
			Statistics: []byte(`{"nr_enqued": 1}`),
		})
	}
	type typo struct {
		Enqueued uint64 `json:"nr_enqueued"`
	}
	enqueued := Of(Statistics[typo](captures), func(s typo) uint64 { return s.Enqueued })
	v := NonDecreasing(enqueued)
	require.False(t, v.Passed())
	require.Contains(t, v.String(), `the statistics of "tick 0" have no member nr_enqueued`)
}

// Of members whose names differ in letter case only, the one of the field's name counts.
func TestStatisticsAreFoundByTheirExactNameFirst(t *testing.T) {
	type stats struct {
		Version int `json:"version"`
	}
	for range 20 { // maps have no order
		sample := Statistics[stats]([]Capture{{Statistics: []byte(`{"Version": null, "VERSION": null, "version": 3}`)}})[0]
		require.NoError(t, sample.Err)
	}
}
