package object

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/cilium/ebpf/btf"

	ktbtf "github.com/ktgen/ktgen/btf"
)

// This file leaves out what BTF gives no size: clang describes _Atomic types as
// void. The kernel refuses such BTF (btf_var_resolve and btf_struct_check_member,
// kernel/bpf/btf.c), and libbpf such maps; the rest of the object is as good as any.

// dropUnsized removes variables and members that have no size from the object's
// types, and says which.
func (o *Object) dropUnsized(*file) error {
	for t, err := range o.Types.All() {
		if err != nil {
			return nil // readTypes has parsed them: such a type is refused where it is used
		}
		switch t := t.(type) {
		case *btf.Datasec:
			if _, data := sectionKind(t.Name); !data {
				continue // variables of .ksyms may be void
			}
			t.Vars = slices.DeleteFunc(t.Vars, func(v btf.VarSecinfo) bool {
				return o.leaveOut(varType(v), "variable %s of %s", v.Type.TypeName(), t.Name) || o.leaveOutMisdescribed(t, v)
			})
		case *btf.Struct:
			t.Members = o.sized(t, t.Members)
		case *btf.Union:
			t.Members = o.sized(t, t.Members)
		}
	}
	return nil
}

func varType(info btf.VarSecinfo) btf.Type {
	if v, ok := info.Type.(*btf.Var); ok {
		return v.Type
	}
	return nil // which layOut leaves out
}

// sized returns the members that have a size. The list is copied only if it
// changes, since most have nothing to leave out.
func (o *Object) sized(t btf.Type, members []btf.Member) []btf.Member {
	return slices.DeleteFunc(members, func(m btf.Member) bool {
		return o.leaveOut(m.Type, "member %s of %s", m.Name, ktbtf.Spell(t))
	})
}

// leaveOut tells whether t has no size, and warns if so.
func (o *Object) leaveOut(t btf.Type, format string, args ...any) bool {
	if t == nil || !isVoid(t) {
		return false
	}
	o.warnf(format+" is left out: "+unsizedReason, args...)
	o.Unsized = append(o.Unsized, fmt.Sprintf(format, args...))
	return true
}

// leaveOutMisdescribed tells whether a variable's type is not what it was compiled as,
// and warns if so. Only structs can be smaller than their variable, by a flexible array.
// The kernel refuses the variable (btf_datasec_resolve, kernel/bpf/btf.c), and takes the
// object without it.
func (o *Object) leaveOutMisdescribed(section *btf.Datasec, v btf.VarSecinfo) bool {
	t := varType(v)
	size, err := btf.Sizeof(t)
	if t == nil || err != nil || v.Size == 0 || size == int(v.Size) {
		return false
	}
	why := "where clang takes arrays of _Atomic types for others; declare it without _Atomic and use __sync_fetch_and_add or __atomic_fetch_add"
	switch btf.UnderlyingType(t).(type) {
	case *btf.Int, *btf.Enum:
		if v.Size == 1 {
			why = "since it only ever is one of two values, of which clang keeps a bool that does not say which; declare it volatile"
		}
	case *btf.Struct, *btf.Union:
		if size < int(v.Size) {
			return false
		}
		why = pieceReason(v, why)
	case *btf.Array:
		why = pieceReason(v, why)
	}
	o.warnf("variable %s of %s is left out: it takes %d of the %d bytes that its type has in BTF, %s", v.Type.TypeName(), section.Name, v.Size, size, why)
	return true
}

// pieceReason is why a variable is smaller than its type, if its name says that it is a piece of
// a static one: GlobalOpt of LLVM numbers those. It is other if not.
func pieceReason(v btf.VarSecinfo, other string) string {
	name := v.Type.TypeName()
	dot := strings.LastIndexByte(name, '.')
	if _, err := strconv.Atoi(name[dot+1:]); dot < 0 || err != nil {
		return other
	}
	return fmt.Sprintf("since clang keeps only what is used of the static variable %s; declare it volatile, or not static", name[:dot])
}

const unsizedReason = "its type has no size in BTF, where clang makes void of _Atomic types; declare it without _Atomic and use __sync_fetch_and_add or __atomic_fetch_add"

var errUnsized = errors.New(unsizedReason)

// isVoid tells whether a type is void, or an array of it, behind typedefs and
// qualifiers.
func isVoid(t btf.Type) bool {
	for range maxNesting {
		switch u := btf.UnderlyingType(t).(type) {
		case *btf.Void:
			return true
		case *btf.Array:
			t = u.Type
		default:
			return false
		}
	}
	return false
}

// maxNesting bounds arrays of arrays.
const maxNesting = 32
