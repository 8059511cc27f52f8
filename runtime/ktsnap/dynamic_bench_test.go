package ktsnap_test

import (
	"testing"
)

var sum uint64

// Reads by path stand next to the same read with all that leads to it.
func BenchmarkDynamic(b *testing.B) {
	s := newGuest()
	entry := s.Map("scx_per_task").CPU(1).At(0)
	b.Run("path", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			n, _ := entry.Get("ctx.weight").Uint64()
			sum += n
		}
	})
	b.Run("path through a pointer", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			n, _ := entry.Get("leader.ctx.weight").Uint64()
			sum += n
		}
	})
	b.Run("chain", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			n, _ := s.Map("scx_per_task").CPU(1).At(0).Get("ctx.weight").Uint64()
			sum += n
		}
	})
	b.Run("variable", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			n, _ := s.Var("nr_dispatched").Uint64()
			sum += n
		}
	})
	b.Run("lookup", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			n, _ := s.Map("task_ctxs").Lookup(1236).Get("ctx.weight").Uint64()
			sum += n
		}
	})
}
