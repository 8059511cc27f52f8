package ktsnap

import (
	"fmt"

	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/internal/errtext"
)

// Value is a value in a snapshot that was found by its path, or the reason why
// it was not. Errors stick: each method of a Value that was not found returns
// the error of the step that failed, so that a chain is checked once, at its
// end.
//
// A Value is read when it is asked for, out of the captured bytes.
type Value struct {
	root  Entry // which the path begins at
	key   bool  // it begins at the entry's key
	path  string
	shape *ctype.Shape // nil if the guest has no BTF for it
	data  []byte       // all of it; for a bitfield the bytes that hold it
	addr  uint64       // in the guest; 0 if unknown
	bits  uint8        // width of a bitfield; else 0
	first uint8        // of a bitfield: see Member.BitOffset
	err   error

	kernel bool // it is in an object of the kernel

	open bool // nothing says how large the object is that it is of, and that ends in a flexible array

	nodes *nodeList     // of a list or tree; else nil
	heads *ctype.Member // which says what is in the lists or trees that it is an array of; else nil
}

// maxHops bounds the pointers that one step of a path follows.
const maxHops = 16

// maxWalked bounds the path before a call of Get that is repeated in full, in
// bytes: a loop along a list makes paths of any length.
const maxWalked = 512

// Get goes on along a path: members separated by dots, elements as [3], and
// members whose names hold dots as ["a.b"]. Members of anonymous structs and
// unions are members of what these are in. Pointers are followed, up to 16 in
// a row, so that a path is written as the C source would with each "->" a dot.
// An index after a pointer is the pointed-at array's, or counts objects as C
// does. The empty path is the value itself, and Get("a").Get("b") is
// Get("a.b").
func (v Value) Get(path string) Value {
	v.walk(path)
	return v
}

// walk goes on along a path, to a value that was not found if it leads nowhere.
func (v *Value) walk(path string) {
	if v.err != nil || path == "" {
		return
	}
	if len(path) > maxPath {
		*v = v.failed("Get", &PathSyntaxError{Requested: path, Offset: maxPath, Problem: fmt.Sprintf("it is longer than %d bytes", maxPath)})
		return
	}
	if len(v.path) > maxWalked {
		v.path = errtext.Clip(v.path)
	}
	at, requested := len(v.path), joinPath(v.path, path)
	v.path = requested
	for at < len(requested) {
		s, next, err := nextStep(requested, at)
		if err == nil {
			err = v.take(s, requested[:at])
		}
		if err != nil {
			*v = v.failed("Get", err)
			return
		}
		at = next
	}
}

// Take goes one step on. The path before it is for messages.
func (v *Value) take(s step, walked string) error {
	if v.shape == nil {
		return v.noShape()
	}
	if s.name != "" {
		return v.member(s.name, walked)
	}
	return v.element(s.index, walked)
}

// noShape is the error for a value without a type.
func (v *Value) noShape() error {
	if v.root.m == nil {
		return &NoCaptureError{}
	}
	side := "value"
	if v.key {
		side = "key"
	}
	return &NoShapeError{Map: v.root.m.Name, Side: side}
}

// member goes to a member, through pointers.
func (v *Value) member(name, walked string) error {
	u := v.shape.Underlying()
	for hops := 0; u.Kind == ctype.KindPointer && hops < maxHops; hops++ {
		if err := v.hop(u, 0, walked); err != nil {
			return err
		}
		u = v.shape.Underlying()
	}
	switch u.Kind {
	case ctype.KindStruct, ctype.KindUnion, ctype.KindSection:
	default:
		return &NotAStructError{Requested: v.path, Walked: walked, Component: name, Kind: kindName(u), Type: ctype.Spell(v.shape)}
	}
	x, err := v.root.m.r.layouts.Fields(u)
	if err != nil {
		return err
	}
	i, exists := x.ByName[name]
	if !exists {
		return &FieldNotFoundError{Requested: v.path, Walked: walked, Component: name, Type: ctype.Spell(v.shape), Available: x.Names()}
	}
	v.enter(&x.Fields[i])
	return nil
}

// enter goes to a member of the struct that v is.
func (v *Value) enter(m *ctype.Member) {
	v.data = m.Bytes(v.data)
	v.shape, v.bits, v.first, v.heads = m.Type, m.Bits, m.BitOffset, nil
	if v.addr != 0 {
		v.addr += uint64(m.Offset)
	}
	if _, _, ok := m.Contains(); ok {
		v.expand(m)
	}
}

// element goes to an element of an array, or of what a pointer points at.
func (v *Value) element(i int, walked string) error {
	u := v.shape.Underlying()
	if u.Kind == ctype.KindPointer {
		if elem := u.Elem.Underlying(); !u.IsPerCPU() && (elem == nil || elem.Kind != ctype.KindArray) {
			return v.hop(u, i, walked)
		}
		if err := v.hop(u, 0, walked); err != nil {
			return err
		}
		u = v.shape.Underlying()
	}
	if u.Kind != ctype.KindArray {
		return &NotAnArrayError{Requested: v.path, Walked: walked, Index: i, Kind: kindName(u), Type: ctype.Spell(v.shape)}
	}
	if n := v.elements(u); i >= n {
		e := &IndexOutOfRangeError{Map: v.root.text(v.key, walked), Index: i, Len: n}
		if v.MayHaveMore() {
			e.Unsized = v.addr
		}
		return e
	}
	if v.nodes != nil {
		return v.enterNode(i)
	}
	v.enterElement(u, i)
	return nil
}

// elements is how many elements the array that v is has: a flexible one as many
// as there is room for.
func (v *Value) elements(array *ctype.Shape) int {
	if array.Len == 0 && v.nodes == nil && array.Elem.Size > 0 {
		return len(v.data) / array.Elem.Size
	}
	return array.Len
}

// MayHaveMore tells whether v is a flexible array with more elements than are known, perhaps: an
// arena does not say how large its objects are.
func (v *Value) MayHaveMore() bool {
	u := v.underlying()
	return v.open && u != nil && u.Kind == ctype.KindArray && u.Len == 0 && v.nodes == nil
}

// enterElement goes to element i of the array that v is. An object of a list
// that cannot be read is a value that was not found.
func (v *Value) enterElement(array *ctype.Shape, i int) {
	if v.nodes != nil {
		if err := v.enterNode(i); err != nil {
			*v = v.failed("At", err)
		}
		return
	}
	size := array.Elem.Size
	v.shape, v.data = array.Elem, v.data[i*size:(i+1)*size:(i+1)*size]
	if v.addr != 0 {
		v.addr += uint64(i) * uint64(size)
	}
	if v.heads != nil {
		v.expand(v.heads)
	}
}

// hop goes to object i of those that the pointer v points at, which walked
// leads to.
func (v *Value) hop(pointer *ctype.Shape, i int, walked string) error {
	if err := v.follow(pointer, i); err != nil {
		return &Error{Op: "follow", Path: v.root.text(v.key, walked), Err: err}
	}
	return nil
}

// follow is hop without the path.
func (v *Value) follow(pointer *ctype.Shape, i int) error {
	addr := v.load(pointer)
	if addr == 0 {
		return &NullError{}
	}
	if pointer.IsPerCPU() {
		o, err := v.root.m.r.snapshot.PerCPU(addr, pointer.Elem)
		if err != nil {
			return err
		}
		return v.enterKernel(o)
	}
	err := v.followProgram(pointer, addr, i)
	if err == nil || i != 0 {
		return err
	}
	name := targetName(pointer.Elem)
	captured := v.root.m.r.memory().KernelObject(addr, name)
	switch {
	case captured == nil && v.kernel && name != "":
		return v.root.m.r.snapshot.NotCopied(addr, pointer.Elem)
	case captured == nil:
		return err
	}
	return v.enterKernel(captured)
}

// targetName is the tag of the struct or union that a pointer leads to, as the
// kernel has it.
func targetName(s *ctype.Shape) string {
	u := s.Underlying()
	if u == nil {
		return ""
	}
	switch u.Kind {
	case ctype.KindStruct, ctype.KindUnion, ctype.KindFwd:
		return ctype.EssentialName(u.Name)
	}
	return ""
}

// enterKernel goes to an object of the kernel.
func (v *Value) enterKernel(o *KernelObject) error {
	if err := o.Err(); err != nil {
		return err
	}
	if err := v.root.m.r.layouts.Check(o.Type); err != nil {
		return fmt.Errorf("the snapshot is damaged: the kernel's type %s: %w", ctype.Spell(o.Type), err)
	}
	v.shape, v.data, v.addr, v.open, v.kernel = o.Type, o.Bytes(), o.Addr, false, !o.Allocated
	return nil
}

// followProgram is follow for pointers to objects of the program.
func (v *Value) followProgram(pointer *ctype.Shape, addr uint64, i int) error {
	r := v.root.m.r
	if pointer.Space == ctype.SpaceKernel {
		return r.snapshot.NotCopied(addr, pointer.Elem)
	}
	target := r.asAllocated(pointer.Elem, addr)
	if target == nil {
		var err error
		if target, err = r.pointee(pointer.Elem); err != nil {
			return err
		}
	}
	addr = r.memory().Canonical(addr)
	offset, ok := product(i, target.Size)
	if !ok || addr+offset < addr {
		return &NotCapturedError{Addr: addr, Type: ctype.Spell(target)}
	}
	if err := r.snapshot.Outgrown(addr+offset, target); err != nil {
		return err
	}
	data, captured := r.memory().Value(addr+offset, target)
	if !captured {
		return r.memory().Missing(pointer, addr+offset, target)
	}
	v.shape, v.data, v.addr, v.heads, v.kernel = target, data, addr+offset, nil, false
	v.open = target.OpenEnded() && r.memory().unsized(addr+offset, target)
	return nil
}

// product multiplies two numbers that are not negative; ok is false if the
// result has more than 63 bits.
func product(a, b int) (p uint64, ok bool) {
	const limit = 1<<63 - 1
	return uint64(a) * uint64(b), b == 0 || uint64(a) <= limit/uint64(b)
}

// pointee returns the shape of what pointers to s lead to, after checking it.
func (r *reader) pointee(s *ctype.Shape) (*ctype.Shape, error) {
	if u := s.Underlying(); u != nil && u.Kind == ctype.KindFwd {
		definition, err := r.snapshot.Definition(u)
		if err != nil {
			return nil, err
		}
		s = definition
	}
	if !ctype.HasSize(s) {
		return nil, &NotBoundError{Type: ctype.Spell(s), Reason: "the program does not say what is there"}
	}
	if err := r.layouts.Check(s); err != nil {
		return nil, fmt.Errorf("the snapshot is damaged: the type %s: %w", ctype.Spell(s), err)
	}
	return s, nil
}

// Deref follows the pointer that v is.
func (v Value) Deref() Value {
	u := v.underlying()
	switch {
	case v.err != nil:
		return v
	case v.shape == nil:
		return v.failed("Deref", v.noShape())
	case u.Kind != ctype.KindPointer:
		return v.failed("Deref", v.mismatch("Ptr", "", ""))
	}
	if err := v.follow(u, 0); err != nil {
		return v.failed("Deref", err)
	}
	return v
}

// Err returns why there is no value, or nil.
func (v Value) Err() error { return v.err }

// Path names the value as errors do: scx_per_task[cpu=1][3].ctx.weight.
func (v Value) Path() string { return v.root.text(v.key, v.path) }

// Addr returns the value's address in the guest, for a bitfield that of the
// byte where it begins; 0 if the snapshot does not say.
func (v Value) Addr() uint64 { return v.addr }

// Shape returns the value's type in the guest; nil if the value was not found
// or the guest has no BTF for it.
func (v Value) Shape() *ctype.Shape {
	if v.err != nil {
		return nil
	}
	return v.shape
}

// failed returns v as not found.
func (v Value) failed(op string, err error) Value {
	return Value{root: v.root, key: v.key, path: v.path, err: v.fail(op, err)}
}

// fail is the error of an operation on v.
func (v *Value) fail(op string, err error) error {
	e := &Error{Op: op, Path: v.root.text(v.key, v.path), Addr: v.addr, Err: err}
	v.root.seen.note(e)
	return e
}

// underlying is the shape of v without typedefs; nil if there is none.
func (v *Value) underlying() *ctype.Shape {
	if v.shape == nil {
		return nil
	}
	return v.shape.Underlying()
}
