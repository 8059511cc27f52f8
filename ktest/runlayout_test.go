package ktest

import (
	"reflect"
	"testing"

	"github.com/cilium/ebpf/btf"
	"github.com/stretchr/testify/require"
)

func TestContextsAreAsInC(t *testing.T) {
	u32, u64, char := &btf.Int{Name: "u32", Size: 4}, &btf.Int{Name: "u64", Size: 8}, &btf.Int{Name: "char", Size: 1}
	c := &btf.Struct{Name: "args", Size: 32, Members: []btf.Member{
		{Name: "count", Type: u32, Offset: 0},
		{Name: "of", Type: &btf.Typedef{Name: "id", Type: u32}, Offset: 32},
		{Name: "sum", Type: u64, Offset: 64},
		{Name: "flags", Type: u32, Offset: 128, BitfieldSize: 3},
		{Type: &btf.Union{Size: 4, Members: []btf.Member{{Name: "a", Type: u32}}}, Offset: 160},
		{Name: "name", Type: &btf.Array{Type: char, Nelems: 8}, Offset: 192},
	}}
	type same struct {
		Count, Of uint32
		Sum       uint64
		Flags     uint8
		Union     uint32
		Name      [8]byte
	}
	type bytes struct{ All [32]byte }
	type words struct {
		CountOf [8]byte
		Rest    [3]uint64
	}
	type swapped struct {
		Sum       uint64
		Count, Of uint32
		Rest      [16]byte
	}
	type gap struct {
		Count uint32
		Sum   [3]uint64
	}
	for _, row := range []struct {
		args any
		want string
	}{
		{same{}, ""},
		{bytes{}, ""},
		{words{}, ""},
		{swapped{}, "member count has bytes 0 to 3, where ktest.swapped has Sum in bytes 0 to 7"},
		{gap{}, "member of has bytes 4 to 7, where ktest.gap has nothing"},
	} {
		require.EqualValues(t, 32, reflect.TypeOf(row.args).Size())
		require.Equal(t, row.want, differentLayout(reflect.TypeOf(row.args), c))
	}
}

// A member can be larger than its struct says that it is.
func TestContextsOfDamagedObjectsAreBounded(t *testing.T) {
	huge := &btf.Array{Type: &btf.Int{Name: "char", Size: 1}, Nelems: 1 << 31}
	c := &btf.Struct{Name: "args", Size: 8}
	for range 100 {
		c.Members = append(c.Members, btf.Member{Name: "all", Type: huge})
	}
	type small struct{ All uint64 }
	require.Contains(t, differentLayout(reflect.TypeFor[small](), c), "all[8]")
	require.LessOrEqual(t, len(cFields(nil, c, "", 0)), mostContext)
}
