package cast

// This file types what the kernel passes to tracing and LSM programs, by the
// kernel's own BTF.

import (
	"strings"

	"github.com/cilium/ebpf/btf"

	"github.com/ktgen/ktgen/object"
)

// typeTracing finds out what the kernel calls tracing and LSM programs with.
func (e *engine) typeTracing() {
	if e.opts.Kernel == nil {
		return
	}
	for _, f := range e.roots {
		if e.args[f.Function] != nil || !f.Program() {
			continue
		}
		if proto := e.traced(f.Function); proto != nil {
			e.args[f.Function] = e.translated(proto)
		}
	}
}

// traced returns the prototype of what a program is attached to, as its
// section says (libbpf's section_defs), or nil.
func (e *engine) traced(fn *object.Function) *btf.FuncProto {
	kind, name, _ := strings.Cut(fn.Section, "/")
	kind = strings.TrimSuffix(strings.TrimPrefix(kind, "?"), ".s")
	switch kind {
	case "tp_btf", "raw_tp", "raw_tracepoint":
		return e.tracepoint(name)
	case "fentry", "fmod_ret":
		return e.kernelFunction(name)
	case "fexit":
		proto := e.kernelFunction(name)
		if proto == nil {
			return nil
		}
		withResult := *proto
		withResult.Params = append(append([]btf.FuncParam(nil), proto.Params...), btf.FuncParam{Name: "return", Type: proto.Return})
		return &withResult
	case "lsm":
		return e.kernelFunction("bpf_lsm_" + name)
	}
	return nil
}

// tracepoint returns the prototype of a tracepoint's probes, without their
// first parameter, which programs do not get.
func (e *engine) tracepoint(name string) *btf.FuncProto {
	var t *btf.Typedef
	if e.opts.Kernel.TypeByName("btf_trace_"+name, &t) != nil {
		return nil
	}
	ptr, ok := btf.As[*btf.Pointer](t)
	if !ok {
		return nil
	}
	proto, ok := btf.As[*btf.FuncProto](ptr.Target)
	if !ok || len(proto.Params) == 0 {
		return nil
	}
	return &btf.FuncProto{Return: proto.Return, Params: proto.Params[1:]}
}

func (e *engine) kernelFunction(name string) *btf.FuncProto {
	var fn *btf.Func
	if e.opts.Kernel.TypeByName(name, &fn) != nil {
		return nil
	}
	proto, _ := fn.Type.(*btf.FuncProto)
	return proto
}

// translated is a prototype with the object's types for those of the kernel's
// that it has, too.
func (e *engine) translated(proto *btf.FuncProto) *btf.FuncProto {
	out := &btf.FuncProto{Return: proto.Return}
	for _, p := range proto.Params {
		if target, _, ok := e.layouts.pointee(p.Type); ok && target != nil {
			if own := e.layouts.named(aggregateName(target)); own != nil {
				p.Type = &btf.Pointer{Target: own}
			}
		}
		out.Params = append(out.Params, p)
	}
	return out
}
