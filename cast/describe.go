package cast

// This file says for people what a value is.

import (
	"fmt"
	"strings"

	"github.com/cilium/ebpf/btf"

	ktbtf "github.com/ktgen/ktgen/btf"
)

// describe says what a value may be: "struct task_struct * (kernel) or zero".
func (v value) describe() string {
	var parts []string
	if v.ptr.state != noPointer {
		parts = append(parts, v.ptr.describe())
	}
	if v.flags&isNumber != 0 {
		parts = append(parts, v.num.describe())
	}
	if v.flags&isOpaque != 0 && v.ptr.state == noPointer {
		parts = append(parts, "something that cannot be followed")
	}
	if v.flags&isNull != 0 {
		parts = append(parts, "zero")
	}
	if len(parts) == 0 {
		return "nothing"
	}
	return strings.Join(parts, " or ")
}

func (n Number) describe() string {
	c, ok := n.Const()
	switch {
	case !ok:
		return "a number"
	case c < 0 || c > 1<<16:
		return fmt.Sprintf("%#x", uint64(c))
	}
	return fmt.Sprint(c)
}

func (p pointer) describe() string {
	if p.state == conflicting {
		return "pointers to different things"
	}
	switch p.region {
	case stackRegion:
		return "a pointer to the stack" + p.off.describe()
	case context:
		return "the program's context" + p.off.describe()
	case mapRef:
		return "map " + p.ref.Name
	case code:
		return "function " + p.fn.Name
	}
	return fmt.Sprintf("%s *%s (%v)", spell(p.typ), p.off.describe(), p.space)
}

func (o offset) describe() string {
	switch {
	case o == offset{}:
		return ""
	case o == anyOffset:
		return ", somewhere"
	case o.stride != 0:
		return fmt.Sprintf(" %+d+n*%d", o.base, o.stride)
	}
	return fmt.Sprintf(" %+d", o.base)
}

// spell is how C writes a type, void for nil.
func spell(t btf.Type) string {
	if t == nil {
		return "void"
	}
	return ktbtf.Spell(t)
}
