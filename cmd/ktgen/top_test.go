package main

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// loaded is a snapshot of a guest of one CPU, which runs pid 7, while pid 8 waits.
func loaded() *ktsnap.Snapshot {
	word := &ctype.Shape{Kind: ctype.KindInt, Name: "unsigned long", Size: 8}
	table := func(name string, members []string, rows ...[]uint64) *ktsnap.Table {
		t := &ktsnap.Table{Name: name, N: len(rows), Type: &ctype.Shape{Kind: ctype.KindStruct, Name: name, Size: 8 * len(members)}}
		for i, m := range members {
			t.Type.Members = append(t.Type.Members, ctype.Member{Name: m, Offset: 8 * i, Type: word})
		}
		for _, row := range rows {
			t.Addrs = append(t.Addrs, row[0])
			for _, v := range row[1:] {
				t.Data = binary.LittleEndian.AppendUint64(t.Data, v)
			}
		}
		return t
	}
	return &ktsnap.Snapshot{Name: "loaded", Guest: ktsnap.Guest{CPUs: 1}, Tables: []*ktsnap.Table{
		table("tasks", []string{"pid", "on_rq"}, []uint64{0x70, 7, 1}, []uint64{0x80, 8, 1}),
		table("cpus", []string{"curr", "is_online"}, []uint64{0x10, 0x70, 1}),
		table("queues", []string{"id", "nr", "is_user", "cpu"}, []uint64{0x20, 5, 1, 1, ^uint64(0)}),
		table("queued", []string{"queue", "task"}, []uint64{0, 0, 0x80}),
	}}
}

func TestTopShowsTasksCPUsAndQueues(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "odd [name]")
	require.NoError(t, os.Mkdir(dir, 0o700))
	file, bare := filepath.Join(dir, "a.ktsnap"), filepath.Join(t.TempDir(), "bare.ktsnap")
	require.NoError(t, loaded().WriteFile(file))
	require.NoError(t, (&ktsnap.Snapshot{Name: "bare"}).WriteFile(bare))
	says := func(args ...string) (status int, out, errs string) {
		var o, e bytes.Buffer
		status = run(t.Context(), args, &o, &e)
		return status, o.String(), e.String()
	}
	for _, from := range []string{file, dir} {
		status, out, errs := says("top", from)
		require.Zero(t, status, errs)
		require.Regexp(t, `(?m)^0 +\[7\] `, out)
		require.Regexp(t, `(?m)^5 +1 .*\[8\]$`, out)
		require.Contains(t, out, "TASK (2 runnable of 2)")
	}
	_, out, _ := says("dump", file)
	require.Regexp(t, `(?s)\nscheduling\n.*TASK \(2 runnable of 2\)`, out)
	_, out, _ = says("dump", bare)
	require.NotContains(t, out, "scheduling")

	status, _, errs := says("top", bare)
	require.Equal(t, 1, status)
	require.Contains(t, errs, "has no tasks, CPUs and queues: it was taken by an older ktgen or")
	status, _, errs = says("top", t.TempDir())
	require.Equal(t, 1, status)
	require.Contains(t, errs, "there is no snapshot (*.ktsnap) in ")
	status, _, _ = says("top")
	require.Equal(t, 2, status)
}
