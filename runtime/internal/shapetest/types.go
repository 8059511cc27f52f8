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
