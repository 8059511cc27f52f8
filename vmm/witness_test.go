package vmm

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/vmm/mailbox"
)

func TestWitnessRefusesWhatItCannotWatch(t *testing.T) {
	for reason, change := range map[string]func(*Config){
		"can be watched at most":        func(c *Config) { c.Memory = 4 * GiB },
		"leave out Topology.Nodes":      func(c *Config) { c.Topology.Nodes = make([]Node, 2) },
		"/bin/true is built without pl": func(c *Config) { c.QEMU = "/bin/true" },
	} {
		cfg := Config{Memory: DefaultMemory}
		change(&cfg)
		refused := (*WitnessError)(nil)
		require.ErrorAs(t, cfg.checkWitness(), &refused, reason)
		require.ErrorContains(t, refused, reason)
	}
	_, err := newWitness(nil, watchStores, make([]Extent, maxExtents+1), nil)
	require.ErrorContains(t, err, "4096 places are more than 4095")
	_, err = new(VM).Again(t.Context(), nil, nil)
	require.ErrorContains(t, err, "give it a seed")
}

// accessMessage is what the plugin says of an access.
func accessMessage(cpu, size uint32, store bool, pa int64, clock int64) []byte {
	m := make([]byte, witnessMessage)
	put := binary.LittleEndian
	put.PutUint32(m, cpu)
	put.PutUint32(m[4:], size)
	if store {
		m[8] = 1
	}
	put.PutUint64(m[32:], uint64(pa))
	put.PutUint64(m[40:], uint64(clock))
	return m
}

// watching returns a witness of a small RAM, and what it has been told of.
func watching(t *testing.T, extents ...Extent) (w *witness, seen *[]Access) {
	ram, err := newRAM(MiB)
	require.NoError(t, err)
	t.Cleanup(ram.close)
	seen = new([]Access)
	w, err = newWitness(ram, watchLoads|watchStores, extents, func(a Access) { *seen = append(*seen, a) })
	require.NoError(t, err)
	t.Cleanup(func() { w.closeTheirs(); w.close() })
	return w, seen
}

// An access has the bytes before and after it, of which those in the extent are known from before.
func TestAccessesHaveWhatWasThereBefore(t *testing.T) {
	const box = 0x8000
	w, seen := watching(t, Extent{Addr: 0x1004, Size: 4})
	store := func(pa int64, bytes ...byte) {
		_, err := w.ram.WriteAt(bytes, pa)
		require.NoError(t, err)
		w.take(accessMessage(1, uint32(len(bytes)), true, pa, 5000))
	}
	w.begin(box)
	store(0x1000, 1, 2, 3, 4, 5, 6, 7, 8) // half of it is in the extent
	store(box+mailbox.OffNow, 0xa0, 0x0f, 0, 0, 0, 0, 0, 0)
	store(0x1005, 9)
	w.take(accessMessage(0, 2, false, 0x1005, 6000))
	store(0x1008, 7) // after the extent

	require.Equal(t, []Access{
		{CPU: 1, Phys: 0x1000, Store: true, Old: []byte{1, 2, 3, 4, 0, 0, 0, 0}, New: []byte{1, 2, 3, 4, 5, 6, 7, 8}},
		{CPU: 1, Phys: 0x1005, Store: true, Old: []byte{6}, New: []byte{9}, Time: 4000},
		{CPU: 0, Phys: 0x1005, Old: []byte{9, 7}, New: []byte{9, 7}, Time: 5000},
	}, *seen)
}

// What no instruction does is passed over.
func TestAccessesThatCannotBeArePassedOver(t *testing.T) {
	w, seen := watching(t, Extent{Addr: 0x1000, Size: 8})
	w.begin(0)
	w.take(accessMessage(0, 1<<31, true, 0x1000, 1))
	w.take(accessMessage(0, 8, true, int64(MiB)-4, 1))
	w.take(accessMessage(0, 8, true, -8, 1))
	require.Empty(t, *seen)
}

// The plugin finds a range by the granules of its pages.
func TestArmedRangesAreInOrder(t *testing.T) {
	w, _ := watching(t, Extent{Addr: 0x5ff8, Size: 16}, Extent{Addr: 0x1004, Size: 2})
	w.begin(0x3000)
	require.EqualValues(t, 3, w.page.n)
	require.Equal(t, []witnessRange{
		{begin: 0x1004, end: 0x1006, kinds: watchLoads | watchStores},
		{begin: 0x3018, end: 0x3020, kinds: watchStores},
		{begin: 0x5ff8, end: 0x6008, kinds: watchLoads | watchStores},
	}, w.page.ranges[:3])
	require.Equal(t, [64]byte{0: 1<<0 | 1<<3, 63: 1 << 7}, w.page.granules)
}
