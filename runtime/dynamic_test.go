package runtime_test

import (
	"fmt"
	"math"
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/internal/sample"
	ktrt "github.com/ktgen/ktgen/runtime"
	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// This file holds reads by path to what generated code reads: on each leaf of
// every map, whatever its bytes are, both say the same.

// leaves counts what was compared.
type leaves struct {
	t    *testing.T
	n    int
	seen map[any]bool // Go pointers whose targets were compared; nil if targets are not

	unions int // that the value is in, whose pointers generated code does not follow
}

// compare compares a value found by path with the Go value at the same place.
func (l *leaves) compare(v ktsnap.Value, got reflect.Value) {
	l.t.Helper()
	require.NoError(l.t, v.Err())
	u := v.Shape().Underlying()
	switch u.Kind {
	case ctype.KindStruct, ctype.KindUnion:
		raw, err := v.Bytes()
		require.NoError(l.t, err)
		if want := kernelStruct(got.Interface(), raw); want != nil {
			l.n++
			require.Equal(l.t, want, got.Interface(), v.Path())
			return
		}
		in := inUnions(u, nil, u.Kind == ctype.KindUnion)
		for i, f := range u.Fields() {
			if in[f.Name] {
				l.unions++
			}
			l.compare(v.Get(f.Name), got.Field(i))
			if in[f.Name] {
				l.unions--
			}
		}
	case ctype.KindArray:
		l.compareArray(v, u, got)
	case ctype.KindPointer:
		l.comparePointer(v, got)
	default:
		l.n++
		l.compareScalar(v, u, got)
	}
}

// inUnions returns the members that share bytes with others because they are in
// a union, by name.
func inUnions(s *ctype.Shape, names map[string]bool, shared bool) map[string]bool {
	if names == nil {
		names = make(map[string]bool)
	}
	for _, m := range s.Members {
		if u := m.Type.Underlying(); m.Name == "" {
			inUnions(u, names, shared || u.Kind == ctype.KindUnion)
		} else if shared {
			names[m.Name] = true
		}
	}
	return names
}

func (l *leaves) compareArray(v ktsnap.Value, u *ctype.Shape, got reflect.Value) {
	l.t.Helper()
	if got.Kind() == reflect.String {
		l.n++
		text, err := v.Str()
		require.NoError(l.t, err)
		require.Equal(l.t, got.String(), text, v.Path())
		return
	}
	if u.Len > 0 {
		require.Equal(l.t, u.Len, got.Len(), v.Path())
	}
	require.Error(l.t, v.Get(fmt.Sprintf("[%d]", got.Len())).Err(), v.Path())
	for i := range got.Len() {
		l.compare(v.Get(fmt.Sprintf("[%d]", i)), got.Index(i))
	}
}

// comparePointer compares addresses, or what a pointer that was followed leads
// to. Pointers that were not are nil, and have an error here.
func (l *leaves) comparePointer(v ktsnap.Value, got reflect.Value) {
	l.t.Helper()
	l.n++
	addr, err := v.Uint64()
	require.NoError(l.t, err)
	switch p := got.Interface().(type) {
	case ktsnap.Address:
		require.EqualValues(l.t, p, addr, v.Path())
	case ktrt.FuncPtr:
		require.EqualValues(l.t, p.Address, addr, v.Path())
	case interface{ Addr() uint64 }:
		require.Equal(l.t, p.Addr(), addr, v.Path())
	default:
		l.compareTarget(v.Deref(), got)
	}
}

// compareTarget compares what a pointer leads to.
func (l *leaves) compareTarget(v ktsnap.Value, got reflect.Value) {
	l.t.Helper()
	if l.unions > 0 {
		require.True(l.t, got.IsNil(), v.Path())
		return
	}
	require.Equal(l.t, v.Err() != nil, got.IsNil(), "%s: %v", v.Path(), v.Err())
	if p := got.Interface(); l.seen != nil && !got.IsNil() && !l.seen[p] {
		l.seen[p] = true
		l.compare(v, got.Elem())
	}
}

func (l *leaves) compareScalar(v ktsnap.Value, u *ctype.Shape, got reflect.Value) {
	l.t.Helper()
	if u.Kind == ctype.KindFloat {
		f, err := v.Float64()
		require.NoError(l.t, err)
		require.True(l.t, f == got.Float() || math.IsNaN(f) && math.IsNaN(got.Float()), v.Path())
		return
	}
	l.compareEnum(v, u, got)
	switch n := got.Interface().(type) {
	case bool:
		b, err := v.Bool()
		require.NoError(l.t, err)
		require.Equal(l.t, n, b, v.Path())
	case ktrt.Uint128, ktrt.Int128:
		r, err := v.Rendered()
		require.NoError(l.t, err)
		raw, err := v.Bytes()
		require.NoError(l.t, err)
		require.Equal(l.t, number(raw, 0, 128, u.Signed).String(), r.Text, v.Path())
	default:
		l.compareInt(v, got)
	}
}

// compareInt compares numbers; those that do not fit are errors.
func (l *leaves) compareInt(v ktsnap.Value, got reflect.Value) {
	l.t.Helper()
	u, uerr := v.Uint64()
	i, ierr := v.Int64()
	if got.CanUint() {
		require.NoError(l.t, uerr)
		require.Equal(l.t, got.Uint(), u, v.Path())
		require.Equal(l.t, got.Uint() > math.MaxInt64, ierr != nil, v.Path())
		return
	}
	require.NoError(l.t, ierr)
	require.Equal(l.t, got.Int(), i, v.Path())
	if v.Shape().Underlying().Kind != ctype.KindChar {
		require.Equal(l.t, got.Int() < 0, uerr != nil, v.Path())
	}
}

func (l *leaves) compareEnum(v ktsnap.Value, u *ctype.Shape, got reflect.Value) {
	l.t.Helper()
	if u.Kind != ctype.KindEnum {
		return
	}
	if name, err := v.Str(); err == nil {
		require.Equal(l.t, got.Interface().(fmt.Stringer).String(), name, v.Path())
		return
	}
	require.Contains(l.t, fmt.Sprint(got.Interface()), "(", v.Path())
}

func compareArrayMap[V any](l *leaves, s *ktsnap.Snapshot, name string, a ktrt.Array[V]) {
	l.t.Helper()
	for i := range a.Len() {
		l.compare(s.Map(name).At(i).Get(""), reflect.ValueOf(a.At(i)).Elem())
	}
}

func compareHash[K comparable, V any](l *leaves, s *ktsnap.Snapshot, name string, h ktrt.Hash[K, V]) {
	l.t.Helper()
	for i, key := range h.Keys() {
		e := s.Map(name).At(i)
		l.compare(e.Key(), reflect.ValueOf(key))
		l.compare(e.Get(""), reflect.ValueOf(h.Get(key)).Elem())
	}
}

func TestPathsReadWhatGeneratedCodeReads(t *testing.T) {
	l := &leaves{t: t}
	for seed := range 20 {
		g := newGuest(t, "../internal/sample/testdata/sample.bpf.o")
		for range seed {
			g.random.Uint64()
		}
		s := g.snapshot()
		snap := sample.Bind(t, s)
		compareArrayMap(l, s, "scalars", snap.Scalars())
		compareArrayMap(l, s, "bits", snap.Bits())
		compareArrayMap(l, s, "arrays", snap.Arrays())
		compareArrayMap(l, s, "tight", snap.Tight())
		compareArrayMap(l, s, "nested", snap.Nested())
		compareArrayMap(l, s, "names", snap.Names())
		compareArrayMap(l, s, "pointers", snap.Pointers())
		compareArrayMap(l, s, "flexible", snap.Flexible())
		compareArrayMap(l, s, "padded", snap.Padded())
		compareArrayMap(l, s, "messages", snap.Messages())
		compareArrayMap(l, s, "flags", snap.Flags())
		compareArrayMap(l, s, "masks", snap.Masks())
		compareArrayMap(l, s, "kernel_parts", snap.KernelParts())
		compareArrayMap(l, s, "matrix", snap.Matrix())
		compareArrayMap(l, s, "a_name_longer_than_the_kernel_keeps", snap.ANameLongerThanTheKernelKeeps())
		compareHash(l, s, "nodes", snap.Nodes())
		compareHash(l, s, "by_key", snap.ByKey())
		compareHash(l, s, "recent", snap.Recent())
		for cpu := range snap.PerCpu().CPUs() {
			for i := range snap.PerCpu().Len() {
				l.compare(s.Map("per_cpu").CPU(cpu).At(i).Get(""), reflect.ValueOf(snap.PerCpu().CPU(cpu).At(i)).Elem())
			}
		}
		for _, owner := range snap.Tasks().Tasks() {
			e := s.Map("tasks").Lookup(owner.PID)
			l.compare(e.Key(), reflect.ValueOf(owner.PID))
			l.compare(e.Get(""), reflect.ValueOf(snap.Tasks().Get(owner.PID)).Elem())
		}
		l.compare(s.Var("nr_online"), reflect.ValueOf(snap.Bss().NrOnline))
		l.compare(s.Var("hidden"), reflect.ValueOf(snap.Bss().Hidden))
		l.compare(s.Var("counters"), reflect.ValueOf(snap.Bss().Counters))
		l.compare(s.Var("slice"), reflect.ValueOf(snap.Data().Slice))
		l.compare(s.Var("tuned"), reflect.ValueOf(snap.DataTuning().Tuned))
		l.compare(s.Var("limit"), reflect.ValueOf(snap.Rodata().Limit))
		l.compare(s.Var("LINUX_KERNEL_VERSION"), reflect.ValueOf(snap.Kconfig().LINUX_KERNEL_VERSION))
		l.compare(s.Var("CONFIG_PREEMPT"), reflect.ValueOf(snap.Kconfig().CONFIG_PREEMPT))
		for i, row := range snap.Bss().Table.All() {
			l.compare(s.Var("table").Get(fmt.Sprintf("[%d]", i)), reflect.ValueOf(row))
		}
	}
	require.Greater(t, l.n, 50_000)
}

// What pointers lead to in an arena is the same, across the border of two
// pages, and in a guest whose types have moved.
func TestPathsFollowWhatGeneratedCodeFollows(t *testing.T) {
	for name, s := range map[string]*ktsnap.Snapshot{"as built": ring(t, 50), "rebuilt": rebuilt(t)} {
		node, v := sample.Bind(t, s).Bss().Head, s.Var("head")
		for range 3000 {
			n, err := v.Get("value").Uint64()
			require.NoError(t, err)
			require.Equal(t, node.Value, n, name)
			back, err := v.Get("next.prev.value").Uint64()
			require.NoError(t, err)
			require.Equal(t, node.Value, back, name)
			node, v = node.Next, v.Get("next").Deref()
		}
		require.Less(t, len(v.Path()), 1000)
	}
}

// What fails through generated code fails by path, for the same reason.
func TestPathsFailAsGeneratedCodeDoes(t *testing.T) {
	s := newGuest(t, "../internal/sample/testdata/sample.bpf.o").snapshot()
	snap, err := sample.Open(s)
	require.NoError(t, err)
	for name, both := range map[string]struct {
		typed func()
		path  error
	}{
		"an index out of range": {func() { snap.Scalars().At(1 << 20) }, s.Map("scalars").At(1 << 20).Err()},
		"no such CPU":           {func() { snap.PerCpu().CPU(3) }, s.Map("per_cpu").CPU(3).Err()},
		"no such key":           {func() { snap.Nodes().Get(0) }, s.Map("nodes").Lookup(0).Err()},
		"no match":              {func() { snap.Nodes().Find(func(*sample.Node) bool { return false }) }, s.Map("nodes").Find(func(ktsnap.Entry) bool { return false }).Err()},
	} {
		var typed, path *ktsnap.Error
		require.ErrorAs(t, ktrt.Try(both.typed), &typed, name)
		require.ErrorAs(t, both.path, &path, name)
		require.IsType(t, typed.Err, path.Err, name)
		require.Equal(t, typed.Op, ifLookup(path.Op), name)
	}
}

// ifLookup is the verb that generated code has for Lookup where it must find
// something.
func ifLookup(op string) string {
	if op == "Lookup" {
		return "Get"
	}
	return op
}
