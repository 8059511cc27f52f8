package runtime

import (
	"reflect"

	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/internal/convert"
	"github.com/ktgen/ktgen/runtime/internal/errtext"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// Ptr is a pointer of the guest that is not followed by itself: to an object of the kernel,
// which [Ptr.Deref] reads, or from within a union, where it need not be a pointer at all.
//
// Two of them that were read through the same snapshot are equal if they lead
// to the same address. In keys of maps only the address counts, so that [PtrTo] finds entries.
type Ptr[T any] struct {
	addr   ktsnap.Address
	target *target[T] // nil where T cannot be read
}

// target is what pointers to one type of the kernel share.
type target[T any] struct {
	b      *Binding
	typ    int // in Layout.Types
	decode Decode[T]
	given  []*T // of a fixture; nothing else is set
}

// PtrTo returns a pointer with a given address, which cannot be dereferenced.
func PtrTo[T any](addr uint64) Ptr[T] { return Ptr[T]{addr: ktsnap.Address(addr)} }

// PtrAt returns a pointer to an object of the kernel, of type typ of the layout.
func PtrAt[T any](d *Decoder, addr uint64, typ int, decode Decode[T]) Ptr[T] {
	if addr == 0 || d == nil {
		return PtrTo[T](addr)
	}
	known := &d.b.types[typ].target
	t, _ := known.Load().(*target[T])
	if t == nil {
		known.CompareAndSwap(nil, &target[T]{b: d.b, typ: typ, decode: decode})
		t = known.Load().(*target[T])
	}
	return Ptr[T]{ktsnap.Address(addr), t}
}

// forgetTarget makes a [Ptr] equal to all that lead to its address. Other values stay as they are.
func forgetTarget(part any) bool {
	p, ok := part.(interface{ forget() bool })
	return ok && p.forget()
}

func (p *Ptr[T]) forget() bool { p.target = nil; return true }

// Addr returns the address as the guest's program stored it.
func (p Ptr[T]) Addr() uint64 { return uint64(p.addr) }

// IsNull tells whether the pointer is NULL.
func (p Ptr[T]) IsNull() bool { return p.addr == 0 }

// String returns the address in hexadecimal, or "NULL".
func (p Ptr[T]) String() string { return p.addr.String() }

// Deref returns the object of the kernel that p points to, and fails as
// [Ptr.Lookup] does. The same object is always the same Go pointer. NULL panics, as it is
// of no snapshot; [Catch] makes a failure of that.
//
// Its layout is that of the guest's kernel, whichever that is: members are
// found by name, and those that the kernel lacks are zero; see [Absent].
func (p Ptr[T]) Deref() *T {
	v, err := p.Lookup()
	if err != nil {
		p.fail("Deref", err)
	}
	return v
}

func (p Ptr[T]) fail(op string, err error) {
	e := &ktsnap.Error{Op: op, Path: reflect.TypeFor[T]().Name(), Addr: uint64(p.addr), Err: err}
	if p.target == nil || p.target.b == nil {
		panic(e)
	}
	p.target.b.fail(e)
}

// Lookup is [Ptr.Deref] that returns why there is no object:
//
//   - a [*ktsnap.NullError];
//   - a [*ktsnap.NotCapturedError] if the capture did not follow the pointer;
//   - an [*ktsnap.UnreadableError] if there is no memory at its address;
//   - a [*ktsnap.ContradictionError] if something else is there;
//   - a [*ktsnap.NotFollowedError] if a limit of the capture was reached;
//   - a [*ktsnap.NotBoundError] if generated code cannot read the type.
func (p Ptr[T]) Lookup() (*T, error) {
	if p.addr == 0 || p.target == nil {
		return nil, p.none()
	}
	return p.target.lookup(uint64(p.addr))
}

// none is why a pointer leads to nothing that can be read.
func (p Ptr[T]) none() error {
	if p.addr == 0 {
		return &ktsnap.NullError{}
	}
	return &ktsnap.NotFollowedError{Addr: uint64(p.addr), Reason: errtext.Untargeted(reflect.TypeFor[T]())}
}

func (t *target[T]) lookup(addr uint64) (*T, error) {
	b := t.b
	key := objectKey{addr: addr, typ: t.typ}
	if known := b.known(key); known != nil {
		return known.value.(*T), nil
	}
	want := b.shapes.types[t.typ]
	captured := b.memory().KernelObject(addr, want.Stripped().Name)
	if captured == nil {
		return nil, b.snapshot.NotCopied(addr, want)
	}
	if err := captured.Err(); err != nil {
		return nil, err
	}
	d := newDecoder(b)
	d.lock()
	defer d.unlock()
	if known := b.memo[key]; known != nil {
		return known.value.(*T), nil
	}
	bound, err := b.kernelType(t.typ, captured.Type)
	if err != nil {
		return nil, err
	}
	o := &object{
		value: new(T), key: key, shape: captured.Type, raw: captured.Bytes(),
		from: &origin{kernel: true}, absent: bound.absent,
	}
	b.remember(o)
	decodeInto(d, o.value.(*T), o.raw, bound.plan, &origin{parent: o}, t.decode)
	return o.value.(*T), d.err
}

// kernelLayout is how the guest's kernel holds one of Layout.Types.
type kernelLayout struct {
	plan   *convert.Plan
	absent map[convert.Member]string // members of the generated type that the kernel lacks, and what it has instead
}

// kernelType binds a type of the layout to a shape of the kernel's. The memo's lock is held.
func (b *Binding) kernelType(typ int, have *ctype.Shape) (*kernelLayout, error) {
	want := b.shapes.types[typ]
	key := convert.Pair{Want: want, Have: have}
	if known := b.kernelTypes[key]; known != nil {
		return known, nil
	}
	c := convert.New()
	c.Absent = make(map[convert.Member]string)
	plan, ok := c.Plan(ctype.Spell(want), want, have)
	if !ok {
		return nil, &ktsnap.NotBoundError{Type: ctype.Spell(want), Reason: c.Differences[0].Have}
	}
	bound := &kernelLayout{plan: plan, absent: c.Absent}
	b.kernelTypes[key] = bound
	return bound, nil
}

// Absent tells whether the field that p points to, of a struct of the kernel, was not read
// and is zero: the guest's kernel lacks the member, or has it with a type that the field
// cannot hold. It fails as [Addr] does.
func Absent(snap Bound, p any) bool {
	return snap.Binding().locate(opAbsent, p).missing != ""
}

// opAbsent is the one operation on members that there need not be.
const opAbsent = "Absent"
