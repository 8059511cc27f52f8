package sched_test

import (
	"strings"
	"testing"

	"github.com/ktgen/ktgen/sched"
	"github.com/stretchr/testify/require"
)

func TestStateIsShownWithoutWhatTerminalsObey(t *testing.T) {
	w := newWhole()
	w.set(1, "comm", 0x1b) // ESC
	var b strings.Builder
	require.NoError(t, sched.Bind(t, w.snapshot()).WriteText(&b, sched.Rows{Tasks: 2}))
	require.NotContains(t, b.String(), "\x1b")
	require.Contains(t, b.String(), "?[1]")
	require.Contains(t, b.String(), "2 more\n")
	require.Contains(t, b.String(), "\n1    s[0]")
}

func TestTasksThatWaitLongestAreShownFirst(t *testing.T) {
	w := newWhole()
	w.set(1, "runnable_at", 990)
	w.set(3, "runnable_at", 500)
	var b strings.Builder
	require.NoError(t, sched.Bind(t, w.snapshot()).WriteText(&b, sched.Rows{}))
	_, tasks, _ := strings.Cut(b.String(), "\nTASK ")
	first, second := strings.Index(tasks, "\nd[3]"), strings.Index(tasks, "\nb[1]")
	require.Positive(t, first, tasks)
	require.Less(t, first, second)
	require.NotContains(t, tasks, "more\n", "20 are shown unless told otherwise")
}
