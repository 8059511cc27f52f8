package freeze_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/freeze"
)

const kallsyms = `0000000000000000 A fixed_percpu_data
ffffffff81000000 T _text
ffffffff81000100 t do_it
ffffffff81000200 t do_it_twice
ffffffff82000000 D page_offset_base
ffffffffc0201000 t do_it	[a_module]
ffffffffc0301000 t bpf_prog_6deef7357e7b4530_enqueue	[bpf]
`

func TestKallsymsAreLookedUpByName(t *testing.T) {
	s, err := freeze.ParseKallsyms(strings.NewReader(kallsyms))
	require.NoError(t, err)
	require.Equal(t, 7, s.Len())
	for name, want := range map[string]uint64{
		"_text":                             0xffffffff81000000,
		"do_it":                             0xffffffff81000100, // the kernel's, not the module's
		"do_it_twice":                       0xffffffff81000200,
		"page_offset_base":                  0xffffffff82000000,
		"bpf_prog_6deef7357e7b4530_enqueue": 0xffffffffc0301000,
	} {
		addr, ok := s.Lookup(name)
		require.True(t, ok, name)
		require.Equal(t, want, addr, name)
	}
	for _, name := range []string{"", "do", "_tex", "it", "a_module", "\n", "_text\nffff"} {
		_, ok := s.Lookup(name)
		require.False(t, ok, name)
	}
}

func TestALineWithoutANameIsNoSymbolOfThatName(t *testing.T) {
	s, err := freeze.ParseKallsyms(strings.NewReader("ffffffff81000000 T \t[a_module]\nffffffff81000100 T _text\n"))
	require.NoError(t, err)
	_, ok := s.Lookup("")
	require.False(t, ok)
	addr, ok := s.Lookup("_text")
	require.True(t, ok)
	require.Equal(t, uint64(0xffffffff81000100), addr)
}

func TestBrokenKallsymsAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want string
	}{
		"no type":        {"ffffffff81000000 _text\n", "line 1: not an address, a type and a name"},
		"no name":        {"ffffffff81000000 T \n", "line 1: not an address, a type and a name"},
		"no address":     {"ffffffff81000000 T _text\nxyz T _stext\n", "line 2: the address is no hexadecimal number"},
		"wide address":   {"1ffffffff81000000 T _text\n", "line 1: the address is no hexadecimal number"},
		"empty line":     {"ffffffff81000000 T _text\n\n", "line 2"},
		"nothing":        {"", "unexpected EOF"},
		"endless line":   {strings.Repeat("f", 1<<20), "token too long"},
		"console output": {"[    0.000000] Linux version 7.3\n", "line 1"},
	} {
		_, err := freeze.ParseKallsyms(strings.NewReader(c.text))
		require.ErrorContains(t, err, c.want, name)
	}
	var syntax *freeze.SymbolError
	_, err := freeze.ParseKallsyms(strings.NewReader("garbage\n"))
	require.ErrorAs(t, err, &syntax)

	_, err = freeze.ParseKallsyms(strings.NewReader("0000000000000000 T _text\n0000000000000000 T _stext\n"))
	require.ErrorIs(t, err, freeze.ErrHiddenAddresses)

	broken := errors.New("the port is gone")
	_, err = freeze.ParseKallsyms(io.MultiReader(strings.NewReader(kallsyms), iotest.ErrReader(broken)))
	require.ErrorIs(t, err, broken)
}

func FuzzParseKallsyms(f *testing.F) {
	f.Add([]byte(kallsyms))
	f.Add([]byte("ffffffff81000000 T _text"))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := freeze.ParseKallsyms(bytes.NewReader(text))
		if err == nil && s.Len() == 0 {
			t.Error("no symbols and no error")
		}
	})
}

func BenchmarkParseKallsyms(b *testing.B) {
	var text bytes.Buffer
	for i := range 190_000 {
		fmt.Fprintf(&text, "ffffffff8%07x t some_function_of_%d\n", i*16, i)
	}
	b.SetBytes(int64(text.Len()))
	for b.Loop() {
		_, err := freeze.ParseKallsyms(bytes.NewReader(text.Bytes()))
		require.NoError(b, err)
	}
}

func TestSymbolBeforeAnAddress(t *testing.T) {
	s, err := freeze.ParseKallsyms(strings.NewReader("ffff00 T later\nff00 T first\nff00 T alias\nff80 t second\n"))
	require.NoError(t, err)
	for _, test := range []struct {
		addr   uint64
		name   string
		offset uint64
	}{
		{0xfeff, "", 0}, {0xff00, "first", 0}, {0xff7f, "first", 0x7f}, {0xff80, "second", 0}, {^uint64(0), "later", ^uint64(0) - 0xffff00},
	} {
		name, offset := s.Before(test.addr)
		require.Equal(t, test.name, name, "%#x", test.addr)
		require.Equal(t, test.offset, offset, "%#x", test.addr)
	}
	require.Equal(t, "second", s.Nearest("secnd"))
	require.Empty(t, s.Nearest("something else"))
}
