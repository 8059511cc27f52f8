package main

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestConflictsAreALineEach: what a place holds, once, and everything on request.
func TestConflictsAreALineEach(t *testing.T) {
	const object = "../../cast/testdata/suite/objects/adv_overlay.19.O2.v3.o"
	list := func(args ...string) string {
		var out, wrong bytes.Buffer
		args = append(append([]string{"casts"}, args...), object)
		require.Zero(t, run(context.Background(), args, &out, &wrong), wrong.String())
		return out.String()
	}
	brief, whole := list(), list("-conflicts")
	require.Contains(t, brief, "\nblk.word          struct blk * (unknown) (adv_overlay.bpf.c:55), a number (adv_overlay.bpf.c:47)\n")
	require.NotContains(t, brief, "at instruction")
	require.Contains(t, whole, "\nconflict: blk.word holds different things:\n\tstored struct blk * (unknown), in dispatch at instruction 27 ")
	require.Greater(t, strings.Count(whole, "\n"), strings.Count(brief, "\n"))
}
