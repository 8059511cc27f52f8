package payload_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/vmm/kernel/internal/payload"
)

// compressors are the commands of the kernel's build (scripts/Makefile.lib).
var compressors = []struct {
	format  string
	command []string
}{
	{"gzip", []string{"gzip", "-n", "-9"}},
	{"bzip2", []string{"bzip2", "-9"}},
	{"lzma", []string{"xz", "--format=lzma", "-9"}},
	{"xz", []string{"xz", "--check=crc32", "--x86", "--lzma2=,dict=32MiB"}},
	{"xz", []string{"xz", "--check=crc32", "--lzma2=dict=4KiB"}},
	{"xz", []string{"xz", "--check=none"}},
	{"lz4", []string{"lz4", "-l", "-9"}},
	{"lz4", []string{"lz4", "-l", "-1"}},
	{"zstd", []string{"zstd", "-19"}},
	{"zstd", []string{"zstd", "-22", "--ultra"}},
}

func TestPayloadIsWhatWasCompressed(t *testing.T) {
	for name, content := range contents(t) {
		for _, c := range compressors {
			t.Run(name+" by "+c.command[0]+" "+c.command[len(c.command)-1], func(t *testing.T) {
				packed := compress(t, c.command, content)
				p, err := payload.Open(section(packed))
				require.NoError(t, err)
				require.Equal(t, c.format, p.Format)
				require.EqualValues(t, len(content), p.Size)
				got, err := io.ReadAll(p)
				require.NoError(t, err)
				require.True(t, bytes.Equal(content, got), "content differs")
			})
		}
	}
}

// contents are inputs that make decompressors work: code, text, noise, many
// bytes of the instructions that the x86 filter looks for, several blocks.
func contents(t *testing.T) map[string][]byte {
	code, err := os.ReadFile("/proc/self/exe")
	require.NoError(t, err)
	random := rand.New(rand.NewPCG(1, 2))
	branches := make([]byte, 1<<18)
	for i := range branches {
		branches[i] = []byte{0xe8, 0xe9, 0x00, 0xff, 0x01, byte(i)}[random.IntN(6)]
	}
	noise := make([]byte, 100_000)
	for i := range noise {
		noise[i] = byte(random.Uint32())
	}
	return map[string][]byte{
		"code":     code[:min(len(code), 1<<19)],
		"branches": branches,
		"noise":    noise,
		"zeros":    make([]byte, 9<<20),
		"byte":     {0xe8},
	}
}

func TestPayloadCutShortIsAnError(t *testing.T) {
	content := contents(t)["branches"][:200_000]
	for _, c := range compressors {
		t.Run(c.format, func(t *testing.T) {
			packed := compress(t, c.command, content)
			for _, keep := range []int{1, 5, 13, len(packed) / 2} {
				p, err := payload.Open(section(packed[:keep]))
				if err != nil {
					continue
				}
				got, err := io.ReadAll(p)
				if err == nil && c.format == "lz4" && len(got) < len(content) {
					continue // the format has no end; the caller counts
				}
				require.Error(t, err, "cut to %d bytes", keep)
			}
		})
	}
}

func TestPayloadRefuses(t *testing.T) {
	tests := []struct{ name, packed, want string }{
		{"nothing", "", "unknown compression"},
		{"another format", "hello, world", "it begins with 68 65 6c 6c 6f"},
		{"lzo by name", "\x89LZO\x00\x0d\x0a\x1a\x0a rest", "unknown compression: lzo"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := payload.Open(section([]byte(test.packed)))
			require.ErrorIs(t, err, payload.ErrFormat)
			require.ErrorContains(t, err, test.want)
		})
	}
}

// compress does what the kernel's build does: the size follows the compressed
// file, unless the format has it at its end.
func compress(t *testing.T, command []string, content []byte) []byte {
	t.Helper()
	if _, err := exec.LookPath(command[0]); err != nil {
		t.Skip(err)
	}
	cmd := exec.Command(command[0], append(command[1:], "-c")...)
	cmd.Stdin = bytes.NewReader(content)
	out, err := cmd.Output()
	require.NoError(t, err)
	if command[0] == "gzip" {
		return out
	}
	return binary.LittleEndian.AppendUint32(out, uint32(len(content)))
}

func section(b []byte) *io.SectionReader {
	return io.NewSectionReader(bytes.NewReader(b), 0, int64(len(b)))
}

func FuzzPayload(f *testing.F) {
	for _, magic := range []string{"\x1f\x8b\x08", "BZh9", "\xfd7zXZ\x00\x00\x01\x69\x22\xde\x36", "\x5d\x00\x00", "\x02\x21\x4c\x18", "\x28\xb5\x2f\xfd"} {
		f.Add([]byte(magic))
	}
	f.Add([]byte("\xfd7zXZ\x00\x00\x00\xff\x12\xd9\x41\x02\x00\x21\x01\x16\x00\x00\x00\x74\x2f\xe5\xa3\x01\x00\x04words"))
	f.Add([]byte("\x02\x21\x4c\x18\x08\x00\x00\x00\x1f\x41\x01\x00\x05\x10\x42\x43"))
	f.Fuzz(func(t *testing.T, packed []byte) {
		p, err := payload.Open(section(packed))
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, io.LimitReader(p, 1<<20))
	})
}
