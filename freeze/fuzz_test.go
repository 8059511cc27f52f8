package freeze_test

import (
	"context"
	"encoding/binary"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/freeze"
	"github.com/ktgen/ktgen/freeze/internal/fakeguest"
	"github.com/ktgen/ktgen/freeze/internal/memimage"
)

// FuzzCapture damages the memory of a guest with a map of each family and
// captures it. Each 13 bytes of damage are where to write, what, and how wide.
func FuzzCapture(f *testing.F) {
	g := fakeguest.New()
	raw, key, ctx := fakeguest.Program(f)
	h := memimage.Map{Name: "m", KeySize: 4, ValueSize: 8, MaxEntries: 64, BTF: g.BTF(1, "p", raw), KeyType: key, ValueType: ctx}
	header := func(id, typ uint32) memimage.Map {
		h.ID, h.Type = id, typ
		return h
	}
	perCPU := [][]byte{fakeguest.Random(8), fakeguest.Random(8), fakeguest.Random(8)}
	g.Add(1, g.Array(header(1, 2), [][]byte{fakeguest.Random(8), fakeguest.Random(8)}))
	g.Add(2, g.PerCPUArray(header(2, 6), [][][]byte{perCPU, perCPU}))
	g.Add(3, g.Hash(header(3, 1), 8, fakeguest.Entries(20, 4, 8, 1)))
	g.Add(4, g.Hash(header(4, 10), 8, fakeguest.Entries(20, 4, 8, memimage.CPUs)))
	g.Add(5, g.Storage(header(5, 29), 1, []memimage.Stored{{Owner: g.Task(1, 1, "a"), Value: fakeguest.Random(8)}, {Owner: g.Task(2, 2, "b"), Value: fakeguest.Random(8)}}))
	g.Add(6, g.Arena(header(6, 33), 1<<44, map[int][]byte{3: fakeguest.Random(4096), 40: memimage.ArenaScratch}))
	g.Add(7, g.StructOps(header(7, 26), fakeguest.Random(8)))
	g.Add(8, g.Queue(header(8, 23), [][]byte{fakeguest.Random(8), fakeguest.Random(8)}))
	g.Add(9, g.Trie(header(9, 11), &memimage.Prefix{Bits: 3, Data: fakeguest.Random(4), Value: fakeguest.Random(8), Children: [2]*memimage.Prefix{{Bits: 9, Data: fakeguest.Random(4), Value: fakeguest.Random(8)}}}))
	g.Add(10, g.Stacks(header(10, 7), 8, 8, map[int][]byte{2: fakeguest.Random(8)}))
	h.ValueSize = 4
	g.Add(11, g.References(header(11, 12), []uint64{g.Maps[1], 0, g.Maps[2]}))
	g.Add(12, g.References(header(12, 3), []uint64{g.Prog(7)}))
	g.Add(13, g.PointerTable(header(13, 15), "bpf_stab", "sks", []uint64{g.Object("sock", "sk_ino", 7)}))
	g.Add(14, g.DeviceHash(header(14, 25), []uint64{g.Device(1, fakeguest.Random(4), g.Device(2, fakeguest.Random(4), 0))}))
	g.Add(15, g.SockHash(header(15, 18), [][]byte{fakeguest.Random(4)}, []uint64{g.Object("sock", "sk_ino", 8)}))
	h.ValueSize = 8
	list := fakeguest.Entries(20, 4, 8, 1)
	g.Add(16, g.RHash(header(16, 35), memimage.RTable{Buckets: [][]memimage.Entry{list[:6], list[6:9]}}, fakeguest.RTable(1024, 1, list[9:])))
	h.ValueSize = 16
	g.Add(17, g.InsnArray(header(17, 34), [][]byte{fakeguest.Random(16), fakeguest.Random(16)}))
	h.KeySize = 16
	g.Add(18, g.CgroupStorage(header(18, 19), fakeguest.Attached(3, 16, 1)))
	g.Add(19, g.CgroupStorage(header(19, 21), fakeguest.Attached(3, 16, memimage.CPUs)))
	freezer := g.Freezer(f, freeze.Options{MapBytes: 1 << 20, MaxPause: time.Second})

	used := g.Used()
	for id, a := range g.Maps {
		at := uint32(g.Phys(a))
		f.Add(damage(at, uint64(id), 0), damage(at+memimage.PageSize/16, ^uint64(0), 7))
		for _, field := range []string{"map_type", "key_size", "value_size", "max_entries"} {
			f.Add(damage(at+uint32(memimage.Offset("bpf_map", field)), ^uint64(0), 3), []byte(nil))
		}
	}
	f.Add(damage(uint32(g.Phys(g.Maps[3]+memimage.Offset("bpf_htab", "n_buckets"))), 1<<31, 3),
		damage(uint32(g.Phys(g.Maps[3]+memimage.Offset("bpf_htab", "buckets"))), g.Maps[3], 7))

	table := g.Get(memimage.Addr(g.Maps[16], "bpf_rhtab", "ht.tbl"))
	for field, v := range map[string]uint64{"future_tbl": table, "nest": 1<<32 | 1<<31, "size": 1 << 31} {
		f.Add(damage(uint32(g.Phys(memimage.Addr(table, "bucket_table", field))), v, 7), []byte(nil))
	}

	f.Fuzz(func(t *testing.T, first, second []byte) {
		undo := apply(g, used, append(first, second...))
		defer undo()
		start := time.Now()
		snap, err := freezer.Capture(context.Background(), "x")
		var panicked *freeze.PanicError
		require.NotErrorAs(t, err, &panicked)
		require.Less(t, time.Since(start), 10*time.Second)
		g.RequireResumed(t)
		for _, m := range snap.Maps {
			require.GreaterOrEqual(t, len(m.Values), m.N*m.Slots*m.Stride)
			require.GreaterOrEqual(t, m.Total, m.N)
			if m.Addrs != nil {
				require.GreaterOrEqual(t, len(m.Addrs), m.N*m.Slots)
			}
			if m.Owners != nil {
				require.Len(t, m.Owners, m.N)
			}
		}
	})
}

// damage says to write the low width%8+1 bytes of v at physical address pa.
func damage(pa uint32, v uint64, width byte) []byte {
	b := binary.LittleEndian.AppendUint32(nil, pa)
	b = binary.LittleEndian.AppendUint64(b, v)
	return append(b, width)
}

// apply damages memory below end, and returns how to undo it.
func apply(g *fakeguest.Guest, end int, script []byte) (undo func()) {
	type saved struct {
		at    int
		bytes []byte
	}
	var old []saved
	for ; len(script) >= 13 && len(old) < 32; script = script[13:] {
		at := int(binary.LittleEndian.Uint32(script)) % (end - 8)
		n := int(script[12]%8) + 1
		old = append(old, saved{at, append([]byte(nil), g.RAM[at:at+n]...)})
		copy(g.RAM[at:at+n], script[4:12])
	}
	return func() {
		for i := len(old) - 1; i >= 0; i-- {
			copy(g.RAM[old[i].at:], old[i].bytes)
		}
	}
}
