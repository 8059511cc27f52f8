package dump_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/dump"
	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// opaque is a struct of the kernel's as programs see it.
func opaque(name string, elem *ctype.Shape, n int) *ctype.Shape {
	return structure(name, n*elem.Size, member(0, "__opaque", array(elem, n)))
}

// kernels is a snapshot with each of the kernel's structs that has a state, first in use and
// then not: in both entries another member shows that zero values are told of, too.
func kernels() *ktsnap.Snapshot {
	value := structure("held", 120,
		member(0, "lock", structure("bpf_spin_lock", 4, member(0, "val", u32))),
		member(4, "reslock", structure("bpf_res_spin_lock", 4, member(0, "val", u32))),
		member(8, "refs", opaque("bpf_refcount", u32, 1)),
		member(16, "timer", opaque("bpf_timer", u64, 2)), member(32, "wq", opaque("bpf_wq", u64, 2)),
		member(48, "link", opaque("bpf_list_node", u64, 3)), member(72, "node", opaque("bpf_rb_node", u64, 4)),
		member(112, "n", u64))
	m := newMap(ktsnap.Map{ID: 1, Name: "helds", Type: ktsnap.MapTypeArray, Value: value}, 2)
	bytesOf{m.Values}.u32(0, 1).u32(4, 1).u32(8, 2).
		u64(16, 0xffff_8880_0a0b_0c00).u64(24, 1). // the kernel's struct bpf_hrtimer, and the lock of the timer
		u64(32, 0xffff_8880_0a0b_0d00).
		u64(48, 0xffff_8880_0000_1000).u64(56, 0xffff_8880_0000_1000).u64(64, 0xffff_8880_0000_1000).
		u64(72, 1).u64(96, 0xffff_8880_0000_2000).u64(112, 5)
	bytesOf{m.Values[120:]}.u64(48, 48).u64(72, 72).u64(112, 6) // of nodes that are in nothing
	return &ktsnap.Snapshot{Maps: []*ktsnap.Map{m}}
}

// What programs see as words without names is shown as what package runtime reads it as.
func TestStructsOfTheKernelAreShownAsWhatTheyAre(t *testing.T) {
	s := kernels()
	text := asText(t, s, dump.Options{Width: 200, Zeros: true})
	require.Regexp(t, `(?m)^  index  lock +reslock +refs +timer +wq +link +node +n$`, text)
	require.Regexp(t, `(?m)^  0 +locked +locked +2 +set: 0xffff88800a0b0c00 +set: 0xffff88800a0b0d00 +linked +linked +5$`, text)
	require.Regexp(t, `(?m)^  1 +unlocked +unlocked +0 +not set +not set +not linked +not linked +6$`, text)

	doc := asJSON(t, s)
	for _, want := range []string{
		`"lock":{"val":1,"$locked":true}`, `"reslock":{"val":1,"$locked":true}`, `"refs":{"__opaque":[2],"$count":2}`,
		`"timer":{"__opaque":[{"$int":"18446612682238528512"},1],"$callback":"0xffff88800a0b0c00"}`, `"wq":{"__opaque":[{"$int":"18446612682238528768"},0],"$callback":"0xffff88800a0b0d00"}`,
		`"lock":{"val":0,"$locked":false}`, `"refs":{"__opaque":[0],"$count":0}`, `"timer":{"__opaque":[0,0],"$callback":"0x0"}`,
		`"link":{"__opaque":[48,0,0],"$linked":false}`, `"node":{"__opaque":[72,0,0,0],"$linked":false}`,
	} {
		require.Contains(t, doc, want)
	}
	require.Equal(t, 2, strings.Count(doc, `"$linked":true`))
}

// stacks is a snapshot of a map of stack traces with one of two frames.
func stacks(value *ctype.Shape) *ktsnap.Snapshot {
	m := newMap(ktsnap.Map{ID: 1, Name: "stacks", Type: ktsnap.MapTypeStackTrace, KeySize: 4, ValueSize: 64, Value: value, Keys: []byte{7, 3, 0, 0}}, 1)
	m.KeySize, m.ValueSize, m.Stride, m.Values = 4, 64, 64, make([]byte, 64)
	bytesOf{m.Values}.u64(0, 0xffff_ffff_8100_0044).u64(8, 0xffff_ffff_8200_0000)
	return &ktsnap.Snapshot{Maps: []*ktsnap.Map{m}, Symbols: []ktsnap.Symbol{{Addr: 0xffff_ffff_8100_0000, Size: 0x100, Name: "schedule"}}}
}

// A stack is its return addresses, whatever the map's definition says of its type.
func TestStacksAreShownAsTheirFrames(t *testing.T) {
	for _, value := range []*ctype.Shape{nil, array(u64, 8)} {
		s := stacks(value)
		text := asText(t, s, dump.Options{})
		require.Contains(t, text, "stacks  STACK_TRACE  id 1  1 entry  complete\n")
		require.Contains(t, text, "[775] [0xffffffff81000044 → schedule+0x44, 0xffffffff82000000]\n")
		require.Contains(t, asJSON(t, s), `"key":775,"value":[{"$ptr":"0xffffffff81000044","$function":"schedule+0x44"},{"$ptr":"0xffffffff82000000"}]`)
		frame, err := s.Get("stacks[775][1]").Uint64()
		require.NoError(t, err)
		require.Equal(t, uint64(0xffff_ffff_8200_0000), frame)
	}
	require.Contains(t, asText(t, stacks(nil), dump.Options{}), "\n  stacks\n")
	s := stacks(nil)
	s.Maps[0].Flags = 1 << 5 // BPF_F_STACK_BUILD_ID
	require.NotContains(t, asText(t, s, dump.Options{}), "schedule")
}

// What is in the slots of an array is told by numbers, of what the map's type says.
func TestSlotsAreShownAsTheNumbersOfWhatIsInThem(t *testing.T) {
	m := newMap(ktsnap.Map{ID: 1, Name: "calls", Type: ktsnap.MapTypeProgArray, KeySize: 4, ValueSize: 4}, 3)
	m.ValueSize, m.Stride, m.Values = 4, 8, make([]byte, 24)
	bytesOf{m.Values}.u32(0, 12).u32(16, 14)
	s := &ktsnap.Snapshot{Maps: []*ktsnap.Map{m}}
	text := asText(t, s, dump.Options{})
	require.Contains(t, text, "\n  ids of programs\n")
	require.Regexp(t, `(?m)^  0 +12\n  2 +14\n  zero: 1$`, text)
	require.Contains(t, asJSON(t, s), `"entries":[{"value":12},`)
}

func TestPagesShowStructsOfTheKernelAndStacks(t *testing.T) {
	s := kernels()
	stack := stacks(nil)
	stack.Maps[0].ID = 2
	s.Maps, s.Symbols = append(s.Maps, stack.Maps[0]), stack.Symbols
	var got struct {
		Error  string
		Shown  []string
		Zeroes []bool
	}
	browse(t, page(t, s), helpers+`
		document.getElementById("expand")?.click();
		const held = captures[0].maps[0].entries.map(e => e.value);
		return {Shown: shown(), Zeroes: ["lock", "refs", "timer", "link"].flatMap(k => [isZero(held[0][k]), isZero(held[1][k])])};`, &got)
	require.Empty(t, got.Error)
	all := strings.Join(got.Shown, "\n")
	for _, want := range []string{"locked", "set: 0xffff88800a0b0c00", "linked", "schedule+0x44"} {
		require.Contains(t, all, want)
	}
	require.Equal(t, []bool{false, true, false, true, false, true, false, false}, got.Zeroes, "words of a node that is in nothing are not zero")
}
