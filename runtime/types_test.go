package runtime_test

import (
	"encoding/binary"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/internal/sample"
	ktrt "github.com/ktgen/ktgen/runtime"
)

func TestEnumsOfFlagsNameTheirCombinations(t *testing.T) {
	for value, want := range map[sample.Enqueue]string{
		sample.ENQ_HEAD:                       "ENQ_HEAD",
		sample.ENQ_HEAD | sample.ENQ_WAKEUP:   "ENQ_WAKEUP|ENQ_HEAD",
		sample.ENQ_LAST | sample.ENQ_HEAD | 6: "ENQ_HEAD|ENQ_LAST|0x6",
		sample.ENQ_INTERNAL_MASK:              "ENQ_INTERNAL_MASK",
		0:                                     "0",
		6:                                     "enqueue(6)",
	} {
		require.Equal(t, want, value.String())
	}
	require.Equal(t, "slot(7)", sample.Slot(7).String())
}

// By path, values read the same.
func TestFlagsByPathNameTheirCombinations(t *testing.T) {
	s := newGuest(t, "../internal/sample/testdata/sample.bpf.o").snapshot()
	m := find(t, s, "flags")
	for value, want := range map[uint64]string{1<<41 | 16: "ENQ_HEAD|ENQ_LAST", 17 | 1<<20: "ENQ_WAKEUP|ENQ_HEAD|0x100000", 0: "0"} {
		binary.LittleEndian.PutUint64(m.Values, value)
		got, err := s.Map("flags").At(0).Get("enqueue").Str()
		require.NoError(t, err)
		require.Equal(t, want, got)
		require.Equal(t, want, sample.Bind(t, s).Flags().At(0).Enqueue.String())
		r, err := s.Map("flags").At(0).Get("enqueue").Rendered()
		require.NoError(t, err)
		require.Equal(t, want, r.Text)
	}
	binary.LittleEndian.PutUint64(m.Values, 6)
	_, err := s.Map("flags").At(0).Get("enqueue").Str()
	require.Error(t, err)
}

// Bits that no CPU of the guest has are noise: cpumasks beyond nr_cpu_ids are
// not written by the kernel.
func TestMasksHoldTheCPUsThatTheGuestCanHave(t *testing.T) {
	s := newGuest(t, "../internal/sample/testdata/sample.bpf.o").snapshot()
	m := find(t, s, "masks")
	s.Guest.CPUs = 70
	for i := range m.ValueSize {
		m.Values[i] = 0xff
	}
	copy(m.Values, []byte{0b1000_1111, 0, 0, 0, 0, 0, 0, 0, 0b0000_0011})
	snap := sample.Bind(t, s)
	masks := snap.Masks().At(0)
	allowed := masks.Allowed.CPUs(snap)
	require.Equal(t, "0-3,7,64-65", allowed.String())
	require.Equal(t, 7, allowed.Count())
	require.True(t, allowed.Has(65))
	require.False(t, allowed.Has(66))
	require.Equal(t, []int{0, 1, 2, 3, 7, 64, 65}, slices.Collect(allowed.All()))
	require.Equal(t, "0-69", masks.Nodes[1].CPUs(snap).String())
	require.Equal(t, "0-23", ktrt.CPUs(snap, masks.Cores[:]).String())
}

func TestFlexibleArraysHaveWhatFitsIntoTheValue(t *testing.T) {
	s := newGuest(t, "../internal/sample/testdata/sample.bpf.o").snapshot()
	snap := sample.Bind(t, s)
	require.Len(t, snap.Padded().At(0).Items, 2) // in the padding
	require.Empty(t, snap.Flexible().At(0).Items)
	for _, name := range []string{"flexible", "messages"} {
		m := find(t, s, name)
		m.ValueSize, m.Stride, m.N = 22, 24, 2 // more than their types have
		m.Values = make([]byte, m.N*m.Stride)
		for i := range m.Values {
			m.Values[i] = 'a' + byte(i)
		}
	}
	snap = sample.Bind(t, s)
	requireArrayMap(t, s, "flexible", snap.Flexible())
	require.Len(t, snap.Flexible().At(1).Items, 4)
	require.Equal(t, "ijklmnopqrstuv", snap.Messages().At(0).Text)
	require.Equal(t, "ijklmnopqrstuv", string(ktrt.Raw(snap, &snap.Messages().At(0).Text)))
	text, err := s.Map("messages").At(0).Get("text").Str()
	require.NoError(t, err)
	require.Equal(t, "ijklmnopqrstuv", text)
	l := &leaves{t: t}
	compareArrayMap(l, s, "flexible", snap.Flexible())
	require.Equal(t, 10, l.n)
}

func TestListsAndTreesSayWhetherTheyAreEmpty(t *testing.T) {
	s := newGuest(t, "../internal/sample/testdata/sample.bpf.o").snapshot()
	m := find(t, s, "kernel_parts")
	const head, refs = 24, 4
	clear(m.Values[:m.Stride])
	m.Values[refs] = 3
	m.Values[m.Stride] = 1                                                        // the lock of the next
	binary.LittleEndian.PutUint64(m.Values[m.Stride+head:], m.Base+112+head)      // became empty
	binary.LittleEndian.PutUint64(m.Values[2*m.Stride+head:], 0xffff888000000010) // has a node
	snap := sample.Bind(t, s)
	first, second, third := snap.KernelParts().At(0), snap.KernelParts().At(1), snap.KernelParts().At(2)
	require.True(t, first.Head.IsEmpty(snap))
	require.True(t, second.Head.IsEmpty(snap))
	require.False(t, third.Head.IsEmpty(snap))
	require.True(t, first.Root.IsEmpty())
	require.False(t, third.Root.IsEmpty())
	require.False(t, first.Link.IsLinked())
	require.True(t, third.Branch.IsLinked())
	require.False(t, first.Timer.IsSet())
	require.True(t, third.Timer.IsSet())
	require.Equal(t, "3", first.Refs.String())
	require.False(t, first.Lock.IsLocked())
	require.Equal(t, "locked", second.Lock.String())
}
