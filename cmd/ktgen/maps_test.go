package main

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// inArena is a snapshot of a program that keeps 8 bytes of variables in the only
// page of its arena.
func inArena() *ktsnap.Snapshot {
	u64 := &ctype.Shape{Kind: ctype.KindInt, Name: "u64", Size: 8}
	section := &ctype.Shape{Kind: ctype.KindSection, Name: ".addr_space.1", Size: 8, Members: []ctype.Member{{Name: "nr", Type: u64}}}
	program := &ktsnap.Program{BTFID: 1, Shapes: []*ctype.Shape{section}}
	const start = 1 << 32
	return &ktsnap.Snapshot{Guest: ktsnap.Guest{CPUs: 1}, Programs: []*ktsnap.Program{program}, Maps: []*ktsnap.Map{{
		ID: 5, Name: "arena", Type: ktsnap.MapTypeArena, MaxEntries: 1, Slots: 1, Extra: start,
		Extents: []ktsnap.Extent{{Addr: start, Data: make([]byte, 4096)}},
	}}}
}

func TestMapsListsVariablesOfAnArenaWithoutAnIDOfTheirOwn(t *testing.T) {
	file := filepath.Join(t.TempDir(), "arena.ktsnap")
	require.NoError(t, inArena().WriteFile(file))
	list := func(args ...string) string {
		var out, errs bytes.Buffer
		require.Zero(t, run(t.Context(), append(append([]string{"maps"}, args...), file), &out, &errs), errs.String())
		return out.String()
	}
	require.Regexp(t, `(?m)^in 5 +"\.addr_space\.1" +ARRAY +1 +0 `, list())
	require.Regexp(t, `(?m)^5 +"arena" +ARENA +0 +4096 `, list())

	var maps []map[string]any
	require.NoError(t, json.Unmarshal([]byte(list("-o", "json")), &maps))
	require.Len(t, maps, 2)
	require.EqualValues(t, 5, maps[0]["id"])
	require.NotContains(t, maps[0], "arena")
	require.EqualValues(t, 5, maps[1]["arena"])
	require.NotContains(t, maps[1], "id", "no map has one of 2^31 or more")
	require.Zero(t, maps[1]["bytes"], "they are counted with the arena's")
}
