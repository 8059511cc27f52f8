package ktest

import (
	"testing"

	"github.com/cilium/ebpf/btf"
	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/object"
)

func TestNamesBeyondTheirStructAreRefused(t *testing.T) {
	char := &btf.Int{Name: "char", Size: 1}
	ops := &btf.Struct{Name: "sched_ext_ops", Size: 8, Members: []btf.Member{
		{Name: "name", Type: &btf.Array{Type: char, Index: char, Nelems: 1 << 31}, Offset: 4 * 8},
	}}
	err := checkName(&object.Object{Maps: []object.Map{{Name: "ops", Value: ops}}}, "ops", nil)
	require.ErrorContains(t, err, "the BTF of ops is damaged: its name is at bytes 4 to 2147483652 of 8")
}
