package ktsnap

import (
	"slices"

	"github.com/ktgen/ktgen/runtime/ctype"
)

// This file reads the stacks of maps of stack traces. The kernel has addresses there, whatever
// the definition says (kernel/bpf/stackmap.c).

// frames is the type of a stack: return addresses, innermost first.
var frames = &ctype.Shape{Kind: ctype.KindArray, Elem: &ctype.Shape{
	Kind: ctype.KindPointer, Size: ctype.PointerSize, Elem: &ctype.Shape{Kind: ctype.KindFunc},
}}

// hasFrames tells whether the values of a map are stacks, and not of build ids.
func (m *mapReader) hasFrames() bool {
	const withBuildID = 1 << 5 // BPF_F_STACK_BUILD_ID
	return m.m.Type == MapTypeStackTrace && m.m.Flags&withBuildID == 0
}

// isWords tells whether s is an array of numbers as large as addresses.
func isWords(s *ctype.Shape) bool {
	u := s.Underlying()
	if u == nil || u.Kind != ctype.KindArray {
		return false
	}
	elem := u.Elem.Underlying()
	return elem != nil && elem.Kind == ctype.KindInt && elem.Size == ctype.PointerSize
}

// framesIn returns the addresses of a value, which has zeros behind the last.
func framesIn(data []byte) []byte {
	for n := 0; n+ctype.PointerSize <= len(data); n += ctype.PointerSize {
		if frame := data[n:][:ctype.PointerSize]; !slices.ContainsFunc(frame, func(b byte) bool { return b != 0 }) {
			return data[:n:n]
		}
	}
	return data[:len(data)/ctype.PointerSize*ctype.PointerSize]
}
