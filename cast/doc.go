// Package cast finds which integers of a BPF program really are pointers, and
// to what.
//
// BTF cannot say that a u64 holds a struct task_struct *, or that an untyped
// pointer leads to the program's own struct in its arena. The instructions
// can: they store what they got from the kernel as a task, and use what they
// load as one. [Analyze] follows both.
//
// # Values
//
// A value is what a register or stack slot may hold: where it points, if it
// does (one kind of object at some offset, or conflicting ones), whether it
// may also be zero, a number, or something that cannot be followed, and from
// which place in memory it was loaded. Each part is a small lattice and values
// are joined part by part. Nothing known (bottom) and different things at
// different times (conflict) are therefore never mistaken for one another:
// where a pointer and a time stamp meet, the result is no pointer.
//
// Offsets are a base and a stride, so that an indexed access to an array of
// structs is one to the member of its element. Which member that is, BTF
// decides: every place is that of the innermost named struct or union around
// it, or of a data section.
//
// # Memory
//
// Stack slots belong to a state and are overwritten. All other memory is one
// cell per place in a type, whichever object it is in: what is stored in the
// task member of any task_ctx is joined into one cell, and a load gives what
// the cell holds. A cell also collects what its content is used as, which
// types places that are only ever filled from outside, or by something that
// has no type itself, such as an allocator. An untyped call result is a place
// of its own for that reason.
//
// # Order
//
// States flow along the edges of a function's control-flow graph until they
// settle. A call is analysed with what it passes, and the outcome kept: a
// function that stores its second argument through its first does something
// else for each of its callers. Programs start with what the kernel passes
// them, which for struct_ops the type of the implemented member says.
// Callbacks start with what the helper that takes them passes. All of that is
// repeated until no cell changes. Loops are cut short by widening offsets, so
// the number of steps is bounded by the size of the program.
//
// # Results
//
// A place with one target, and nothing but that and zero stored in it, is
// proven; one that is also filled by something that cannot be followed, or
// known by its use only, is likely. Two targets, or a target and a number,
// are a [Conflict] and never a finding. Instructions that no verifier would
// accept are given up on and listed as gaps.
//
// Pointers from an untyped allocator that never meet a type are guessed: if
// the program has pointers to exactly one struct of its own with members where
// they are accessed. Nothing proves that it is not another struct that the
// object does not describe, so that a guess is for people, not for decoding.
//
// What it does not do: look at unions as tagged, or read the kernel's BTF, so
// that the arguments of tracing programs have no types.
package cast
