package runtime

import "github.com/ktgen/ktgen/runtime/ctype"

// Types that tests make others of.
var (
	u32 = &ctype.Shape{Kind: ctype.KindInt, Name: "u32", Size: 4}
	u64 = &ctype.Shape{Kind: ctype.KindInt, Name: "u64", Size: 8}
)

func structOf(name string, size int, members ...ctype.Member) *ctype.Shape {
	return &ctype.Shape{Kind: ctype.KindStruct, Name: name, Size: size, Members: members}
}
