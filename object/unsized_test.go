package object_test

import (
	"testing"

	"github.com/cilium/ebpf/btf"
	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/object"
)

func TestWhatHasNoSizeInBTFIsLeftOutByName(t *testing.T) {
	obj, err := object.Open("../cmd/ktgen/testdata/golden/objects/atomic.bpf.o")
	require.NoError(t, err)

	const reason = " is left out: its type has no size in BTF, where clang makes void of _Atomic types; declare it without _Atomic and use __sync_fetch_and_add or __atomic_fetch_add"
	require.ElementsMatch(t, []string{
		"member hits of struct counters" + reason,
		"member atomic of union either" + reason,
		"variable live of .data" + reason,
		"variable many of .rodata" + reason,
		"variable few of .bss is left out: it takes 6 of the 24 bytes that its type has in BTF, where clang takes arrays of _Atomic types for others; declare it without _Atomic and use __sync_fetch_and_add or __atomic_fetch_add",
		"map atoms is left out: value: its type has no size in BTF, where clang makes void of _Atomic types; declare it without _Atomic and use __sync_fetch_and_add or __atomic_fetch_add",
	}, obj.Warnings)

	var vars []string
	for _, s := range obj.Sections {
		for _, v := range s.Vars {
			vars = append(vars, s.Name+"."+v.Name)
		}
	}
	require.ElementsMatch(t, []string{".data.other", ".data.either", ".bss.pointer"}, vars)
	require.Len(t, obj.Maps, 1)
	counters, ok := btf.As[*btf.Struct](obj.Maps[0].Value)
	require.True(t, ok)
	require.EqualValues(t, 16, counters.Size)
	require.Len(t, counters.Members, 2)
	require.EqualValues(t, 64, counters.Members[1].Offset, "the rest stays where it is")
}

// A static variable that only ever gets one value is compiled as a bool.
func TestVariablesThatWereMadeBoolsAreLeftOutByName(t *testing.T) {
	obj, err := object.Open("../ktest/testdata/cgroup-error.bpf.o")
	require.NoError(t, err)
	require.Contains(t, obj.Warnings, "variable runs of .bss is left out: it takes 1 of the 4 bytes that its type has in BTF, since it only ever is one of two values, of which clang keeps a bool that does not say which; declare it volatile")
	require.Empty(t, obj.Unsized, "the kernel takes the object without it")
}

// Of a static variable clang keeps pieces, with its type.
func TestPiecesOfVariablesAreLeftOutByName(t *testing.T) {
	obj, err := object.Open("../cmd/ktgen/testdata/golden/objects/pieces.bpf.o")
	require.NoError(t, err)
	require.ElementsMatch(t, []string{
		"variable once.0 of .data is left out: it takes 4 of the 16 bytes that its type has in BTF, since clang keeps only what is used of the static variable once; declare it volatile, or not static",
		"variable many.0 of .data is left out: it takes 8 of the 32 bytes that its type has in BTF, since clang keeps only what is used of the static variable many; declare it volatile, or not static",
	}, obj.Warnings)
	var vars []string
	for _, v := range obj.Sections[0].Vars {
		vars = append(vars, v.Name)
	}
	require.ElementsMatch(t, []string{"shared", "whole"}, vars)
}
