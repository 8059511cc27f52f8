package dump_test

import (
	"io"
	"testing"

	"github.com/ktgen/ktgen/dump"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// sparse is what sections are: few numbers, much room.
func sparse() *ktsnap.Snapshot {
	s := guest(5000)
	m := newMap(ktsnap.Map{ID: 98, Name: "slots", Type: ktsnap.MapTypeArray, Value: array(taskCtx, 1024)}, 64)
	for i := range m.N {
		bytesOf{m.Values}.at(i*m.Stride).u32(0, uint32(i)).u64(8, uint64(i)*7919)
	}
	s.Maps = append(s.Maps, m)
	return s
}

func BenchmarkDump(b *testing.B) {
	for name, s := range map[string]*ktsnap.Snapshot{"dense": entries(20_000), "sparse": sparse()} {
		b.Run("text/"+name, func(b *testing.B) {
			b.SetBytes(int64(captured(s)))
			for b.Loop() {
				if err := dump.Text(io.Discard, s, dump.Options{}); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("json/"+name, func(b *testing.B) {
			b.SetBytes(int64(captured(s)))
			for b.Loop() {
				if err := dump.JSON(io.Discard, s); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkDiff compares large snapshots with themselves.
func BenchmarkDiff(b *testing.B) {
	for name, s := range map[string]*ktsnap.Snapshot{"dense": entries(20_000), "sparse": sparse()} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				for c := range dump.Diff(s, s) {
					b.Fatal(c)
				}
			}
		})
	}
}
