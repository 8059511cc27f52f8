package payload

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// This file reads the legacy lz4 frame, the one that "lz4 -l" writes and the
// kernel's build uses (lib/decompress_unlz4.c): a magic number, then blocks of
// a little-endian u32 length and that many compressed bytes. Each block gives
// 8 MiB, the last one less.

const (
	lz4Block = 8 << 20 // bytes of content per block
	// lz4Bound is the longest that lz4 makes of incompressible lz4Block bytes
	// (LZ4_COMPRESSBOUND).
	lz4Bound = lz4Block + lz4Block/255 + 16
)

type lz4Reader struct {
	r       *bufio.Reader
	content []byte // of the current block, not read yet
	packed  []byte
	block   []byte
}

func openLZ4(r io.Reader) (io.Reader, error) {
	buffered := bufio.NewReader(r)
	if _, err := buffered.Discard(4); err != nil {
		return nil, err
	}
	return &lz4Reader{r: buffered}, nil
}

func (z *lz4Reader) Read(p []byte) (int, error) {
	for len(z.content) == 0 {
		if err := z.nextBlock(); err != nil {
			return 0, err
		}
	}
	n := copy(p, z.content)
	z.content = z.content[n:]
	return n, nil
}

func (z *lz4Reader) nextBlock() error {
	var length [4]byte
	if _, err := io.ReadFull(z.r, length[:]); err != nil {
		return err // io.EOF ends the stream between blocks
	}
	size := binary.LittleEndian.Uint32(length[:])
	if size == 0 || size > lz4Bound {
		return fmt.Errorf("lz4: a block of %d compressed bytes, at most %d are possible", size, lz4Bound)
	}
	if z.packed == nil {
		z.packed, z.block = make([]byte, lz4Bound), make([]byte, 0, lz4Block)
	}
	if _, err := io.ReadFull(z.r, z.packed[:size]); err != nil {
		return io.ErrUnexpectedEOF
	}
	block, err := appendLZ4Block(z.block[:0], z.packed[:size])
	if err != nil {
		return fmt.Errorf("lz4: %w", err)
	}
	z.content = block
	return nil
}

var errLZ4 = errors.New("corrupt block")

// appendLZ4Block appends to dst, up to its capacity, the content of one block
// (lz4_Block_format.md): sequences of a token, literals, and a match that
// copies from what was written before.
func appendLZ4Block(dst, src []byte) ([]byte, error) {
	for len(src) > 0 {
		token := src[0]
		literals, rest, ok := lz4Length(int(token>>4), src[1:])
		if !ok || literals > len(rest) || literals > cap(dst)-len(dst) {
			return nil, errLZ4
		}
		dst = append(dst, rest[:literals]...)
		src = rest[literals:]
		if len(src) == 0 {
			return dst, nil // the last sequence has no match
		}
		if len(src) < 2 {
			return nil, errLZ4
		}
		distance := int(binary.LittleEndian.Uint16(src))
		length, rest, ok := lz4Length(int(token&15), src[2:])
		length += 4 // the shortest match
		if !ok || distance == 0 || distance > len(dst) || length > cap(dst)-len(dst) {
			return nil, errLZ4
		}
		dst = appendMatch(dst, distance, length)
		src = rest
	}
	return dst, nil
}

// lz4Length reads the rest of a length that begins with a token's nibble.
func lz4Length(nibble int, src []byte) (length int, rest []byte, ok bool) {
	length = nibble
	if nibble < 15 {
		return length, src, true
	}
	for i, b := range src {
		length += int(b)
		if b != 255 {
			return length, src[i+1:], true
		}
	}
	return 0, nil, false
}

// appendMatch repeats length bytes from distance before the end of dst. The two
// may overlap, which repeats a pattern.
func appendMatch(dst []byte, distance, length int) []byte {
	for length > 0 {
		from := dst[len(dst)-distance:]
		n := min(length, len(from))
		dst = append(dst, from[:n]...)
		length -= n
	}
	return dst
}
