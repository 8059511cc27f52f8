package xz

import (
	"encoding/binary"
	"io"
)

// This file undoes the x86 branch filter of xz: the encoder turned the relative
// target of CALL (E8) and JMP (E9) into an absolute one, which repeats more
// often. The rule which of these bytes are taken for instructions is that of
// the format (xz-embedded's bcj_x86, 7-zip's x86 converter): the target's
// highest byte is 00 or FF, and no byte shortly before says otherwise.

// x86Lookahead is how many bytes an instruction takes: without that many the
// end of a chunk waits for the next one.
const x86Lookahead = 5

type x86Reader struct {
	r      io.Reader
	buf    []byte
	ready  int // bytes at the start of buf that are final
	read   int // bytes of ready that were handed out
	err    error
	filter x86Filter
}

func newX86Reader(r io.Reader) *x86Reader {
	return &x86Reader{r: r, buf: make([]byte, 0, 1<<16), filter: x86Filter{candidate: -1}}
}

func (x *x86Reader) Read(p []byte) (int, error) {
	for x.read == x.ready {
		if x.err != nil {
			return 0, x.err
		}
		x.fill()
	}
	n := copy(p, x.buf[x.read:x.ready])
	x.read += n
	return n, nil
}

// fill drops what was handed out, reads on and converts what it can.
func (x *x86Reader) fill() {
	kept := copy(x.buf[:cap(x.buf)], x.buf[x.ready:])
	n, err := x.r.Read(x.buf[kept:cap(x.buf)])
	x.buf, x.err = x.buf[:kept+n], err
	x.read, x.ready = 0, x.filter.convert(x.buf)
	if err != nil {
		x.ready = len(x.buf) // the tail is too short for an instruction
	}
}

// x86Filter is the state of the conversion between chunks of the content.
type x86Filter struct {
	offset    int64  // of the next byte, in the content
	candidate int64  // offset of the last E8 or E9
	doubts    uint32 // bit n: n+1 bytes before, an E8 or E9 was passed over
}

// plausible says for each value of doubts whether an E8 or E9 can still be an
// instruction, and overlap which byte of its target the passed one then blames.
var (
	plausible = [8]bool{true, true, true, false, true, false, false, false}
	overlap   = [8]int{0, 1, 2, 2, 3, 3, 3, 3}
)

// convert undoes the filter in place and returns how many bytes are final.
func (f *x86Filter) convert(buf []byte) int {
	i := 0
	for ; i+x86Lookahead <= len(buf); i++ {
		if buf[i]&0xfe != 0xe8 {
			continue
		}
		f.approach(f.offset + int64(i))
		if !f.isInstruction(buf[i:]) {
			f.doubts = f.doubts<<1 | 1
			continue
		}
		next := uint32(f.offset) + uint32(i) + x86Lookahead
		target := buf[i+1 : i+5]
		binary.LittleEndian.PutUint32(target, f.relative(binary.LittleEndian.Uint32(target), next))
		i += 4
	}
	f.offset += int64(i)
	return i
}

// approach moves on to the candidate at offset; doubts fade with distance.
func (f *x86Filter) approach(offset int64) {
	distance := offset - f.candidate
	f.candidate = offset
	if distance > 3 {
		f.doubts = 0
		return
	}
	f.doubts = f.doubts << (distance - 1) & 7
}

// isInstruction says whether the encoder took code[0] for CALL or JMP.
func (f *x86Filter) isInstruction(code []byte) bool {
	if f.doubts != 0 && (!plausible[f.doubts] || isTargetTop(code[4-overlap[f.doubts]])) {
		return false
	}
	return isTargetTop(code[4])
}

// relative turns an absolute target into the one relative to next, the offset
// of the following instruction.
func (f *x86Filter) relative(target, next uint32) uint32 {
	for {
		distance := target - next
		if f.doubts == 0 {
			return signed25(distance)
		}
		blamed := overlap[f.doubts] * 8
		if !isTargetTop(byte(distance >> (24 - blamed))) {
			return signed25(distance)
		}
		target = distance ^ (1<<(32-blamed) - 1)
	}
}

func isTargetTop(b byte) bool { return b == 0x00 || b == 0xff }

// signed25 extends bit 24 through the highest byte.
func signed25(v uint32) uint32 {
	return v&0x01ffffff | -(v>>24&1)&0xff000000
}
