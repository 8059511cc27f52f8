package dump_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/dump"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

func TestDiffsSayWhatTheyDoNotCompare(t *testing.T) {
	require.Equal(t, []string{
		"map big is compared in part: entries that only one snapshot holds are left out: in both it is truncated: 2 of 9 entries fit into MapBytes",
		"map tries is not compared: in both it is unsupported: tries of this kernel are not read",
	}, dump.Unseen(guest(5000), guest(5000)))

	a, b := guest(5000), guest(5000)
	a.Maps[6].Status, a.Maps[6].Reason = ktsnap.Failed, "a link leads nowhere"
	b.Maps[0].Stride = 1
	require.Equal(t, "~ tries: failed: a link leads nowhere -> unsupported: tries of this kernel are not read\n", lines(a, b))
	unseen := dump.Unseen(a, b)
	require.Len(t, unseen, 3)
	require.Contains(t, unseen[0], "map task_ctxs is not compared: it is complete; in the other snapshot Map task_ctxs: the snapshot is damaged")
	require.Equal(t, "map tries is not compared: it is failed: a link leads nowhere; in the other snapshot unsupported: tries of this kernel are not read", unseen[2])
}

func TestMasksThatMatchNothingAreNamed(t *testing.T) {
	a, b := guest(5000), guest(9000)
	b.Maps[0].N = 1
	for mask, matches := range map[string]bool{
		"*.runtime_ns": true, "mysched.bss.nr_dispatched": true, "task_ctxs[102]": true, "task_ctxs[102].ctx.weight": true,
		"*.runtime": false, "nr_dispatched": false, "task_ctxs[*].ctx": true, "task_ctxs[*].ct": false, "mysched.bss.head.next.load": true, "mysched.bss.head.load.x": false, "tries": true, "trees": false,
		"mysched.bss.buckets[3]": true, "mysched.bss.buckets[64]": false, "scx_per_task[cpu=1][*].tid": true,
	} {
		n := len(dump.Unseen(a, b)) // of maps
		require.Equal(t, matches, len(dump.Unseen(a, b, mask)) == n, mask)
	}
	require.Contains(t, fmt.Sprint(dump.Unseen(a, b, "*.x")), `the mask "*.x" matches no path`)
}

// logger is a test that passes, and notes what is logged.
type logger struct{ recorder }

func (l *logger) Logf(format string, a ...any) { l.said += fmt.Sprintf(format, a...) }

func TestGoldenSaysWhatItLeavesOpen(t *testing.T) {
	file := t.TempDir() + "/golden.ktsnap"
	require.NoError(t, guest(5000).WriteFile(file))
	var l logger
	dump.Golden(&l, guest(5000), file, "*.wrong")
	require.Contains(t, l.said, "as far as can be told:\n\tmap big")
	require.Contains(t, l.said, "*.wrong")
	var r recorder
	dump.Golden(&r, guest(9000), file, "*.wrong")
	require.Contains(t, r.said, "Besides:\n\tmap big")
}
