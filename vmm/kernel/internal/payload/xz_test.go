package payload_test

import (
	"bytes"
	"io"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/mikelolasagasti/xz"
	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/vmm/kernel/internal/payload"
)

func TestXZGivesWhatWasCompressed(t *testing.T) {
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
				r, err := payload.Open(section(xzOf(t, content, option...)))
				require.NoError(t, err)
				got, err := io.ReadAll(r)
				require.NoError(t, err)
				require.True(t, bytes.Equal(content, got))
			})
		}
	}
}

func TestXZReadsAnyPieces(t *testing.T) {
	content := bytes.Repeat([]byte("\xe8\x00\x00\x01\x00 call"), 20_000)
	packed := xzOf(t, content, "--x86", "--lzma2")
	r, err := payload.Open(section(packed))
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

func TestXZChecksTheContent(t *testing.T) {
	for _, check := range []string{"crc32", "crc64", "sha256"} {
		t.Run(check, func(t *testing.T) {
			packed := xzOf(t, []byte("incompressible words"), "--check="+check)
			i := bytes.Index(packed, []byte("words"))
			require.Positive(t, i)
			packed[i] ^= 1
			r, err := payload.Open(section(packed))
			require.NoError(t, err)
			_, err = io.ReadAll(r)
			require.ErrorIs(t, err, xz.ErrData)
		})
	}
}

func TestXZRefusesAFileCutAnywhere(t *testing.T) {
	packed := xzOf(t, []byte("some words to compress"), "--check=crc32")
	const appended = 4 // the uncompressed size
	for keep := range len(packed) - appended {
		r, err := payload.Open(section(append(bytes.Clone(packed[:keep]), 0, 0, 0, 0)))
		if err == nil {
			_, err = io.ReadAll(r)
		}
		require.Error(t, err, "cut to %d of %d bytes", keep, len(packed))
	}
}

func TestXZRefuses(t *testing.T) {
	whole := xzOf(t, []byte("words"), "--check=crc32")
	damaged := bytes.Clone(whole)
	damaged[8] ^= 1 // the CRC32 of the header's flags
	tests := []struct {
		name   string
		packed []byte
		want   error
	}{
		{"a damaged header", damaged, xz.ErrData},
		{"another filter", xzOf(t, []byte("words"), "--arm64", "--lzma2"), xz.ErrOptions},
		{"much history", xzOf(t, []byte("words"), "--lzma2=dict=512MiB"), xz.ErrMemlimit},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r, err := payload.Open(section(test.packed))
			if err == nil {
				_, err = io.ReadAll(r)
			}
			require.ErrorIs(t, err, test.want)
		})
	}
}

func xzOf(t *testing.T, content []byte, options ...string) []byte {
	t.Helper()
	return compress(t, append([]string{"xz"}, options...), content)
}
