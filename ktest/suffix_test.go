package ktest

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	examplesched "github.com/ktgen/ktgen/example_sched"
	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// registered is the map that registers a program's scheduler with the kernel.
func registered(p *ktsnap.Program) *ktsnap.Map {
	state := &ctype.Shape{Kind: ctype.KindEnum, Name: "bpf_struct_ops_state", Size: 4, Values: []ctype.EnumValue{{Name: "BPF_STRUCT_OPS_STATE_INUSE", Value: 1}}}
	common := &ctype.Shape{Kind: ctype.KindStruct, Name: "bpf_struct_ops_common_value", Size: 8, Members: []ctype.Member{{Name: "state", Offset: 4, Type: state}}}
	value := &ctype.Shape{Kind: ctype.KindStruct, Name: "bpf_struct_ops_sched_ext_ops", Size: 8, Members: []ctype.Member{{Name: "common", Type: common}}}
	return &ktsnap.Map{
		ID: 9, Name: "ops", Type: ktsnap.MapTypeStructOps, KeySize: 4, ValueSize: 8, Value: value, Program: p,
		MaxEntries: 1, N: 1, Slots: 1, Stride: 8, Total: 1, Values: []byte{0, 0, 0, 0, 1, 0, 0, 0},
	}
}

func TestMapsAreNamedByTheirEnds(t *testing.T) {
	sched, tracer := &ktsnap.Program{Name: "sched"}, &ktsnap.Program{Name: "tracer"}
	array := func(id uint32, name string, p *ktsnap.Program) *ktsnap.Map {
		return &ktsnap.Map{
			ID: id, Name: name, Type: ktsnap.MapTypeArray, KeySize: 4, ValueSize: 4, Program: p,
			MaxEntries: 1, N: 1, Slots: 1, Stride: 4, Total: 1, Values: make([]byte, 4),
		}
	}
	tracers, own, data := array(1, "tracer.bss", tracer), array(2, "sched.bss", sched), array(3, "sched.data", sched)
	one, two, within := array(4, "a_stats", sched), array(5, "b_stats", sched), array(6, "xa_stats", sched)
	snap := &ktsnap.Snapshot{Programs: []*ktsnap.Program{sched, tracer}, Maps: []*ktsnap.Map{tracers, own, data, one, two, within, registered(sched)}}

	for suffix, want := range map[string]*ktsnap.Map{".bss": own, "r.bss": tracers, ".data": data, "a_stats": one} {
		m, err := bySuffix(snap, suffix)
		require.NoError(t, err, suffix)
		require.Same(t, want, m, suffix)
	}
	_, err := bySuffix(snap, "_stats")
	var ambiguous *ktsnap.AmbiguousMapError
	require.ErrorAs(t, err, &ambiguous)
	require.Equal(t, []uint32{4, 5, 6}, ambiguous.IDs)
	require.EqualError(t, err, `3 maps answer to "*_stats": a_stats (id 4), b_stats (id 5), xa_stats (id 6): say more of the name`)
	_, err = bySuffix(snap, ".rodata")
	var none *ktsnap.MapNotFoundError
	require.ErrorAs(t, err, &none)

	unregistered := &ktsnap.Snapshot{Programs: snap.Programs, Maps: snap.Maps[:5]}
	_, err = bySuffix(unregistered, ".bss")
	require.ErrorAs(t, err, &ambiguous)
	require.Equal(t, []uint32{1, 2}, ambiguous.IDs)

	twice := &ktsnap.Snapshot{Programs: snap.Programs, Maps: []*ktsnap.Map{own, array(7, "sched.bss", tracer)}}
	_, err = bySuffix(twice, ".bss")
	require.ErrorAs(t, err, &ambiguous)
	require.ErrorContains(t, err, "sched.bss (id 2), sched.bss (id 7): names do not tell them apart: take a snapshot and use ktest.SetOf")
}

// failed is a test that keeps what it fails with.
type failed struct{ out bytes.Buffer }

func (f *failed) Output() io.Writer { return &f.out }
func (f *failed) FailNow()          { panic(errFailed) }
func (f *failed) Cleanup(func())    {}

var errFailed = errors.New("failed")

func TestPointersThatWereNotReadFailWhereTheyAreUsed(t *testing.T) {
	foreign := uint64(7)
	for name, use := range map[string]func(examplesched.Snap){
		"Set":   func(s examplesched.Snap) { Set(s, &foreign, 1) },
		"Field": func(s examplesched.Snap) { Field(s, &foreign) },
	} {
		t.Run(name, func(t *testing.T) {
			tb := new(failed)
			s := examplesched.Fixture{}.Bind(tb)
			require.PanicsWithError(t, errFailed.Error(), func() { use(s) })
			require.Regexp(t, `^suffix_test\.go:\d+: `, tb.out.String())
		})
	}
}
