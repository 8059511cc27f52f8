package freeze_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/freeze"
	"github.com/ktgen/ktgen/freeze/internal/fakeguest"
	"github.com/ktgen/ktgen/freeze/internal/memimage"
)

// BenchmarkPause measures how long a guest stands still for a map, without what
// stopping and resuming take, next to a memcpy of as many bytes into memory
// that is in use already.
func BenchmarkPause(b *testing.B) {
	const section = 165 << 20
	for name, add := range map[string]func(g *fakeguest.Guest){
		"section of 165 MB, 1% used": func(g *fakeguest.Guest) {
			v := make([]byte, section)
			for at := 0; at < len(v); at += 100 * memimage.PageSize {
				copy(v[at:at+memimage.PageSize], fakeguest.Random(memimage.PageSize))
			}
			g.Add(1, g.Array(memimage.Map{ID: 1, Type: 2, KeySize: 4, ValueSize: section, MaxEntries: 1}, [][]byte{v}))
		},
		"section of 165 MB, all used": func(g *fakeguest.Guest) {
			g.Add(1, g.Array(memimage.Map{ID: 1, Type: 2, KeySize: 4, ValueSize: section, MaxEntries: 1}, [][]byte{fakeguest.Random(section)}))
		},
		"hash of 20000": func(g *fakeguest.Guest) {
			g.Add(1, g.Hash(memimage.Map{ID: 1, Type: 1, KeySize: 4, ValueSize: 48, MaxEntries: 1 << 15}, 1<<15, fakeguest.Entries(20_000, 4, 48, 1)))
		},
		"arena of 4 GiB, 2048 tables, 1 page used": func(g *fakeguest.Guest) { addTables(g, 1) },
		"arena of 4 GiB, 1 table, 1 page used":     func(g *fakeguest.Guest) { addTables(g, 2048) },
		"10 maps of 100": func(g *fakeguest.Guest) {
			for id := range uint32(10) {
				g.Add(id+1, g.Hash(memimage.Map{ID: id + 1, Type: 1, KeySize: 4, ValueSize: 48, MaxEntries: 128}, 128, fakeguest.Entries(100, 4, 48, 1)))
			}
		},
	} {
		b.Run(name, func(b *testing.B) {
			g := &fakeguest.Guest{Image: memimage.New(4, 512<<20), Maps: make(map[uint32]uint64)}
			add(g)
			f := g.Freezer(b, freeze.Options{})
			var walk, copied, memcpy []time.Duration
			var from, to []byte
			for b.Loop() {
				snap, err := f.Capture(context.Background(), "x")
				require.NoError(b, err)
				walk = append(walk, snap.Timing.Walk)
				copied = append(copied, snap.Timing.Copy)
				if from == nil {
					from, to = fakeguest.Random(snap.Timing.Bytes), fakeguest.Random(snap.Timing.Bytes)
				}
				began := time.Now()
				copy(to, from)
				memcpy = append(memcpy, time.Since(began))
			}
			for phase, times := range map[string][]time.Duration{"walk": walk, "copy": copied, "memcpy": memcpy} {
				slices.Sort(times)
				b.ReportMetric(float64(times[len(times)/2])/1e6, phase+"-ms")
			}
		})
	}
}

// addTables adds an arena with one page, and an empty page table for each so many
// of the 2048 that its range has.
func addTables(g *fakeguest.Guest, every int) {
	const tables, entries = 2048, 512
	g.Add(1, g.Arena(memimage.Map{ID: 1, Type: 33, MaxEntries: tables * entries}, 1<<44, map[int][]byte{0: fakeguest.Random(memimage.PageSize)}))
	area := g.Get(memimage.Addr(g.Maps[1], "bpf_arena", "kern_vm"))
	first := g.Get(memimage.Addr(area, "vm_struct", "addr")) + 1<<15
	for n := every; n < tables; n += every {
		at := first + uint64(n*entries*memimage.PageSize)
		g.Map(at, 0)
		g.Unmap(at)
	}
}
