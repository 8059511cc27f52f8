package runtime_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// This file leads paths wrong, in each way there is at each value, and holds a
// snapshot to what was read back of its JSON. Generated code fails for the same
// reasons where it can (randomReaders.sameError) and does not compile elsewhere
// (gen/testdata/misuse.txtar).

// wrongPaths follows paths in two snapshots.
type wrongPaths struct {
	t       *testing.T
	n       int
	reasons map[string]int
}

// A file that was read back has the values of the snapshot, and fails as it does.
func TestFilesAreReadBackAndFailAlike(t *testing.T) {
	w := &wrongPaths{t: t, reasons: make(map[string]int)}
	types := 0
	for seed := range uint64(randomObjects) {
		obj := randomObject(t, seed, randomTypes)
		s := randomSnapshot(t, obj, 0)
		var file bytes.Buffer
		_, err := s.WriteTo(&file)
		require.NoError(t, err)
		read, err := ktsnap.Read(&file)
		require.NoError(t, err)
		w.compare(s, read)
		types += randomTypes
	}
	for _, reason := range []any{
		&ktsnap.MapNotFoundError{}, &ktsnap.VarNotFoundError{}, &ktsnap.IndexOutOfRangeError{}, &ktsnap.PerCPUSlotError{}, &ktsnap.PerCPUNotNarrowedError{},
		&ktsnap.KeyNotFoundError{}, &ktsnap.NoMatchError{}, &ktsnap.NoEntriesError{}, &ktsnap.FieldNotFoundError{}, &ktsnap.NotAStructError{}, &ktsnap.NotAnArrayError{},
		&ktsnap.EmptyPathComponentError{}, &ktsnap.PathSyntaxError{}, &ktsnap.TypeMismatchError{}, &ktsnap.NullError{}, &ktsnap.NotCapturedError{}, &ktsnap.NotBoundError{},
	} {
		require.NotZero(t, w.reasons[fmt.Sprintf("%T", reason)], "%T", reason)
	}
	require.Greater(t, types, 2000)
	t.Logf("%d random types, %d reads: %v", types, w.n, w.reasons)
}

func (w *wrongPaths) compare(a, b *ktsnap.Snapshot) {
	w.t.Helper()
	require.Len(w.t, b.Maps, len(a.Maps))
	w.same(a.Map("nosuch").Err(), b.Map("nosuch").Err())
	w.same(a.Var("nosuch").Err(), b.Var("nosuch").Err())
	for i := range a.Maps {
		there, here := a.View(i), b.View(i)
		w.same(there.At(1000).Err(), here.At(1000).Err())
		w.same(there.At(-1).Err(), here.At(-1).Err())
		w.same(there.CPU(9).Err(), here.CPU(9).Err())
		w.same(there.Lookup(77).Err(), here.Lookup(77).Err())
		w.same(there.Lookup("nosuch").Err(), here.Lookup("nosuch").Err())
		w.same(there.Lookup(1.5).Err(), here.Lookup(1.5).Err())
		none := func(ktsnap.Entry) bool { return false }
		w.same(there.Find(none).Err(), here.Find(none).Err())
		for n, e := range there.All() {
			other := here.At(n)
			w.same(e.Get("").Err(), other.Get("").Err())
			for cpu := range there.Map().Slots {
				w.below(e.CPU(cpu).Get(""), other.CPU(cpu).Get(""))
			}
		}
	}
}

// same requires that two reads failed for the same reason, or that neither did.
func (w *wrongPaths) same(a, b error) {
	w.t.Helper()
	w.n++
	require.Equal(w.t, a == nil, b == nil, "%v; %v", a, b)
	if a == nil {
		return
	}
	require.Equal(w.t, a.Error(), b.Error())
	var there, here *ktsnap.Error
	require.True(w.t, errors.As(a, &there) && errors.As(b, &here))
	require.IsType(w.t, there.Err, here.Err)
	w.reasons[fmt.Sprintf("%T", there.Err)]++
}

// below leads paths wrong that begin at each part of a value.
func (w *wrongPaths) below(a, b ktsnap.Value) {
	w.t.Helper()
	w.same(a.Err(), b.Err())
	if a.Err() != nil {
		return
	}
	require.Equal(w.t, a.Kind(), b.Kind(), a.Path())
	paths := []string{"nosuch", "nosuch.x", "[99]", "..b", "]", "[", "[x]", "[99999999999999999999]", `["]`}
	if a.Kind() == "Ptr" && a.Deref().Err() == nil {
		paths = paths[3:] // the document need not show what the others lead to
	}
	for _, path := range paths {
		w.same(a.Get(path).Err(), b.Get(path).Err())
	}
	defer w.terminals(a, b)
	switch a.Kind() {
	case "Struct", "Union":
		require.Equal(w.t, a.Len(), b.Len(), a.Path())
		for i := range a.Len() {
			name, _ := a.At(i)
			w.below(a.Get(name), b.Get(name))
		}
	case "Array":
		if !a.IsString() {
			w.below(a.Get("[0]"), b.Get("[0]"))
		}
	case "Ptr":
		w.shown(a.Deref(), b.Deref())
	}
}

// shown compares what a pointer leads to, as far as the document shows it:
// pointers are not followed without end.
func (w *wrongPaths) shown(a, b ktsnap.Value) {
	w.t.Helper()
	if b.Err() == nil || a.Err() != nil {
		w.same(a.Err(), b.Err())
		return
	}
	require.ErrorAs(w.t, b.Err(), new(*ktsnap.NotCapturedError))
}

// terminals read a value as everything.
func (w *wrongPaths) terminals(a, b ktsnap.Value) {
	w.t.Helper()
	ua, uaErr := a.Uint64()
	ub, ubErr := b.Uint64()
	w.same(uaErr, ubErr)
	ia, iaErr := a.Int64()
	ib, ibErr := b.Int64()
	w.same(iaErr, ibErr)
	ta, taErr := a.Bool()
	tb, tbErr := b.Bool()
	w.same(taErr, tbErr)
	_, faErr := a.Float64()
	_, fbErr := b.Float64()
	w.same(faErr, fbErr)
	sa, saErr := a.Str()
	sb, sbErr := b.Str()
	w.same(saErr, sbErr)
	require.Equal(w.t, []any{ua, ia, ta, sa}, []any{ub, ib, tb, sb}, a.Path())
	ra, err := a.Rendered()
	require.NoError(w.t, err)
	rb, err := b.Rendered()
	require.NoError(w.t, err)
	if ra.String() != rb.String() {
		require.LessOrEqual(w.t, len(ra.String()), 4096, "%s differs", a.Path())
		require.Equal(w.t, ra, rb, a.Path())
	}
}
