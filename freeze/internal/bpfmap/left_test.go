package bpfmap_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/freeze"
	"github.com/ktgen/ktgen/freeze/internal/fakeguest"
	"github.com/ktgen/ktgen/freeze/internal/memimage"
)

// The kernel frees the maps of a program that is gone late: a snapshot has those of the program that
// was started again.
func TestMapsThatAnEarlierInstanceHasLeftAreDropped(t *testing.T) {
	types := memimage.KernelBTF()
	for _, c := range []struct {
		name  string
		early memimage.Map // of the earlier instance
		late  memimage.Map // of the next
		used  bool         // by a program, the early one
		want  []uint32
	}{
		{name: "left", late: memimage.Map{Name: "ctxs", Users: 1}, want: []uint32{9}},
		{name: "a program uses it", late: memimage.Map{Name: "ctxs", Users: 1}, used: true, want: []uint32{3, 9}},
		{name: "somebody holds it", early: memimage.Map{Users: 1}, late: memimage.Map{Name: "ctxs", Users: 1}, want: []uint32{3, 9}},
		{name: "nobody holds the next", late: memimage.Map{Name: "ctxs"}, want: []uint32{3, 9}},
		{name: "the next is another", late: memimage.Map{Name: "ctx", Users: 1}, want: []uint32{3, 9}},
		{name: "the next is of another type", late: memimage.Map{Name: "ctxs", Type: 6, Users: 1}, want: []uint32{3, 9}},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := fakeguest.New()
			add := func(h memimage.Map, id uint32, btf uint64) uint64 {
				h.ID, h.BTF, h.KeySize, h.ValueSize, h.MaxEntries = id, btf, 4, 8, 1
				if h.Name == "" {
					h.Name = "ctxs"
				}
				if h.Type == 0 {
					h.Type = 2
				}
				a := g.Other(h)
				g.Add(id, a)
				return a
			}
			first, second := g.BTF(5, "sched", types), g.BTF(6, "sched", types)
			early, late := add(c.early, 3, first), add(c.late, 9, second)
			used := map[uint32][]uint64{40: {late}}
			if c.used {
				used[39] = []uint64{late, early}
			}
			g.PublishPrograms(used)
			var got []uint32
			for _, m := range g.Capture(t, freeze.Options{}).Maps {
				got = append(got, m.ID)
			}
			require.Equal(t, c.want, got)
		})
	}
	t.Run("of two programs by turns", func(t *testing.T) {
		g := fakeguest.New()
		first, second := g.BTF(5, "sched", types), g.BTF(6, "sched", types)
		for id, h := range map[uint32]memimage.Map{3: {BTF: first}, 9: {BTF: second, Users: 1}, 12: {BTF: first, Users: 1}} {
			h.ID, h.Name, h.Type, h.KeySize, h.ValueSize, h.MaxEntries = id, "ctxs", 2, 4, 8, 1
			g.Add(id, g.Other(h))
		}
		g.PublishPrograms(map[uint32][]uint64{40: {g.Maps[9], g.Maps[12]}})
		require.Len(t, g.Capture(t, freeze.Options{}).Maps, 2)
	})
	t.Run("of one program", func(t *testing.T) {
		g := fakeguest.New()
		btf := g.BTF(5, "sched", types)
		for id, users := range map[uint32]uint64{3: 0, 9: 1} {
			g.Add(id, g.Other(memimage.Map{ID: id, Name: "inner", Type: 2, KeySize: 4, ValueSize: 8, MaxEntries: 1, BTF: btf, Users: users}))
		}
		g.PublishPrograms(map[uint32][]uint64{40: {g.Maps[9]}})
		require.Len(t, g.Capture(t, freeze.Options{}).Maps, 2, "a map within a map has no descriptor")
	})
}
