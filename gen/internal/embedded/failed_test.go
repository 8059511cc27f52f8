package embedded_test

import (
	"bytes"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/gen/internal/embedded"
	ktrt "github.com/ktgen/ktgen/runtime"
	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// signed makes the first u64 of a struct of a guest an s64: what is negative there
// does not fit the generated code.
func signed(t *testing.T, s *ktsnap.Snapshot, name, field string) *ktsnap.Snapshot {
	var file bytes.Buffer
	_, err := s.WriteTo(&file)
	require.NoError(t, err)
	own, err := ktsnap.Read(&file) // with shapes that no other snapshot has
	require.NoError(t, err)
	changed := false
	for _, p := range own.Programs {
		for _, shape := range p.Shapes {
			i := slices.IndexFunc(shape.Members, func(m ctype.Member) bool { return m.Name == field })
			if shape.Name == name && i >= 0 {
				shape.Members[i].Type = &ctype.Shape{Kind: ctype.KindInt, Name: "s64", Size: 8, Signed: true}
				changed = true
			}
		}
	}
	require.True(t, changed)
	return own
}

func requireOverflow(t *testing.T, read func()) {
	t.Helper()
	defer func() {
		t.Helper()
		err, ok := recover().(error)
		require.True(t, ok, "the value was read")
		var overflow *ctype.OverflowError
		require.ErrorAs(t, err, &overflow)
		require.Equal(t, "-1", overflow.Value)
	}()
	read()
}

// A part of an object that could not be decoded is not taken for one that was.
func TestAPartThatDoesNotFitFailsEachTime(t *testing.T) {
	s := guest(t)
	first := embedded.Bind(t, s)
	bad := &first.Bss().Mine.Fifos[2]
	poke(t, s, ktrt.Addr(first, &first.Heads().Get(7).Fifo), ktrt.Addr(first, bad))
	poke(t, s, ktrt.Addr(first, &bad.Id), math.MaxUint64)

	snap, err := embedded.Open(signed(t, s, "fifo", "id"))
	require.NoError(t, err)
	for range 3 {
		requireOverflow(t, func() { snap.Heads().Get(7) })
	}
	requireOverflow(t, func() { snap.Bss() })
	requireOverflow(t, func() { snap.Heads().Get(7) })
}

// A read that fails takes its own parts of an object back, and leaves those that
// were handed out before it.
func TestAReadThatFailsLeavesPartsThatWereReadBefore(t *testing.T) {
	s := guest(t)
	first := embedded.Bind(t, s)
	h, mine := first.Heads().Get(7), &first.Bss().Mine
	poke(t, s, ktrt.Addr(first, &first.Others().At(0).Link), ktrt.Addr(first, &mine.Fifos[4].Spare[1]))
	poke(t, s, ktrt.Addr(first, &h.Fifo), ktrt.Addr(first, &mine.Fifos[2]))
	poke(t, s, ktrt.Addr(first, &h.Queues), ktrt.Addr(first, first.Arrays().At(0)))
	poke(t, s, ktrt.Addr(first, &first.Arrays().At(0).Number), math.MaxUint64)

	snap, err := embedded.Open(signed(t, s, "queues", "number"))
	require.NoError(t, err)
	link := snap.Others().At(0).Link
	link.Next = link // is there as long as nobody decodes it again
	requireOverflow(t, func() { snap.Heads().Get(7) })

	read := &snap.Bss().Mine
	require.Same(t, &read.Fifos[4].Spare[1], link)
	require.Same(t, link, link.Next)
	require.EqualValues(t, 102, read.Fifos[2].Id)
	require.Same(t, link, snap.Others().At(0).Link)
	requireOverflow(t, func() { snap.Heads().Get(7) })
	require.Equal(t, ktrt.Addr(first, &mine.Fifos[2].Id), ktrt.Addr(snap, &read.Fifos[2].Id))
}
