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
