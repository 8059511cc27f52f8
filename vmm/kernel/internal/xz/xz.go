// Package xz reads xz files as the kernel's build and Debian's packages have
// them, in bounded memory.
//
// The kernel's images for x86 go through a branch filter before LZMA2, which
// the xz module does not have, and that module allocates whatever history a
// file claims to need. So the container is read here and LZMA2 there. One
// stream is read; what follows its blocks, the index and padding, is not
// looked at: each block has its own check.
package xz

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"io"
	"slices"

	"github.com/ulikunitz/xz/lzma"
)

// MaxDictionary bounds, in bytes, the history of a file. xz -9 uses 64 MiB.
const MaxDictionary = 128 << 20

// ErrFormat is wrapped by the error for a file that is not what this package
// reads, or damaged.
var ErrFormat = errors.New("xz")

func formatError(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrFormat}, args...)...)
}

const (
	magic         = "\xfd7zXZ\x00"
	headerSize    = 12 // magic, 2 bytes of flags, their CRC32
	filterX86     = 0x04
	filterLZMA2   = 0x21
	alignment     = 4 // bytes, of everything in a stream
	endsWithIndex = 0 // instead of the size of a block's header
)

// Reader decompresses.
type Reader struct {
	raw     *bufio.Reader
	check   check
	content io.Reader // of the current block, nil between blocks
	packed  *counter  // its compressed bytes
	sum     hash.Hash
	err     error
}

// NewReader begins to read an xz file.
func NewReader(r io.Reader) (*Reader, error) {
	raw := bufio.NewReader(r)
	check, err := readStreamHeader(raw)
	if err != nil {
		return nil, err
	}
	return &Reader{raw: raw, check: check}, nil
}

func (z *Reader) Read(p []byte) (n int, err error) {
	for n == 0 && z.err == nil && len(p) > 0 {
		n, z.err = z.read(p)
	}
	if n > 0 {
		return n, nil
	}
	return 0, z.err
}

// read reads from the current block or moves on to the next.
func (z *Reader) read(p []byte) (int, error) {
	if z.content == nil {
		return 0, z.openBlock()
	}
	n, err := z.content.Read(p)
	z.sum.Write(p[:n])
	if err == io.EOF {
		err = z.closeBlock()
	}
	return n, err
}

// openBlock reads the header of the next block. It returns io.EOF if there is
// none.
func (z *Reader) openBlock() error {
	first, err := z.raw.ReadByte()
	if err != nil {
		return io.ErrUnexpectedEOF
	}
	if first == endsWithIndex {
		return io.EOF
	}
	header := make([]byte, (int(first)+1)*alignment)
	header[0] = first
	if _, err := io.ReadFull(z.raw, header[1:]); err != nil {
		return io.ErrUnexpectedEOF
	}
	block, err := parseBlockHeader(header)
	if err != nil {
		return err
	}
	z.packed = &counter{r: z.raw}
	z.sum = z.check.new()
	z.content, err = block.open(z.packed)
	return err
}

// closeBlock compares the content with the check that follows the block.
func (z *Reader) closeBlock() error {
	if _, err := z.raw.Discard(int(-z.packed.n & (alignment - 1))); err != nil {
		return io.ErrUnexpectedEOF
	}
	want := make([]byte, z.check.size)
	if _, err := io.ReadFull(z.raw, want); err != nil {
		return io.ErrUnexpectedEOF
	}
	if !bytes.Equal(want, z.check.bytes(z.sum)) {
		return formatError("the content's %s is wrong", z.check.name)
	}
	z.content = nil
	return nil
}

func readStreamHeader(r io.Reader) (check, error) {
	var header [headerSize]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return check{}, io.ErrUnexpectedEOF
	}
	if string(header[:len(magic)]) != magic {
		return check{}, formatError("it begins with % x", header[:len(magic)])
	}
	if binary.LittleEndian.Uint32(header[8:]) != crc32.ChecksumIEEE(header[6:8]) {
		return check{}, formatError("the header is damaged")
	}
	c, known := checks[header[7]]
	if !known || header[6] != 0 {
		return check{}, formatError("unknown flags %#x", header[6:8])
	}
	return c, nil
}

// block is what the header of a block says.
type block struct {
	x86        bool  // the content went through the x86 branch filter
	dictionary int64 // bytes of history
}

func (b block) open(packed io.Reader) (io.Reader, error) {
	if b.dictionary > MaxDictionary {
		return nil, formatError("it needs %d bytes of history, at most %d are allowed", b.dictionary, MaxDictionary)
	}
	content, err := lzma.Reader2Config{DictCap: int(max(b.dictionary, lzma.MinDictCap))}.NewReader2(packed)
	if err != nil {
		return nil, formatError("%v", err)
	}
	if b.x86 {
		return newX86Reader(content), nil
	}
	return content, nil
}

// parseBlockHeader reads a block's header (xz-file-format.txt, section 3.1):
// its size, flags, sizes of the block, filters, padding, CRC32.
func parseBlockHeader(header []byte) (block, error) {
	fields, sum := header[:len(header)-4], header[len(header)-4:]
	if binary.LittleEndian.Uint32(sum) != crc32.ChecksumIEEE(fields) {
		return block{}, formatError("a block's header is damaged")
	}
	const reserved, hasCompressedSize, hasSize, lastFilter = 0x3c, 0x40, 0x80, 0x03
	flags := fields[1]
	in := &fieldReader{rest: fields[2:]}
	if flags&hasCompressedSize != 0 {
		in.number()
	}
	if flags&hasSize != 0 {
		in.number()
	}
	var b block
	last := int(flags & lastFilter)
	for i := range last + 1 {
		id := in.number()
		properties := in.bytes(in.number())
		switch {
		case in.failed || flags&reserved != 0:
			return block{}, formatError("a block's header is malformed")
		case id == filterX86 && i == 0 && i < last && len(properties) == 0:
			b.x86 = true
		case id == filterLZMA2 && i == last && len(properties) == 1:
			dictionary, err := lzma.DecodeDictCap(properties[0])
			if err != nil {
				return block{}, formatError("%v", err)
			}
			b.dictionary = dictionary
		default:
			return block{}, formatError("filter %#x is not supported", id)
		}
	}
	return b, nil
}

// fieldReader reads the fields of a header. Its first failure sticks.
type fieldReader struct {
	rest   []byte
	failed bool
}

// number reads an integer of 7 bits per byte, lowest first.
func (f *fieldReader) number() (value uint64) {
	const longest = 9
	for i := 0; i < len(f.rest) && i < longest; i++ {
		value |= uint64(f.rest[i]&0x7f) << (7 * i)
		if f.rest[i]&0x80 == 0 {
			f.rest = f.rest[i+1:]
			return value
		}
	}
	f.failed = true
	return 0
}

func (f *fieldReader) bytes(length uint64) []byte {
	if f.failed || length > uint64(len(f.rest)) {
		f.failed = true
		return nil
	}
	b := f.rest[:length]
	f.rest = f.rest[length:]
	return b
}

// check is how the content of a block is verified.
type check struct {
	name  string
	size  int // bytes
	new   func() hash.Hash
	bytes func(hash.Hash) []byte // as the file has them
}

// checks are those by their number in a stream's flags.
var checks = map[byte]check{
	0x00: {"check", 0, newNone, reversed},
	0x01: {"CRC32", 4, func() hash.Hash { return crc32.NewIEEE() }, reversed},
	0x04: {"CRC64", 8, func() hash.Hash { return crc64.New(crc64.MakeTable(crc64.ECMA)) }, reversed},
	0x0a: {"SHA-256", 32, sha256.New, func(h hash.Hash) []byte { return h.Sum(nil) }},
}

// reversed returns a CRC as a little-endian integer.
func reversed(h hash.Hash) []byte {
	sum := h.Sum(nil)
	slices.Reverse(sum)
	return sum
}

// none is the check of a file that has none.
type none struct{}

func newNone() hash.Hash                 { return none{} }
func (none) Write(p []byte) (int, error) { return len(p), nil }
func (none) Sum(b []byte) []byte         { return b }
func (none) Reset()                      {}
func (none) Size() int                   { return 0 }
func (none) BlockSize() int              { return 1 }

// counter counts the bytes that were read. It reads single bytes, too, so that
// the LZMA2 reader does not buffer and take what follows.
type counter struct {
	r *bufio.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

func (c *counter) ReadByte() (byte, error) {
	b, err := c.r.ReadByte()
	if err == nil {
		c.n++
	}
	return b, err
}
