package ktest

import (
	"encoding/binary"
	"strconv"

	"github.com/ktgen/ktgen/freeze"
	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/ktsnap"
	"github.com/ktgen/ktgen/vmm"
)

// This file writes what places hold as values of their types.

// textOf writes bytes as a value of a type; false if they are none.
func textOf(s *ctype.Shape, raw []byte) (text string, ok bool) {
	if s == nil || s.Size != len(raw) {
		return "", false
	}
	m := &ktsnap.Map{Name: "value", Type: ktsnap.MapTypeArray, KeySize: 4, ValueSize: len(raw), Value: s, N: 1, Total: 1, Slots: 1, Stride: len(raw), Values: raw}
	r, err := (&ktsnap.Snapshot{Maps: []*ktsnap.Map{m}}).View(0).At(0).Get("").Rendered()
	return r.String(), err == nil
}

// kind is what a number in the guest is: a type, and of a bitfield the width.
type kind struct {
	shape *ctype.Shape // nil if it is not known
	bits  int          // 0 for all but bitfields
}

// text writes a number of that kind.
func (k kind) text(n uint64) string {
	if k.shape == nil || k.shape.Size > 8 || k.shape.Size <= 0 {
		return strconv.FormatUint(n, 10)
	}
	if u := k.shape.Underlying(); k.bits > 0 && u.Signed {
		n = uint64(int64(n<<(64-k.bits)) >> (64 - k.bits))
	}
	if text, ok := textOf(k.shape, binary.LittleEndian.AppendUint64(nil, n)[:k.shape.Size]); ok {
		return text
	}
	return strconv.FormatUint(n, 10)
}

// change is what a store has made of the innermost value that it is to.
type change struct {
	part    string // of the place that values are told of: .comm
	shape   *ctype.Shape
	was, is []byte
}

// maxChange bounds the values that are told of as a whole, in bytes.
const maxChange = 64

// changeBy returns what a store changes, nil if that has no type or is large.
func (p *suspect) changeBy(ram *vmm.RAM, a vmm.Access) *change {
	if p.target.kind.shape == nil || p.target.kind.bits > 0 {
		return nil
	}
	off, start := 0, 0
	for _, piece := range p.pieces {
		if at := max(a.Phys, piece.Addr) - piece.Addr; at < int64(piece.Size) && a.Phys+int64(len(a.New)) > piece.Addr {
			off = start + int(at)
			break
		}
		start += piece.Size
	}
	path, start, leaf := innermost(p.target.kind.shape, off)
	if leaf == nil || leaf.Size <= 0 || leaf.Size > maxChange {
		return nil
	}
	was, is := before(ram, a, within(p.pieces, start, leaf.Size))
	return &change{part: path, shape: leaf, was: was, is: is}
}

// before returns the bytes of a place before and after a store.
func before(ram *vmm.RAM, a vmm.Access, pieces []freeze.Piece) (was, is []byte) {
	for _, piece := range pieces {
		held := make([]byte, piece.Size)
		_, _ = ram.ReadAt(held, piece.Addr) // it has just been stored to
		is = append(is, held...)
		at := len(was)
		was = append(was, held...)
		for i, b := range a.Old {
			if off := a.Phys + int64(i) - piece.Addr; off >= 0 && off < int64(piece.Size) {
				was[at+int(off)] = b
			}
		}
	}
	return was, is
}
