package ktest_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/dump"
	"github.com/ktgen/ktgen/ktest"
)

// TestStateInAnArenaIsShownAndCompared holds what is shown of scx_qmap, which has
// all its state in variables of an arena.
func TestStateInAnArenaIsShownAndCompared(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{})
	ctx := bound(t, 3*time.Minute)
	constants := map[string]uint64{"slice_ns": 20_000_000, "max_tasks": 1 << 14}
	require.NoError(t, vm.Attach(ctx, ktest.Object(configured(t, public(t, "scx_qmap"), constants))))
	before := vm.Freeze("before")
	_, err := vm.Work(ctx, ktest.Yield, 2)
	require.NoError(t, err)
	after := vm.Freeze("after")

	enqueued, err := after.Map(".addr_space.1").At(0).Get("qa.nr_enqueued").Int64()
	require.NoError(t, err)
	require.Positive(t, enqueued)
	var text, doc bytes.Buffer
	require.NoError(t, dump.Text(&text, after, dump.Options{}))
	require.Contains(t, text.String(), "nr_enqueued: ")
	found := false
	for c := range dump.Diff(before, after) {
		found = found || c.Path == ".addr_space.1.qa.nr_enqueued"
	}
	require.True(t, found, "it has enqueued tasks between the captures")

	require.NoError(t, dump.JSON(&doc, after))
	require.Contains(t, doc.String(), fmt.Sprintf(`"nr_enqueued":%d,`, enqueued))
}
