package shapetest

import "github.com/ktgen/ktgen/runtime/ctype"

// Types that tests make others of.
var (
	U32 = &ctype.Shape{Kind: ctype.KindInt, Name: "u32", Size: 4}
	U64 = &ctype.Shape{Kind: ctype.KindInt, Name: "u64", Size: 8}
)

// Struct returns a struct with members.
func Struct(name string, size int, members ...ctype.Member) *ctype.Shape {
	return &ctype.Shape{Kind: ctype.KindStruct, Name: name, Size: size, Members: members}
}

// Section returns a section of variables.
func Section(name string, size int, vars ...ctype.Member) *ctype.Shape {
	return &ctype.Shape{Kind: ctype.KindSection, Name: name, Size: size, Members: vars}
}

// Array returns an array of n elements.
func Array(elem *ctype.Shape, n int) *ctype.Shape {
	return &ctype.Shape{Kind: ctype.KindArray, Elem: elem, Len: n, Size: n * elem.Size}
}

// Member returns a member, or a variable, at an offset in bytes.
func Member(offset int, name string, t *ctype.Shape) ctype.Member {
	return ctype.Member{Offset: offset, Name: name, Type: t}
}

// Pointer returns a pointer to elem.
func Pointer(elem *ctype.Shape) *ctype.Shape {
	return &ctype.Shape{Kind: ctype.KindPointer, Elem: elem, Size: 8}
}
