package runtime_test

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/internal/sample"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// Benchmarks stand next to what they are measured against: a decoder that
// somebody wrote by hand, and a read through unsafe.

var le = binary.LittleEndian

// byHand decodes struct task as one would without a generator.
func byHand(v *sample.Task, raw []byte) {
	b := raw[:200:200]
	v.Vtime, v.Deadline = le.Uint64(b[0:]), le.Uint64(b[8:])
	v.Slice, v.Runtime = le.Uint64(b[16:]), le.Uint64(b[24:])
	v.Weight, v.Cpu = le.Uint32(b[32:]), le.Uint32(b[36:])
	v.Pid, v.Tgid = int32(le.Uint32(b[40:])), int32(le.Uint32(b[44:]))
	comm := b[48:64]
	if end := bytes.IndexByte(comm, 0); end >= 0 {
		comm = comm[:end]
	}
	v.Comm = string(comm)
	v.Policy = sample.Policy(le.Uint32(b[64:]))
	v.Queued, v.Kthread = b[68] != 0, b[69] != 0
	v.Layer = le.Uint16(b[70:])
	for i := range v.PerLlc {
		v.PerLlc[i] = le.Uint64(b[72+8*i:])
	}
	for i := range v.Span {
		v.Span[i] = sample.PointT{X: le.Uint32(b[136+8*i:]), Y: le.Uint32(b[140+8*i:])}
	}
	bits := le.Uint32(b[152:])
	v.Flags, v.LastCpu = bits&7, bits>>3&0xfff
	v.Generation = le.Uint32(b[156:])
	for i := range v.Counters {
		v.Counters[i] = le.Uint64(b[160+8*i:])
	}
}

func benchSnap(b *testing.B) (sample.Snap, *ktsnap.Map) {
	s := newGuest(b, "../internal/sample/testdata/sample.bpf.o").snapshot()
	m := find(b, s, "bench")
	for i := range m.N {
		copy(m.Values[i*m.Stride+48:], "worker/7\x00")
	}
	return sample.Bind(b, s), m
}

func TestTheHandWrittenDecoderIsRight(t *testing.T) {
	s := newGuest(t, "../internal/sample/testdata/sample.bpf.o").snapshot()
	m := find(t, s, "bench")
	for i, want := range sample.Bind(t, s).Bench().All() {
		var got sample.Task
		byHand(&got, m.Values[i*m.Stride:])
		require.Equal(t, want, got)
	}
}

func BenchmarkDecode(b *testing.B) {
	snap, m := benchSnap(b)
	var sum uint64
	b.Run("generated", func(b *testing.B) {
		b.ReportAllocs()
		for n := 0; n < b.N; {
			for range snap.Bench().Filter(func(v *sample.Task) bool {
				n++
				sum += v.Runtime
				return false
			}) {
			}
		}
	})
	b.Run("by hand", func(b *testing.B) {
		b.ReportAllocs()
		var v sample.Task
		for n := range b.N {
			byHand(&v, m.Values[n%m.N*m.Stride:])
			sum += v.Runtime
		}
	})
	b.Run("unsafe", func(b *testing.B) {
		b.ReportAllocs()
		for n := range b.N {
			sum += *(*uint64)(unsafe.Pointer(&m.Values[n%m.N*m.Stride+24]))
		}
	})
	sink = sum
}

func BenchmarkRead(b *testing.B) {
	snap, m := benchSnap(b)
	var sum uint64
	b.Run("field", func(b *testing.B) {
		b.ReportAllocs()
		e := snap.Bench().At(7)
		for b.Loop() {
			sum += e.Runtime
		}
	})
	b.Run("field by unsafe", func(b *testing.B) {
		b.ReportAllocs()
		p := unsafe.Pointer(&m.Values[7*m.Stride])
		for b.Loop() {
			sum += *(*uint64)(unsafe.Add(p, 24))
		}
	})
	b.Run("chain, decoded before", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			sum += snap.Bench().At(7).Runtime
		}
	})
	b.Run("range", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			for _, v := range snap.Bench().All() {
				sum += v.Runtime
			}
		}
	})
	sink = sum
}

// BenchmarkTypedAgainstPath reads the same member with generated code and by
// path, from the entry and from the snapshot on, and says how many times faster
// the first is.
func BenchmarkTypedAgainstPath(b *testing.B) {
	s := newGuest(b, "../internal/sample/testdata/sample.bpf.o").snapshot()
	snap := sample.Bind(b, s)
	typed, entry := snap.Bench().At(7), s.Map("bench").At(7)
	var sum, want uint64
	b.Run("member", func(b *testing.B) {
		faster(b, func() { sum += uint64(typed.Span[1].Y) }, func() {
			n, _ := entry.Get("span[1].y").Uint64()
			want += n
		})
	})
	b.Run("chain", func(b *testing.B) {
		faster(b, func() { sum += uint64(snap.Bench().At(7).Span[1].Y) }, func() {
			n, _ := s.Map("bench").At(7).Get("span[1].y").Uint64()
			want += n
		})
	})
	require.Equal(b, want, sum)
}

// faster measures two ways to do the same, each b.N times.
func faster(b *testing.B, fast, slow func()) {
	b.ReportAllocs()
	start := time.Now()
	for range b.N {
		fast()
	}
	middle := time.Now()
	for range b.N {
		slow()
	}
	typed, path := middle.Sub(start), time.Since(middle)
	b.ReportMetric(float64(typed.Nanoseconds())/float64(b.N), "typed-ns/op")
	b.ReportMetric(float64(path.Nanoseconds())/float64(b.N), "path-ns/op")
	b.ReportMetric(float64(path)/float64(typed), "times-faster")
	b.ReportMetric(0, "ns/op")
}

func BenchmarkBind(b *testing.B) {
	s := newGuest(b, "../internal/sample/testdata/sample.bpf.o").snapshot()
	b.ReportAllocs()
	for b.Loop() {
		_, err := sample.Open(s)
		require.NoError(b, err)
	}
}

// BenchmarkFollow reads a list of an arena: nodes only, and with a pointer to a number
// in each, of which it has to be found out first whether it lies in another object.
func BenchmarkFollow(b *testing.B) {
	const length = 4000
	count := uint32(7)
	for name, of := range map[string]func(n *sample.Node){
		"nodes":       func(*sample.Node) {},
		"and numbers": func(n *sample.Node) { n.Count = &count },
	} {
		nodes := make([]sample.Node, length)
		for i := range nodes[1:] {
			nodes[i].Next = &nodes[i+1]
			of(&nodes[i])
		}
		s := sample.Fixture{Pointers: []sample.Pointers{{Node: &nodes[0]}}}.Snapshot(b)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				snap, err := sample.Open(s)
				require.NoError(b, err)
				require.NotNil(b, snap.Pointers().At(0).Node)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/length, "ns/node")
		})
	}
}
