package cast

// This file types what is behind the headers of allocations. An allocator hands
// out memory without a type, behind a header that only it looks into: programs
// keep pointers to the header, and take for their own what comes after it. What
// that is shows in its use, as with all pointers that nothing declares; the place
// that it is kept in is the pointer's, so many bytes behind what it leads to.

import (
	"github.com/cilium/ebpf/btf"

	"github.com/ktgen/ktgen/object"
)

// maxHeader bounds headers, in bytes.
const maxHeader = 4096

// isHeader tells whether objects of a type can be headers: the program only
// declares it, or it ends in a flexible array.
func isHeader(t btf.Type) bool {
	_, declared := t.(*btf.Fwd)
	return declared || openEnded(t)
}

// toHeader is a pointer that was loaded from a place that is declared to hold
// pointers to headers.
func toHeader(v value, p pointer, there place) value {
	if !v.ptr.known() || v.ptr.region != typed || v.ptr.off != (offset{}) || !isHeader(v.ptr.typ) {
		return v
	}
	if s, ok := slotIn(p, there); ok {
		s.kind = headerSlot
		v.from = origin{state: oneOrigin, slot: s}
	}
	return v
}

// storedHeader notes that what register src holds was stored in a place that is
// declared to hold pointers to headers: it is one from then on, in all registers
// that it was copied to.
func (w *walk) storedHeader(p pointer, there place, src uint8) {
	target, tags, ok := w.layouts.pointee(there.typ)
	stored := w.regs[src]
	if !ok || target == nil || !isHeader(target) || stored.ptr.known() && stored.ptr.typ != target {
		return
	}
	for i := range w.regs {
		r := &w.regs[i]
		if i == int(src) || r.from == stored.from && r.from.state == oneOrigin {
			r.ptr = typedPointer(target, spaceOf(tags, stored.ptr.space))
			*r = toHeader(*r, p, there)
		}
	}
}

// behind is a pointer that is n bytes behind a header, and has been moved there
// if isMove is set, else only for an access; ok is false if v is no pointer to a
// header, or that is in the header itself.
func (e *engine) behind(v value, n Number, isMove bool) (payload value, ok bool) {
	if v.from.state != oneOrigin || v.from.slot.kind != headerSlot || !v.ptr.known() || e.without(Uses) {
		return value{}, false
	}
	moved, exact := v.ptr.off.add(n).exact()
	if !exact || moved <= 0 || moved > maxHeader {
		return value{}, false
	}
	if _, declared := v.ptr.typ.(*btf.Fwd); declared && isMove {
		e.learnHeader(v.ptr.typ, moved)
	}
	size := e.headerSize(v.ptr.typ)
	if size == 0 || moved < size {
		return value{}, false
	}
	s := v.from.slot
	s.kind, s.behind = payloadSlot, uint32(size)
	payload = shift(e.undeclared(s), constant(moved-size))
	payload.objects = v.objects
	return payload, true
}

// learnHeader notes that pointers to a header that is only declared are moved by
// so many bytes. It ends where the first such move leads to.
func (e *engine) learnHeader(t btf.Type, moved int64) {
	if known := e.headers[t]; known == 0 || moved < known {
		e.headers[t] = moved
		e.change()
	}
}

// headerSize is where a header ends: where its flexible array begins, or, if it
// is only declared, behind the id that tools/sched_ext/scx_sdt.h begins it with,
// or else where the program moves pointers to it. It is 0 if none of that is
// known.
func (e *engine) headerSize(t btf.Type) int64 {
	if header, ok := t.(*btf.Struct); ok {
		return int64(header.Members[len(header.Members)-1].Offset / 8)
	}
	const idSize = 8
	var id *btf.Union
	if t.TypeName() == "sdt_data" && e.obj.Types.TypeByName("sdt_id", &id) == nil && id.Size == idSize {
		return idSize
	}
	return e.headers[t]
}

// payloads are the findings about what is behind headers: for each place that
// nearest to the header.
func (a *Analysis) payloads() (found []Finding) {
	for s, c := range a.cells {
		if s.kind != payloadSlot || !a.isOwn(s) || !a.isNearest(s) || !c.isFinding() || isScalar(c.pointer().typ) {
			continue
		}
		f := a.finding(s, c)
		if f.Behind = s.behind; f.Class == Guessed && c.told {
			f.Class = Likely
		}
		found = append(found, f)
	}
	return found
}

// isNearest tells whether no use is known of what is nearer to the header. A header
// can be found to be smaller than it was taken for.
func (a *Analysis) isNearest(s slot) bool {
	for near := s; near.behind > 1; {
		near.behind--
		if a.cells[near] != nil {
			return false
		}
	}
	return true
}

// isOwn tells whether a slot is in a map, or in a type of the program's.
func (a *Analysis) isOwn(s slot) bool { return s.m != nil || a.own[s.typ] }

// storesRegister tells whether an instruction stores a register as it is.
func storesRegister(insn object.Insn) bool {
	const modeMask, modeMem = 0xe0, 0x60
	return insn.Op&classMask == classStx && insn.Op&modeMask == modeMem
}
