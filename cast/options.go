package cast

import (
	"github.com/cilium/ebpf/btf"
)

// Options are what an analysis may use. The zero value is what [Analyze] does.
type Options struct {
	// Kernel is the BTF of the kernel that the object is for. It types the
	// arguments of tracing and LSM programs; nil leaves these to be found out
	// by their use.
	Kernel *btf.Spec

	// Listing keeps what the analysis knows at each instruction, for [Analysis.List].
	Listing bool

	// Without leaves ingredients out, to measure each of them.
	Without Ingredients
}

// Ingredients is a set of parts of the analysis.
type Ingredients uint32

const (
	joins           Ingredients = 1 << iota // pointers that meet at a merge of control flow, or around a loop, stay pointers
	interprocedural                         // calls are analysed with what they pass
	structOps                               // arguments of struct_ops programs have the types of the operation
	offsets                                 // pointers may be moved
	atomics                                 // exchanges store and load
	callbacks                               // helpers call functions
	spills                                  // the stack holds pointers
	copies                                  // helpers copy values from the stack into maps
	Uses                                    // what a place is used as says what it holds
	shapes                                  // accesses through an untyped pointer show a struct
	foreign                                 // members of the kernel's objects hold something else for each program
	allocators                              // what functions return without a type is what each caller takes it for
	declarations                            // structs that are only declared hold what is stored there
	variables                               // lines of C say what the variables lead to that places are copied to and from
	instances                               // places that hold different things are told apart by the object that they are in
	unions                                  // what members hold that overlap is copied as it is
	parameters                              // what a parameter is declared to lead to is no guess where it is stored
	containers                              // accesses behind an object show what holds it
	prototypes                              // what functions are declared to take counts where what they are called with shows nothing
)

// IngredientNames are the ingredients as people call them, in order.
var IngredientNames = []string{
	"joins", "interprocedural", "struct_ops", "offsets", "atomics", "callbacks", "spills", "copies", "uses", "shapes", "foreign",
	"allocators", "declarations", "variables", "instances", "unions", "parameters", "containers", "prototypes",
}

// without tells whether an ingredient is left out.
func (e *engine) without(i Ingredients) bool { return e.opts.Without&i != 0 }
