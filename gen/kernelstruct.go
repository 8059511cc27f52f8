package gen

import (
	"slices"
	"strings"

	"github.com/ktgen/ktgen/gen/internal/gofile"
	"github.com/ktgen/ktgen/runtime/ctype"
)

// This file knows the structs that the kernel puts into the values of maps on a
// program's behalf. A program sees words without names (include/uapi/linux/bpf.h);
// package runtime says what they are.

// kernelStructs are the types of package runtime for them.
var kernelStructs = map[string]struct {
	name string
	size int // bytes
}{
	"bpf_spin_lock":     {"SpinLock", 4},
	"bpf_res_spin_lock": {"SpinLock", 4},
	"bpf_timer":         {"Timer", 16},
	"bpf_wq":            {"Timer", 16},
	"bpf_refcount":      {"RefCount", 4},
	"bpf_list_head":     {"ListHead", 16},
	"bpf_list_node":     {"ListNode", 24},
	"bpf_rb_root":       {"RBRoot", 16},
	"bpf_rb_node":       {"RBNode", 32},
}

// kernelStruct is the type of package runtime for a struct, empty for others.
func kernelStruct(s *ctype.Shape) string {
	known := kernelStructs[s.Name]
	if s.Kind != ctype.KindStruct || s.Size != known.size {
		return ""
	}
	return known.name
}

// cpuBitmap returns the field of a struct that is a bitmap of CPUs, empty if
// there is none: that of the kernel's struct cpumask, of struct scx_bitmap, and
// of those that are named like them.
func cpuBitmap(cName string, fields []gofile.Field) string {
	if !strings.Contains(cName, "cpumask") && !strings.Contains(cName, "bitmap") {
		return ""
	}
	for _, f := range fields {
		if f.Name == "CPUs" {
			return ""
		}
	}
	i := slices.IndexFunc(fields, func(f gofile.Field) bool {
		return f.Name == "Bits" && f.Type.Kind == gofile.Array && f.Type.Elem.Kind == gofile.Basic && strings.HasPrefix(f.Type.Elem.Name, "uint")
	})
	if i < 0 {
		return ""
	}
	return fields[i].Name
}
