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

// numbers are what is in the slots of a map.
func numbers(m *ktsnap.Map) (list []uint64) {
	for i := range m.N {
		b := make([]byte, 8)
		copy(b, m.Values[i*m.Stride:][:m.ValueSize])
		list = append(list, binary.LittleEndian.Uint64(b))
	}
	return list
}

func TestSlotsTellWhatIsInThem(t *testing.T) {
	device := func(g *fakeguest.Guest) []uint64 {
		return []uint64{0, g.Device(1, []byte{3, 0, 0, 0, 9}, 0), 0, g.Device(3, []byte{4}, 0)}
	}
	socks := func(g *fakeguest.Guest) []uint64 {
		return []uint64{g.Object("sock", "sk_ino", 77), 0, g.Object("sock", "sk_ino", 0), g.Object("sock", "sk_ino", 1<<40|5)}
	}
	for name, c := range map[string]struct {
		make func(g *fakeguest.Guest) uint64
		want []uint64
	}{
		"perf events": {func(g *fakeguest.Guest) uint64 {
			event := g.Object("bpf_event_entry", "event", g.Object("perf_event", "id", 12))
			return g.Pointers(fakeguest.References(ktsnap.MapTypePerfEventArray, 4), "bpf_array", "ptrs", []uint64{event, 0, 0, 0})
		}, []uint64{12, 0, 0, 0}},
		"cgroups": {func(g *fakeguest.Guest) uint64 {
			cgroup := g.Object("cgroup", "kn", g.Object("kernfs_node", "id", 1<<32|34))
			return g.Pointers(fakeguest.References(ktsnap.MapTypeCgroupArray, 4), "bpf_array", "ptrs", []uint64{0, cgroup, 0, 0})
		}, []uint64{0, 34, 0, 0}},
		"sockets": {func(g *fakeguest.Guest) uint64 {
			return g.PointerTable(fakeguest.References(ktsnap.MapTypeSockMap, 4), "bpf_stab", "sks", socks(g))
		}, []uint64{77, 0, 1<<32 - 1, 5}},
		"sockets in 8 bytes": {func(g *fakeguest.Guest) uint64 {
			return g.Pointers(fakeguest.References(ktsnap.MapTypeReusePortArray, 8), "reuseport_array", "ptrs", socks(g))
		}, []uint64{77, 0, 1<<64 - 1, 1<<40 | 5}},
		"XDP sockets": {func(g *fakeguest.Guest) uint64 {
			return g.Pointers(fakeguest.References(ktsnap.MapTypeXSKMap, 4), "xsk_map", "xsk_map", socks(g))
		}, []uint64{77, 0, 1<<32 - 1, 5}},
		"devices": {func(g *fakeguest.Guest) uint64 {
			return g.PointerTable(fakeguest.References(ktsnap.MapTypeDevMap, 8), "bpf_dtab", "netdev_map", device(g))
		}, []uint64{0, 9<<32 | 3, 0, 4}},
		"CPUs": {func(g *fakeguest.Guest) uint64 {
			return g.PointerTable(fakeguest.References(ktsnap.MapTypeCPUMap, 4), "bpf_cpu_map", "cpu_map", []uint64{0, 0, g.Object("bpf_cpu_map_entry", "value", 192), 0})
		}, []uint64{0, 0, 192, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			g := fakeguest.New()
			g.Add(1, c.make(g))
			m := fakeguest.MapOf(t, g.Capture(t, freeze.Options{}), 1)
			require.Equal(t, ktsnap.Complete, m.Status, m.Reason)
			require.Equal(t, c.want, numbers(m))
		})
	}
}

func TestHashesOfReferencesAreReadByKey(t *testing.T) {
	g := fakeguest.New()
	third := g.Device(30, []byte{3}, 0)
	first := g.Device(10, []byte{1}, g.Device(20, []byte{2}, 0))
	g.Add(1, g.DeviceHash(fakeguest.References(ktsnap.MapTypeDevMapHash, 4), []uint64{0, first, third, 0}))
	m := fakeguest.MapOf(t, g.Capture(t, freeze.Options{}), 1)
	require.Equal(t, ktsnap.Complete, m.Status, m.Reason)
	require.Equal(t, []uint64{1, 2, 3}, numbers(m))
	require.Equal(t, []byte{10, 0, 0, 0, 20, 0, 0, 0, 30, 0, 0, 0}, m.Keys)

	g = fakeguest.New()
	h := fakeguest.References(ktsnap.MapTypeSockHash, 8)
	h.KeySize = 6
	g.Add(1, g.SockHash(h, [][]byte{[]byte("abcdef"), []byte("ghijkl")}, []uint64{g.Object("sock", "sk_ino", 5), g.Object("sock", "sk_ino", 6)}))
	m = fakeguest.MapOf(t, g.Capture(t, freeze.Options{}), 1)
	require.Equal(t, ktsnap.Complete, m.Status, m.Reason)
	require.Equal(t, []uint64{5, 6}, numbers(m))
	require.Equal(t, "abcdefghijkl", string(m.Keys))
}

// An update puts the new element before the old one, then removes that.
func TestSocketThatIsBeingReplacedIsTakenOnce(t *testing.T) {
	g := fakeguest.New()
	h := fakeguest.References(ktsnap.MapTypeSockHash, 8)
	replacing, other, old := g.Object("sock", "sk_ino", 7), g.Object("sock", "sk_ino", 6), g.Object("sock", "sk_ino", 5)
	g.Add(1, g.SockHash(h, [][]byte{{1, 0, 0, 0}, {2, 0, 0, 0}, {1, 0, 0, 0}}, []uint64{replacing, other, old}))
	m := fakeguest.MapOf(t, g.Capture(t, freeze.Options{}), 1)
	require.Equal(t, ktsnap.Complete, m.Status, m.Reason)
	require.Equal(t, []uint64{7, 6}, numbers(m))
	require.Equal(t, []byte{1, 0, 0, 0, 2, 0, 0, 0}, m.Keys)
}

func TestDamagedReferencesCostTheirMapOnly(t *testing.T) {
	for name, c := range map[string]struct {
		make   func(g *fakeguest.Guest) uint64
		status ktsnap.Status
		reason string
		kept   int
	}{
		"a slot leads to nowhere": {func(g *fakeguest.Guest) uint64 {
			return g.PointerTable(fakeguest.References(ktsnap.MapTypeDevMap, 4), "bpf_dtab", "netdev_map", []uint64{g.Device(1, []byte{1}, 0), 1<<63 | 0x1000})
		}, ktsnap.Failed, "slot 1 of 4: read val of struct bpf_dtab_netdev", 1},
		"the table leads to nowhere": {func(g *fakeguest.Guest) uint64 {
			a := g.PointerTable(fakeguest.References(ktsnap.MapTypeSockMap, 4), "bpf_stab", "sks", nil)
			g.Put(memimage.Addr(a, "bpf_stab", "sks"), 1<<63|0x1000, 8)
			return a
		}, ktsnap.Failed, "slot 0 of 4", 0},
		"values of an unknown size": {func(g *fakeguest.Guest) uint64 {
			return g.PointerTable(fakeguest.References(ktsnap.MapTypeSockMap, 1<<30), "bpf_stab", "sks", nil)
		}, ktsnap.Failed, "value_size is", 0},
		"a bucket is a circle": {func(g *fakeguest.Guest) uint64 {
			second := g.Device(20, []byte{2}, 0)
			first := g.Device(10, []byte{1}, second)
			g.Put(memimage.Addr(second, "bpf_dtab_netdev", "index_hlist.next"), memimage.Addr(first, "bpf_dtab_netdev", "index_hlist.next"), 8)
			return g.DeviceHash(fakeguest.References(ktsnap.MapTypeDevMapHash, 4), []uint64{first})
		}, ktsnap.Failed, "the list returns to", 2},
		"buckets without end": {func(g *fakeguest.Guest) uint64 {
			a := g.DeviceHash(fakeguest.References(ktsnap.MapTypeDevMapHash, 4), []uint64{0})
			g.Put(memimage.Addr(a, "bpf_dtab", "n_buckets"), 1<<32-1, 4)
			return a
		}, ktsnap.Failed, "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			g := fakeguest.New()
			g.Add(1, c.make(g))
			g.Add(2, g.Array(memimage.Map{ID: 2, Type: 2, Name: "other", KeySize: 4, ValueSize: 8, MaxEntries: 1}, [][]byte{make([]byte, 8)}))
			snap := g.Capture(t, freeze.Options{})
			m := fakeguest.MapOf(t, snap, 1)
			require.Equal(t, c.status, m.Status)
			require.Contains(t, m.Reason, c.reason)
			require.GreaterOrEqual(t, m.N, c.kept)
			require.Equal(t, ktsnap.Complete, fakeguest.MapOf(t, snap, 2).Status)
		})
	}
}
