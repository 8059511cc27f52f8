package bpfload

import (
	"github.com/cilium/ebpf/asm"
)

// inOrder puts the functions of a program in the order in which libbpf has them: each
// behind those before it that are called, or whose address is taken, from within what is
// in front of it (bpf_object__reloc_code in tools/lib/bpf/libbpf.c). What the verifier
// visits, and how often, depends on it.
//
// sizes are those of functions in bytes: what is behind one in its section may be another's
// that a linker has left without a symbol, as a strong function overrides it.
func inOrder(insns asm.Instructions, sizes map[string]uint64) asm.Instructions {
	functions := make(map[string]asm.Instructions)
	start, name := 0, ""
	for i := range insns {
		if symbol := insns[i].Symbol(); symbol != "" && i > 0 {
			functions[name] = insns[start:i]
			start, name = i, symbol
		}
	}
	functions[name] = insns[start:]

	ordered := make(asm.Instructions, 0, len(insns))
	var add func(name string)
	add = func(name string) {
		own := cut(functions[name], sizes)
		delete(functions, name)
		ordered = append(ordered, own...)
		for i := range own {
			if _, more := functions[own[i].Reference()]; more && own[i].Reference() != "" {
				add(own[i].Reference())
			}
		}
	}
	add("")
	return ordered
}

// cut returns the instructions of a function that are within its size.
func cut(function asm.Instructions, sizes map[string]uint64) asm.Instructions {
	if len(function) == 0 || sizes[function[0].Symbol()] == 0 {
		return function
	}
	left := sizes[function[0].Symbol()]
	for i := range function {
		if left == 0 {
			return function[:i]
		}
		left -= min(left, function[i].Width().Bytes())
	}
	return function
}
