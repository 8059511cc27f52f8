package cast

// This file knows what the helpers of the kernel return and which ones call
// back (include/uapi/linux/bpf.h, enum bpf_func_id).

import (
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"

	"github.com/ktgen/ktgen/object"
	"github.com/ktgen/ktgen/runtime/ctype"
)

// kernelResults are helpers that return a pointer to a struct of the kernel.
var kernelResults = map[asm.BuiltinFunc]string{
	asm.FnGetCurrentTask:       "task_struct",
	asm.FnGetCurrentTaskBtf:    "task_struct",
	asm.FnTaskPtRegs:           "pt_regs",
	asm.FnSkcToTcpSock:         "tcp_sock",
	asm.FnSkcToTcp6Sock:        "tcp6_sock",
	asm.FnSkcToTcpTimewaitSock: "tcp_timewait_sock",
	asm.FnSkcToTcpRequestSock:  "tcp_request_sock",
	asm.FnSkcToUdp6Sock:        "udp6_sock",
	asm.FnSkcToUnixSock:        "unix_sock",
	asm.FnSkcToMptcpSock:       "mptcp_sock",
	asm.FnSockFromFile:         "socket",
}

// kernelArguments are helpers that take a pointer to a struct of the kernel: in
// which register, and which one.
var kernelArguments = map[asm.BuiltinFunc]struct {
	reg  int
	name string
}{
	asm.FnTaskStorageGet:     {2, "task_struct"},
	asm.FnTaskStorageDelete:  {2, "task_struct"},
	asm.FnCgrpStorageGet:     {2, "cgroup"},
	asm.FnCgrpStorageDelete:  {2, "cgroup"},
	asm.FnInodeStorageGet:    {2, "inode"},
	asm.FnInodeStorageDelete: {2, "inode"},
	asm.FnTaskPtRegs:         {1, "task_struct"},
	asm.FnGetTaskStack:       {1, "task_struct"},
	asm.FnFindVma:            {1, "task_struct"},
	asm.FnCopyFromUserTask:   {4, "task_struct"},
	asm.FnSockFromFile:       {1, "file"},
	asm.FnImaFileHash:        {1, "file"},
	asm.FnDPath:              {1, "path"},
	asm.FnImaInodeHash:       {1, "inode"},
	asm.FnBprmOptsSet:        {1, "linux_binprm"},
	asm.FnSeqPrintf:          {1, "seq_file"},
	asm.FnSeqPrintfBtf:       {1, "seq_file"},
	asm.FnSeqWrite:           {1, "seq_file"},
}

// stringArguments are helpers that take a string: in which registers, and whose
// memory it is in.
var stringArguments = map[asm.BuiltinFunc]struct {
	regs  []int
	space ctype.Space
}{
	asm.FnProbeReadStr:       {[]int{3}, ctype.SpaceUnknown},
	asm.FnProbeReadKernelStr: {[]int{3}, ctype.SpaceKernel},
	asm.FnProbeReadUserStr:   {[]int{3}, ctype.SpaceUser},
	asm.FnStrncmp:            {[]int{1, 3}, ctype.SpaceUnknown},
	asm.FnStrtol:             {[]int{1}, ctype.SpaceUnknown},
	asm.FnStrtoul:            {[]int{1}, ctype.SpaceUnknown},
}

// takeStrings uses what a helper's arguments say.
func (w *walk) takeStrings(fn asm.BuiltinFunc) {
	arg, ok := stringArguments[fn]
	if !ok {
		return
	}
	var char *btf.Int
	if w.obj.Types.TypeByName("char", &char) != nil {
		return
	}
	for _, reg := range arg.regs {
		w.hint(w.regs[reg], char, arg.space)
	}
}

// helper calls a helper by its number.
func (w *walk) helper(id int32) {
	w.takeStrings(asm.BuiltinFunc(id))
	if arg, ok := kernelArguments[asm.BuiltinFunc(id)]; ok {
		if t := w.layouts.named(arg.name); t != nil {
			w.regs[arg.reg] = w.expect(w.regs[arg.reg], t, ctype.SpaceKernel)
		}
	}
	switch fn := asm.BuiltinFunc(id); fn {
	case asm.FnKptrXchg:
		w.exchange()
	case asm.FnPerCpuPtr, asm.FnThisCpuPtr:
		v := w.regs[1]
		v.flags |= isNull
		w.finishCall(v, false)
	case asm.FnProbeReadKernel, asm.FnProbeReadUser, asm.FnProbeRead, asm.FnCopyFromUser:
		w.probeRead()
	case asm.FnRingbufReserve, asm.FnDynptrData:
		w.finishCall(w.unnamed(), false)
	default:
		if !w.mapHelper(fn) && !w.callingHelper(fn) {
			w.otherHelper(fn)
		}
	}
}

// mapHelper handles a helper that gets at values of the map in r1, if it is one.
func (w *walk) mapHelper(fn asm.BuiltinFunc) bool {
	switch fn {
	case asm.FnMapLookupElem, asm.FnMapLookupPercpuElem, asm.FnGetLocalStorage:
		w.finishCall(w.mapValue(), false)
	case asm.FnTaskStorageGet, asm.FnCgrpStorageGet, asm.FnInodeStorageGet, asm.FnSkStorageGet:
		w.copyToMap(0, 3) // what a new element starts as
		w.finishCall(w.mapValue(), false)
	case asm.FnMapUpdateElem:
		w.copyToMap(2, 3)
		w.finishCall(number(anyNumber), false)
	case asm.FnMapPushElem:
		w.copyToMap(0, 2)
		w.finishCall(number(anyNumber), false)
	case asm.FnMapPopElem, asm.FnMapPeekElem:
		w.copyFromMap()
	case asm.FnMapDeleteElem:
		w.finishCall(number(anyNumber), false)
	default:
		return false
	}
	return true
}

// callingHelper handles a helper that calls a function of the program's, if it is one.
func (w *walk) callingHelper(fn asm.BuiltinFunc) bool {
	switch fn {
	case asm.FnLoop:
		w.callback(w.regs[2], number(anyNumber), w.regs[3])
	case asm.FnForEachMapElem:
		w.eachElement()
	case asm.FnTimerSetCallback:
		w.timerCallback(w.regs[1], w.regs[2])
		w.finishCall(number(anyNumber), false)
	case asm.FnFindVma:
		w.callback(w.regs[3], w.regs[1], w.kernelPointer("vm_area_struct"), w.regs[4])
	case asm.FnUserRingbufDrain:
		w.callback(w.regs[2], opaque(), w.regs[3])
	default:
		return false
	}
	return true
}

// otherHelper handles a helper that returns a number or a kernel object.
func (w *walk) otherHelper(fn asm.BuiltinFunc) {
	v := number(anyNumber)
	if name := kernelResults[fn]; name != "" {
		v = w.kernelPointer(name)
	}
	w.finishCall(v, true)
}

// kernelPointer is a pointer to a struct of the kernel, if the object's BTF
// mentions it.
func (w *walk) kernelPointer(name string) value {
	t := w.layouts.named(name)
	if t == nil {
		return opaque()
	}
	return value{ptr: typedPointer(t, ctype.SpaceKernel), flags: isNull}
}

// named returns the struct of a name, defined or only declared.
func (l *layouts) named(name string) btf.Type {
	if name == "" {
		return nil
	}
	types, err := l.spec.AnyTypesByName(name)
	if err != nil {
		return nil
	}
	for _, t := range types {
		if aggregateName(t) == name {
			return l.canonical(t)
		}
	}
	return nil
}

// theMap returns the map that a register refers to, or nil.
func (w *walk) theMap(reg int) *object.Map {
	if p := w.regs[reg].ptr; p.known() && p.region == mapRef {
		return p.ref
	}
	return nil
}

// mapValue is the result of a look-up in the map in r1.
func (w *walk) mapValue() value {
	m := w.theMap(1)
	switch {
	case m == nil:
		return w.unnamed()
	case m.Inner != nil:
		return value{ptr: pointer{state: onePointer, region: mapRef, ref: m.Inner}, flags: isNull}
	case m.Value == nil:
		return w.unnamed()
	}
	return w.contentOf(m)
}

// contentOf is a pointer to the value of a map, or zero.
func (w *walk) contentOf(m *object.Map) value {
	return value{ptr: w.valueOf(m), flags: isNull, objects: w.valuesOf(m)}
}

// valueOf points to the value of a map.
func (w *walk) valueOf(m *object.Map) pointer {
	p := typedPointer(w.layouts.canonical(m.Value), ctype.SpaceMap)
	if isScalar(p.typ) {
		p.ref = m
	}
	return p
}

// exchange handles bpf_kptr_xchg(&v->slot, p), which returns what was there.
func (w *walk) exchange() {
	old := w.read(w.regs[1], 0, slotSize)
	w.write(w.regs[1], 0, slotSize, w.regs[2])
	w.finishCall(old, false)
}

// callback handles a helper that calls a function before it returns, with
// these arguments.
func (w *walk) callback(fn value, given ...value) {
	if f := w.functionOf(fn); f != nil && !w.without(callbacks) {
		args := opaqueArguments()
		for i, v := range given {
			args[i] = deeper(v, 1)
		}
		entry := w.entry(args, w.engine.deeper(w.stack, 1))
		if exit := w.call(f, entry, w.depth+1).exit; exit != nil {
			// It may be called not at all, or again with what it left behind.
			before := &state{stack: w.stack}
			before.mergeStack(&state{stack: w.engine.deeper(exit.stack, -1)}, w.values.join)
			w.stack = before.stack
		}
	}
	w.clobber()
	w.regs[0] = number(anyNumber)
}

func (w *walk) functionOf(v value) *function {
	if !v.ptr.known() || v.ptr.region != code {
		return nil
	}
	return w.functions[entryOf(v.ptr.fn)]
}

// eachElement handles bpf_for_each_map_elem(map, fn, ctx, flags), which calls
// fn(map, key, value, ctx).
func (w *walk) eachElement() {
	m := w.theMap(1)
	key, val := opaque(), opaque()
	if m != nil && m.Key != nil {
		key = value{ptr: typedPointer(w.layouts.canonical(m.Key), ctype.SpaceMap)}
	}
	if m != nil && m.Value != nil {
		val = w.contentOf(m)
		val.flags = 0
	}
	w.callback(w.regs[2], w.regs[1], key, val, w.regs[3])
}

// timerCallback notes the function that a timer or work queue in a map's value
// will call: fn(map, key, value).
func (w *walk) timerCallback(timer, fn value) {
	f := w.functionOf(fn)
	if f == nil {
		return
	}
	val := opaque()
	if p := timer.ptr; p.known() && p.region == typed && p.space == ctype.SpaceMap {
		p.off = offset{}
		val = value{ptr: p, objects: w.objectsOf(timer)}
	}
	w.addCallback(f, opaque(), opaque(), val)
}
