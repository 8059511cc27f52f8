package dump_test

import (
	"bytes"
	"context"
	"encoding/json"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/dump"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// browse opens a page in a headless Chromium, runs a script in it as soon as the
// page has run its own, and returns what the script returned, decoded into
// result. The script is code of an async function.
func browse(t *testing.T, page, script string, result any) {
	t.Helper()
	chromium, err := exec.LookPath("chromium")
	if err != nil && os.Getenv("CI") == "" {
		t.Skip("there is no chromium, whose page this is tested in: apt-get install chromium")
	}
	require.NoError(t, err)
	dir := t.TempDir()
	file := filepath.Join(dir, "page.html")
	probe := "<script>(async () => {" + script + "})().catch(e => ({Error: String(e)})).then(r => {" +
		"const p = document.createElement('pre'); p.id = 'result'; p.textContent = JSON.stringify(r); document.body.append(p); });</script>"
	require.NoError(t, os.WriteFile(file, []byte(strings.Replace(page, "</body>", probe+"</body>", 1)), 0o644))
	var stderr bytes.Buffer
	cmd := exec.CommandContext(context.Background(), chromium, "--headless", "--no-sandbox", "--disable-gpu",
		"--user-data-dir="+filepath.Join(dir, "profile"), "--window-size=1300,850", "--dump-dom", "file://"+file)
	cmd.Stderr = &stderr
	dom, err := cmd.Output()
	require.NoError(t, err, stderr.String())
	found := regexp.MustCompile(`(?s)<pre id="result">(.*?)</pre>`).FindSubmatch(dom)
	require.NotNil(t, found, "the page did not answer: %s", stderr.String())
	text := strings.NewReplacer("&lt;", "<", "&gt;", ">", "&amp;", "&").Replace(string(found[1]))
	require.NoError(t, json.Unmarshal([]byte(text), result), text)
}

// helpers are what scripts do as a user does.
const helpers = `
const shown = () => [...document.querySelectorAll("#rows .row")].map(r => r.textContent);
const press = id => document.getElementById(id).click();
const type = text => { const s = document.getElementById("search"); s.value = text; s.dispatchEvent(new Event("input")); };
`

func TestPagesSearchFoldFollowAndPlot(t *testing.T) {
	var got struct {
		Error                               string
		Start, Searched, Folded, Followed   []string
		Count, Target, Markup, Plots, Lines string
		Changed                             []string
	}
	browse(t, page(t, guest(5000), guest(9000)), helpers+`
		const r = {Start: shown()};
		type("WORKER"); r.Searched = shown(); r.Count = document.getElementById("count").textContent;
		type("");
		press("collapse"); r.Folded = shown();
		state.open.clear(); build();
		document.querySelector("#rows a[data-map]").click(); r.Followed = shown();
		r.Target = document.querySelector("#rows .target").textContent;
		r.Markup = String(document.querySelectorAll("#rows b, #rows i").length);
		press("changes"); r.Changed = shown(); press("changes");
		press("showplots"); r.Plots = [...document.querySelectorAll("#plots h2")].map(h => h.textContent).join(" ");
		r.Lines = String(document.querySelectorAll("#plots canvas").length);
		return r;`, &got)
	require.Empty(t, got.Error)
	start := strings.Join(got.Start, "\n")
	for _, want := range []string{"task_ctxs", "[100]", "cpu 0cpu 1cpu 2", "(not captured)", "→ task_ctxs[101]", "truncated: 2 of 9 entries", "tries of this kernel are not read", "CPUs 0-3,8-15,64", "[1, 2, 0 ×62]"} {
		require.Contains(t, start, want)
	}
	require.Equal(t, "1 entry in 1 map", got.Count)
	require.Contains(t, strings.Join(got.Searched, "\n"), "<b>worker</b>")
	require.NotContains(t, strings.Join(got.Searched, "\n"), "init")
	require.Len(t, got.Folded, 7, "a line for each map")
	require.Contains(t, got.Target, "[10")
	require.Equal(t, "0", got.Markup, "elements that the guest's names made")
	require.Contains(t, strings.Join(got.Changed, "\n"), "5009")
	require.Contains(t, got.Plots, "mysched.bss.nr_dispatched")
	require.NotEqual(t, "0", got.Lines)
}

// Pointers lead to maps that the page does not have, and a capture has none.
func TestPagesOfChosenMapsShowWhatTheyHave(t *testing.T) {
	earlier, later := guest(5000), guest(9000)
	earlier.Maps = slices.Delete(earlier.Maps, 2, 3) // mysched.bss
	var b bytes.Buffer
	require.NoError(t, dump.Page(&b, []*ktsnap.Snapshot{earlier, later}, nil, "mysched.bss"))
	var got struct {
		Error, Links, Plots string
		Rows, Earlier       []string
	}
	browse(t, b.String(), helpers+`
		const r = {Rows: shown(), Links: String(document.querySelectorAll("#rows a[data-map]").length)};
		press("showplots"); r.Plots = document.getElementById("plots").textContent; press("showplots");
		const choice = document.querySelector("select");
		choice.value = "0"; choice.dispatchEvent(new Event("change")); r.Earlier = shown();
		return r;`, &got)
	require.Empty(t, got.Error)
	require.Contains(t, strings.Join(got.Rows, "\n"), "→ task_ctxs[101]")
	require.Equal(t, "0", got.Links)
	require.Empty(t, got.Earlier)
}

func TestPagesOpenWithTheSeriesThatWereJudged(t *testing.T) {
	line := dump.PlotLine{Name: "Bss().VtimeNow"}
	for i, v := range []float64{1, 2, math.NaN(), 1.5, 4} {
		line.Points = append(line.Points, dump.PlotPoint{At: time.Duration(i) * time.Second, Name: "at", Value: v, Marked: v == 1.5})
	}
	judged := dump.Plot{Title: "Bss().VtimeNow: NonDecreasing fail", Text: "1.5 is less than 2 </script><b>", Lines: []dump.PlotLine{line}}
	var b bytes.Buffer
	require.NoError(t, dump.Page(&b, []*ktsnap.Snapshot{guest(5000)}, []dump.Plot{judged}))
	var got struct {
		Error, Text, Title, Plots string
		Markup, Red               int
		Rows                      []string
	}
	browse(t, b.String(), helpers+`
		const box = document.querySelector("#plots .judged"), canvas = box.querySelector("canvas");
		const r = {Text: box.querySelector("pre").textContent, Title: box.querySelector("h2").textContent, Markup: box.querySelectorAll("b").length, Red: 0};
		await null; await null; await null;
		const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
		for (let i = 0; i < pixels.length; i += 4) if (pixels[i] === 0xcf && pixels[i+1] === 0x22 && pixels[i+2] === 0x2e && pixels[i+3] === 255) r.Red++;
		press("showplots"); r.Plots = getComputedStyle(document.getElementById("plots")).display; r.Rows = shown();
		return r;`, &got)
	require.Empty(t, got.Error)
	require.Equal(t, judged.Title, got.Title)
	require.Equal(t, judged.Text, got.Text)
	require.Zero(t, got.Markup)
	require.Greater(t, got.Red, 50, "the violation is a red dot")
	require.Less(t, got.Red, 500, "it is one")
	require.Equal(t, "none", got.Plots, "what was captured is behind it")
	require.NotEmpty(t, got.Rows)
}

// entries makes a snapshot with n entries.
func entries(n int) *ktsnap.Snapshot {
	s := guest(5000)
	m := newMap(ktsnap.Map{ID: 99, Name: "many", Type: ktsnap.MapTypeHash, Key: s32, Value: taskCtx}, n)
	for i := range n {
		bytesOf{m.Keys}.u32(4*i, uint32(i))
		bytesOf{m.Values}.at(i*m.Stride).u32(0, uint32(i)).u64(8, uint64(i)*7919).u32(16, 100).text(24, "worker/"+string(rune('a'+i%26)))
	}
	s.Maps = append(s.Maps, m)
	return s
}

func TestPagesWith100000EntriesAreSearched(t *testing.T) {
	var got struct {
		Error             string
		Open, First, Next float64 // milliseconds
		Count             string
		Rows              int
	}
	browse(t, page(t, entries(100_000)), helpers+`
		const r = {Open: performance.now()};
		let at = performance.now();
		type("worker/q"); r.First = performance.now() - at; r.Count = document.getElementById("count").textContent;
		at = performance.now(); type("77777"); r.Next = performance.now() - at;
		type(""); r.Rows = document.querySelectorAll("#rows .row").length;
		return r;`, &got)
	require.Empty(t, got.Error)
	require.Equal(t, "3846 entries in 1 map", got.Count)
	require.Less(t, got.Rows, 200, "lines that nobody sees are not drawn")
	t.Logf("open %.0f ms, first search %.0f ms, the next %.0f ms", got.Open, got.First, got.Next)
}
