package cast

import (
	"fmt"
	"slices"

	"github.com/cilium/ebpf/btf"

	"github.com/ktgen/ktgen/object"
	"github.com/ktgen/ktgen/runtime/ctype"
)

// Limits. A program within the kernel verifier's own limits reaches none of
// them except, where many callers differ, maxContexts.
const (
	maxPasses   = 64 // over the whole object, until nothing changes
	maxRestarts = 64 // when slots turn out to hold different things
	maxContexts = 32 // of one function: ways of being called that are told apart
	maxCalls    = 64 // open calls; the kernel allows 8 frames
)

// cell is what the analysis knows of a slot, whatever the object it is in.
type cell struct {
	part    *part               // that the functions are in which access it; nil if none does
	stored  value               // everything that is stored there
	used    pointer             // everything that its content is used as
	shared  pointer             // what all of that begin with
	hinted  pointer             // pointers to integers that it is used as
	alike   pointer             // everything that its content, or that of another place, is used as
	mixed   bool                // it turned out to hold different things
	loose   bool                // what is stored there is from such a place, and nothing shows what it is
	numbers bool                // numbers are stored there that no slot held
	firm    bool                // a pointer is stored there that is from no such place
	boxed   bool                // something is stored there in a struct on the stack
	unboxed bool                // a pointer is stored there in any other
	freed   pointer             // everything that is put into a pool
	unknown bool                // something is stored there that nothing is known of
	fresh   bool                // memory that a call returned is stored there
	shaped  bool                // used is what accesses through it look like
	told    bool                // by the names of members in lines of C
	changes int                 // of either
	changed int                 // when it did last
	reused  int                 // when what it is used as did
	shown   []shownIn           // what instructions show of it, once the analysis has run
	holds   map[int32]objectSet // what its pointers lead into, by the object that it is in
	sources map[int32]bool      // kin of what is stored there without a type
	spaces  spaceSet            // that are known of what it holds
}

// maxSources bounds the kin that are kept of a cell.
const maxSources = 256

// changesBeforeWidening is how often a cell may change before its offsets are
// given up: a list that is walked backwards moves on in every pass.
const changesBeforeWidening = 8

// engine holds what the analysis of one object shares: a memory in which
// slots, not objects, have contents, and the functions. It runs over the
// functions until no cell and no summary changes. All of them only ever grow
// in lattices of finite height.
type engine struct {
	*source
	opts  Options
	parts map[*object.Function]*part
	roots []*function
	left  map[*function]bool                  // that are not analysed by themselves
	args  map[*object.Function]*btf.FuncProto // of struct_ops programs: what the kernel calls them with

	headers map[btf.Type]int64 // that are only declared: where they end

	cells      map[slot]*cell
	mixed      map[slot]bool // hold different things
	loadedFrom map[slot]slot // what holds different things: by where it is loaded

	objects *objects
	rows    map[int32]bool // objects that are rows of words
	unowned map[slot]bool  // stored in through pointers that lead to no object that is known

	apart map[slot]bool // pointers to different things are copied through them
	pools map[slot]bool // hold what is free, of any type

	chains  map[chain]bool
	chained map[slot]bool // get the words that their content begins with

	handed map[slot]map[slot]bool // what functions return as untyped: the results of their calls
	frees  map[*function]uint8    // which of their arguments they put into pools, by bits

	kin        kin
	loads      map[slot]map[instruction]bool // of pointers that nothing is known of, or that are guessed
	stores     map[slot]map[instruction]bool // of pointers that nothing is known of
	outlined   map[trace]bool                // accesses that were seen in contexts that are given up
	typeSpaces map[btf.Type]spaceSet         // that pointers to a type are converted to
	flows      *flows                        // of pointers that nothing is known of

	contexts  map[*function]map[string]*callContext
	values    *values
	callbacks map[*function]*state
	entries   []*callContext // in which the kernel calls functions, in this pass
	current   *callContext   // that is being analysed
	walking   *walk
	clock     int // of changes

	touched map[slot]bool // pointers that are loaded or stored; nil unless that is asked for

	notes map[instruction]*note // nil unless a listing was asked for

	changed bool
	noting  bool // for a listing
	gaps    map[string]bool
}

func newEngine(src *source, opts Options) *engine {
	e := &engine{
		source:     src,
		opts:       opts,
		parts:      make(map[*object.Function]*part),
		args:       make(map[*object.Function]*btf.FuncProto),
		cells:      make(map[slot]*cell),
		mixed:      make(map[slot]bool),
		objects:    newObjects(),
		unowned:    make(map[slot]bool),
		rows:       make(map[int32]bool),
		apart:      make(map[slot]bool),
		loadedFrom: make(map[slot]slot),
		pools:      make(map[slot]bool),
		chains:     make(map[chain]bool),
		chained:    make(map[slot]bool),
		outlined:   make(map[trace]bool),
		handed:     make(map[slot]map[slot]bool),
		frees:      make(map[*function]uint8),
		kin:        kin{number: make(map[slot]int32)},
		contexts:   make(map[*function]map[string]*callContext),
		typeSpaces: make(map[btf.Type]spaceSet),
		headers:    make(map[btf.Type]int64),
		loads:      make(map[slot]map[instruction]bool),
		stores:     make(map[slot]map[instruction]bool),
		callbacks:  make(map[*function]*state),
		gaps:       make(map[string]bool),
		flows:      newFlows(),
	}
	e.values = newValues(e.meet)
	if opts.Listing {
		e.notes = make(map[instruction]*note)
	}
	for _, gap := range src.gaps {
		e.giveUp("%s", gap)
	}
	for _, f := range src.inOrder {
		e.parts[f.Function] = new(part)
		if !refused(f.Function) && (f.Program() || !f.Static || e.without(interprocedural)) {
			e.roots = append(e.roots, f)
		}
	}
	e.typeStructOps()
	e.typeTracing()
	return e
}

// typeStructOps finds out what the kernel calls struct_ops programs with: the
// arguments of the member that they implement.
func (e *engine) typeStructOps() {
	if e.without(structOps) {
		return
	}
	for i := range e.obj.Maps {
		m := &e.obj.Maps[i]
		ops, ok := btf.As[*btf.Struct](m.Value)
		if !ok {
			continue
		}
		for _, member := range ops.Members {
			fn := m.Programs[member.Name]
			ptr, ok := btf.As[*btf.Pointer](member.Type)
			if fn == nil || !ok {
				continue
			}
			if proto, ok := btf.As[*btf.FuncProto](ptr.Target); ok {
				e.args[fn] = proto
			}
		}
	}
}

func (e *engine) giveUp(format string, args ...any) { e.gaps[fmt.Sprintf(format, args...)] = true }

// run analyses until nothing changes.
//
// A slot that turns out to hold different things was taken for something
// before that, and what followed from it may not hold. So the analysis starts
// again, knowing that slot, until no new one turns up.
func (e *engine) run() {
	for range maxRestarts {
		if !e.settle() {
			e.giveUp("the analysis did not settle in %d passes", maxPasses)
			clear(e.cells) // what is not settled is not proven
			return
		}
		if !e.findUnowned() && !e.refute() && !e.restart() && !e.enterUnreached() && !e.guess() && !e.followObjects() {
			e.conclude()
			e.annotateAll()
			return
		}
	}
	e.giveUp("slots that hold different things turned up %d times", maxRestarts)
	clear(e.cells)
}

// enterUnreached makes roots of the functions that nothing is seen to call: their
// addresses are taken, and go where they cannot be followed. It tells whether
// there are any.
func (e *engine) enterUnreached() bool {
	n := len(e.roots)
	dead := e.refusedOnly()
	for _, f := range e.inOrder {
		if len(e.contexts[f]) == 0 && len(f.blocks) > 0 && !dead[f] && !e.left[f] && !slices.Contains(e.roots, f) {
			e.roots = append(e.roots, f)
		}
	}
	return len(e.roots) > n
}

// annotateAll walks once more, for the notes of a listing.
func (e *engine) annotateAll() {
	if e.notes != nil {
		e.noting = true
		e.pass()
	}
}

func (e *engine) settle() bool {
	for range maxPasses {
		e.changed = false
		e.pass()
		if !e.changed {
			return true
		}
	}
	return false
}

// restart forgets everything of the parts in which new slots hold different things, but
// those, and tells whether there are any.
func (e *engine) restart() bool {
	if pools := e.findPools(); len(pools) > 0 {
		e.forget(pools) // what they mixed up may be all that is mixed
		return true
	}
	mixed := e.newlyMixed()
	if len(mixed) == 0 {
		return false
	}
	parts := make(map[*part]bool)
	for _, s := range mixed {
		e.mixed[s], parts[e.partOf(s)] = true, true
	}
	e.forget(parts)
	return true
}

// newlyMixed returns the slots that are found to hold different things now: first
// those that no other one of them is copied to, as what is copied may be one thing
// each time; among those that are copied in circles, the ones that get numbers.
func (e *engine) newlyMixed() (mixed []slot) {
	is := make(map[int32]bool)
	for s, c := range e.cells {
		if c.isMixed() && !e.mixed[s] {
			mixed = append(mixed, s)
			e.kin.of(s)
			is[e.kin.number[s]] = true
		}
	}
	fed := make(map[slot]bool)
	for edge := range e.flows.edges {
		if is[edge.from] && is[edge.to] && edge.from != edge.to {
			fed[e.kin.slots[edge.to]] = true
		}
	}
	for _, isCause := range []func(s slot) bool{
		func(s slot) bool { return !fed[s] },
		func(s slot) bool { return e.cells[s].numbers },
	} {
		if slices.ContainsFunc(mixed, isCause) {
			return slices.DeleteFunc(mixed, func(s slot) bool { return !isCause(s) })
		}
	}
	return mixed
}

// use is what a slot's content is used as: what all uses begin with, if they differ.
func (c *cell) use() pointer {
	if c.used.state == conflicting && c.shared.known() && isOwnAggregate(c.shared) {
		return c.shared
	}
	return c.used
}

// pointer is where a slot's content points.
func (c *cell) pointer() pointer {
	p := c.stored.ptr.usedAs(c.use())
	if p.state == noPointer {
		return c.hinted
	}
	return p
}

// isFinding tells whether a slot holds pointers to one type.
func (c *cell) isFinding() bool {
	p := c.pointer()
	return p.known() && p.region == typed && p.off == (offset{}) && !isView(p.typ) && !c.isMixed()
}

// isGuess tells whether lines of C or the shape of accesses say what a slot holds.
func (c *cell) isGuess() bool { return c.shaped || c.stored.flags&isGuess != 0 }

// isMixed tells whether a slot holds pointers to different things, or pointers
// and numbers.
func (c *cell) isMixed() bool {
	p := c.pointer()
	return c.mixed || c.loose || c.freed.state == conflicting || p.state == conflicting || p.known() && c.stored.flags&isNumber != 0
}

func (e *engine) pass() {
	for _, contexts := range e.contexts {
		for _, c := range contexts {
			c.done = false
		}
	}
	e.entries = e.entries[:0]
	for _, f := range e.roots {
		s := e.rootState(f)
		e.context(f, s).isGiven = !f.Program() && e.called[f]
		e.enter(f, s)
	}
	// Callbacks that are found meanwhile are analysed in the next pass.
	for _, f := range e.callbackOrder() {
		e.enter(f, e.callbacks[f])
	}
}

// enter analyses a function that the kernel calls.
func (e *engine) enter(f *function, s *state) { e.entries = append(e.entries, e.call(f, s, 0)) }

func (e *engine) callbackOrder() []*function {
	fns := make([]*function, 0, len(e.callbacks))
	for f := range e.callbacks {
		fns = append(fns, f)
	}
	slices.SortFunc(fns, func(a, b *function) int { return compareFunctions(a.Function, b.Function) })
	return fns
}

// addCallback notes that the kernel, or a helper, calls f with these arguments.
func (e *engine) addCallback(f *function, given ...value) {
	if e.without(callbacks) {
		return
	}
	args := opaqueArguments()
	for i, v := range given {
		if v.ptr.known() && v.ptr.region == stackRegion {
			v = opaque() // the frame is not there when a timer fires
		}
		args[i] = v
	}
	s := e.entry(args, nil)
	e.current.part.join(e.partOfFunction(f))
	old := e.callbacks[f]
	if old == nil {
		e.callbacks[f] = s
		e.changed = true
		return
	}
	e.changed = old.merge(s, e.values.join) || e.changed
}

// rootState is what the kernel calls a function with.
func (e *engine) rootState(f *function) *state {
	var args [5]value
	for i := range args {
		if args[i] = e.parameter(f, i); !f.Program() && e.called[f] {
			args[i].objects = laterObject // those that the calls pass
		}
	}
	if f.Program() && isContext(f) {
		args[0] = value{ptr: pointer{state: onePointer, region: context, fn: f.Function}}
		if proto := e.args[f.Function]; proto != nil {
			args[0].ptr.typ = proto
		}
	}
	return e.entry(args, nil)
}

// isContext tells whether a program's argument is an array of the arguments
// that the kernel calls it with: what BPF_PROG makes unsigned long long *ctx.
func isContext(f *function) bool {
	proto := prototype(f)
	if proto == nil || len(proto.Params) != 1 {
		return true
	}
	ptr, ok := btf.As[*btf.Pointer](proto.Params[0].Type)
	if !ok {
		return false
	}
	_, number := btf.As[*btf.Int](ptr.Target)
	return number
}

func prototype(f *function) *btf.FuncProto {
	if f.Type == nil {
		return nil
	}
	proto, _ := f.Type.Type.(*btf.FuncProto)
	return proto
}

// parameter is what a function's prototype says of parameter i, counted from 0.
func (e *engine) parameter(f *function, i int) value {
	proto := e.signature(f)
	if proto == nil || i >= len(proto.Params) {
		return opaque()
	}
	v := e.ofType(proto.Params[i].Type, ctype.SpaceUnknown)
	if v.flags&isOpaque != 0 || !f.Program() && isCandidate(proto.Params[i].Type) {
		return e.undeclared(slot{kind: argument, fn: f.Function, off: uint32(i + 1)})
	}
	return v
}

// undeclared is a value that comes from outside, from a place of which its use
// must tell what it holds.
func (e *engine) undeclared(s slot) value {
	c := e.readCell(s)
	v := value{ptr: c.use(), flags: isOpaque, from: origin{state: oneOrigin, slot: s}}
	if c.shaped {
		v.flags |= isGuess
	}
	return e.related(v)
}

// ofType is a value that is declared to be of a type: a pointer into a space,
// possibly null, a number, or something opaque for void * and the like.
func (e *engine) ofType(t btf.Type, space ctype.Space) value {
	target, tags, ok := e.layouts.pointee(t)
	switch {
	case !ok:
		return number(anyNumber)
	case target == nil:
		return opaque()
	}
	return value{ptr: typedPointer(target, spaceOf(tags, space)), flags: isNull}
}

func typedPointer(t btf.Type, space ctype.Space) pointer {
	return pointer{state: onePointer, region: typed, typ: t, space: space}
}

// spaceOf returns the space that a pointer's type tags name.
func spaceOf(tags []string, otherwise ctype.Space) ctype.Space {
	for _, tag := range tags {
		switch tag {
		case "arena", "address_space(1)":
			return ctype.SpaceArena
		case "kptr", "kptr_untrusted", "rcu":
			return ctype.SpaceKernel
		case "percpu_kptr", "percpu":
			return ctype.SpacePerCPU
		case "user", "uptr":
			return ctype.SpaceUser
		}
	}
	return otherwise
}

func (e *engine) cell(s slot) *cell {
	c := e.cells[s]
	if c == nil {
		c = &cell{mixed: e.mixed[s]}
		if s.fn != nil {
			c.part = e.parts[s.fn]
		}
		e.cells[s] = c
	}
	e.reach(c)
	return c
}

// readCell is cell, for what follows from its content.
func (e *engine) readCell(s slot) *cell {
	c := e.cell(s)
	if e.current != nil {
		e.current.reads[c] = true
	}
	return c
}

// fillCell is cell, for what follows from what its content is used as.
func (e *engine) fillCell(s slot) *cell {
	c := e.cell(s)
	if e.current != nil {
		e.current.fills[c] = true
	}
	return c
}

// shape notes that what is known of a cell is guessed.
func (e *engine) shape(c *cell) {
	if !c.shaped {
		c.shaped = true
		e.change()
		c.changed, c.reused = e.clock, e.clock
	}
}

// load is what is read from a slot: what was stored there or, where that has
// no type, what it is used as.
func (e *engine) load(s slot) value {
	c := e.readCell(s)
	if c.mixed && e.walking != nil {
		here := e.walking.here()
		e.loadedFrom[here] = s
		v := e.undeclared(here)
		if !e.isSaid(here) {
			v.flags |= isLoose
		}
		return v
	}
	v := c.stored
	v.ptr = v.ptr.usedAs(c.use())
	if c.shaped {
		v.flags |= isGuess
	}
	if v.flags&isLoose != 0 && c.firm && e.isSaid(s) {
		v.flags &^= isLoose
	}
	v.from = origin{state: oneOrigin, slot: s}
	return e.related(v)
}

// isSaid tells whether lines of C say what a slot leads to.
func (e *engine) isSaid(s slot) bool { return len(e.namesSaidOf(s)) > 0 }

// related is v, loaded from a slot, with the slot's kin.
func (e *engine) related(v value) value {
	s := v.from.slot
	if e.apart[s] && e.walking != nil {
		s = e.walking.here()
	}
	e.kin.of(s)
	v.like = kins{n: 1, ids: [maxKins]int32{e.kin.number[s]}}
	return v
}

// store adds to what a slot holds. Where the value came from learns how the
// slot is used.
func (e *engine) store(s slot, v value, where Evidence) {
	c := e.fillCell(s)
	e.noteKind(c, s, v)
	if e.pools[s] {
		c.freed = c.freed.join(v.ptr)
		e.noteFreed(v)
		v = v.untyped()
	}
	if from := v.from; from.state == oneOrigin && from.off == (offset{}) && from.slot != s && !e.isBoxed() {
		e.use(from.slot, c.use(), where)
		if c.shaped {
			e.shape(e.cell(from.slot))
		}
	}
	e.noteSource(c, s, v)
	v.from, v.like, v.core, v.links, v.objects = origin{}, kins{}, coreNumber{}, links{}, noObject
	v.flags &^= isFresh | isPartly
	if joined := c.stored.join(v); joined != c.stored {
		if c.changes++; c.changes > changesBeforeWidening {
			joined = widened(joined)
		}
		c.stored = joined
		e.change()
		c.changed = e.clock
	}
	e.record(c, where, v)
}

// noteKind notes of what kind a value is that is stored in a slot.
func (e *engine) noteKind(c *cell, s slot, v value) {
	loose := v.flags&isLoose != 0
	c.fresh = c.fresh || v.flags&isFresh != 0
	c.boxed = c.boxed || e.isBoxed()
	c.unboxed = c.unboxed || v.ptr.known() && !e.isBoxed()
	c.firm = c.firm || !loose && v.ptr.known()
	c.numbers = c.numbers || v.flags&isNumber != 0 && v.like.n == 0
	f := &e.current.findings
	if v.ptr.state == noPointer && v.flags&isOpaque != 0 {
		f.unknown = append(f.unknown, c)
	}
	if loose {
		f.loose = append(f.loose, s)
	}
}

// noteSource notes where a value comes from that is stored in a slot.
func (e *engine) noteSource(c *cell, s slot, v value) {
	if v.flags&isLoose == 0 && !e.isBoxed() && (e.walking == nil || len(e.walking.addressesTaken()) == 0) {
		e.copied(v.like, s)
	}
	c.addSources(v)
	e.noteFlow(s, v)
	e.noteChain(s, v)
	if v.ptr.known() {
		e.addSpaces(c, setOf(v.ptr.space))
	}
	if v.from.state == oneOrigin && v.from.slot != s && !v.from.off.anywhere() {
		e.addSpaces(c, e.cell(v.from.slot).spaces)
	}
}

// addSources notes whose kin a value without a type is.
func (c *cell) addSources(v value) {
	if v.ptr.state != noPointer || !v.like.known() || v.like.offset != (offset{}) || len(c.sources) >= maxSources {
		return
	}
	if c.sources == nil {
		c.sources = make(map[int32]bool)
	}
	for _, id := range v.like.ids[:v.like.n] {
		c.sources[id] = true
	}
}

// copied notes that a slot gets what was loaded from others, or a pointer to
// an element of the array that it points to.
func (e *engine) copied(like kins, s slot) {
	if like.known() && !e.apart[s] && !e.mixed[s] && like.offset.base == 0 && like.offset.stride != 1 {
		e.unite(e.merge(like), e.kin.of(s))
	}
}

// use notes that a slot's content is used as a pointer.
func (e *engine) use(s slot, p pointer, where Evidence) {
	if p.state == noPointer || p.known() && p.region != typed {
		return
	}
	c := e.cell(s)
	e.addSpaces(c, setOf(p.space))
	joined, shared := c.used.joinUse(p), c.shared.join(p)
	if joined != c.used || shared != c.shared {
		c.used, c.shared = joined, shared
		e.change()
		c.changed, c.reused = e.clock, e.clock
	}
	e.record(c, where, value{ptr: p})
}

// useWeakly notes that a slot's content is used as a pointer to integers.
func (e *engine) useWeakly(s slot, p pointer, where Evidence) {
	c := e.cell(s)
	c.hinted = c.hinted.join(p)
	e.record(c, where, value{ptr: p})
}
