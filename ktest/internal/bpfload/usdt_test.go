package bpfload

import (
	"encoding/hex"
	"testing"

	"github.com/cilium/ebpf/btf"
	"github.com/stretchr/testify/require"
)

// usdtStruct is struct __bpf_usdt_spec with room for two arguments, before libbpf 1.7 or since.
func usdtStruct(indexed bool) *btf.Struct {
	u64, u32, u16 := &btf.Int{Size: 8}, &btf.Int{Size: 4}, &btf.Int{Size: 2}
	short, char := &btf.Int{Size: 2, Encoding: btf.Signed}, &btf.Int{Size: 1, Encoding: btf.Signed}
	arg := &btf.Struct{Name: "__bpf_usdt_arg_spec", Size: 16, Members: []btf.Member{
		{Name: "val_off", Type: u64}, {Name: "arg_type", Type: u32, Offset: 64},
		{Name: "reg_off", Type: short, Offset: 96}, {Name: "arg_signed", Type: char, Offset: 112}, {Name: "arg_bitshift", Type: char, Offset: 120},
	}}
	if indexed {
		arg = &btf.Struct{Name: "__bpf_usdt_arg_spec", Size: 24, Members: []btf.Member{
			{Name: "val_off", Type: u64}, {Name: "arg_type", Type: u32, Offset: 64, BitfieldSize: 8},
			{Name: "idx_reg_off", Type: u16, Offset: 80, BitfieldSize: 12}, {Name: "scale_bitshift", Type: u16, Offset: 92, BitfieldSize: 4},
			{Name: "reg_off", Type: short, Offset: 112}, {Name: "arg_signed", Type: char, Offset: 128}, {Name: "arg_bitshift", Type: char, Offset: 136},
		}}
	}
	return &btf.Struct{Name: "__bpf_usdt_spec", Size: 2*arg.Size + 16, Members: []btf.Member{
		{Name: "args", Type: &btf.Array{Type: arg, Nelems: 2}}, {Name: "usdt_cookie", Type: u64, Offset: btf.Bits(2*arg.Size) * 8},
		{Name: "arg_cnt", Type: short, Offset: btf.Bits(2*arg.Size+8) * 8},
	}}
}

func TestArgumentsOfPointsAreEncodedAsTheObjectDeclares(t *testing.T) {
	old, err := encodeArgs(usdtStruct(false), "-4@-20(%rbp) 8@%rax")
	require.NoError(t, err)
	require.Equal(t, "ecffffffffffffff"+"02000000"+"2000"+"01"+"20"+ // memory, at rbp
		"0000000000000000"+"01000000"+"5000"+"00"+"00"+ // register rax
		"0000000000000000"+"0200000000000000", hex.EncodeToString(old))

	now, err := encodeArgs(usdtStruct(true), "2@-2(%rdi,%rsi,4)")
	require.NoError(t, err)
	require.Equal(t, "feffffffffffffff"+"03006820"+"0000"+"7000"+"00"+"30"+"000000000000", hex.EncodeToString(now[:24]))
	require.EqualValues(t, 1, now[2*24+8])

	for args, want := range map[string]string{
		"8f@%xmm0":                `"8f@%xmm0" is no number`,
		"8@%xmm0":                 "there is no register xmm0 for whole numbers",
		"3@%rax":                  "an argument has 3 bytes, and can have 1, 2, 4 or 8",
		"4@4(%rax,%rbx,3)":        "scale 3 is none of 1, 2, 4 and 8",
		"4@$99999999999999999999": "value out of range",
		"1@$1 1@$2 1@$3":          "more than the 2",
	} {
		_, err := encodeArgs(usdtStruct(true), args)
		require.ErrorContains(t, err, want, args)
	}
	_, err = encodeArgs(usdtStruct(false), "2@-2(%rdi,%rsi,4)")
	require.ErrorContains(t, err, "struct __bpf_usdt_arg_spec of the object has no member idx_reg_off")
}

// note is what the linker makes of a point.
const note = "\x08\x00\x00\x00\x29\x00\x00\x00\x03\x00\x00\x00stapsdt\x00" +
	"\x7c\x11\x00\x00\x00\x00\x00\x00" + "\x00\x00\x00\x00\x00\x00\x00\x00" + "\x18\x40\x00\x00\x00\x00\x00\x00" +
	"kt\x00arrival\x008@$70\x00\x00\x00\x00"

func TestNotesOfPointsAreRead(t *testing.T) {
	const foreign = "\x04\x00\x00\x00\x01\x00\x00\x00\x03\x00\x00\x00GNU\x00\x01\x00\x00\x00"
	points, err := parsePoints([]byte(foreign + note + note))
	require.NoError(t, err)
	point := probePoint{provider: "kt", name: "arrival", args: "8@$70", location: 0x117c, semaphore: 0x4018}
	require.Equal(t, []probePoint{point, point}, points)
	for _, cut := range []int{5, 13, 30, len(note) - 4} {
		_, err = parsePoints([]byte(note[:cut]))
		require.Error(t, err, cut)
	}
}

func FuzzProbePoints(f *testing.F) {
	f.Add([]byte(note))
	spec := usdtStruct(true)
	f.Fuzz(func(t *testing.T, notes []byte) {
		points, err := parsePoints(notes)
		if err != nil {
			return
		}
		for _, point := range points {
			value, err := encodeArgs(spec, point.args)
			if err == nil && len(value) != int(spec.Size) {
				t.Fatalf("%d bytes for %q", len(value), point.args)
			}
		}
	})
}
