package scx

import (
	"cmp"
	"slices"
	"strings"

	ebtf "github.com/cilium/ebpf/btf"

	"github.com/ktgen/ktgen/btf"
	"github.com/ktgen/ktgen/freeze/internal/kmem"
	"github.com/ktgen/ktgen/runtime/ctype"
)

// projection is a struct of the kernel, cut down to some members: the shape of what
// is copied, and where that is. Behind the members come columns that the kernel has
// elsewhere.
type projection struct {
	shape *ctype.Shape
	low   int // where the first member begins in the kernel's struct
	span  int // bytes from there to the end of the last one
	runs  []run
	lines []int  // a byte in each cache line that has members, from low on, of structs that begin with a line
	buf   []byte // for structs that cannot be looked at in place
}

// run is bytes that are copied in one piece.
type run struct{ from, to, n int } // from is from low on

// types looks members up in the kernel's BTF.
type types struct {
	spec   *ebtf.Spec
	shapes *btf.Shapes
}

// place is a member that is copied.
type place struct {
	from, n int
	member  ctype.Member
}

// maxGap is how many bytes between two members are copied along, rather than copying
// in two pieces.
const maxGap = 16

// project returns a projection to those members that the kernel's struct has; ok is
// false if there is none. A path of two names makes a member with a member.
func (t *types) project(of string, paths ...string) (p *projection, ok bool) {
	var places []place
	for i := 0; i < len(paths); i++ {
		first, _, nested := strings.Cut(paths[i], ".")
		var below []string
		for ; nested && i < len(paths); i++ {
			name, rest, _ := strings.Cut(paths[i], ".")
			if name != first || rest == "" {
				break
			}
			below = append(below, rest)
		}
		if nested {
			i--
		}
		if at, ok := t.place(of, first, below); ok {
			places = append(places, at)
		}
	}
	if len(places) == 0 {
		return nil, false
	}
	return newProjection(of, places), true
}

// place finds a member of a struct, with all of it or with some members of its own.
func (t *types) place(of, name string, below []string) (at place, ok bool) {
	f, err := btf.Find(t.spec, of, name)
	if err != nil || f.Bits != 0 {
		return at, false
	}
	if len(below) == 0 {
		shape, err := t.shapes.Of(f.Type)
		return place{f.Offset, f.Size, ctype.Member{Name: name, Type: shape}}, err == nil && f.Size > 0
	}
	var places []place
	for _, path := range below {
		inner, err := btf.FieldOf(f.Type, path)
		if err != nil || inner.Bits != 0 || inner.Size == 0 {
			continue
		}
		shape, err := t.shapes.Of(inner.Type)
		if err != nil {
			continue
		}
		places = append(places, place{inner.Offset, inner.Size, ctype.Member{Name: path, Type: shape}})
	}
	if len(places) == 0 {
		return at, false
	}
	low, span := bounds(places)
	s := &ctype.Shape{Kind: ctype.KindStruct, Name: f.Type.TypeName(), Size: span}
	for _, p := range places {
		p.member.Offset = p.from - low
		s.Members = append(s.Members, p.member)
	}
	sortMembers(s)
	return place{f.Offset + low, span, ctype.Member{Name: name, Type: s}}, true
}

func bounds(places []place) (low, span int) {
	low = places[0].from
	end := 0
	for _, p := range places {
		low, end = min(low, p.from), max(end, p.from+p.n)
	}
	return low, end - low
}

func sortMembers(s *ctype.Shape) {
	slices.SortStableFunc(s.Members, func(a, b ctype.Member) int { return cmp.Compare(a.Offset, b.Offset) })
}

// newProjection places members one behind the other, in the order in which the kernel
// has them.
func newProjection(of string, places []place) *projection {
	slices.SortStableFunc(places, func(a, b place) int { return cmp.Compare(a.from, b.from) })
	p := &projection{shape: &ctype.Shape{Kind: ctype.KindStruct, Name: of}}
	p.low, p.span = bounds(places)
	for _, at := range places {
		from := at.from - p.low
		last := len(p.runs) - 1
		if last < 0 || from > p.runs[last].from+p.runs[last].n+maxGap {
			to := aligned(p.shape.Size) + at.from%columnAlign
			p.runs = append(p.runs, run{from: from, to: to})
			last++
		}
		r := &p.runs[last]
		r.n = max(r.n, from+at.n-r.from)
		at.member.Offset = r.to + from - r.from
		p.shape.Members = append(p.shape.Members, at.member)
		p.shape.Size = r.to + r.n
	}
	p.shape.Size = aligned(p.shape.Size)
	p.lines = p.cacheLines()
	return p
}

// cacheLines returns where the cache lines are that the members lie in.
func (p *projection) cacheLines() (lines []int) {
	const size = 64
	for _, r := range p.runs {
		for at := r.from; at < r.from+r.n; at += size - (p.low+at)%size {
			if last := len(lines) - 1; last < 0 || (p.low+lines[last])/size != (p.low+at)/size {
				lines = append(lines, at)
			}
		}
	}
	return lines
}

// columnAlign is what columns are aligned to, in bytes.
const columnAlign = 8

func aligned(n int) int { return (n + columnAlign - 1) &^ (columnAlign - 1) }

// column adds a column behind the members.
func (p *projection) column(name string, s *ctype.Shape) (offset int) {
	offset = p.shape.Size
	p.shape.Members = append(p.shape.Members, ctype.Member{Name: name, Offset: offset, Type: s})
	p.shape.Size = aligned(offset + sizeOf(s))
	return offset
}

func sizeOf(s *ctype.Shape) int {
	if s = s.Underlying(); s.Kind == ctype.KindArray {
		return s.Len * sizeOf(s.Elem)
	}
	return s.Size
}

// columnsOnly returns a record of which the kernel has no struct.
func columnsOnly(name string) *projection {
	return &projection{shape: &ctype.Shape{Kind: ctype.KindStruct, Name: name}}
}

// view returns the kernel's struct at a from its first member on, valid until the
// next view.
func (p *projection) view(mem *kmem.Space, a kmem.Addr) ([]byte, error) {
	at, ok := a.Add(uint64(p.low))
	if !ok {
		return nil, &kmem.WrapError{Addr: a, Len: uint64(p.low)}
	}
	return mem.Peek(at, p.span, &p.buf)
}

// copy copies the members from a view.
func (p *projection) copy(record, view []byte) {
	for _, r := range p.runs {
		copy(record[r.to:r.to+r.n], view[r.from:])
	}
}

// member returns where a member of integral type is in records; ok is false where the
// kernel has none.
func (p *projection) member(path ...string) (f kmem.Field, ok bool) {
	s, at := p.shape, 0
	for _, name := range path {
		i := slices.IndexFunc(s.Members, func(m ctype.Member) bool { return m.Name == name })
		if i < 0 {
			return f, false
		}
		at += s.Members[i].Offset
		if s = s.Members[i].Type.Underlying(); s == nil {
			return f, false
		}
	}
	switch sizeOf(s) {
	case 1, 2, 4, 8:
		return kmem.Field{Offset: at, Size: sizeOf(s)}, true
	}
	return f, false
}

// Shapes of columns.
var (
	u64   = &ctype.Shape{Kind: ctype.KindInt, Name: "unsigned long long", Size: 8}
	u32   = &ctype.Shape{Kind: ctype.KindInt, Name: "unsigned int", Size: 4}
	s32   = &ctype.Shape{Kind: ctype.KindInt, Name: "int", Size: 4, Signed: true}
	s64   = &ctype.Shape{Kind: ctype.KindInt, Name: "long long", Size: 8, Signed: true}
	char  = &ctype.Shape{Kind: ctype.KindChar, Name: "char", Size: 1, Signed: true}
	ulong = &ctype.Shape{Kind: ctype.KindInt, Name: "unsigned long", Size: 8}
)

func text(n int) *ctype.Shape { return &ctype.Shape{Kind: ctype.KindArray, Elem: char, Len: n} }
