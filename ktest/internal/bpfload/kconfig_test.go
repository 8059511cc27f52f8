package bpfload

import (
	"bytes"
	"compress/gzip"
	"strings"
	"testing"

	"github.com/cilium/ebpf/btf"
	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/object"
)

func TestOptionsBecomeWhatTheVariableIs(t *testing.T) {
	char := &btf.Int{Name: "char", Size: 1, Encoding: btf.Signed}
	boolean := &btf.Int{Name: "_Bool", Size: 1, Encoding: btf.Bool}
	tristate := &btf.Enum{Name: "libbpf_tristate", Size: 4}
	text := &btf.Array{Type: char, Nelems: 4}
	integer := func(size uint32, encoding btf.IntEncoding) *btf.Int { return &btf.Int{Size: size, Encoding: encoding} }
	for _, row := range []struct {
		name   string
		typ    btf.Type
		option string
		want   string // bytes, or what the error says
		fails  bool
	}{
		{"bool", boolean, "y", "\x01", false},
		{"bool, a module", boolean, "m", "for m, too", true},
		{"bool, a number", boolean, "2", "the variable is a bool", true},
		{"char", char, "m", "m", false},
		{"char, a number", char, "-3", "\xfd", false},
		{"tristate", tristate, "m", "\x02\x00\x00\x00", false},
		{"another enum", &btf.Enum{Name: "other", Size: 4}, "y", "only enum libbpf_tristate", true},
		{"string", text, `"ab"`, "ab\x00\x00", false},
		{"string, cut", text, `"abcdef"`, "abc\x00", false},
		{"string, a number", text, "250", "for a string", true},
		{"number, a string", integer(4, btf.Unsigned), `"ab"`, "no array of char", true},
		{"u16", integer(2, btf.Unsigned), "0x1234", "\x34\x12", false},
		{"u16, too large", integer(2, btf.Unsigned), "70000", "unsigned integer of 16 bits: value out of range", true},
		{"s32", integer(4, btf.Signed), "-2", "\xfe\xff\xff\xff", false},
		{"u32, negative", integer(4, btf.Unsigned), "-2", "unsigned integer of 32 bits: invalid syntax", true},
		{"u64", integer(8, btf.Unsigned), "18446744073709551615", strings.Repeat("\xff", 8), false},
		{"int, y", integer(4, btf.Signed), "y", "another type than bool", true},
		{"a struct", &btf.Struct{Size: 4}, "1", "no integer", true},
	} {
		t.Run(row.name, func(t *testing.T) {
			size, err := btf.Sizeof(row.typ)
			require.NoError(t, err)
			data := make([]byte, size)
			err = putKconfig(data, row.typ, row.option)
			if row.fails {
				require.ErrorContains(t, err, row.want)
				return
			}
			require.NoError(t, err)
			require.Equal(t, row.want, string(data))
		})
	}
}

func TestOptionThatTheKernelLacks(t *testing.T) {
	integer := &btf.Int{Size: 4}
	v := object.Var{Name: "CONFIG_HZ_1", Size: 4, Type: integer}
	values := &kernelConfig{from: "/boot/config-7", options: map[string]string{"CONFIG_HZ_100": "y", "CONFIG_HZ_1000": "y", "CONFIG_SMP": "y"}}
	l := loader{spec: &Spec{externs: map[string]object.Extern{v.Name: {Name: v.Name, Weak: true}}}}
	require.NoError(t, l.setKconfig(make([]byte, 4), v, values))

	l.spec.externs[v.Name] = object.Extern{Name: v.Name}
	err := l.setKconfig(make([]byte, 4), v, values)
	var missing *KconfigError
	require.ErrorAs(t, err, &missing)
	require.Equal(t, v.Name, missing.Name)
	require.ErrorContains(t, err, "does not set that option (/boot/config-7): declare the variable __weak, and it is 0; it sets CONFIG_HZ_100, CONFIG_HZ_1000")

	values.from = ""
	require.ErrorContains(t, l.setKconfig(make([]byte, 4), v, values), "`ktgen kernel fetch` gets it")
	v.Name = "LINUX_HAS_MAGIC"
	require.ErrorContains(t, l.setKconfig(make([]byte, 4), v, values), "LINUX_HAS_BPF_COOKIE")
}

func TestConfigurationsAreReadPackedAndNot(t *testing.T) {
	const text = "# CONFIG_A is not set\nCONFIG_B=y\nCONFIG_C=\"x=y\"\n\nnothing=1\n"
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	_, err := w.Write([]byte(text))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	for _, in := range []string{text, packed.String()} {
		options, err := parseConfig(strings.NewReader(in))
		require.NoError(t, err)
		require.Equal(t, map[string]string{"CONFIG_B": "y", "CONFIG_C": `"x=y"`}, options)
	}
}

func TestVersionsAreThoseOfTheKernel(t *testing.T) {
	for release, want := range map[string]uint32{"7.3.4+deb13-cloud-amd64": 7<<16 | 3<<8 | 4, "7.4-rc1": 7<<16 | 4<<8, "4.9.300": 4<<16 | 9<<8 | 255} {
		got, err := kernelVersion(release)
		require.NoError(t, err)
		require.Equal(t, want, got, release)
	}
	_, err := kernelVersion("next")
	require.ErrorContains(t, err, `"next" is no version`)
}
