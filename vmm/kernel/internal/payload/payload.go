// Package payload decompresses what a Linux boot image carries, and modules.
//
// The formats are those of the kernel's build (scripts/Makefile.lib): gzip,
// bzip2, lzma, xz, lz4 and zstd. lzo is recognised and refused.
package payload

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
	"github.com/mikelolasagasti/xz"
	"github.com/pierrec/lz4/v4"
	"github.com/ulikunitz/xz/lzma"
)

// maxWindow bounds, in bytes, the history a decompressor may keep. The
// kernel's build uses at most 128 MiB (zstd -22).
const maxWindow = 128 << 20

// sizeField is the length, in bytes, of the uncompressed size that ends every
// payload as a little-endian u32. The build appends it, except to gzip, which
// has it by itself.
const sizeField = 4

// ErrFormat is wrapped by the error for a payload that no decompressor here
// reads.
var ErrFormat = errors.New("unknown compression")

// format is a compression by the bytes it begins with (lib/decompress.c).
type format struct {
	name     string
	magic    string
	appended int64                              // bytes of sizeField that are not part of the format
	open     func(io.Reader) (io.Reader, error) // nil if it cannot be read here
}

var formats = []format{
	{"gzip", "\x1f\x8b", 0, openGzip},
	{"bzip2", "BZh", sizeField, openBzip2},
	{"xz", "\xfd7zXZ\x00", sizeField, openXZ},
	{"lzma", "\x5d\x00\x00", sizeField, openLZMA},
	{"lz4", "\x02\x21\x4c\x18", sizeField, openLZ4},
	{"zstd", "\x28\xb5\x2f\xfd", sizeField, openZstd},
	{"lzo", "\x89LZO\x00\x0d\x0a\x1a\x0a", sizeField, nil},
}

// longestMagic is the length, in bytes, of the longest magic in formats.
const longestMagic = 9

// Payload is a compressed file. Reading it gives the content, whose checksum,
// where the format has one, is verified at the end. The memory that takes is
// bounded; the content is not, so compare what was read with Size.
type Payload struct {
	io.Reader
	Format string
	Size   int64 // bytes of content, as the payload claims
}

// Open begins to decompress.
func Open(r *io.SectionReader) (*Payload, error) {
	f, err := recognize(r)
	if err != nil {
		return nil, err
	}
	var size [sizeField]byte
	if _, err := r.ReadAt(size[:], r.Size()-sizeField); err != nil {
		return nil, fmt.Errorf("reading the uncompressed size: %w", err)
	}
	packed := io.NewSectionReader(r, 0, r.Size()-f.appended)
	content, err := f.open(bufio.NewReaderSize(packed, 1<<16))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.name, err)
	}
	return &Payload{Reader: content, Format: f.name, Size: int64(binary.LittleEndian.Uint32(size[:]))}, nil
}

// Decompress begins to decompress a file that nothing is appended to, such as a module.
func Decompress(r *io.SectionReader) (io.Reader, error) {
	f, err := recognize(r)
	if err != nil {
		return nil, err
	}
	content, err := f.open(bufio.NewReaderSize(r, 1<<16))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.name, err)
	}
	return content, nil
}

func recognize(r *io.SectionReader) (format, error) {
	start := make([]byte, longestMagic)
	n, err := r.ReadAt(start, 0)
	if err != nil && err != io.EOF {
		return format{}, err
	}
	start = start[:n]
	for _, f := range formats {
		if !bytes.HasPrefix(start, []byte(f.magic)) {
			continue
		}
		if f.open == nil {
			return format{}, fmt.Errorf("%w: %s", ErrFormat, f.name)
		}
		return f, nil
	}
	return format{}, fmt.Errorf("%w: it begins with % x", ErrFormat, start)
}

func openGzip(r io.Reader) (io.Reader, error) {
	z, err := gzip.NewReader(r)
	if err != nil {
		return nil, err
	}
	z.Multistream(false)
	return z, nil
}

func openBzip2(r io.Reader) (io.Reader, error) {
	return bzip2.NewReader(r), nil
}

func openXZ(r io.Reader) (io.Reader, error) {
	z, err := xz.NewReader(r, maxWindow)
	if err != nil {
		return nil, err
	}
	z.Multistream(false)
	return z, nil
}

// openLZ4 reads the legacy frame, the one that "lz4 -l" writes and the kernel's
// build uses (lib/decompress_unlz4.c).
func openLZ4(r io.Reader) (io.Reader, error) {
	z := lz4.NewReader(r)
	return z, z.Apply(lz4.ConcurrencyOption(1))
}

func openLZMA(r io.Reader) (io.Reader, error) {
	return lzma.ReaderConfig{DictCap: maxWindow}.NewReader(r)
}

// openZstd decodes in the caller's goroutine, so that a reader that is left
// behind half way leaves nothing running.
func openZstd(r io.Reader) (io.Reader, error) {
	return zstd.NewReader(r,
		zstd.WithDecoderConcurrency(1),
		zstd.WithDecoderMaxWindow(maxWindow),
		zstd.WithDecoderLowmem(true))
}
