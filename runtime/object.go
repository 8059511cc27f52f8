package runtime

import (
	"slices"

	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/internal/convert"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// objectKey identifies a decoded value: by its address in the guest, or, where
// that is unknown, by its place in a source.
type objectKey struct {
	addr   uint64 // or entry*slots+slot
	typ    int    // index in Layout.Types
	source int    // 0, or source.number if addr is none
}

// object is a value that was handed out.
type object struct {
	value any // *V
	key   objectKey
	shape *ctype.Shape // the guest's
	raw   []byte       // the guest's bytes
	from  *origin
	whole *whole // that it was decoded as a part of; nil if it is none

	absent map[convert.Member]string // an object of the kernel: members that the kernel lacks
}

// origin is how an object was reached: it is an entry of a source, or a
// pointer led to it, from such an entry or from another object.
type origin struct {
	source      *source
	entry, slot int
	followed    bool    // from the entry
	parent      *object // from an object; nothing else is set
	kernel      bool    // it is an object of the kernel, known by its address; nothing else is set
}

// root names the entry that the way to an object began at.
func (o *origin) root() string {
	for o.parent != nil {
		o = o.parent.from
	}
	if o.kernel {
		return "an object of the kernel"
	}
	return o.source.Path(o.entry, o.slot)
}

// known returns a decoded object, or nil.
func (b *Binding) known(key objectKey) *object {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.memo[key]
}

// remember adds an object to the memo, whose lock is held.
func (b *Binding) remember(o *object) {
	b.memo[o.key] = o
	b.objects = append(b.objects, o)
}

const maxNoted = 64 // objects of one read that are told of

// noteReads tells whoever wants to know that the objects from index first on are read: the
// one that the test reads last, as the others were only met on the way through its pointers.
func (b *Binding) noteReads(first int) {
	read := b.objects[min(first, len(b.objects)):]
	for _, o := range slices.Backward(read[:min(len(read), maxNoted)]) {
		b.noteRead(o)
	}
}

// noteRead tells of one object. Those of the kernel are not what a test is about.
func (b *Binding) noteRead(o *object) {
	if b.snapshot.OnRead == nil || o.key.source != 0 || o.from.kernel {
		return
	}
	if at := b.memory().Location(o.key.addr); at.Map != nil {
		at.Path, at.Size, at.Shape = b.path(o), len(o.raw), o.shape
		b.snapshot.OnRead(at)
	}
}

// forget removes the objects from index first on. The memo's lock is held.
func (b *Binding) forget(first int) {
	forgotten := b.objects[first:]
	for _, o := range forgotten {
		delete(b.memo, o.key)
	}
	b.objects = b.objects[:first]
	b.restore(forgotten)
}

// load returns a value of a source, decoded at its first use.
func load[V any](s *source, op string, entry, slot int, decode Decode[V]) *V {
	raw, addr, ok := s.Value(entry, slot)
	if !ok {
		s.failUnreadable(op, entry, slot)
		return nil
	}
	key := objectKey{addr: addr, typ: s.typ}
	if addr == 0 {
		key = objectKey{addr: uint64(entry*s.Slots + slot), typ: s.typ, source: s.number}
	}
	if known := s.b.known(key); known != nil {
		s.b.noteRead(known)
		return known.value.(*V)
	}
	v, err := decodeObject(s, key, &origin{source: s, entry: entry, slot: slot}, raw, decode)
	if err != nil {
		s.b.fail(&ktsnap.Error{Op: op, Path: s.Path(entry, slot), Addr: addr, Err: err})
	}
	return v
}

func decodeObject[V any](s *source, key objectKey, from *origin, raw []byte, decode Decode[V]) (*V, error) {
	d := newDecoder(s.b)
	d.lock()
	defer d.unlock()
	if known := s.b.memo[key]; known != nil {
		return known.value.(*V), nil
	}
	slot := slotFor[V](s.b, key, len(raw))
	o := slot.claim(&object{key: key, shape: s.shape, raw: raw, from: from})
	s.b.remember(o)
	if !slot.done {
		decodeInto(d, slot.v, raw, s.plan, &origin{parent: o}, around(decode, slot.before))
	}
	return slot.v, d.err
}

func (s *source) failUnreadable(op string, entry, slot int) {
	s.b.fail(&ktsnap.Error{Op: op, Path: s.Path(entry, slot), Err: s.Unreadable(slot)})
}

// sourceReader decodes the values of a source one after another into the same memory.
type sourceReader[V any] struct {
	*source
	d      *Decoder
	op     string
	decode Decode[V]
	value  V
	last   origin // of value
}

func newSourceReader[V any](s *source, op string, decode Decode[V]) *sourceReader[V] {
	return &sourceReader[V]{
		source: s, d: newDecoder(s.b), op: op, decode: decode,
		last: origin{source: s, entry: -1, followed: true},
	}
}

// read decodes a value. It stays as it is until the next call.
func (r *sourceReader[V]) read(entry, slot int) *V {
	raw, _, ok := r.source.Value(entry, slot)
	if !ok {
		r.failUnreadable(r.op, entry, slot)
		return nil
	}
	r.last.entry, r.last.slot = entry, slot
	r.d.from = &r.last
	r.decode(&r.value, r.d.arrange(raw, r.plan), r.d)
	if r.d.locked || r.d.err != nil {
		r.finish()
	}
	if r.b.snapshot.OnRead != nil {
		r.b.noteRead(r.current())
	}
	return &r.value
}

// current is the value that was decoded last, as an object.
func (r *sourceReader[V]) current() *object {
	from := r.last
	from.followed = false
	raw, addr, _ := from.source.Value(from.entry, from.slot)
	return &object{value: &r.value, key: objectKey{addr: addr, typ: r.typ}, shape: r.shape, raw: raw, from: &from}
}

// finish ends the decoding of a value that pointers were followed from, or that failed.
func (r *sourceReader[V]) finish() {
	r.d.follow()
	r.d.unlock()
	if r.d.err != nil {
		_, addr, _ := r.source.Value(r.last.entry, r.last.slot)
		r.b.fail(&ktsnap.Error{Op: r.op, Path: r.Path(r.last.entry, r.last.slot), Addr: addr, Err: r.d.err})
	}
	r.d.left = r.b.options.maxObjects
}

// interrupted keeps the value that a loop ended at; see nilhop.go.
func (r *sourceReader[V]) interrupted() {
	r.d.unlock()
	if r.last.entry < 0 {
		return
	}
	at := r.current()
	r.b.mu.Lock()
	defer r.b.mu.Unlock()
	r.b.interrupted = at
}
