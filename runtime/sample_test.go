package runtime_test

import (
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/internal/sample"
	ktrt "github.com/ktgen/ktgen/runtime"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

func TestArraysReadWhatTheirBytesSay(t *testing.T) {
	for range 10 {
		s := newGuest(t, "../internal/sample/testdata/sample.bpf.o").snapshot()
		snap := sample.Bind(t, s)
		requireArrayMap(t, s, "scalars", snap.Scalars())
		requireArrayMap(t, s, "bits", snap.Bits())
		requireArrayMap(t, s, "arrays", snap.Arrays())
		requireArrayMap(t, s, "tight", snap.Tight())
		requireArrayMap(t, s, "nested", snap.Nested())
		requireArrayMap(t, s, "names", snap.Names())
		requireArrayMap(t, s, "pointers", snap.Pointers())
		requireArrayMap(t, s, "flexible", snap.Flexible())
		requireArrayMap(t, s, "padded", snap.Padded())
		requireArrayMap(t, s, "messages", snap.Messages())
		requireArrayMap(t, s, "flags", snap.Flags())
		requireArrayMap(t, s, "masks", snap.Masks())
		requireArrayMap(t, s, "kernel_parts", snap.KernelParts())
		requireArrayMap(t, s, "matrix", snap.Matrix())
		requireArrayMap(t, s, "a_name_longer_t", snap.ANameLongerThanTheKernelKeeps())
	}
}

func requireArrayMap[V any](t *testing.T, s *ktsnap.Snapshot, name string, a ktrt.Array[V]) {
	t.Helper()
	m := find(t, s, name)
	require.Equal(t, m.N, a.Len())
	for i := range m.N {
		raw := m.Values[i*m.Stride:][:m.ValueSize]
		requireDecoded(t, name, m.Value, raw, reflect.ValueOf(a.At(i)).Elem())
	}
	for i, v := range a.All() {
		raw := m.Values[i*m.Stride:][:m.ValueSize]
		requireDecoded(t, name, m.Value, raw, reflect.ValueOf(v))
	}
}

func TestSectionsReadWhatTheirBytesSay(t *testing.T) {
	s := newGuest(t, "../internal/sample/testdata/sample.bpf.o").snapshot()
	snap := sample.Bind(t, s)
	m := find(t, s, "sample.bss")
	bss := snap.Bss()
	for _, v := range m.Value.Members {
		raw := m.Values[v.Offset:][:v.Type.Size]
		switch v.Name {
		case "nr_online":
			requireDecoded(t, v.Name, v.Type, raw, reflect.ValueOf(bss.NrOnline))
		case "hidden":
			requireDecoded(t, v.Name, v.Type, raw, reflect.ValueOf(bss.Hidden))
		case "counters":
			requireDecoded(t, v.Name, v.Type, raw, reflect.ValueOf(bss.Counters))
		case "table":
			require.Equal(t, v.Type.Len, bss.Table.Len())
			for i, row := range bss.Table.All() {
				requireDecoded(t, v.Name, v.Type.Elem, raw[i*v.Type.Elem.Size:][:v.Type.Elem.Size], reflect.ValueOf(row))
			}
			require.Same(t, bss.Table.At(3), bss.Table.At(3))
		case "grid":
			for i, row := range bss.Grid.All() {
				requireDecoded(t, v.Name, v.Type.Elem, raw[i*v.Type.Elem.Size:][:v.Type.Elem.Size], reflect.ValueOf(row))
			}
		}
	}
	require.Same(t, bss, snap.Bss())
	require.EqualValues(t, number(find(t, s, "sample.data").Values, 0, 64, false).Uint64(), snap.Data().Slice)
	require.EqualValues(t, number(find(t, s, "sample.data.tuning").Values, 0, 64, false).Uint64(), snap.DataTuning().Tuned)
	require.EqualValues(t, number(find(t, s, "sample.rodata").Values, 0, 64, false).Uint64(), snap.Rodata().Limit)
}
