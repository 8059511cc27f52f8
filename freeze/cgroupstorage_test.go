package freeze_test

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/freeze"
	"github.com/ktgen/ktgen/freeze/internal/memimage"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// attached is what a program has in n cgroups, with a value for each of slots.
func attached(n, size, slots int) []memimage.Attached {
	var list []memimage.Attached
	for i := range n {
		a := memimage.Attached{Cgroup: 1<<40 + uint64(i), Type: uint32(i % 3)}
		for range slots {
			a.Values = append(a.Values, random(size))
		}
		list = append(list, a)
	}
	return list
}

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
			g, list := newGuest(), attached(c.count, 13, c.slots)
			g.add(6, g.CgroupStorage(attachedHeader(c.typ, c.keySize), list))
			m := mapOf(t, g.capture(t, freeze.Options{}), 6)
			require.Equal(t, ktsnap.Complete, m.Status, m.Reason)
			require.Equal(t, c.count, m.N)
			require.Equal(t, c.slots, m.Slots)
			require.Len(t, m.Addrs, m.N*m.Slots)
			for i, a := range list {
				key := binary.LittleEndian.AppendUint64(nil, a.Cgroup)
				key = binary.LittleEndian.AppendUint64(key, uint64(a.Type))
				require.Equal(t, key[:c.keySize], m.Keys[i*m.KeySize:][:m.KeySize])
				for slot := range a.Values {
					require.Equal(t, a.Values[slot], value(m, i, slot))
				}
			}
		})
	}
}

func TestDeprecatedCgroupStorageWithinALimitIsTruncated(t *testing.T) {
	g := newGuest()
	g.add(6, g.CgroupStorage(attachedHeader(19, 16), attached(20, 13, 1)))
	m := mapOf(t, g.capture(t, freeze.Options{MapBytes: 7 * (16 + 13 + 8)}), 6)
	require.Equal(t, ktsnap.Truncated, m.Status)
	require.Equal(t, 7, m.N)
}

func TestDamagedCgroupStorageFails(t *testing.T) {
	const element = "bpf_cgroup_storage"
	for name, c := range map[string]struct {
		damage func(g *guest, storage, first uint64)
		held   int
		want   string
	}{
		"list that returns": {func(g *guest, _, first uint64) {
			g.Put(g.Get(memimage.Addr(first, element, "list_map.next")), memimage.Addr(first, element, "list_map.next"), 8)
		}, 2, "the list returns to 0x"},
		"null in the list": {func(g *guest, _, first uint64) {
			g.Put(memimage.Addr(first, element, "list_map.next"), 0, 8)
		}, 1, "read struct bpf_cgroup_storage at 0x"},
		"buffer in user space": {func(g *guest, _, first uint64) {
			g.Put(memimage.Addr(first, element, "buf"), 0x1000, 8)
		}, 0, "read value at 0x1018"},
		"key of 4 bytes": {func(g *guest, storage, _ uint64) {
			g.Put(memimage.Addr(storage, "bpf_map", "key_size"), 4, 4)
		}, 0, "key_size is 4"},
		"value of 4 GiB": {func(g *guest, storage, _ uint64) {
			g.Put(memimage.Addr(storage, "bpf_map", "value_size"), 1<<32-1, 4)
		}, 0, "value_size is 4294967295"},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGuest()
			a := g.CgroupStorage(attachedHeader(19, 16), attached(20, 13, 1))
			g.add(6, a)
			c.damage(g, a, g.Get(memimage.Addr(a, "bpf_cgroup_storage_map", "list.next"))-memimage.Offset(element, "list_map.next"))
			m := mapOf(t, g.capture(t, freeze.Options{}), 6)
			require.Equal(t, ktsnap.Failed, m.Status)
			require.Contains(t, m.Reason, c.want)
			require.GreaterOrEqual(t, m.N, c.held)
			require.GreaterOrEqual(t, len(m.Keys), m.N*m.KeySize)
		})
	}
}
