package gen

import (
	"slices"
	"strings"

	"github.com/cilium/ebpf/btf"

	"github.com/ktgen/ktgen/object"
	"github.com/ktgen/ktgen/runtime/ctype"
)

// This file leaves out the variables that nobody reads: the texts that macros
// such as bpf_printk keep in variables, and other constant texts inside of functions.

// withoutTexts leaves these variables out of a section.
func withoutTexts(from *object.Section, section *ctype.Shape) *ctype.Shape {
	texts := make(map[int]bool) // by offset
	for _, v := range from.Vars {
		texts[int(v.Offset)] = v.Size > 0 && isText(from, v)
	}
	out := *section
	out.Members = slices.DeleteFunc(slices.Clone(section.Members), func(v ctype.Member) bool {
		return v.Type.Size > 0 && texts[v.Offset]
	})
	if len(out.Members) == len(section.Members) {
		return section
	}
	return &out
}

// isText tells whether nobody but the program itself can mean a variable: it is
// an array of characters, and either named like what macros define (____fmt of
// bpf_printk, ___fmt of scx_bpf_error), or a constant that only one function sees.
func isText(s *object.Section, v object.Var) bool {
	if !v.Static {
		return false
	}
	isChars, isConst, isVolatile := characters(v.Type)
	if !isChars {
		return false
	}
	// Compilers call a variable inside of a function touch.____fmt.1, or ____fmt.1.
	parts := strings.Split(v.Name, ".")
	isMacros := slices.ContainsFunc(parts, func(part string) bool { return strings.HasPrefix(part, "___") })
	return isMacros || len(parts) > 1 && s.Kind == object.ReadOnly && isConst && !isVolatile
}

// characters tells whether t is an array of characters, and how it is qualified.
func characters(t btf.Type) (isArray, isConst, isVolatile bool) {
	for range maxNesting {
		switch q := t.(type) {
		case *btf.Const:
			t, isConst = q.Type, true
		case *btf.Volatile:
			t, isVolatile = q.Type, true
		case *btf.Typedef:
			t = q.Type
		case *btf.Array:
			if isArray {
				return false, false, false // of texts
			}
			t, isArray = q.Type, true
		case *btf.Int:
			return isArray && q.Size == 1 && q.Name == "char", isConst, isVolatile
		default:
			return false, false, false
		}
	}
	return false, false, false
}
