package dump_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/dump"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

func TestFirstLineOfEveryDumpHasTheStateOfTheScheduler(t *testing.T) {
	snap := &ktsnap.Snapshot{
		Name: "late", Taken: time.Unix(1, 0),
		Scheduler: ktsnap.Scheduler{State: "disabled", Name: "tally", Reason: "runnable task stall", Message: "spin[41] failed to run for 5.0s"},
	}
	const says = `scheduler "tally" disabled: runnable task stall: spin[41] failed to run for 5.0s`
	var text, doc, page bytes.Buffer
	require.NoError(t, dump.Text(&text, snap, dump.Options{}))
	first, _, _ := strings.Cut(text.String(), "\n")
	require.Equal(t, "snapshot late  1970-01-01 00:00:01.000 UTC  "+says, first)

	require.NoError(t, dump.JSON(&doc, snap))
	first, _, _ = strings.Cut(doc.String(), "\n")
	require.Contains(t, first, `"scheduler":{"state":"disabled","name":"tally","reason":"runnable task stall","message":"spin[41] failed to run for 5.0s"}`)

	require.NoError(t, dump.HTML(&page, snap))
	require.Contains(t, page.String(), `"scheduler":{"state":"disabled"`)
}

func TestWhatIsNotKnownOfASchedulerIsNotShown(t *testing.T) {
	var text, doc bytes.Buffer
	require.NoError(t, dump.Text(&text, &ktsnap.Snapshot{Name: "old"}, dump.Options{}))
	require.True(t, strings.HasPrefix(text.String(), "snapshot old\n"), text.String())
	require.NoError(t, dump.JSON(&doc, &ktsnap.Snapshot{Name: "old"}))
	require.NotContains(t, doc.String(), "scheduler")
}
