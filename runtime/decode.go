package runtime

import (
	"fmt"

	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/internal/convert"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// Decoder is what generated decoders decode with: it follows the pointers that
// they meet. It is valid during the call it is passed to.
//
// It does not recurse: it allocates what a pointer leads to, once, and queues it. So
// lists may be of any length, and cycles end.
type Decoder struct {
	b      *Binding
	locked bool    // holds b.mu
	first  int     // of b.objects that it decodes
	from   *origin // of what is being decoded
	queue  []func()
	left   int // objects that may still be followed
	err    error
	buffer []byte // rearranged bytes of the value that is decoded
}

// Decode is the signature of generated decoders: it fills *v from b, which
// has the layout that the code was generated for.
type Decode[V any] = func(v *V, b []byte, d *Decoder)

func newDecoder(b *Binding) *Decoder { return &Decoder{b: b, left: b.options.maxObjects} }

// decodeInto decodes raw bytes of the guest into v and follows its pointers.
func decodeInto[V any](d *Decoder, v *V, raw []byte, p *convert.Plan, from *origin, decode Decode[V]) {
	d.from = from
	decode(v, d.arrange(raw, p), d)
	d.follow()
}

// follow decodes what pointers have led to, until they lead to nothing new.
func (d *Decoder) follow() {
	for next := 0; next < len(d.queue); next++ {
		d.queue[next]()
	}
	clear(d.queue)
	d.queue = d.queue[:0]
}

// arrange returns raw as the generated code expects it.
func (d *Decoder) arrange(raw []byte, p *convert.Plan) []byte {
	if p == nil {
		return raw
	}
	size := p.SizeFor(len(raw))
	if cap(d.buffer) < size {
		d.buffer = make([]byte, size)
	}
	d.buffer = d.buffer[:size]
	if err := p.Apply(d.buffer, raw); err != nil && d.err == nil {
		d.err = err
	}
	return d.buffer
}

func (d *Decoder) lock() {
	if !d.locked {
		d.b.mu.Lock()
		d.locked, d.first = true, len(d.b.objects)
	}
}

// unlock ends the decoder's hold on the memo, which keeps no values of a read that failed.
func (d *Decoder) unlock() {
	if !d.locked {
		return
	}
	if d.err != nil {
		d.b.forget(d.first)
	}
	d.b.noteReads(d.first)
	d.locked = false
	d.b.mu.Unlock()
}

// Follow returns what a pointer of the guest leads to, of type typ of the layout. It is nil if
// the pointer is NULL, leads to memory that was not captured, or was not followed; [PointerAt]
// tells these apart. The read fails if the memory is an arena's; see [StalePointers]. The same
// object is always the same Go pointer: the address of a field, if it lies in another one.
func Follow[T any](d *Decoder, addr uint64, typ int, decode Decode[T]) *T {
	if addr == 0 || d == nil || d.b.types[typ].shape == nil {
		return nil
	}
	b, bound := d.b, &d.b.types[typ]
	stored, addr := addr, b.memory().Canonical(addr)
	key := objectKey{addr: addr, typ: typ}
	if !d.locked {
		if known := b.known(key); known != nil {
			return known.value.(*T)
		}
		d.lock()
	}
	if known := b.memo[key]; known != nil {
		return known.value.(*T)
	}
	raw, ok := d.behind(stored, addr, bound.shape)
	if !ok {
		return nil
	}
	slot := slotFor[T](b, key, bound.shape.Size)
	if d.left == 0 && !slot.done {
		d.limit(addr)
		return nil
	}
	from := *d.from // which changes from element to element
	o := slot.claim(&object{key: key, shape: bound.shape, raw: raw, from: &from})
	b.remember(o)
	if slot.done {
		return slot.v
	}
	d.left--
	fill := around(decode, slot.before)
	d.queue = append(d.queue, func() {
		d.from = &origin{parent: o}
		fill(o.value.(*T), d.arrange(raw, bound.plan), d)
	})
	return o.value.(*T)
}

// limit leaves a pointer alone. Unless the limit was chosen the read fails: nil would pass for a list's end.
func (d *Decoder) limit(addr uint64) {
	b, n := d.b, d.b.options.maxObjects
	if n == defaultMaxObjects && d.err == nil {
		d.err = fmt.Errorf("%s leads to too many objects: %w", d.from.root(), &ktsnap.NotFollowedError{Addr: addr, Limit: n})
	} else if !b.limited {
		b.note("%s leads to more than %d objects; pointers to further ones are nil (ktrt.MaxObjects)", d.from.root(), n)
	}
	b.limited = true
}

// behind returns what a pointer leads to, if all of it was captured.
func (d *Decoder) behind(stored, addr uint64, want *ctype.Shape) (raw []byte, ok bool) {
	if d.b.snapshot.Outgrown(addr, want) != nil {
		return nil, false
	}
	if raw, ok = d.b.memory().Value(addr, want); !ok {
		d.miss(stored, addr, want)
	}
	return raw, ok
}

// miss fails the read if a pointer leads into an arena, where nil would pass for the end of
// a list. Elsewhere the value need not be a pointer, and once it is told that it may be one.
func (d *Decoder) miss(stored, addr uint64, want *ctype.Shape) {
	b := d.b
	missing, sure := b.snapshot.Unheld(stored)
	switch {
	case missing == "" || d.err != nil:
	case sure && !b.options.stale:
		d.err = fmt.Errorf("%s leads to nothing: %w", b.path(&object{key: objectKey{addr: addr}, from: d.from}), &ktsnap.NotCapturedError{Addr: addr, Type: ctype.Spell(want), Reason: missing})
	case !b.unheld && !b.options.stale:
		b.unheld = true
		b.note("%s has a pointer to %#x, which is not in the snapshot; it is nil, and so may be others: %s", d.from.root(), stored, missing)
	}
}

// note tells the test something, if there is one. The memo's lock is held.
func (b *Binding) note(format string, args ...any) {
	if b.tb != nil {
		fmt.Fprintf(b.tb.Output(), "ktgen: note: "+format+"\n", args...)
	}
}
