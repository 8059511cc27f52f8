package dump_test

import (
	"bytes"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/dump"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// stalled are captures around the end of a scheduler.
func stalled() []*ktsnap.Snapshot {
	snaps := []*ktsnap.Snapshot{guest(1000), guest(2000), guest(3000), guest(4000)}
	for i, s := range snaps {
		s.Taken = snaps[0].Taken.Add(time.Duration(i) * 10 * time.Second)
		s.Scheduler = ktsnap.Scheduler{State: "enabled", Name: "fault"}
	}
	end := ktsnap.Scheduler{State: "enabled", Name: "fault", Reason: "runnable task stall", Message: "spin[93] failed to run for 2.004s"}
	snaps[2].Scheduler = end
	end.State = "disabled"
	snaps[3].Scheduler = end
	return snaps
}

func story() dump.Story {
	line := dump.PlotLine{Name: "n"}
	for i := range 5 {
		line.Points = append(line.Points, dump.PlotPoint{At: time.Duration(i) * time.Second, Value: float64(i)})
	}
	return dump.Story{
		Test: "TestFair/<b>two</b>", Reason: "runnable task stall: <i>spin</i>[93]",
		Ended: true, End: 8 * time.Second, Plots: []dump.Plot{{Title: "n", Lines: []dump.PlotLine{line}}},
	}
}

func TestPagesBeginWithTestAndReason(t *testing.T) {
	var b bytes.Buffer
	require.NoError(t, dump.PageOf(&b, stalled(), story()))
	_, body, ok := strings.Cut(b.String(), "<body>")
	require.True(t, ok)
	require.True(t, strings.HasPrefix(strings.TrimSpace(body), `<p id="reason">runnable task stall: &lt;i&gt;spin`), body[:200])
	require.Contains(t, b.String(), "<title>TestFair/&lt;b&gt;two&lt;/b&gt;: runnable task stall")
	require.Contains(t, body, `<p id="test">TestFair/&lt;b&gt;two`)

	require.NotContains(t, page(t, stalled()...), `id="reason"`)
	require.NotContains(t, page(t, stalled()...), `id="test"`)
}

func TestPagesMarkTheEndOfTheScheduler(t *testing.T) {
	var b bytes.Buffer
	require.NoError(t, dump.PageOf(&b, stalled(), story()))
	var got struct {
		Error                   string
		Options                 []string
		Judged, Plotted, Titles []string
		JudgedAt, PlottedAt     []float64
	}
	browse(t, b.String(), helpers+`
		const marks = () => [...document.querySelectorAll("#plots .end")];
		const at = m => parseFloat(m.style.left) / m.parentElement.clientWidth;
		const settle = async () => { for (let i = 0; i < 5; i++) await null; };
		await settle();
		const r = {Options: [...document.querySelectorAll("#capture option")].map(o => o.textContent)};
		r.Judged = marks().map(m => m.textContent); r.JudgedAt = marks().map(at);
		press("showplots"); showPlots("m" + captures[3].maps.find(m => m.name === "mysched.bss").id + "e0.nr_dispatched"); await settle();
		r.Plotted = marks().map(m => m.textContent); r.PlottedAt = marks().map(at); r.Titles = marks().map(m => m.title);
		return r;`, &got)
	require.Empty(t, got.Error)
	require.Len(t, got.Options, 4)
	require.NotContains(t, got.Options[1], "end")
	require.Contains(t, got.Options[2], "about to end")
	require.Contains(t, got.Options[3], "ended")
	require.Equal(t, []string{"end"}, got.Judged)
	require.InDelta(t, 1, got.JudgedAt[0], 0.1, "it is after all that was judged, and in view")
	require.Equal(t, []string{"end"}, got.Plotted)
	require.InDelta(t, 2./3, got.PlottedAt[0], 0.05, "the third of four captures")
	require.Contains(t, got.Titles[0], "runnable task stall: spin[93] failed to run for 2.004s")
}

func TestPagesOfASchedulerThatLivesHaveNoEnd(t *testing.T) {
	snaps := stalled()[:2]
	var b bytes.Buffer
	plots := []dump.Plot{{Title: "n", Lines: []dump.PlotLine{{Points: []dump.PlotPoint{{Value: math.NaN()}, {At: 1, Value: 2}}}}}}
	require.NoError(t, dump.Page(&b, snaps, plots))
	var got struct {
		Error string
		Ends  int
		Text  string
	}
	browse(t, b.String(), helpers+`
		const r = {}; for (let i = 0; i < 5; i++) await null;
		r.Ends = document.querySelectorAll(".end").length; r.Text = document.getElementById("capture").textContent; return r;`, &got)
	require.Empty(t, got.Error)
	require.Zero(t, got.Ends)
	require.NotContains(t, got.Text, "end")
}
