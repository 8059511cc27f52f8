package ktest

import (
	"github.com/ktgen/ktgen/freeze"
	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/ktsnap"
	"github.com/ktgen/ktgen/vmm"
)

// whole is a value with members, of which it is not known which ones matter: each that is loaded
// or stored is a suspect.
type whole struct {
	at     ktsnap.Location
	read   int // of the test's reads, which one; the last is the highest
	pieces []freeze.Piece
	tenant *tenant
	member map[int]*suspect // by the offset of a byte; nil for padding
	all    []*suspect
}

// addWhole has the members of a value be looked at.
func (q *inquiry) addWhole(at ktsnap.Location) error {
	f, err := q.vm.freezer(q.ctx)
	if err != nil {
		return err
	}
	pieces, err := f.Physical(at.Addr, at.Size)
	if err == nil {
		q.wholes = append(q.wholes, &whole{at: at, pieces: pieces, tenant: q.tenantOf(f, at.Map, at.Addr, at.Size), member: make(map[int]*suspect)})
	}
	return err
}

// members returns those that an access touches.
func (w *whole) members(a vmm.Access) (touched []*suspect) {
	start := 0 // of the piece, in the value
	for _, piece := range w.pieces {
		from := max(a.Phys, piece.Addr)
		to := min(a.Phys+int64(len(a.New)), piece.Addr+int64(piece.Size))
		for ; from < to; from++ {
			p := w.memberAt(start + int(from-piece.Addr))
			if p != nil && (len(touched) == 0 || touched[len(touched)-1] != p) {
				touched = append(touched, p)
			}
		}
		start += piece.Size
	}
	return touched
}

// memberAt returns the member that has a byte.
func (w *whole) memberAt(off int) *suspect {
	p, known := w.member[off]
	if known {
		return p
	}
	path, start, leaf := innermost(w.at.Shape, off)
	if leaf != nil && leaf.Size > 0 {
		size := leaf.Size
		if p = w.member[start]; p == nil {
			t := Target{name: w.at.Path + path, addr: w.at.Addr + uint64(start), size: size, kind: kind{shape: leaf}, of: w.at.Map}
			p = newSuspect(t, within(w.pieces, start, size), w.tenant)
			w.all = append(w.all, p)
		}
		w.member[start] = p
	}
	w.member[off] = p
	return p
}

// innermost returns the smallest part of a type that has a byte, which is nil for padding.
// A text is one part.
func innermost(s *ctype.Shape, off int) (path string, start int, leaf *ctype.Shape) {
	s.Walk(func(p *ctype.Part) ctype.Next {
		if off < p.Offset || off >= p.Offset+p.Shape.Size {
			return ctype.Skip
		}
		path, start, leaf = "", 0, nil
		if hasMembers(p.Shape) && !isText(p.Shape) {
			return ctype.Enter
		}
		path, start, leaf = p.Path(), p.Offset, p.Shape
		if p.IsBitfield() { // and others beside it
			leaf = &ctype.Shape{Kind: ctype.KindInt, Size: leaf.Size}
		}
		return ctype.Stop
	})
	return path, start, leaf
}

func isText(s *ctype.Shape) bool {
	if s.Kind != ctype.KindArray {
		return false
	}
	elem := s.Elem.Underlying()
	return elem != nil && elem.Kind == ctype.KindChar
}

// within returns the pieces of a part of what pieces are of.
func within(pieces []freeze.Piece, off, size int) (part []freeze.Piece) {
	for _, piece := range pieces {
		if off < piece.Size && size > 0 {
			n := min(size, piece.Size-off)
			part = append(part, freeze.Piece{Addr: piece.Addr + int64(off), Size: n})
			off, size = 0, size-n
			continue
		}
		off -= min(off, piece.Size)
	}
	return part
}
