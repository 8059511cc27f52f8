package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/ktsnap"
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

// A place that holds a number is wrong, and an integer that holds an address was not found.
func TestFindingsAreHeldAgainstCaptures(t *testing.T) {
	const sample = "../../example_sched/bpf/sched.bpf.o"
	word := &ctype.Shape{Kind: ctype.KindInt, Name: "u64", Size: 8}
	value := &ctype.Shape{Kind: ctype.KindStruct, Name: "cpu_run", Size: 16, Members: []ctype.Member{
		{Name: "task", Type: word}, {Name: "hidden", Type: word, Offset: 8},
	}}
	m := &ktsnap.Map{Name: "runs", Type: ktsnap.MapTypeArray, N: 1, Total: 1, Slots: 1, KeySize: 4, MaxEntries: 1, Value: value, ValueSize: 16, Stride: 16}
	m.Values = binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, 5), 0xffff_8880_0000_1000)
	file := filepath.Join(t.TempDir(), "now.ktsnap")
	require.NoError(t, (&ktsnap.Snapshot{Name: "now", Maps: []*ktsnap.Map{m}}).WriteFile(file))

	var out, wrong bytes.Buffer
	require.Zero(t, run(context.Background(), []string{"casts", "-live", sample, file}, &out, &wrong), wrong.String())
	require.Contains(t, out.String(), "wrong: cpu_run.task holds 0x5 at runs[0] in \"now\": it is no address\n")
	require.Contains(t, out.String(), "no finding: struct cpu_run.hidden holds addresses (1, and 0 zeros), such as at runs[0] in \"now\"\n")
	require.Regexp(t, `proven: \d+ places, 1 with pointers that could be followed or were none, 1 wrong\n`, out.String())

	out.Reset()
	require.Zero(t, run(context.Background(), []string{"casts", "-live", "-json", sample, file}, &out, &wrong), wrong.String())
	var doc liveDocument
	require.NoError(t, json.Unmarshal(out.Bytes(), &doc))
	i := slices.IndexFunc(doc.Places, func(p livePlace) bool { return p.Place == "cpu_run.task" })
	require.Equal(t, []liveWrong{{Snapshot: "now", Path: "runs[0]", Value: "0x5", Why: "it is no address"}}, doc.Places[i].Examples)

	require.NotZero(t, run(context.Background(), []string{"casts", "-live", sample}, &out, &wrong))
	require.Contains(t, wrong.String(), "casts -live of which captures?")
	require.NotZero(t, run(context.Background(), []string{"casts", "-live", sample, sample}, &out, &wrong))
	require.Contains(t, wrong.String(), sample)
}
