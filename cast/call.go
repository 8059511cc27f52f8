package cast

// This file handles calls: of subprograms, kfuncs and helpers.

import (
	"github.com/cilium/ebpf/btf"

	"github.com/ktgen/ktgen/object"
)

func (w *walk) callInsn(insn object.Insn) {
	ref, ok := w.fn.code.Refs[w.at]
	switch {
	case ok && ref.Kind == object.RefFunction:
		w.subprogram(functionKey(ref.Function.Section, ref.Function.Offset))
	case ok && ref.Kind == object.RefExtern:
		w.kfunc(ref.Extern)
	case insn.Src == pseudoCl && !ok:
		w.subprogram(functionKey(w.fn.code.Section, uint64(w.at+1+int(insn.Imm))*8))
	case insn.Src == 0:
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
		if !p.known() || p.region != stack {
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
		w.forget(p.frame, from, to)
	}
}

// unnamed is the result of a call that no type describes: what it points to
// shows in what it is used as.
func (w *walk) unnamed() value {
	s := slot{kind: result, fn: w.fn.Function, off: uint32(w.at - w.fn.start)}
	return value{
		ptr:   w.cell(s).used,
		flags: isOpaque | isNull,
		from:  origin{state: oneOrigin, slot: s},
	}
}

// subprogram calls a function of the object.
func (w *walk) subprogram(key string) {
	f := w.functions[key]
	if f == nil {
		w.giveUp("%s: instruction %d calls %s, where no function starts", w.fn.Name, w.at-w.fn.start, key)
		w.finishCall(opaque(), true)
		return
	}
	w.checkArguments(prototype(f))
	entry, inner := w.enter(f)
	exit := w.call(f, entry, w.depth+1)
	if exit == nil {
		w.dead = true // as far as is known
		return
	}
	if inner {
		w.leave(exit)
	}
	r0 := w.returned(f, exit.regs[0])
	w.finishCall(r0, false)
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
		if target, tags, ok := w.layouts.pointee(p.Type); ok && target != nil && !isScalar(target) {
			w.regs[1+i] = w.expect(w.regs[1+i], target, spaceOf(tags, AnySpace))
		}
	}
}

// isScalar tells whether a type is one whose pointers say little: a u64 *
// parameter takes the address of any integer.
func isScalar(t btf.Type) bool {
	switch t.(type) {
	case *btf.Struct, *btf.Union:
		return false
	}
	return true
}

// enter returns the state in which f starts, and whether it can reach frames
// of its callers.
func (w *walk) enter(f *function) (entry *state, inner bool) {
	entry = entryState()
	for i := 1; i <= 5; i++ {
		v := w.regs[i]
		v.core = nil
		if p := &v.ptr; p.known() && p.region == stack {
			p.frame++
			inner = true
		}
		entry.regs[i] = v
	}
	proto := prototype(f)
	for i := 1; i <= 5; i++ {
		if proto != nil && i > len(proto.Params) {
			entry.regs[i] = opaque() // not an argument: left over from before
		}
	}
	if !inner {
		return entry, false
	}
	for _, slot := range w.stack {
		slot.frame++
		slot.value = deeper(slot.value, 1)
		entry.stack = append(entry.stack, slot)
	}
	return entry, true
}

// deeper moves a stack pointer to a frame further from, or closer to, the
// function that is analysed.
func deeper(v value, by int) value {
	if v.ptr.known() && v.ptr.region == stack {
		v.ptr.frame += by
		if v.ptr.frame < 0 {
			return opaque() // into a frame that is gone
		}
	}
	return v
}

// leave takes over what a callee did to the frames that it could reach.
func (w *walk) leave(exit *state) {
	stack := make([]stackSlot, 0, len(exit.stack))
	for _, slot := range exit.stack {
		slot.frame--
		slot.value = deeper(slot.value, -1)
		stack = append(stack, slot)
	}
	w.stack = stack
}

// returned is the result of a call of f. A function that returns what an
// untyped call gave it, such as an allocator, is one itself.
func (w *walk) returned(f *function, v value) value {
	v = deeper(v, -1)
	if v.from.state == oneOrigin && v.from.slot.kind == result && v.from.off == (offset{}) {
		outer := w.unnamed()
		v.from, v.ptr = outer.from, outer.ptr
	}
	proto := prototype(f)
	if proto == nil {
		return v
	}
	if target, tags, ok := w.layouts.pointee(proto.Return); ok && target != nil && !isScalar(target) {
		v = w.expect(v, target, spaceOf(tags, AnySpace))
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
	proto, _ := fn.Type.(*btf.FuncProto)
	if w.knownKfunc(x.Name) {
		return
	}
	w.checkArguments(proto)
	if proto == nil {
		w.finishCall(opaque(), true)
		return
	}
	v := w.ofType(proto.Return, Kernel)
	if v.flags&isOpaque != 0 {
		v = w.unnamed()
	}
	w.finishCall(v, true)
}

// knownKfunc handles the kfuncs that do more than their prototype says.
func (w *walk) knownKfunc(name string) bool {
	switch name {
	case "bpf_rdonly_cast", "bpf_obj_new_impl", "bpf_percpu_obj_new_impl":
		w.typeArgument(name)
	case "bpf_refcount_acquire_impl", "bpf_cast_to_kern_ctx":
		v := w.regs[1]
		w.finishCall(v, false)
	case "bpf_wq_set_callback_impl", "bpf_wq_set_callback":
		w.timerCallback(w.regs[1], w.regs[2])
		w.finishCall(number(anyNumber), false)
	default:
		return false
	}
	return true
}

// typeArgument handles a kfunc that is told its result's type by the type id
// of a CO-RE relocation.
func (w *walk) typeArgument(name string) {
	id, space := w.regs[1], Kernel
	if name == "bpf_rdonly_cast" {
		id = w.regs[2]
		w.expect(w.regs[1], known(id.core), AnySpace)
	}
	if t := known(id.core); t != nil {
		w.finishCall(value{ptr: typedPointer(t, space), flags: isNull}, false)
		return
	}
	w.finishCall(w.unnamed(), false)
}

// known returns a CO-RE type, nil if it is not one type.
func known(core btf.Type) btf.Type {
	if core == severalTypes {
		return nil
	}
	return core
}
