package runtime_test

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/internal/sample"
	ktrt "github.com/ktgen/ktgen/runtime"
	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// readAll reads everything that there is, each accessor for itself.
func readAll(snap sample.Snap) []func() {
	return []func(){
		func() { readArray(snap, snap.Scalars()) },
		func() { readArray(snap, snap.Bits()) },
		func() { readArray(snap, snap.Arrays()) },
		func() { readArray(snap, snap.Tight()) },
		func() { readArray(snap, snap.Nested()) },
		func() { readArray(snap, snap.Pointers()) },
		func() { readArray(snap, snap.Flexible()) },
		func() { readArray(snap, snap.Matrix()) },
		func() { readHash(snap, snap.Nodes()) },
		func() { readHash(snap, snap.ByKey()) },
		func() { readHash(snap, snap.Recent().Partial()) },
		func() { readArray(snap, snap.PerCpu().CPU(1).Partial()) },
		func() { readHash(snap, snap.PerCpuByName().CPU(2)) },
		func() {
			for range snap.PerCpu().Each(1) {
			}
		},
		func() {
			for owner := range snap.Tasks().Partial().All() {
				ktrt.Path(snap, snap.Tasks().Get(owner.PID))
			}
		},
		func() { readArray(snap, snap.Bss().Table) },
		func() { readArray(snap, snap.Bss().Grid) },
		func() { ktrt.Raw(snap, &snap.Bss().Counters) },
		func() { _ = snap.Rodata().Limit + snap.Data().Slice + snap.DataTuning().Tuned },
		func() { snap.Untyped().Len() },
		func() { readHash(snap, snap.Routes()) },
		func() { readHash(snap, snap.Routes6()) },
		func() { readHash(snap, snap.Paths()) },
		func() { readHash(snap, snap.Cgroups()) },
		func() { readArray(snap, snap.Waiting()) },
		func() { readArray(snap, snap.Undo()) },
		func() {
			for id := range snap.Stacks().Partial().All() {
				snap.Stacks().Get(id)
			}
		},
		func() {
			for i := range snap.Programs().Partial().All() {
				snap.Programs().ID(i)
			}
		},
	}
}

func readArray[V any](snap sample.Snap, a ktrt.Array[V]) {
	for range a.Partial().All() {
	}
	v := a.At(0)
	ktrt.Path(snap, v)
	ktrt.Addr(snap, v)
	ktrt.Raw(snap, v)
	a.MaxBy(func(*V) uint64 { return 1 })
}

func readHash[K comparable, V any](snap sample.Snap, h ktrt.Hash[K, V]) {
	for key := range h.Partial().All() {
		h.Lookup(key)
	}
	for _, key := range h.Partial().Keys() {
		ktrt.Path(snap, h.Get(key))
	}
}

// mutate changes one thing about a snapshot, as a damaged file or a hostile
// guest can have it.
func mutate(r *rand.Rand, s *ktsnap.Snapshot) {
	m := s.Maps[r.IntN(len(s.Maps))]
	numbers := []int{-1, 0, 1, 3, 7, 1 << 20, 1 << 40, -1 << 62, 1<<62 + 1}
	n := numbers[r.IntN(len(numbers))]
	switch r.IntN(16) {
	case 0:
		m.N = n
	case 1:
		m.Slots = n
	case 2:
		m.Stride = n
	case 3:
		m.KeySize = n
	case 4:
		m.ValueSize = n
	case 5:
		m.Keys = m.Keys[:len(m.Keys)/2]
	case 6:
		m.Values = m.Values[:len(m.Values)/2]
	case 7:
		m.Addrs = make([]uint64, r.IntN(3))
	case 8:
		m.Owners = nil
	case 9:
		m.Key, m.Value = m.Value, m.Key
	case 10:
		m.Base = ^uint64(0) - uint64(r.IntN(64))
	case 11:
		m.Type = ktsnap.MapType(r.IntN(40))
	case 12:
		m.Extents = append(m.Extents, ktsnap.Extent{Addr: r.Uint64(), Data: make([]byte, r.IntN(64))})
	default:
		mutateShape(r, s.Programs[0].Shapes, n)
	}
}

func mutateShape(r *rand.Rand, shapes []*ctype.Shape, n int) {
	s := shapes[r.IntN(len(shapes))]
	if len(s.Members) == 0 {
		s.Size = n
		return
	}
	m := &s.Members[r.IntN(len(s.Members))]
	switch r.IntN(6) {
	case 0:
		s.Size = n
	case 1:
		m.Offset = n
	case 2:
		m.Type = shapes[r.IntN(len(shapes))]
	case 3:
		m.Bits, m.BitOffset = uint8(r.Uint32()), uint8(r.Uint32())
	case 4:
		m.Name = ""
	case 5:
		s.Members = s.Members[:len(s.Members)-1]
	}
}

// Whatever a snapshot says, reading it gives values or typed errors.
func TestHostileSnapshotsGiveTypedErrors(t *testing.T) {
	bound := 0
	for seed := range uint64(1000) {
		r := rand.New(rand.NewPCG(seed, 7))
		s := ring(t, 5)
		for range 1 + r.IntN(3) {
			mutate(r, s)
		}
		require.NotPanics(t, func() {
			snap, err := sample.Open(s, ktrt.MaxObjects(100))
			if err != nil {
				return
			}
			bound++
			for _, read := range readAll(snap) {
				ktrt.Try(read)
			}
		}, "seed %d", seed)
	}
	require.NotZero(t, bound)
	t.Logf("%d of 1000 could be bound", bound)
}
