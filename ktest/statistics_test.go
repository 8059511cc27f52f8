package ktest_test

import (
	"bufio"
	"context"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/ktest"
	"github.com/ktgen/ktgen/series"
)

// statsEnv makes the scheduler's program of these tests serve statistics: on a
// socket for each way to answer, and once as a line of its output.
const statsEnv = "KTEST_STATS"

const statsDir = "/run/stats"

// statsAnswers are the ways to answer, by socket. A %d is the number of the
// request.
var statsAnswers = map[string]string{
	"good":    `{"errno":0,"args":{"resp":{"nr_runs":%d}}}` + "\n",
	"refused": `{"errno":22,"args":{"resp":"no such target"}}` + "\n",
	"empty":   `{"errno":0,"args":{}}` + "\n",
	"garbage": "what?\n",
	"endless": strings.Repeat("x", 9<<20),
	"silent":  "",
}

// serveStats serves until the program ends.
func serveStats() error {
	if err := os.MkdirAll(statsDir, 0o755); err != nil {
		return err
	}
	for name, answer := range statsAnswers {
		listener, err := net.Listen("unix", path.Join(statsDir, name))
		if err != nil {
			return err
		}
		go answerAll(listener, name, answer)
	}
	fmt.Println("statistics are served")
	fmt.Println(`{"nr_runs": 7}`)
	return nil
}

func answerAll(listener net.Listener, name, answer string) {
	for n := 1; ; n++ {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		if name == "silent" {
			continue
		}
		line, err := bufio.NewReader(conn).ReadString('\n')
		if err == nil && line == `{"req":"stats","args":{"target":"top"}}`+"\n" {
			_, _ = fmt.Fprint(conn, strings.Replace(answer, "%d", fmt.Sprint(n), 1))
		}
		conn.Close()
	}
}

// withStats is a guest whose scheduler serves statistics.
func withStats(t *testing.T, from ktest.Statistics) *ktest.VM {
	cfg := ktest.Config{Scheduler: program().Env(statsEnv + "=1"), Files: withObject("docile"), Statistics: from}
	vm := ktest.Boot(t, cfg)
	// The program serves a moment after its scheduler is enabled.
	require.Eventually(t, func() bool {
		_, err := vm.Statistics(t.Context(), ktest.StatsLines())
		return err == nil
	}, time.Minute, 10*time.Millisecond)
	return vm
}

func TestCapturesComeWithTheSchedulersStatistics(t *testing.T) {
	vm := withStats(t, ktest.StatsSocket(statsDir+"/good"))
	for _, name := range []string{"a", "b", "c"} {
		vm.Freeze(name)
	}
	type report struct {
		Runs uint64 `json:"nr_runs"`
	}
	samples := series.Statistics[report](vm.Captures().Captures())
	require.Len(t, samples, 3)
	runs := series.Of(samples, func(r report) uint64 { return r.Runs })
	series.StrictlyIncreasing(runs).Require(t)
}

func TestStatisticsThatAreNotThereSayWhy(t *testing.T) {
	vm := withStats(t, ktest.StatsLines())
	ctx := bound(t, time.Minute)
	ask := func(name string) error {
		_, err := vm.Statistics(ctx, ktest.StatsSocket(statsDir+"/"+name))
		return err
	}
	lines, err := vm.Statistics(ctx, ktest.StatsLines())
	require.NoError(t, err)
	require.JSONEq(t, `{"nr_runs": 7}`, string(lines))

	var refused *ktest.StatsRefusedError
	require.ErrorAs(t, ask("refused"), &refused)
	require.Equal(t, 22, refused.Errno)
	require.ErrorAs(t, ask("empty"), &refused)
	require.Zero(t, refused.Errno)
	var malformed *ktest.StatsMalformedError
	require.ErrorAs(t, ask("garbage"), &malformed)
	var large *ktest.StatsTooLargeError
	require.ErrorAs(t, ask("endless"), &large)
	require.ErrorIs(t, ask("nothing"), fs.ErrNotExist)
	_, err = vm.Statistics(ctx, ktest.Statistics{})
	require.ErrorIs(t, err, ktest.ErrNoStatistics)

	short, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
	defer cancel()
	_, err = vm.Statistics(short, ktest.StatsSocket(statsDir+"/silent"))
	require.ErrorIs(t, err, context.DeadlineExceeded)

	_, err = vm.Detach(ctx)
	require.NoError(t, err)
	require.ErrorIs(t, ask("good"), ktest.ErrNoScheduler)
	vm.Freeze("after")
	c, err := vm.Captures().Get("after")
	require.NoError(t, err)
	require.ErrorIs(t, c.NoStatistics, ktest.ErrNoScheduler)
}
