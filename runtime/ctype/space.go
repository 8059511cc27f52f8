package ctype

import (
	"fmt"
	"slices"
)

// Space is the memory that a pointer leads to.
type Space uint8

// The spaces. A pointer that BTF declares has none: where it leads its type and
// its address tell.
const (
	SpaceUnknown Space = iota
	SpaceKernel        // an object of the kernel
	SpaceArena         // the program's arena
	SpaceMap           // the value of a map
	SpaceGlobal        // a section of global variables
	SpacePerCPU        // a per-CPU object of the kernel: an offset
	SpaceUser          // memory of user space
)

var spaceNames = [...]string{"unknown", "kernel", "arena", "map", "global", "per-CPU", "user"}

func (s Space) String() string {
	if int(s) < len(spaceNames) {
		return spaceNames[s]
	}
	return fmt.Sprintf("space(%d)", uint8(s))
}

// IsCast tells whether s is a pointer that the program declares as an integer
// or as a void *.
func (s *Shape) IsCast() bool { return s.Kind == KindPointer && s.Declared != "" }

// IsPerCPU tells whether a pointer leads to what a program has allocated for each CPU
// (bpf_percpu_obj_new).
func (s *Shape) IsPerCPU() bool { return slices.Contains(s.Tags, "percpu_kptr") }
