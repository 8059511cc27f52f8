package bpfload

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cilium/ebpf/btf"
)

// This file finds what the kernel refuses in an object's types without a word: a
// bitfield that begins within a byte, in a struct that holds what the kernel looks after
// (btf_parse_struct_metas and btf_find_struct_field, kernel/bpf/btf.c).

// lookedAfter are the structs for whose sake the kernel goes through those that they
// are members of.
var lookedAfter = []string{
	"bpf_spin_lock", "bpf_res_spin_lock", "bpf_list_head", "bpf_list_node",
	"bpf_rb_root", "bpf_rb_node", "bpf_refcount",
}

// keptTags are those of pointers that the kernel looks after.
var keptTags = []string{"kptr", "kptr_untrusted", "percpu_kptr", "uptr"}

// bitsBesideKept says in which struct a bitfield is beside what the kernel looks after.
// It is empty if there is none.
func bitsBesideKept(types *btf.Spec) string {
	for t, err := range types.All() {
		s, ok := t.(*btf.Struct)
		if err != nil || !ok {
			continue
		}
		kept := slices.IndexFunc(s.Members, func(m btf.Member) bool { return isKept(m.Type) })
		if kept < 0 {
			continue
		}
		if bits := bitsWithin(s.Members, 0); bits != "" {
			return fmt.Sprintf("the kernel does not take the object's BTF: it looks for kptrs, locks, lists and trees in struct %s, which has %s, and takes no bitfield there that begins within a byte, as %s does: make that a member of whole bytes, or keep the bitfields in a struct without %[2]s", s.Name, s.Members[kept].Name, bits)
		}
	}
	return ""
}

// isKept tells whether the kernel looks after a member of the type. It passes over
// pointers to what the object only names.
func isKept(t btf.Type) bool {
	if s, ok := btf.UnderlyingType(t).(*btf.Struct); ok {
		return slices.Contains(lookedAfter, s.Name)
	}
	p, ok := btf.UnderlyingType(t).(*btf.Pointer)
	if !ok {
		return false
	}
	tag, ok := p.Target.(*btf.TypeTag)
	if !ok || !slices.Contains(keptTags, tag.Value) {
		return false
	}
	_, described := btf.UnderlyingType(tag).(*btf.Struct)
	return described
}

// bitsWithin names the first bitfield that begins within a byte, also of structs in the
// struct, as deep as the kernel looks.
func bitsWithin(members []btf.Member, depth int) string {
	const deepest = 4 // MAX_RESOLVE_DEPTH
	for _, m := range members {
		if m.Offset%8 != 0 {
			return m.Name
		}
		s, ok := btf.UnderlyingType(m.Type).(*btf.Struct)
		if !ok || depth == deepest {
			continue
		}
		if name := bitsWithin(s.Members, depth+1); name != "" {
			return strings.TrimPrefix(m.Name+"."+name, ".") // which may be nameless
		}
	}
	return ""
}
