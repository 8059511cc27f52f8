package bpfload

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"

	"github.com/ktgen/ktgen/object"
)

// absent is what a program refers to and the kernel lacks, such as a kfunc. In its
// place is an instruction that the verifier refuses, with a number that its log shows.
// The verifier looks only at what the program can get to, and removes the rest, which
// is how programs guard the use of what may be absent; kfuncs it looks up beforehand.
type absent []string

// firstAbsent is the number of the first: that of no helper.
const firstAbsent = 0xbad0000

// number returns the number that stands for what is called name.
func (a *absent) number(name string) int64 {
	i := slices.Index(*a, name)
	if i < 0 {
		i = len(*a)
		*a = append(*a, name)
	}
	return firstAbsent + int64(i)
}

// In a verifier's log, the helper that it does not know (check_helper_call,
// kernel/bpf/verifier.c), and the load to the frame pointer that it refuses.
var (
	absentCall = regexp.MustCompile(`(?m)^invalid func \S*#(\d+)$`)
	absentLoad = regexp.MustCompile(`(?m)^\d+: \(18\) r10 = (0x[0-9a-f]+)`)
)

// met returns what the verifier came upon, or nothing.
func (a absent) met(log string) string {
	for _, pattern := range []*regexp.Regexp{absentCall, absentLoad} {
		for _, found := range pattern.FindAllStringSubmatch(log, -1) {
			n, err := strconv.ParseInt(found[1], 0, 64)
			if i := n - firstAbsent; err == nil && i >= 0 && i < int64(len(a)) {
				return a[i]
			}
		}
	}
	return ""
}

// Kinds of relocations that are 0 for a type that the kernel lacks, as its size and id are
// (enum bpf_core_relo_kind of include/uapi/linux/bpf.h, bpf_core_calc_type_relo in
// tools/lib/bpf/relo_core.c).
const coreTypeSize = 9

func zeroIfAbsent(kind uint32) bool { return kind == object.CORETypeIDTarget || kind == coreTypeSize }

// poisoned tells whether a CO-RE relocation has made an instruction invalid.
func poisoned(ins *asm.Instruction) bool {
	return ins.IsBuiltinCall() && ins.Constant == btf.COREBadRelocationSentinel || ins.OpCode.IsDWordLoad() && ins.Dst == asm.R10
}

// poison marks an instruction that a CO-RE relocation has made invalid.
func (a *absent) poison(ins *asm.Instruction, relo *btf.CORERelocation, own *btf.Spec) {
	switch {
	case ins.IsBuiltinCall() && ins.Constant == btf.COREBadRelocationSentinel:
		ins.Constant = a.number(reloName(relo, own))
	case ins.OpCode.IsDWordLoad() && ins.Dst == asm.R10:
		ins.Constant = a.number(reloName(relo, own))
	}
}

// reloText is how a relocation prints: its type is there by its number, and what of
// it is meant by the indices of members.
var reloText = regexp.MustCompile(`^CORERelocation\(.*\[(\d+(?::\d+)*)\], local_id=(\d+)\)$`)

// reloName says what of the kernel a CO-RE relocation asks for.
func reloName(relo *btf.CORERelocation, own *btf.Spec) string {
	found := reloText.FindStringSubmatch(relo.String())
	if found == nil {
		return relo.String()
	}
	id, err := strconv.ParseUint(found[2], 10, 32)
	if err != nil {
		return relo.String()
	}
	t, err := own.TypeByID(btf.TypeID(id))
	if err != nil {
		return relo.String()
	}
	return pathName(btf.UnderlyingType(t), strings.Split(found[1], ":"))
}

// pathName names a type of the kernel, an enumerator of it, or a member.
func pathName(t btf.Type, indices []string) string {
	own := essentialName(t.TypeName())
	kind := "type"
	switch t.(type) {
	case *btf.Enum:
		if path := pathTo(t, indices); path != "" {
			return fmt.Sprintf("enumerator %s of enum %s", path, own)
		}
		kind = "enum"
	case *btf.Struct:
		kind = "struct"
	case *btf.Union:
		kind = "union"
	}
	if path := pathTo(t, indices[1:]); path != "" { // the first is of an array of the type
		return fmt.Sprintf("member %s of %s %s", path, kind, own)
	}
	return kind + " " + own
}

// pathTo joins the names on the way that indices say.
func pathTo(t btf.Type, indices []string) string {
	var path []string
	for _, index := range indices {
		i, err := strconv.Atoi(index)
		if err != nil || t == nil {
			break
		}
		var name string
		if name, t = partOf(t, i); name != "" {
			path = append(path, name)
		}
	}
	return strings.Join(path, ".")
}

// partOf returns the i-th member, enumerator or element of a type.
func partOf(t btf.Type, i int) (name string, next btf.Type) {
	member := func(all []btf.Member) (string, btf.Type) {
		if i >= len(all) {
			return "", nil
		}
		return all[i].Name, btf.UnderlyingType(all[i].Type)
	}
	switch t := t.(type) {
	case *btf.Struct:
		return member(t.Members)
	case *btf.Union:
		return member(t.Members)
	case *btf.Array:
		return "", btf.UnderlyingType(t.Type)
	case *btf.Enum:
		if i < len(t.Values) {
			return essentialName(t.Values[i].Name), nil
		}
	}
	return "", nil
}
