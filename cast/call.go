package cast

// This file handles calls: of subprograms, kfuncs and helpers.

import (
	"slices"
	"strings"

	"github.com/cilium/ebpf/btf"

	ktbtf "github.com/ktgen/ktgen/btf"
	"github.com/ktgen/ktgen/object"
	"github.com/ktgen/ktgen/runtime/ctype"
)

func (w *walk) callInsn(insn object.Insn) {
	ref, ok := w.fn.code.Refs[w.at]
	if start, ok := w.fn.names(w.at); ok {
		w.subprogram(start)
		return
	}
	switch {
	case ok && ref.Kind == object.RefExtern:
		w.kfunc(ref.Extern)
	case ok && w.elsewhere(ref.Symbol):
	case insn.Src == 0 && !ok:
		w.helper(insn.Imm)
	default:
		w.giveUp("%s: instruction %d calls what the object does not describe", w.fn.Name, w.at-w.fn.start)
		w.finishCall(opaque(), true)
	}
}

// clobber forgets the registers that a call does not keep.
func (w *walk) clobber() {
	for i := 1; i <= 5; i++ {
		w.regs[i] = opaque()
	}
}

// finishCall sets a call's result. Where the callee can write to the stack, it
// has.
func (w *walk) finishCall(result value, writes bool) {
	if writes {
		w.writtenByCallee()
	}
	w.clobber()
	w.regs[0] = result
}

// writtenByCallee forgets the stack that the arguments of a call point to: as
// many bytes as the next argument says, as helpers take buffers, or all up to
// the end of the frame.
func (w *walk) writtenByCallee() {
	for i := 1; i <= 5; i++ {
		p := w.regs[i].ptr
		if !p.known() || p.region != stackRegion {
			continue
		}
		from, ok := p.off.exact()
		if !ok {
			from = -stackSize
		}
		to := int64(0)
		if i < 5 {
			if n, ok := w.regs[i+1].asNumber(); ok {
				if size, ok := n.Const(); ok && size > 0 && size <= stackSize {
					to = from + size
				}
			}
		}
		w.stack = w.stack.without(p.frame, from, to, w.values.id(opaque()))
	}
}

// unnamed is the result of a call that no type describes: what it points to
// shows in what it is used as.
func (w *walk) unnamed() value {
	v := w.undeclared(w.here())
	v.flags |= isNull | isFresh
	return v
}

// here is the place of what an instruction gets from where no type describes it.
func (w *walk) here() slot {
	return slot{kind: result, fn: w.fn.Function, off: uint32(w.at - w.fn.start)}
}

// subprogram calls a function of the object.
func (w *walk) subprogram(start entryPoint) {
	f := w.functions[start]
	if f == nil {
		w.giveUp("%s: instruction %d calls %s, where no function starts", w.fn.Name, w.at-w.fn.start, start)
		w.finishCall(opaque(), true)
		return
	}
	w.checkArguments(w.signature(f))
	if w.without(interprocedural) {
		w.finishCall(w.declaredResult(f), true)
		return
	}
	entry, inner := w.enter(f)
	made := w.call(f, entry, w.depth+1)
	exit := made.exit
	if exit == nil {
		w.dead = true // as far as is known
		return
	}
	if inner {
		w.stack = w.engine.deeper(exit.stack, -1)
		w.outcome = &outcome{at: w.at, stack: w.stack, ends: made.ends}
	}
	r0 := w.returned(made, w.values.all[exit.regs[0]])
	w.finishCall(r0, false)
}

// declaredResult is what a function's prototype says of its result.
func (w *walk) declaredResult(f *function) value {
	if proto := prototype(f); proto != nil {
		return w.ofType(proto.Return, ctype.SpaceUnknown)
	}
	return opaque()
}

// checkArguments uses what a prototype says of the arguments.
func (w *walk) checkArguments(proto *btf.FuncProto) {
	if proto == nil {
		return
	}
	for i, p := range proto.Params {
		if i >= 5 {
			return
		}
		target, tags, ok := w.layouts.pointee(p.Type)
		switch {
		case !ok || target == nil:
		case isScalar(target):
			w.hint(w.regs[1+i], target, spaceOf(tags, ctype.SpaceUnknown))
		case w.passesFirst(w.regs[1+i], target):
			w.regs[1+i] = firstPart(w.regs[1+i], target, spaceOf(tags, w.regs[1+i].ptr.space))
		default:
			w.regs[1+i] = w.expect(w.regs[1+i], target, spaceOf(tags, ctype.SpaceUnknown))
		}
	}
}

// isScalar tells whether a type is one whose pointers say little: a u64 *
// parameter takes the address of any integer.
func isScalar(t btf.Type) bool {
	switch t.(type) {
	case *btf.Struct, *btf.Union, *btf.Fwd:
		return false
	}
	return true
}

// passesFirst tells whether the line of a call may pass the address of what v leads to
// begins with, a t: that says nothing of v. A member that no struct has may be of one
// that the object does not describe.
func (w *walk) passesFirst(v value, t btf.Type) bool {
	if v.ptr.known() && (v.ptr.typ == t || v.ptr.off != (offset{}) || v.ptr.region != typed) ||
		v.from.state == oneOrigin && v.from.off != (offset{}) {
		return false
	}
	return slices.ContainsFunc(w.membersAddressed(), func(name string) bool {
		known := false
		return slices.ContainsFunc(w.structs(), func(s *btf.Struct) bool {
			known = known || hasMember(s, name, maxNesting)
			return len(s.Members) > 0 && s.Members[0].Name == name && w.layouts.canonical(s.Members[0].Type) == t
		}) || !known
	})
}

// firstPart is the address of what v leads to begins with.
func firstPart(v value, t btf.Type, space ctype.Space) value {
	return value{ptr: typedPointer(t, space), flags: v.flags & (isNull | isOpaque)}
}

// enter returns the state in which f starts, and whether it can reach frames
// of its callers.
func (w *walk) enter(f *function) (entry *state, inner bool) {
	args := opaqueArguments()
	proto := w.signature(f)
	for i := range args {
		if proto != nil && i >= len(proto.Params) {
			break // not an argument: left over from before
		}
		if proto != nil && w.frees[f]&(1<<i) != 0 && isCandidate(proto.Params[i].Type) {
			args[i] = w.undeclared(slot{kind: argument, fn: f.Function, off: uint32(i + 1)})
			args[i].objects = w.objects.union(laterObject, w.objectsOf(w.regs[1+i]))
			continue
		}
		v := deeper(w.regs[1+i], 1)
		v.core = coreNumber{}
		inner = inner || v.ptr.known() && v.ptr.region == stackRegion
		args[i] = v
	}
	if !inner {
		return w.entry(args, nil), false
	}
	return w.entry(args, w.engine.deeper(w.stack, 1)), true
}

// returned is the result of a call of f. A function that returns what an
// untyped call gave it, such as an allocator, is one itself, also if it may return
// what was freed before instead: each caller takes the memory for what it needs.
func (w *walk) returned(made *callContext, v value) value {
	f := made.fn
	v = deeper(v, -1)
	if w.isHandedOut(f, v) {
		outer := w.inSpaceOf(w.unnamed(), v)
		v.objects = w.handedOut(v)
		w.hand(v.like, outer.from.slot)
		for id := range made.gives {
			w.hand(kins{n: 1, ids: [maxKins]int32{id}}, outer.from.slot)
		}
		if v.flags&isFresh != 0 {
			v.flags &^= isLoose
		}
		v.from, v.like, v.ptr, v.flags = outer.from, outer.like, outer.ptr, v.flags|outer.flags
	}
	proto := prototype(f)
	if proto == nil {
		return v
	}
	if target, tags, ok := w.layouts.pointee(proto.Return); ok && target != nil && !isScalar(target) {
		v = w.expect(v, target, spaceOf(tags, ctype.SpaceUnknown))
	}
	return v
}

// kfunc calls a function of the kernel, by its prototype.
func (w *walk) kfunc(x *object.Extern) {
	fn, ok := x.Type.(*btf.Func)
	if !ok {
		w.finishCall(opaque(), true)
		return
	}
	if !w.knownKfunc(x.Name) {
		w.external(fn, ctype.SpaceKernel)
	}
}

// elsewhere calls a function that another object defines, which this one is yet
// to be linked with, and tells whether the object describes one of that name.
func (w *walk) elsewhere(name string) bool {
	var fn *btf.Func
	if name == "" || w.obj.Types.TypeByName(name, &fn) != nil {
		return false
	}
	w.external(fn, ctype.SpaceUnknown)
	return true
}

// external calls what is only declared, by its prototype.
func (w *walk) external(fn *btf.Func, space ctype.Space) {
	proto, _ := fn.Type.(*btf.FuncProto)
	w.checkArguments(proto)
	if proto == nil {
		w.finishCall(opaque(), true)
		return
	}
	v := w.ofType(proto.Return, space)
	if v.flags&isOpaque != 0 {
		v = w.untyped()
		if v.from.state == oneOrigin && v.from.slot == w.here() {
			v.objects = w.allocated()
		}
		if fn.Name == "bpf_arena_alloc_pages" && v.from.state == oneOrigin {
			w.addSpaces(w.cell(v.from.slot), setOf(ctype.SpaceArena))
		}
	}
	w.finishCall(v, true)
}

// untyped is the result of a kfunc that returns void *. If it takes the id of
// a type, like bpf_obj_new and bpf_rdonly_cast, the result is of that type;
// what is cast by that was one before.
func (w *walk) untyped() value {
	for i := 1; i <= 5; i++ {
		id := w.regs[i].core
		t := w.layouts.canonical(id.typ)
		if id.role != idOf || t == nil {
			continue
		}
		for j := 1; j < i; j++ {
			w.expect(w.regs[j], t, ctype.SpaceUnknown)
		}
		return value{ptr: typedPointer(t, ctype.SpaceKernel), flags: isNull}
	}
	return w.unnamed()
}

// knownKfunc handles the kfuncs that do more than their prototype says. Some
// have a variant for an argument that the verifier adds.
func (w *walk) knownKfunc(name string) bool {
	switch strings.TrimSuffix(name, "_impl") {
	case "bpf_refcount_acquire", "bpf_cast_to_kern_ctx":
		w.finishCall(w.regs[1], false)
	case "bpf_list_pop_front", "bpf_list_pop_back", "bpf_list_front", "bpf_list_back",
		"bpf_rbtree_remove", "bpf_rbtree_first", "bpf_rbtree_root", "bpf_rbtree_left", "bpf_rbtree_right":
		node, ok := w.node(w.regs[1])
		if !ok {
			return false
		}
		w.finishCall(node, false)
	case "bpf_wq_set_callback":
		w.timerCallback(w.regs[1], w.regs[2])
		w.finishCall(number(anyNumber), false)
	default:
		return false
	}
	return true
}

// node is a node of the list or tree that v points to. A declaration tag,
// "contains:TYPE:MEMBER", says what its nodes are members of.
func (w *walk) node(v value) (value, bool) {
	if !v.ptr.known() || v.ptr.region != typed {
		return value{}, false
	}
	for _, tag := range w.layouts.tagsAt(v.ptr.typ, v.ptr.off) {
		name, found := strings.CutPrefix(tag, "contains:")
		typeName, member, both := strings.Cut(name, ":")
		t := w.layouts.named(typeName)
		if !found || !both || t == nil {
			continue
		}
		f, err := ktbtf.FieldOf(t, member)
		if err != nil {
			continue
		}
		p := typedPointer(t, ctype.SpaceKernel)
		p.off = newOffset(int64(f.Offset), 0)
		return value{ptr: p, flags: isNull}, true
	}
	return value{}, false
}
