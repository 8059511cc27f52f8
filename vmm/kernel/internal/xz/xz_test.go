package xz_test

import (
	"bytes"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/vmm/kernel/internal/xz"
)

func TestReaderGivesWhatWasCompressed(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	branches := make([]byte, 1<<18)
	for i := range branches {
		branches[i] = []byte{0xe8, 0xe9, 0x00, 0xff, 0x01, byte(i)}[random.IntN(6)]
	}
	code, err := os.ReadFile("/proc/self/exe")
	require.NoError(t, err)
	contents := map[string][]byte{
		"nothing":        {},
		"a byte":         {0xe8},
		"four branches":  []byte("\xe8\xe8\xe8\xe8"),
		"many branches":  branches,
		"code":           code[:1<<19],
		"several blocks": code[:1<<20],
	}
	options := [][]string{
		{"--check=none"}, {"--check=crc32", "--x86", "--lzma2"}, {"--check=crc64"},
		{"--check=sha256", "-0"}, {"--x86", "--lzma2=dict=4KiB"}, {"--block-size=65536", "-T2", "-0"},
	}
	for name, content := range contents {
		for _, option := range options {
			t.Run(name+" "+option[0]+" "+option[len(option)-1], func(t *testing.T) {
				r, err := xz.NewReader(bytes.NewReader(compress(t, content, option...)))
				require.NoError(t, err)
				got, err := io.ReadAll(r)
				require.NoError(t, err)
				require.True(t, bytes.Equal(content, got))
			})
		}
	}
}

func TestReaderReadsAnyPieces(t *testing.T) {
	content := bytes.Repeat([]byte("\xe8\x00\x00\x01\x00 call"), 20_000)
	packed := compress(t, content, "--x86", "--lzma2")
	r, err := xz.NewReader(bytes.NewReader(packed))
	require.NoError(t, err)
	var got []byte
	piece := make([]byte, 1)
	for i := 0; ; i++ {
		n, err := r.Read(piece)
		got = append(got, piece[:n]...)
		if err == io.EOF {
			break
		}
		require.NoError(t, err)
		piece = make([]byte, 1+i%977)
	}
	require.True(t, bytes.Equal(content, got))
}

func TestReaderChecksTheContent(t *testing.T) {
	for _, check := range []string{"crc32", "crc64", "sha256"} {
		t.Run(check, func(t *testing.T) {
			packed := compress(t, []byte("incompressible words"), "--check="+check)
			i := bytes.Index(packed, []byte("words"))
			require.Positive(t, i)
			packed[i] ^= 1
			r, err := xz.NewReader(bytes.NewReader(packed))
			require.NoError(t, err)
			_, err = io.ReadAll(r)
			require.ErrorIs(t, err, xz.ErrFormat)
			require.ErrorContains(t, err, "is wrong")
		})
	}
}

func TestReaderRefusesAFileCutAnywhere(t *testing.T) {
	packed := compress(t, []byte("some words to compress"), "--check=crc32")
	const indexAndFooter = 8 + 12
	for keep := range len(packed) - indexAndFooter {
		r, err := xz.NewReader(bytes.NewReader(packed[:keep]))
		if err == nil {
			_, err = io.ReadAll(r)
		}
		require.Error(t, err, "cut to %d of %d bytes", keep, len(packed))
	}
}

func TestReaderRefuses(t *testing.T) {
	whole := compress(t, []byte("words"), "--check=crc32")
	tests := []struct {
		name   string
		packed []byte
		want   string
	}{
		{"another format", []byte("hello, hello, hello"), "it begins with"},
		{"a damaged header", append(bytes.Clone(whole[:8]), 0, 0, 0, 0, 0), "header is damaged"},
		{"another filter", compress(t, []byte("words"), "--arm64", "--lzma2"), "filter 0xa is not supported"},
		{"much history", compress(t, []byte("words"), "--lzma2=dict=512MiB"), "at most 134217728"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r, err := xz.NewReader(bytes.NewReader(test.packed))
			if err == nil {
				_, err = io.ReadAll(r)
			}
			require.ErrorIs(t, err, xz.ErrFormat)
			require.ErrorContains(t, err, test.want)
		})
	}
}

func compress(t *testing.T, content []byte, options ...string) []byte {
	t.Helper()
	if _, err := exec.LookPath("xz"); err != nil {
		t.Skip(err)
	}
	cmd := exec.Command("xz", append(options, "-c")...)
	cmd.Stdin = bytes.NewReader(content)
	out, err := cmd.Output()
	require.NoError(t, err)
	return out
}

func FuzzReader(f *testing.F) {
	f.Add([]byte("\xfd7zXZ\x00\x00\x00\xff\x12\xd9\x41\x02\x00\x21\x01\x16\x00\x00\x00\x74\x2f\xe5\xa3\x01\x00\x04words"))
	f.Fuzz(func(t *testing.T, packed []byte) {
		r, err := xz.NewReader(bytes.NewReader(packed))
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, io.LimitReader(r, 1<<20))
	})
}
