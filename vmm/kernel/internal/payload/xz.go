package payload

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/ulikunitz/xz/lzma"
)

// This file reads xz as the kernel's build writes it (scripts/xz_wrap.sh): one
// stream of one block, CRC32, an x86 branch filter before LZMA2. The xz module
// has no branch filters, so the container is read here and LZMA2 there. The
// index and footer after the block are not looked at; the block's own check is.

const (
	xzHeaderSize  = 12 // magic, 2 flag bytes, CRC32 of these
	xzCheckNone   = 0x00
	xzCheckCRC32  = 0x01
	xzFilterX86   = 0x04
	xzFilterLZMA2 = 0x21
)

var errXZ = errors.New("corrupt header")

// xzBlock is the header of a block.
type xzBlock struct {
	x86        bool  // the content went through the x86 branch filter
	dictionary int64 // bytes of history LZMA2 needs
}

type xzReader struct {
	raw     *bufio.Reader // positioned at the LZMA2 data, then after it
	packed  *countingReader
	content io.Reader
	check   byte
	sum     uint32
	err     error
}

func openXZ(r io.Reader) (io.Reader, error) {
	raw := bufio.NewReader(r)
	check, err := readXZStreamHeader(raw)
	if err != nil {
		return nil, err
	}
	block, err := readXZBlockHeader(raw)
	if err != nil {
		return nil, err
	}
	if block.dictionary > maxWindow {
		return nil, fmt.Errorf("needs %d bytes of history, at most %d are allowed", block.dictionary, maxWindow)
	}
	packed := &countingReader{r: raw}
	content, err := lzma.Reader2Config{DictCap: int(max(block.dictionary, lzma.MinDictCap))}.NewReader2(packed)
	if err != nil {
		return nil, err
	}
	z := &xzReader{raw: raw, packed: packed, content: content, check: check}
	if block.x86 {
		z.content = newX86Reader(content)
	}
	return z, nil
}

func (z *xzReader) Read(p []byte) (int, error) {
	if z.err != nil {
		return 0, z.err
	}
	n, err := z.content.Read(p)
	z.sum = crc32.Update(z.sum, crc32.IEEETable, p[:n])
	if err == io.EOF {
		err = z.verify()
	}
	z.err = err
	return n, err
}

// verify compares the content's checksum with the one after the block, and
// returns io.EOF if they agree.
func (z *xzReader) verify() error {
	if z.check == xzCheckNone {
		return io.EOF
	}
	if _, err := z.raw.Discard(int(-z.packed.n & 3)); err != nil {
		return io.ErrUnexpectedEOF
	}
	var want [4]byte
	if _, err := io.ReadFull(z.raw, want[:]); err != nil {
		return io.ErrUnexpectedEOF
	}
	if binary.LittleEndian.Uint32(want[:]) != z.sum {
		return errors.New("xz: the content's checksum is wrong")
	}
	return io.EOF
}

func readXZStreamHeader(r io.Reader) (check byte, err error) {
	var header [xzHeaderSize]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return 0, io.ErrUnexpectedEOF
	}
	if binary.LittleEndian.Uint32(header[8:]) != crc32.ChecksumIEEE(header[6:8]) {
		return 0, errXZ
	}
	check = header[7]
	if check != xzCheckNone && check != xzCheckCRC32 {
		return 0, fmt.Errorf("its check is of kind %d, the kernel's build uses CRC32", check)
	}
	return check, nil
}

// readXZBlockHeader reads the header of the first block (xz-file-format.txt,
// section 3.1).
func readXZBlockHeader(r io.ByteReader) (xzBlock, error) {
	first, err := r.ReadByte()
	if err != nil {
		return xzBlock{}, io.ErrUnexpectedEOF
	}
	if first == 0 {
		return xzBlock{}, errors.New("it has no block")
	}
	header := make([]byte, (int(first)+1)*4)
	header[0] = first
	for i := 1; i < len(header); i++ {
		if header[i], err = r.ReadByte(); err != nil {
			return xzBlock{}, io.ErrUnexpectedEOF
		}
	}
	fields, sum := header[:len(header)-4], header[len(header)-4:]
	if binary.LittleEndian.Uint32(sum) != crc32.ChecksumIEEE(fields) {
		return xzBlock{}, errXZ
	}
	return parseXZFilters(fields)
}

func parseXZFilters(header []byte) (xzBlock, error) {
	flags, rest := header[1], header[2:]
	if flags&0x3c != 0 {
		return xzBlock{}, errXZ // reserved bits
	}
	var ok bool
	for _, bit := range []byte{0x40, 0x80} { // compressed and uncompressed size
		if flags&bit != 0 {
			if _, rest, ok = xzNumber(rest); !ok {
				return xzBlock{}, errXZ
			}
		}
	}
	var block xzBlock
	last := int(flags & 3)
	for i := 0; i <= last; i++ {
		var id, size uint64
		if id, rest, ok = xzNumber(rest); !ok {
			return xzBlock{}, errXZ
		}
		if size, rest, ok = xzNumber(rest); !ok || size > uint64(len(rest)) {
			return xzBlock{}, errXZ
		}
		properties := rest[:size]
		rest = rest[size:]
		switch {
		case id == xzFilterX86 && i == 0 && i < last && size == 0:
			block.x86 = true
		case id == xzFilterLZMA2 && i == last && size == 1:
			dictionary, err := lzma.DecodeDictCap(properties[0])
			if err != nil {
				return xzBlock{}, err
			}
			block.dictionary = dictionary
		default:
			return xzBlock{}, fmt.Errorf("its filter %d is %#x, the kernel's build for x86 uses the x86 branch filter and LZMA2", i, id)
		}
	}
	return block, nil
}

// xzNumber reads a variable-length integer: 7 bits per byte, lowest first.
func xzNumber(data []byte) (value uint64, rest []byte, ok bool) {
	const longest = 9
	for i := 0; i < len(data) && i < longest; i++ {
		value |= uint64(data[i]&0x7f) << (7 * i)
		if data[i]&0x80 == 0 {
			return value, data[i+1:], true
		}
	}
	return 0, nil, false
}

// countingReader counts the bytes that were read, one by one if asked, so that
// nothing behind them is taken.
type countingReader struct {
	r *bufio.Reader
	n int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

func (c *countingReader) ReadByte() (byte, error) {
	b, err := c.r.ReadByte()
	if err == nil {
		c.n++
	}
	return b, err
}
