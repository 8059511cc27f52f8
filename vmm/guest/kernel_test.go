package guest

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCPULists(t *testing.T) {
	for list, want := range map[string][]int{
		"":          nil,
		"0":         {0},
		"0-3":       {0, 1, 2, 3},
		"0-1,4,6-7": {0, 1, 4, 6, 7},
	} {
		got, err := parseCPUList(list)
		require.NoError(t, err, list)
		require.Equal(t, want, got, list)
	}
	for _, list := range []string{"x", "-1", "3-1", "0-999999999", "1,1", "2,1", "0,", "1-2-3"} {
		_, err := parseCPUList(list)
		require.Error(t, err, list)
	}
}

func TestKernelTextIsFoundInItsTables(t *testing.T) {
	text, err := findText(strings.NewReader("0000000000000000 A fixed_percpu_data\nffffffffa5000000 T _text\nffffffffa5000040 T startup\n"))
	require.NoError(t, err)
	require.Equal(t, uint64(0xffffffffa5000000), text)

	code, err := findKernelCode(strings.NewReader("00000000-00000fff : Reserved\n00100000-1ffdffff : System RAM\n  0d000000-0e5fffff : Kernel code\n"))
	require.NoError(t, err)
	require.EqualValues(t, 0x0d000000, code)
}

func TestKernelTablesThatSayNothingAreErrors(t *testing.T) {
	_, err := findText(strings.NewReader("0000000000000000 T _text\n"))
	require.ErrorContains(t, err, "kptr_restrict")
	_, err = findText(strings.NewReader("0000000000000000 T other\n"))
	require.Error(t, err)
	_, err = findKernelCode(strings.NewReader("00000000-00000fff : Reserved\n"))
	require.Error(t, err)
}

func TestBuildIDIsFoundAmongNotes(t *testing.T) {
	xen := []byte("\x04\x00\x00\x00\x02\x00\x00\x00\x06\x00\x00\x00Xen\x00ab\x00\x00")
	gnu := []byte("\x04\x00\x00\x00\x03\x00\x00\x00\x03\x00\x00\x00GNU\x00xyz\x00")
	require.Equal(t, []byte("xyz"), buildID(append(xen, gnu...)))
	require.Nil(t, buildID(xen))
}

func FuzzBuildID(f *testing.F) {
	f.Add([]byte("\x04\x00\x00\x00\x03\x00\x00\x00\x03\x00\x00\x00GNU\x00xyz\x00"))
	f.Add([]byte("\xff\xff\xff\xff\xff\xff\xff\xff\x03\x00\x00\x00GNU\x00"))
	f.Fuzz(func(t *testing.T, b []byte) { buildID(b) })
}

func TestStatOfAProcessWithAHostileName(t *testing.T) {
	pid, state, parent, ok := parseStat("42 (a) Z 7 (b) S 1 42 42 0")
	require.True(t, ok)
	require.Equal(t, 42, pid)
	require.Equal(t, "S", state)
	require.Equal(t, 1, parent)
	_, _, _, ok = parseStat("42 (a")
	require.False(t, ok)
}
