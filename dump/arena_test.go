package dump_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/dump"
	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// queue is what the variables of an arena are about: as scx_qmap has them.
var queue = structure("queue", 24, member(0, "head", pointer(u64)), member(8, "len", u64), member(16, "idx", u32))

// arenaGuest is a snapshot of a program whose state is in its arena, of 4 pages
// of which the second was never touched. libbpf has put the variables at its end.
func arenaGuest(n uint64) *ktsnap.Snapshot {
	variables := &ctype.Shape{Kind: ctype.KindSection, Name: ".addr_space.1", Size: 80, Members: []ctype.Member{
		member(0, "nr_queued", u64), member(8, "queues", array(queue, 2)), member(56, "first", pointer(queue)), member(64, "idle", u64),
	}}
	page := func() []byte { return make([]byte, 4096) }
	arena := &ktsnap.Map{
		ID: 5, Name: "arena", Type: ktsnap.MapTypeArena, MaxEntries: 4, Slots: 1, Extra: arenaAddr,
		Extents: []ktsnap.Extent{{Addr: arenaAddr + 2*4096, Data: page()}, {Addr: arenaAddr + 3*4096, Data: page()}},
	}
	at := uint64(arenaAddr + 3*4096)
	bytesOf{arena.Extents[1].Data}.u64(0, n).u64(8, arenaAddr+2*4096).u64(16, 1).u32(48, 1).u64(56, at+32)
	bytesOf{arena.Extents[0].Data}.u64(0, 77)
	program := &ktsnap.Program{BTFID: 1, Name: "qmap", Shapes: []*ctype.Shape{queue, variables}}
	return &ktsnap.Snapshot{
		Guest: ktsnap.Guest{Arch: "amd64", PageSize: 4096, CPUs: 1}, Programs: []*ktsnap.Program{program}, Maps: []*ktsnap.Map{arena},
	}
}

func asText(t testing.TB, s *ktsnap.Snapshot, o dump.Options) string {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, dump.Text(&b, s, o))
	return b.String()
}

func TestVariablesOfArenasAreShown(t *testing.T) {
	s := arenaGuest(41)
	text := asText(t, s, dump.Options{})
	require.Contains(t, text, ".addr_space.1  ARRAY  in arena id 5  complete")
	require.Contains(t, text, "nr_queued: 41")
	require.Contains(t, text, ".addr_space.1.queues[1]", "a pointer to a variable says which")
	require.Contains(t, text, "77", "what variables point to is shown, too")
	require.NotContains(t, text, "idle")
	require.Contains(t, asText(t, s, dump.Options{Zeros: true}), "idle: 0")
	require.NotContains(t, asText(t, s, dump.Options{Maps: []string{".addr_space.1"}}), "ARENA")
	require.Contains(t, asJSON(t, s), `"arena":5,"name":".addr_space.1"`)
	require.Contains(t, asJSON(t, s), `"nr_queued":41`)
	var page bytes.Buffer
	require.NoError(t, dump.HTML(&page, s))
	require.Contains(t, page.String(), `"nr_queued":41`)
}

func TestArraysThatMayHaveMoreAreMarked(t *testing.T) {
	s := arenaGuest(41)
	queue := structure("queue", 24, member(0, "head", pointer(u64)), member(8, "len", u64), member(16, "idx", u32), member(20, "tail", array(u32, 0)))
	s.Programs[0].Shapes[1].Members[2].Type = pointer(queue)
	bytesOf{s.Maps[0].Extents[1].Data}.u64(56, arenaAddr+2*4096)
	require.Contains(t, asText(t, s, dump.Options{Zeros: true}), "tail: [0, ...?]")
	require.NotContains(t, asText(t, arenaGuest(41), dump.Options{Zeros: true}), "?")
}

func TestVariablesOfArenasAreCompared(t *testing.T) {
	require.Equal(t, []string{"~ .addr_space.1.nr_queued: 41 -> 42"}, differences(arenaGuest(41), arenaGuest(42)))
	require.Empty(t, differences(arenaGuest(41), arenaGuest(41)))
}

func TestVariablesOfArenasAreFoundByPath(t *testing.T) {
	s := arenaGuest(41)
	for path, want := range map[string]uint64{
		".addr_space.1.nr_queued": 41, "nr_queued": 41, ".addr_space.1.queues[1].idx": 1, "queues[0].len": 1, "first.idx": 1,
	} {
		v := s.Get(path)
		n, err := v.Uint64()
		require.NoError(t, err, path)
		require.Equal(t, want, n, path)
	}
}

func TestVariablesOfArenasAreInDocuments(t *testing.T) {
	s := arenaGuest(41)
	var chosen bytes.Buffer
	require.NoError(t, dump.JSON(&chosen, s, ".addr_space.1"))
	for _, text := range []string{asJSON(t, s), chosen.String()} {
		var doc struct {
			Maps []struct {
				Name    string
				Entries []struct{ Value map[string]any }
			}
		}
		require.NoError(t, json.Unmarshal([]byte(text), &doc))
		section := doc.Maps[len(doc.Maps)-1]
		require.Equal(t, ".addr_space.1", section.Name)
		require.EqualValues(t, 41, section.Entries[0].Value["nr_queued"], "with its arena or without")
	}
}

// What cannot be shown says why, and does not compare as equal in silence.
func TestVariablesOfArenasThatAreNotThereSayWhy(t *testing.T) {
	s := arenaGuest(41)
	s.Maps[0].Extents = s.Maps[0].Extents[:1]
	require.Contains(t, asText(t, s, dump.Options{}), ".addr_space.1  ARRAY  in arena id 5  failed: its pages, of arena arena, were not captured")
	require.NotEmpty(t, differences(arenaGuest(41), s))
	require.ErrorContains(t, s.Var("nr_queued").Err(), "were not captured")
	var unknown *ktsnap.VarNotFoundError
	require.ErrorAs(t, s.Var("nr_quoted").Err(), &unknown)

	s = arenaGuest(41)
	s.Maps = append(s.Maps, &ktsnap.Map{ID: 6, Name: "other", Type: ktsnap.MapTypeArena, Slots: 1})
	require.Contains(t, asText(t, s, dump.Options{}), "there are 2 arenas, and it is not known in which it is")
}

// What pointers lead to in an arena is compared, and so is what none leads to.
func TestObjectsInArenasAreCompared(t *testing.T) {
	changed := func(change func(first, last bytesOf)) *ktsnap.Snapshot {
		s := arenaGuest(41)
		change(bytesOf{s.Maps[0].Extents[0].Data}, bytesOf{s.Maps[0].Extents[1].Data})
		return s
	}
	was := arenaGuest(41)
	require.Empty(t, lines(was, arenaGuest(41)))
	pointed := changed(func(first, _ bytesOf) { first.u64(0, 78) })
	require.Equal(t, "~ *.addr_space.1.queues[0].head: 77 -> 78\n", lines(was, pointed))
	require.Empty(t, lines(was, pointed, "*.head"))
	other := changed(func(first, last bytesOf) { first.u64(100*8, 1).u64(200*8, 256) })
	require.Equal(t, "~ arena: pages: 2 -> pages: 2, and 2 bytes differ that no pointer leads to\n", lines(was, other))
	require.Empty(t, lines(was, other, "arena"))
	variable := changed(func(_, last bytesOf) { last.u32(48, 5) })
	require.Equal(t, "~ .addr_space.1.queues[1].idx: 1 -> 5\n", lines(was, variable), "once")
	moved := changed(func(first, last bytesOf) { last.u64(8, arenaAddr+2*4096+8) })
	require.Equal(t, "~ .addr_space.1.queues[0].head: 0x100000002000 -> 0x100000002008\n- *.addr_space.1.queues[0].head: 77\n+ *.addr_space.1.queues[0].head: 0\n", lines(was, moved))
	more := arenaGuest(41)
	more.Maps[0].Extents = append([]ktsnap.Extent{{Addr: arenaAddr + 4096, Data: make([]byte, 4096)}}, more.Maps[0].Extents...)
	require.Equal(t, "~ arena: pages: 2 -> pages: 3\n", lines(was, more))
}

// A list is followed to its end; its nodes are told apart by their addresses, and named by their paths
// while these are short.
func TestListsInArenasAreCompared(t *testing.T) {
	a, b := guest(5000), guest(5000)
	for _, s := range []*ktsnap.Snapshot{a, b} {
		w := bytesOf{s.Maps[3].Extents[0].Data}
		for i := range 20 {
			w.at(64*i).u64(0, arenaAddr+64*uint64(i+1)).u64(8, uint64(i)).u64(16, 0)
		}
		w.at(64*20).u64(0, 0)
	}
	w := bytesOf{b.Maps[3].Extents[0].Data}
	w.at(64).u64(8, 100)
	w.at(64*19).u64(8, 200).u64(0, 0)
	require.Equal(t, "~ mysched.bss.head.next.load: 1 -> 100\n"+
		"~ (struct node)0x1000000004c0.next: 0x100000000500 -> NULL\n~ (struct node)0x1000000004c0.load: 19 -> 200\n"+
		"- (struct node)0x100000000500: {next: NULL, load: 0, owner: NULL}\n", lines(a, b))
}
