package bpfmap_test

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/freeze"
	"github.com/ktgen/ktgen/freeze/internal/fakeguest"
	"github.com/ktgen/ktgen/freeze/internal/memimage"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// attachedHeader is cgroup storage, id 6, with values of 13 bytes.
func attachedHeader(typ, keySize uint32) memimage.Map {
	return memimage.Map{ID: 6, Name: "attached", Type: typ, KeySize: keySize, ValueSize: 13}
}

func TestDeprecatedCgroupStorageHasItsKeys(t *testing.T) {
	for name, c := range map[string]struct {
		typ, keySize uint32
		count, slots int
	}{
		"empty":                           {19, 16, 0, 1},
		"by cgroup and attachment":        {19, 16, 20, 1},
		"by cgroup":                       {19, 8, 20, 1},
		"per CPU, by cgroup":              {21, 8, 20, memimage.CPUs},
		"per CPU, cgroup, and attachment": {21, 16, 20, memimage.CPUs},
	} {
		t.Run(name, func(t *testing.T) {
			g, list := fakeguest.New(), fakeguest.Attached(c.count, 13, c.slots)
			g.Add(6, g.CgroupStorage(attachedHeader(c.typ, c.keySize), list))
			m := fakeguest.MapOf(t, g.Capture(t, freeze.Options{}), 6)
			require.Equal(t, ktsnap.Complete, m.Status, m.Reason)
			require.Equal(t, c.count, m.N)
			require.Equal(t, c.slots, m.Slots)
			require.Len(t, m.Addrs, m.N*m.Slots)
			for i, a := range list {
				key := binary.LittleEndian.AppendUint64(nil, a.Cgroup)
				key = binary.LittleEndian.AppendUint64(key, uint64(a.Type))
				require.Equal(t, key[:c.keySize], m.Keys[i*m.KeySize:][:m.KeySize])
				for slot := range a.Values {
					require.Equal(t, a.Values[slot], fakeguest.Value(m, i, slot))
				}
			}
		})
	}
}

func TestDeprecatedCgroupStorageWithinALimitIsTruncated(t *testing.T) {
	g := fakeguest.New()
	g.Add(6, g.CgroupStorage(attachedHeader(19, 16), fakeguest.Attached(20, 13, 1)))
	m := fakeguest.MapOf(t, g.Capture(t, freeze.Options{MapBytes: 7 * (16 + 13 + 8)}), 6)
	require.Equal(t, ktsnap.Truncated, m.Status)
	require.Equal(t, 7, m.N)
}

func TestDamagedCgroupStorageFails(t *testing.T) {
	const element = "bpf_cgroup_storage"
	for name, c := range map[string]struct {
		damage func(g *fakeguest.Guest, storage, first uint64)
		held   int
		want   string
	}{
		"list that returns": {func(g *fakeguest.Guest, _, first uint64) {
			g.Put(g.Get(memimage.Addr(first, element, "list_map.next")), memimage.Addr(first, element, "list_map.next"), 8)
		}, 2, "the list returns to 0x"},
		"null in the list": {func(g *fakeguest.Guest, _, first uint64) {
			g.Put(memimage.Addr(first, element, "list_map.next"), 0, 8)
		}, 1, "read struct bpf_cgroup_storage at 0x"},
		"buffer in user space": {func(g *fakeguest.Guest, _, first uint64) {
			g.Put(memimage.Addr(first, element, "buf"), 0x1000, 8)
		}, 0, "read value at 0x1018"},
		"key of 4 bytes": {func(g *fakeguest.Guest, storage, _ uint64) {
			g.Put(memimage.Addr(storage, "bpf_map", "key_size"), 4, 4)
		}, 0, "key_size is 4"},
		"value of 4 GiB": {func(g *fakeguest.Guest, storage, _ uint64) {
			g.Put(memimage.Addr(storage, "bpf_map", "value_size"), 1<<32-1, 4)
		}, 0, "value_size is 4294967295"},
	} {
		t.Run(name, func(t *testing.T) {
			g := fakeguest.New()
			a := g.CgroupStorage(attachedHeader(19, 16), fakeguest.Attached(20, 13, 1))
			g.Add(6, a)
			c.damage(g, a, g.Get(memimage.Addr(a, "bpf_cgroup_storage_map", "list.next"))-memimage.Offset(element, "list_map.next"))
			m := fakeguest.MapOf(t, g.Capture(t, freeze.Options{}), 6)
			require.Equal(t, ktsnap.Failed, m.Status)
			require.Contains(t, m.Reason, c.want)
			require.GreaterOrEqual(t, m.N, c.held)
			require.GreaterOrEqual(t, len(m.Keys), m.N*m.KeySize)
		})
	}
}
