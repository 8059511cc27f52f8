package dump_test

import (
	"bytes"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/dump"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

func page(t testing.TB, snaps ...*ktsnap.Snapshot) string {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, dump.HTML(&b, snaps...))
	return b.String()
}

func TestPagesEscapeWhatTheGuestSays(t *testing.T) {
	html := page(t, guest(5000))
	require.NotContains(t, html, "<b>worker</b>")
	require.NotContains(t, html, "<i>spawn</i>")
	require.Contains(t, html, `\u003cb\u003eworker`)
	require.Contains(t, html, "&lt;i&gt;spawn")
}

func TestPagesOfChosenMapsHaveThoseThatACaptureHas(t *testing.T) {
	earlier, later := guest(5000), guest(9000)
	earlier.Maps = slices.Delete(earlier.Maps, 4, 5) // big
	var b bytes.Buffer
	require.NoError(t, dump.Page(&b, []*ktsnap.Snapshot{earlier, later}, nil, "big", "mysched.bss"))
	require.Equal(t, 1, strings.Count(b.String(), `"name":"big"`))
	require.Equal(t, 2, strings.Count(b.String(), `"name":"mysched.bss"`))
	require.NotContains(t, b.String(), `"name":"untyped"`)
	err := dump.Page(&b, []*ktsnap.Snapshot{earlier, later}, nil, "bigg")
	require.ErrorAs(t, err, new(*ktsnap.MapNotFoundError))
	require.ErrorContains(t, err, `did you mean "big"?`)
}

func TestPagesNeedNothingElse(t *testing.T) {
	html := page(t, guest(5000), guest(9000))
	require.Contains(t, html, "default-src 'none'")
	for _, reference := range []string{" src=", "<link", "@import", "url("} {
		require.NotContains(t, html, reference)
	}
}

func TestPagesCarryPlotsOnlyForSeveralCaptures(t *testing.T) {
	require.NotContains(t, page(t, guest(1)), "uPlot=")
	require.Contains(t, page(t, guest(1), guest(2)), "uPlot=")
	require.Equal(t, 3, strings.Count(page(t, guest(1), guest(2), guest(3)), `class="capture"`))
}

func TestSeriesAreDrawnBesideOneCapture(t *testing.T) {
	var b bytes.Buffer
	plots := []dump.Plot{{Title: "a", Lines: []dump.PlotLine{{Points: []dump.PlotPoint{{Value: math.NaN()}, {Value: 2, Marked: true}}}}}}
	require.NoError(t, dump.Page(&b, []*ktsnap.Snapshot{guest(1)}, plots))
	require.Contains(t, b.String(), "uPlot=")
	require.Contains(t, b.String(), `"values":[null,2],"marked":[null,2]`)
}

func TestAPageOfNothingIsAnError(t *testing.T) {
	require.Error(t, dump.HTML(&bytes.Buffer{}))
}
