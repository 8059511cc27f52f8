package ktest

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/dump"
	"github.com/ktgen/ktgen/runtime/ktsnap"
	"github.com/ktgen/ktgen/series"
)

func TestArtifactsCostThemselvesOnly(t *testing.T) {
	dir := t.TempDir()
	broken := errors.New("broken")
	half := func(w io.Writer) error { _, _ = io.WriteString(w, "half"); return broken }
	write := func(a artifact) (written bool, contents string, err error) {
		written, err = a.writeTo(dir)
		left, _ := os.ReadFile(filepath.Join(dir, a.name))
		return written, string(left), err
	}

	written, contents, err := write(artifact{name: "log", write: half})
	require.True(t, written)
	require.ErrorIs(t, err, broken)
	require.Equal(t, "half", contents, "what there is of a log is kept")

	written, contents, err = write(artifact{name: "snapshot", write: half, whole: true})
	require.False(t, written)
	require.ErrorIs(t, err, broken)
	require.Empty(t, contents)

	written, _, err = write(artifact{name: "text", write: func(io.Writer) error { panic("a bug") }})
	require.False(t, written)
	require.EqualError(t, err, "write text: panic: a bug")

	written, _, err = write(artifact{name: "empty", write: text("")})
	require.False(t, written)
	require.NoError(t, err)
}

func TestSnapshotsAreWrittenForToolsAndForPeople(t *testing.T) {
	dir := t.TempDir()
	snap := &ktsnap.Snapshot{Name: "x", Maps: []*ktsnap.Map{{ID: 1, Name: "counters", Type: ktsnap.MapTypeArray, KeySize: 4, ValueSize: 8, N: 1, Slots: 1, Stride: 8, Values: make([]byte, 8)}}}
	for _, a := range snapshotArtifacts("01-x", series.Capture{Snapshot: snap}) {
		written, err := a.writeTo(dir)
		require.NoError(t, err)
		require.True(t, written, a.name)
	}
	back, err := ktsnap.ReadFile(filepath.Join(dir, "01-x.ktsnap"))
	require.NoError(t, err)
	require.Equal(t, "counters", back.Maps[0].Name)
	shown, err := os.ReadFile(filepath.Join(dir, "01-x.txt"))
	require.NoError(t, err)
	require.Contains(t, string(shown), "counters")

	var html strings.Builder
	big := &ktsnap.Snapshot{Name: "too large for a browser", Timing: ktsnap.Timing{Bytes: 1 << 30}}
	require.NoError(t, page([]series.Capture{{Snapshot: big}, {Snapshot: snap}}, dump.Story{})(&html))
	require.Contains(t, html.String(), "counters")
	require.NotContains(t, html.String(), big.Name)
	html.Reset()
	require.NoError(t, page([]series.Capture{{NoSnapshot: errors.New("none")}}, dump.Story{})(&html))
	require.Empty(t, html.String())

	gone := errors.New("it was dropped")
	for _, a := range snapshotArtifacts("02-y", series.Capture{NoSnapshot: gone}) {
		written, err := a.writeTo(dir)
		require.False(t, written)
		require.ErrorIs(t, err, gone)
	}
}
