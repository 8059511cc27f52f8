package ktsnap

// This file finds the objects of the arena allocator that public schedulers
// share (tools/sched_ext/scx_sdt.bpf.c). It is a radix tree:
//
//	struct scx_allocator .root ──► struct sdt_desc .chunk ──► pointers, one for each bit of .allocated
//	                                                            ├──► struct sdt_desc, of the next level, or
//	                                                            └──► a union sdt_id, and behind it the payload
//
// The objects are of whatever type the scheduler takes them for. Their BTF
// usually declares struct sdt_data and does not define it.

import (
	"fmt"
	"sync"

	"github.com/ktgen/ktgen/runtime/ctype"
)

// Allocator is an arena allocator that hands out objects of one size.
type Allocator struct {
	Path string // of the variable: ".bss.scx_task_allocator"
	Size int    // bytes of an object, with the header in front of the payload

	// Payload is the type of what is behind the header. Pointers to it in maps and
	// variables have that type, or pointers to the header are known to lead to it. It
	// is nil if there are none, or if they differ.
	Payload *ctype.Shape

	Objects []AllocatedObject // ascending by ID

	// Err says why Objects are not all: a limit, or a tree that is broken or was
	// not captured.
	Err error
}

// AllocatedObject is an object of an Allocator.
type AllocatedObject struct {
	ID         int32  // place in the tree
	Generation int32  // how often that place was used before
	Addr       uint64 // in the arena, of the header
	Data       []byte // Allocator.Size bytes, header and payload
}

// allocatedHeader is the size of union sdt_id: an index and a generation, of 32
// bits each.
const allocatedHeader = 8

const (
	maxAllocators       = 64
	maxTreeDepth        = 4       // levels; the public ones have 3
	maxAllocated        = 1 << 16 // objects of an allocator
	maxAllocatedSize    = 1 << 20 // bytes of an object
	maxNodesOfAllocator = 1 << 16 // descriptors that are looked at
)

// Allocators returns the arena allocators among the program's variables, with
// the objects that are in use. They are known by the members of their structs.
func (s *Snapshot) Allocators() []Allocator { return s.reader().allocators().list }

// allocators is what is known of allocators, once it was asked for.
type allocators struct {
	once sync.Once
	list []Allocator
	mu   sync.Mutex            // of like
	at   map[uint64]*Allocator // by the address of an object
	like map[likeKey]*ctype.Shape
}

// likeKey is a struct that the program only declares, as objects of an
// allocator.
type likeKey struct {
	of   *Allocator
	name string
}

func (r *reader) allocators() *allocators {
	r.allocated.once.Do(func() {
		for _, m := range r.maps {
			if m.Single && m.damaged == nil && m.N > 0 {
				if shape, err := m.valueShape(); err == nil && shape != nil {
					r.findAllocators(m.Values, shape)
				}
			}
		}
		r.indexAllocated()
	})
	return &r.allocated
}

// findAllocators looks for allocators in a value.
func (r *reader) findAllocators(data []byte, s *ctype.Shape) {
	s.Walk(func(p *ctype.Part) ctype.Next {
		switch u := p.Shape; {
		case len(r.allocated.list) >= maxAllocators:
			return ctype.Stop
		case p.Offset+u.Size > len(data):
			return ctype.Skip
		case u.Kind == ctype.KindStruct:
			tree, ok := r.allocatorTree(u)
			if !ok {
				return ctype.Enter
			}
			r.allocated.list = append(r.allocated.list, tree.read(r, data[p.Offset:], s.Name+p.Path()))
		case u.Kind == ctype.KindSection, u.Kind == ctype.KindArray && mayAllocate(u.Elem, ctype.MaxNesting):
			return ctype.Enter
		}
		return ctype.Skip
	})
}

// mayAllocate tells whether there are structs in a type.
func mayAllocate(s *ctype.Shape, depth int) bool {
	u := s.Underlying()
	for ; u != nil && u.Kind == ctype.KindArray && depth > 0; depth-- {
		u = u.Elem.Underlying()
	}
	return u != nil && u.Kind == ctype.KindStruct && u.Size > 0
}

// allocatorTree is where an allocator and the descriptors of its tree have
// their members, in bytes.
type allocatorTree struct {
	elemSize, root           int
	desc                     int // size of a descriptor
	allocated, nrFree, chunk int
	perChunk                 int // pointers
	shift                    int // log2(perChunk)
}

// allocatorTree tells whether s is an allocator's struct.
func (r *reader) allocatorTree(s *ctype.Shape) (t allocatorTree, ok bool) {
	pool, root := member64(s, "pool", ctype.KindStruct), member64(s, "root", ctype.KindPointer)
	if pool == nil || root == nil {
		return t, false
	}
	inPool := pool.Type.Underlying()
	size := member64(inPool, "elem_size", ctype.KindInt)
	if size == nil || member64(inPool, "slab", ctype.KindPointer) == nil || member64(inPool, "max_elems", ctype.KindInt) == nil {
		return t, false
	}
	desc, err := r.pointee(root.Type.Underlying().Elem)
	if err != nil {
		return t, false
	}
	desc = desc.Underlying()
	bits, free, chunk := member64(desc, "allocated", ctype.KindArray), member64(desc, "nr_free", ctype.KindInt), member64(desc, "chunk", ctype.KindPointer)
	if bits == nil || free == nil || chunk == nil || bits.Type.Underlying().Elem.Size != 8 {
		return t, false
	}
	t = allocatorTree{
		elemSize: pool.Offset + size.Offset, root: root.Offset, desc: desc.Size,
		allocated: bits.Offset, nrFree: free.Offset, chunk: chunk.Offset,
		perChunk: 64 * bits.Type.Underlying().Len,
	}
	for t.shift < 16 && 1<<t.shift < t.perChunk {
		t.shift++
	}
	return t, t.perChunk > 0 && 1<<t.shift == t.perChunk
}

// member64 returns the member of a struct of a name and kind, of 8 bytes unless
// it is an aggregate; or nil.
func member64(s *ctype.Shape, name string, kind ctype.Kind) *ctype.Member {
	if s == nil || s.Kind != ctype.KindStruct {
		return nil
	}
	for i := range s.Members {
		m := &s.Members[i]
		u := m.Type.Underlying()
		if m.Name != name || m.Bits != 0 || u == nil || u.Kind != kind {
			continue
		}
		if u.Size == 8 || kind == ctype.KindArray || kind == ctype.KindStruct {
			return m
		}
	}
	return nil
}

func (t *allocatorTree) word(data []byte, at int) uint64 {
	return ctype.IntPlace{Bits: 64}.Load(data[at:])
}

// Read reads an allocator. How many levels the tree has it does not say: at the
// right depth each object has its place in its header. Descriptors that are
// taken for objects look like freed ones at best, so that most objects are
// found there.
func (t *allocatorTree) read(r *reader, data []byte, path string) Allocator {
	a := Allocator{Path: path, Size: int(min(t.word(data, t.elemSize), 1<<62))}
	root := t.word(data, t.root)
	switch {
	case root == 0:
		return a // not initialised
	case a.Size <= allocatedHeader || a.Size > maxAllocatedSize:
		a.Err = fmt.Errorf("its objects have %d bytes", a.Size)
		return a
	}
	found, misplaced := false, false
	for depth := 1; depth <= maxTreeDepth; depth++ {
		w := treeWalk{allocatorTree: t, r: r, size: a.Size}
		err := w.descend(root, depth, 0)
		misplaced = misplaced || w.misplaced
		if w.misplaced || found && (len(w.objects) < len(a.Objects) || len(w.objects) == len(a.Objects) && err != nil) {
			continue
		}
		a.Objects, a.Err, found = w.objects, err, true
	}
	if misplaced && len(a.Objects) == 0 && (a.Err != nil || !found) {
		a.Err = fmt.Errorf("at no depth up to %d do its objects have their places in their headers", maxTreeDepth)
	}
	return a
}

// treeWalk goes through a tree that is taken to be of a depth.
type treeWalk struct {
	*allocatorTree
	r         *reader
	size      int
	nodes     int
	objects   []AllocatedObject
	misplaced bool // an object is not where its header says
}

// descend goes through the tree below a descriptor, whose objects' IDs begin
// with prefix.
func (w *treeWalk) descend(addr uint64, depth int, prefix int64) error {
	if w.nodes++; w.nodes > maxNodesOfAllocator {
		return fmt.Errorf("its tree has more than %d descriptors", maxNodesOfAllocator)
	}
	desc, err := w.at(addr, w.desc, "descriptor")
	if err != nil {
		return err
	}
	chunk, err := w.at(w.word(desc, w.chunk), 8*w.perChunk, "chunk of a descriptor")
	if err != nil {
		return err
	}
	for i := range w.perChunk {
		child := w.word(chunk, 8*i)
		if child == 0 {
			continue
		}
		id := prefix<<w.shift | int64(i)
		inUse := w.word(desc, w.allocated+i/64*8)>>(i%64)&1 != 0
		if depth > 1 {
			err = w.descend(child, depth-1, id)
		} else {
			err = w.object(child, id, inUse)
		}
		if err != nil || w.misplaced {
			return err
		}
	}
	return nil
}

func (w *treeWalk) object(addr uint64, id int64, inUse bool) error {
	data, err := w.at(addr, w.size, "object")
	if err != nil {
		return err
	}
	half := ctype.IntPlace{Bits: 32}
	o := AllocatedObject{int32(half.Load(data)), int32(half.Load(data[4:])), w.r.memory().Canonical(addr), data}
	// One that was freed has lost its place.
	if int64(o.ID) != id && (inUse || o.ID != 0) {
		w.misplaced = true
		return nil
	}
	if !inUse {
		return nil
	}
	if len(w.objects) >= maxAllocated {
		return fmt.Errorf("it has more than %d objects", maxAllocated)
	}
	w.objects = append(w.objects, o)
	return nil
}

// at returns size bytes at an address of the arena.
func (w *treeWalk) at(addr uint64, size int, what string) ([]byte, error) {
	data, ok := w.r.memory().Read(w.r.memory().Canonical(addr), size)
	if !ok {
		return nil, fmt.Errorf("the %s at %#x was not captured", what, addr)
	}
	return data, nil
}

// indexAllocated finds out which object is at an address, and what the payloads
// of each allocator are.
func (r *reader) indexAllocated() {
	index := &r.allocated
	index.at, index.like = make(map[uint64]*Allocator), make(map[likeKey]*ctype.Shape)
	payloads, headers := make(map[uint64]*payload), make(map[uint64]*payload)
	all := make([]payload, len(index.list))
	for i := range index.list {
		a := &index.list[i]
		all[i].of = a
		for _, o := range a.Objects {
			index.at[o.Addr] = a
			payloads[o.Addr+allocatedHeader], headers[o.Addr] = &all[i], &all[i]
		}
	}
	if len(payloads) == 0 {
		return
	}
	see := func(pointer *ctype.Shape, addr uint64) {
		if behind, ok := pointer.Elem.Stripped().Payload(); ok && headers[r.memory().Canonical(addr)] != nil {
			headers[r.memory().Canonical(addr)].see(behind.Type)
		} else if p := payloads[r.memory().Canonical(addr)]; p != nil {
			p.see(pointer.Elem)
		}
	}
	for _, m := range r.maps {
		shape, err := m.valueShape()
		if m.damaged != nil || err != nil || shape == nil || !shape.HoldsPointers() {
			continue
		}
		for i := range m.N * m.Slots {
			eachPointer(m.Values[i*m.Stride:][:m.Size], shape, see)
		}
	}
	for _, p := range all {
		if !p.differ {
			p.of.Payload = p.shape
		}
	}
}

// payload collects what pointers to the payloads of an allocator take them for.
type payload struct {
	of     *Allocator
	shape  *ctype.Shape
	differ bool
}

func (p *payload) see(s *ctype.Shape) {
	s = s.Stripped()
	if s.Kind != ctype.KindStruct && s.Kind != ctype.KindUnion || s.Size == 0 || s.Size > p.of.Size-allocatedHeader {
		return
	}
	p.differ = p.differ || p.shape != nil && p.shape != s
	p.shape = s
}

// eachPointer calls see for the pointers in a value that are not NULL.
func eachPointer(data []byte, s *ctype.Shape, see func(pointer *ctype.Shape, addr uint64)) {
	s.Walk(func(p *ctype.Part) ctype.Next {
		switch u := p.Shape; {
		case p.Offset+u.Size > len(data), !p.MayHoldPointers():
			return ctype.Skip
		case u.Kind == ctype.KindPointer:
			place := ctype.IntPlace{Bits: 8 * u.Size}
			if addr := place.Load(data[p.Offset:]); addr != 0 {
				see(u, addr)
			}
		}
		return ctype.Enter
	})
}

// isAllocated tells whether a pointer leads to an object of an allocator, of whose
// type the program has at most the header.
func (r *reader) isAllocated(s *ctype.Shape, addr uint64) bool {
	if _, ok := s.Stripped().Payload(); ok {
		return r.allocators().at[r.memory().Canonical(addr)] != nil
	}
	return r.asAllocated(s, addr) != nil
}

// Outgrown is the error for a pointer to an object of an allocator that has less room
// than what is said to be behind its header; addr is canonical.
func (s *Snapshot) Outgrown(addr uint64, target *ctype.Shape) error {
	if _, ok := target.Stripped().Payload(); !ok {
		return nil
	}
	a := s.reader().allocators().at[addr]
	if a == nil || target.Size <= a.Size {
		return nil
	}
	return &ContradictionError{Addr: addr, Type: ctype.Spell(target), Found: fmt.Sprintf("%s hands out %d bytes with the header, and the type has %d; say another with -payload, or none", a.Path, a.Size, target.Size)}
}

// asAllocated returns the struct that is at an address where a pointer leads to
// an object of an allocator, and the program only declares what that is: the
// header and the payload. It is nil for anything else.
func (r *reader) asAllocated(s *ctype.Shape, addr uint64) *ctype.Shape {
	u := s.Underlying()
	if u == nil || u.Kind != ctype.KindFwd || r.defined.of(r.snapshot, u.Name).shape != nil {
		return nil
	}
	index := r.allocators()
	a := index.at[r.memory().Canonical(addr)]
	if a == nil {
		return nil
	}
	index.mu.Lock()
	defer index.mu.Unlock()
	key := likeKey{a, u.Name}
	if index.like[key] == nil {
		index.like[key] = a.object(u.Name)
	}
	return index.like[key]
}

// object makes the shape of an allocator's objects, as a struct of that name.
func (a *Allocator) object(name string) *ctype.Shape {
	half := &ctype.Shape{Kind: ctype.KindInt, Name: "int", Size: 4, Signed: true}
	behind := a.Payload
	if behind == nil || behind.Size > a.Size-allocatedHeader {
		behind = &ctype.Shape{Kind: ctype.KindArray, Elem: &ctype.Shape{Kind: ctype.KindInt, Name: "unsigned char", Size: 1}, Len: a.Size - allocatedHeader, Size: a.Size - allocatedHeader}
	}
	id := &ctype.Shape{Kind: ctype.KindStruct, Size: allocatedHeader, Members: []ctype.Member{{Name: "idx", Type: half}, {Name: "genn", Offset: 4, Type: half}}}
	return &ctype.Shape{Kind: ctype.KindStruct, Name: name, Size: a.Size, Members: []ctype.Member{
		{Name: "tid", Type: id}, {Name: "payload", Offset: allocatedHeader, Type: behind},
	}}
}
