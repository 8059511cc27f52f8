package bpfload

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/cilium/ebpf/btf"

	ktbtf "github.com/ktgen/ktgen/btf"
	"github.com/ktgen/ktgen/object"
)

// This file changes how many bytes an instruction loads or stores, where a member of
// the kernel's has another size than the object declares. cilium/ebpf v0.22 moves the
// instruction only, and it reads of the member's neighbours. As with libbpf, that
// holds for pointers and unsigned integers, whose upper bits are zero; other
// instructions the verifier gets to refuse (bpf_core_calc_relo and bpf_core_patch_insn
// in tools/lib/bpf/relo_core.c).

// Parts of the operation of an instruction (include/uapi/linux/bpf_common.h).
const (
	classMask = 0x07
	classLDX  = 0x01
	classST   = 0x02
	classSTX  = 0x03
	sizeMask  = 0x18
)

// sizeBits are what an operation has for the number of bytes.
var sizeBits = map[int]uint8{1: 0x10, 2: 0x08, 4: 0x00, 8: 0x18}

func accessesMemory(op uint8) bool {
	class := op & classMask
	return class == classLDX || class == classST || class == classSTX
}

// misfitError is a member that the kernel has with a size that a program's instruction
// cannot take.
type misfitError struct {
	own, kernels btf.Type
}

func (e *misfitError) Error() string {
	return fmt.Sprintf("as %s: it is %s there, and only pointers and unsigned integers may differ in size", ktbtf.Spell(e.own), ktbtf.Spell(e.kernels))
}

// fit gives an instruction, which was moved to where the kernel has a member, that
// member's size.
func (l *loader) fit(insn *object.Insn, core object.CORERelo) error {
	if core.Kind != object.COREFieldByteOffset || !accessesMemory(insn.Op) {
		return nil
	}
	own, path, ok := walkAccess(core.Type, core.Access)
	if !ok {
		return nil
	}
	kernels := l.memberAt(btf.UnderlyingType(core.Type), path, uint32(uint16(insn.Off)))
	if kernels == nil {
		return nil
	}
	size, err := btf.Sizeof(own)
	size2, err2 := btf.Sizeof(kernels)
	if err != nil || err2 != nil || size == size2 {
		return nil
	}
	bits, whole := sizeBits[size2]
	if !whole || sizeBits[size] != insn.Op&sizeMask || !zeroExtended(own, kernels) {
		return &misfitError{own, kernels}
	}
	insn.Op = insn.Op&^sizeMask | bits
	return nil
}

// zeroExtended tells whether both are pointers, or unsigned integers.
func zeroExtended(a, b btf.Type) bool {
	if isPointer(a) && isPointer(b) {
		return true
	}
	x, ok := btf.As[*btf.Int](a)
	y, ok2 := btf.As[*btf.Int](b)
	return ok && ok2 && x.Encoding != btf.Signed && y.Encoding != btf.Signed
}

// step is one of a way to a member: the member's name, or the index of an element.
type step struct {
	name  string
	index int
}

// walkAccess returns what of a type an access such as 0:2:1 is, and the way to it. It
// knows no members that are bitfields: their bytes are read as they are.
func walkAccess(t btf.Type, access string) (member btf.Type, path []step, ok bool) {
	indices := strings.Split(access, ":")
	member = btf.UnderlyingType(t)
	for _, text := range indices[1:] { // the first is of an array of the type
		i, err := strconv.Atoi(text)
		if err != nil || i < 0 {
			return nil, nil, false
		}
		switch of := member.(type) {
		case *btf.Array:
			path = append(path, step{index: i})
			member = btf.UnderlyingType(of.Type)
			continue
		case *btf.Struct, *btf.Union:
			members := membersOf(of)
			if i >= len(members) || members[i].BitfieldSize != 0 {
				return nil, nil, false
			}
			if members[i].Name != "" {
				path = append(path, step{name: members[i].Name})
			}
			member = btf.UnderlyingType(members[i].Type)
		default:
			return nil, nil, false
		}
	}
	return member, path, len(path) > 0 && indices[0] == "0"
}

func membersOf(t btf.Type) []btf.Member {
	switch t := t.(type) {
	case *btf.Struct:
		return t.Members
	case *btf.Union:
		return t.Members
	}
	return nil
}

// memberAt returns the type of a member that the kernel has at a byte of what it calls
// like t, nil if it has none there.
func (l *loader) memberAt(t btf.Type, path []step, at uint32) btf.Type {
	in, err := l.typesWith(t)
	if err != nil {
		return nil
	}
	for _, types := range in {
		candidates, _ := types.AnyTypesByName(essentialName(t.TypeName()))
		for _, c := range candidates {
			if found, offset, ok := follow(btf.UnderlyingType(c), path); ok && offset == at {
				return found
			}
		}
	}
	return nil
}

// follow goes a way through a type, and returns where it ends, and at which byte.
func follow(t btf.Type, path []step) (end btf.Type, offset uint32, ok bool) {
	for _, s := range path {
		if array, isArray := t.(*btf.Array); isArray && s.name == "" {
			size, err := btf.Sizeof(array.Type)
			if err != nil {
				return nil, 0, false
			}
			t, offset = btf.UnderlyingType(array.Type), offset+uint32(s.index)*uint32(size)
			continue
		}
		m, before, found := memberCalled(t, s.name, maxNameless)
		if !found || m.BitfieldSize != 0 {
			return nil, 0, false
		}
		t, offset = btf.UnderlyingType(m.Type), offset+before
	}
	return t, offset, true
}

// maxNameless bounds nameless structs in one another.
const maxNameless = 16

// memberCalled finds a member by name, also within nameless ones, and its byte.
func memberCalled(t btf.Type, name string, depth int) (m btf.Member, offset uint32, ok bool) {
	if depth == 0 || name == "" {
		return m, 0, false
	}
	for _, m := range membersOf(t) {
		if m.Name == name {
			return m, m.Offset.Bytes(), true
		}
		if m.Name != "" {
			continue
		}
		if inner, within, ok := memberCalled(btf.UnderlyingType(m.Type), name, depth-1); ok {
			return inner, m.Offset.Bytes() + within, true
		}
	}
	return m, 0, false
}
