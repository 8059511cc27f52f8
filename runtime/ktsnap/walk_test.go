package ktsnap_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// bytesOf is a snapshot with one value, an array of bytes.
func bytesOf(data []byte) *ktsnap.Value {
	m := columns(&ktsnap.Map{Name: "m", Type: ktsnap.MapTypeArray, KeySize: 4, ValueSize: len(data), Value: array(u8, len(data))}, 1, 1)
	copy(m.Values, data)
	v := (&ktsnap.Snapshot{Maps: []*ktsnap.Map{m}}).Map("m").At(0).Get("")
	return &v
}

// Dumps leave zero values out: one bit must not be taken for none, wherever in
// the value it is.
func TestNoBitIsTakenForZero(t *testing.T) {
	for _, size := range []int{1, 2, 8, 511, 512, 513, 1024, 1025} {
		data := make([]byte, size)
		require.True(t, bytesOf(data).IsZero(), size)
		for _, at := range []int{0, size / 2, size - 1} {
			data[at] = 0x80
			require.False(t, bytesOf(data).IsZero(), "byte %d of %d", at, size)
			data[at] = 0
		}
	}
}

// An address into a map is told with the entry, the CPU and the byte of the value
// that it is of.
func TestAddressesAreLocatedInTheEntryAndCPUThatTheyAreOf(t *testing.T) {
	s := newGuest()
	for entry := range 3 {
		for cpu := range 2 {
			addr := perTaskAddr + uint64(2*entry+cpu)*96
			for _, offset := range []int{0, 64, 95} {
				p, ok := s.Locate(addr + uint64(offset))
				require.True(t, ok)
				require.Equal(t, "scx_per_task", p.Map.Name)
				require.Equal(t, []int{entry, cpu, offset}, []int{p.Entry, p.CPU, p.Offset})
			}
		}
	}
	_, ok := s.Locate(perTaskAddr + 6*96)
	require.False(t, ok)
	p, ok := s.Locate(0xffff_8880_0030_0004)
	require.True(t, ok)
	require.Equal(t, "scx_pcpu", p.Map.Name)
	require.Equal(t, []int{0, 1, 4}, []int{p.Entry, p.CPU, p.Offset})
}

// Who wants to know is told of each value that is read, and of none that is only passed.
func TestReadsAreToldOf(t *testing.T) {
	s := newGuest()
	var read []string
	s.OnRead = func(at ktsnap.Location) {
		read = append(read, fmt.Sprintf("%s: %d at %#x", at.Path, at.Size, at.Addr-perTaskAddr))
	}
	task := s.Map("scx_per_task").CPU(1).At(2)
	ctx := task.Get("ctx")
	_, err := ctx.Get("weight").Uint64()
	require.NoError(t, err)
	_, err = task.Get("per_llc").Bytes()
	require.NoError(t, err)
	_, err = s.Map("task_ctxs").At(0).Get("per_llc[3]").Uint64() // which has no address
	require.NoError(t, err)
	_, err = task.Get("wait").Uint64()
	require.Error(t, err)
	require.Equal(t, []string{
		fmt.Sprintf("scx_per_task[cpu=1][2].ctx.weight: 4 at %#x", 5*96+16),
		fmt.Sprintf("scx_per_task[cpu=1][2].per_llc: 16 at %#x", 5*96+64),
	}, read)
}

// Members and elements know where in the guest they are, as watches and writes
// need it; what was captured without an address has none.
func TestPartsKnowTheirAddresses(t *testing.T) {
	s := newGuest()
	task := s.Map("scx_per_task").CPU(1).At(2)
	for path, offset := range map[string]uint64{
		"": 0, "ctx.weight": 16, "ctx.hi": 28, "per_llc": 64, "per_llc[0]": 64, "per_llc[3]": 76, "comm[5]": 37,
	} {
		require.Equal(t, taskAt(2)+offset, task.Get(path).Addr(), path)
	}
	hash := s.Map("task_ctxs").At(0)
	require.Zero(t, hash.Get("per_llc[3]").Addr())
}
